"""The header of a student's file, checked: it is enough to build the student, and refers to no other file."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from dhr.data.samples import ClassTable
from dhr.data.table_json import parsed_table
from dhr.models.weights import NONE
from dhr.parsing import Fields, as_number, as_text, as_whole

FORMAT = "dhr student 1"
_LARGEST = 100_000  # of any number in the settings of a network: the largest have 12,544 points and 1,024 channels
_ENTRIES, _DEEPEST = 1000, 4  # of these settings
_NAME = re.compile(r"[\w. -]{0,100}")  # no path, and no name of a hub
_NO_SETTINGS = ("pretrained", "checkpoint", "cache_dir", "name_or_path", "auto_map", "attn_implementation", "kernel")
_LONGEST_SIDE = 100_000


@dataclass(frozen=True)
class StudentHeader:
    """The content of a student's file besides the weights."""

    kind: str
    classes: ClassTable
    long_side: int
    settings: Mapping[str, Mapping[str, Any]]
    """Settings of the network, by group."""
    mean: tuple[float, ...] | None
    std: tuple[float, ...] | None
    """Normalisation of images, if the settings lack it."""

    @staticmethod
    def parse(value: Any) -> "StudentHeader":
        """Check the value of the metadata `student`.

        Raises:
            ValueError: it does not describe a student, or refers to other files.
        """
        header = Fields(value)
        form = header.text("format") if "format" in header else None
        if form != FORMAT:
            raise ValueError(f"its format is {form!r}, expected {FORMAT!r}")
        groups = [name for name in ("wss", "student", "network") if name in header]
        return StudentHeader(
            kind=header.text("kind") if "kind" in header else "joint",
            classes=parsed_table(header),
            long_side=header.whole("long_side", 32, _LONGEST_SIDE),
            settings={name: _settings(header.object(name), name) for name in groups},
            mean=_triple(header, "mean", -1000),
            std=_triple(header, "std", 1e-6),
        )


def _triple(header: Fields, name: str, low: float | int) -> tuple[float, ...] | None:
    if name not in header:
        return None
    values = tuple(as_number(one, low, 1000, name) for one in header.entries(name, 3))
    if len(values) != 3:
        raise ValueError(f"{name}: expected three numbers, got {len(values)}")
    return values


def _settings(found: dict[str, Any], group: str) -> dict[str, Any]:
    """Check settings of a network; they cannot refer to weights, files or a hub."""
    if group == "wss":
        kept = {key: value for key, value in found.items() if key not in ("weights", "maps", "kind")}
        found = {**kept, "weights": NONE}
        for name in ("prompt", "words", "backgrounds", "segmenter"):  # settings of other kinds of models
            found.pop(name, None)
    return {key: plain_setting(value, f"{group}.{key}") for key, value in found.items()}


def plain_setting(value: Any, name: str, depth: int = 1) -> Any:
    """Check a setting of plain values; lists become tuples, as settings of ours have them (transformers has lists).

    Raises:
        ValueError: it is too large, or names a file or a hub.
    """
    forbidden = any(part in name.rpartition(".")[2] for part in _NO_SETTINGS)
    if forbidden and value not in (None, False, "", {}, []):
        raise ValueError(f"{name}: a student file must not refer to other files")
    if depth > _DEEPEST:
        raise ValueError(f"{name}: nested too deep")
    if isinstance(value, dict | list) and len(value) > _ENTRIES:
        raise ValueError(f"{name}: expected at most {_ENTRIES} entries, got {len(value)}")
    if isinstance(value, dict):
        return {key: plain_setting(one, f"{name}.{key}", depth + 1) for key, one in value.items()}
    if isinstance(value, list):
        values = [plain_setting(one, name, depth + 1) for one in value]
        return values if name.startswith("network.") else tuple(values)
    if value is None or isinstance(value, bool):
        return value
    if isinstance(value, int):
        return as_whole(value, -_LARGEST, _LARGEST, name)
    if isinstance(value, float):
        return as_number(value, -_LARGEST, _LARGEST, name)
    if not _NAME.fullmatch(as_text(value, name)):
        raise ValueError(f"{name}: expected a name without '/' and ':', got {value[:40]!r}")
    return value
