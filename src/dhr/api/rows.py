"""The rows of ``dhr compare``: names, the settings in which they differ, and published figures."""

import os
import re
import shlex
import unicodedata
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from dhr.api.settings import Config, as_mapping, changed, flat, nearest, run_settings
from dhr.api.settings_file import beside, read_settings
from dhr.api.values import from_text
from dhr.errors import ConfigError
from dhr.evaluate.published import Published
from dhr.job.settings import RunConfig
from dhr.parsing import as_number, as_text
from dhr.words import STAGE_NAMES, printable

Rows = str | os.PathLike[str] | Sequence[str] | Mapping[str, Mapping[str, Any]]
"""A YAML file, texts such as `PAMR: boundary.kind=pamr`, or settings by name of the row."""

_OWN = ("masks", "step", "published")
_NAMED = ("preset", "recipe")
_PARTS = ("settings", "rows", "published")
_LONGEST = 80  # characters of a folder's name


@dataclass(frozen=True)
class Row:
    """One row: a run with its settings, or a folder of masks."""

    name: str
    config: RunConfig
    settings: Config
    """The same, as they are given to :func:`dhr.run`."""
    folder: str
    """Name of its run's folder; rows with equal settings share the run."""
    masks: Path | None = None
    """Masks that were made before; there is no run."""
    step: str = "mask"
    """The step of the method whose masks are scored, a key of :data:`~dhr.words.STAGE_NAMES`."""
    published: Published | None = None


@dataclass(frozen=True)
class RowList:
    """All rows, and published figures of systems without a row."""

    rows: tuple[Row, ...]
    elsewhere: Mapping[str, Published]


@dataclass
class _Given:
    """The rows as they were given, before they are read."""

    common: dict[str, Any]
    """Settings of all rows, with whole names."""
    rows: list[tuple[str, dict[str, Any], str, Path | None]]
    """Name, settings, their place for messages, and the folder of the file that holds them."""
    elsewhere: dict[str, Published]


def read_rows(rows: Rows, config: Config = "default") -> RowList:
    """Read all rows, and check every setting before any work.

    A row's settings override those of ``config``, which override the common ``settings`` of a YAML file.

    Raises:
        ConfigError: a row or setting cannot be used.
    """
    given = _Given({}, [], {})
    if isinstance(rows, Mapping):
        given.rows += [(str(name), _mapping(one, str(name)), f"row {name!r}", None) for name, one in rows.items()]
    else:
        for text in [rows] if isinstance(rows, str | os.PathLike) else rows:
            if Path(text).suffix.lower() in (".yaml", ".yml"):
                _add_file(given, Path(text))
            else:
                name, settings = _row_of_text(os.fspath(text))
                given.rows.append((name, settings, f"--rows {name!r}", None))
    if not given.rows:
        raise ConfigError(
            "--rows: expected one row or more, got none; name a YAML file, or a row 'NAME: SETTING=VALUE'"
        )
    found = [_row(*one, given.common, config) for one in given.rows]
    return RowList(tuple(_with_folders(found)), given.elsewhere)


def _add_file(given: _Given, file: Path) -> None:
    """Add the rows of a YAML file."""
    place = f"--rows: {file}"
    read = read_settings(file, "--rows")
    unknown = [name for name in read if name not in _PARTS]
    if unknown or not isinstance(read.get("rows"), Mapping):
        got = printable(unknown[0]) if unknown else "no rows"
        raise ConfigError(f"{place} must hold `rows`, and perhaps `settings` and `published`; got {got}")
    for name, one in read["rows"].items():
        given.rows.append((name, _mapping(one, name), f"{place}, row {name!r}", file.parent))
    common = _mapping(read.get("settings"), "settings")
    values = {name: common.pop(name) for name in _NAMED if name in common}
    given.common |= values | beside(flat(RunConfig, common, place), file.parent)
    for name, one in _mapping(read.get("published"), "published").items():
        given.elsewhere[name] = _published(one, f"{place}, published {name!r}")


def _mapping(value: Any, name: str) -> dict[str, Any]:
    if value is None:
        return {}
    if not isinstance(value, Mapping):
        raise ConfigError(f"--rows: {name!r} must hold settings, `name: value`; got {str(value)[:80]!r}")
    return dict(value)


def _row_of_text(text: str) -> tuple[str, dict[str, Any]]:
    """Read `NAME: SETTING=VALUE SETTING=VALUE`; values are as on the command line."""
    name, colon, rest = text.partition(":")
    if not colon and "=" in text:
        raise ConfigError(
            f"--rows {text[:80]!r}: expected a name and a colon before the settings; a row is written "
            "'NAME: SETTING=VALUE SETTING=VALUE'"
        )
    try:
        words = shlex.split(rest)
    except ValueError as error:
        raise ConfigError(f"--rows {text[:80]!r}: {error}; close the quotes") from error
    found: dict[str, Any] = {}
    for word in words:
        key, equals, value = word.partition("=")
        key = key.removeprefix("--").replace("-", "_")
        if not equals or not key:
            raise ConfigError(
                f"--rows {name!r}: expected SETTING=VALUE, got {word[:80]!r}; a row is written "
                "'NAME: SETTING=VALUE SETTING=VALUE'"
            )
        if key in found:
            raise ConfigError(f"--rows {name!r}: {key} is given twice; give it once")
        found[key] = value if key in (*_OWN, *_NAMED) else _value(key, value, name)
    return name, found


def _value(key: str, text: str, name: str) -> Any:
    from dhr.api.settings import settings_of

    known = settings_of(RunConfig)
    if key not in known:
        raise ConfigError(f"--rows {name!r}: no setting {key!r}{nearest(key, (*known, *_OWN))}")
    try:
        return from_text(text, known[key].hint)
    except ValueError as error:
        raise ConfigError(f"--rows {name!r}: {key} must be {error}; got {text[:80]!r}") from error


def _row(
    name: str, given: dict[str, Any], place: str, folder: Path | None, common: Mapping[str, Any], config: Config
) -> Row:
    name = unicodedata.normalize("NFC", " ".join(name.split()))
    if not name or printable(name) != name:
        raise ConfigError(f"{place}: a row needs a name of printable characters; got {name!r}")
    own = {key: given.pop(key) for key in _OWN if key in given}
    masks, step = _masks(own.get("masks"), folder, place), own.get("step", "mask")
    if step not in STAGE_NAMES:
        raise ConfigError(f"{place}: step must be one of {', '.join(STAGE_NAMES)}; got {str(step)[:80]!r}")
    if masks is not None and (given or step != "mask"):
        more = next(iter(given), "step")
        raise ConfigError(f"{place}: masks are scored as they are; leave out {more}, or masks")
    published = None if own.get("published") is None else _published(own["published"], place)
    chosen, settings = _config(given, place, folder, common, config)
    if step != "mask" and not chosen.stages:
        raise ConfigError(f"{place}: step {step} needs the masks of all steps; leave out stages: false")
    return Row(name, chosen, settings, "", masks, step, published)


def _config(
    given: dict[str, Any], place: str, folder: Path | None, common: Mapping[str, Any], config: Config
) -> tuple[RunConfig, Config]:
    """Return the settings of a row, and the form in which a run takes them."""
    named = {key: given.pop(key) for key in _NAMED if key in given}
    own = flat(RunConfig, given, place)
    own = own if folder is None else beside(own, folder)
    if isinstance(config, RunConfig):
        if named:
            raise ConfigError(f"{place}: {next(iter(named))} cannot change a RunConfig; give config as a mapping")
        made = changed(config, dict(common) | own)
        return made, made
    base = as_mapping(config)
    top = {key: base.pop(key) for key in (*_NAMED, "config") if base.get(key) is not None}
    values = dict(common) | flat(RunConfig, base, "config") | top | own | named
    try:
        return run_settings(values)[0], values
    except ConfigError as error:
        text = str(error)
        raise ConfigError(text if text.startswith("--") else f"{place}: {text}") from error


def _masks(value: Any, folder: Path | None, place: str) -> Path | None:
    if value is None:
        return None
    if not isinstance(value, str | os.PathLike) or not os.fspath(value):
        raise ConfigError(f"{place}: masks must be a folder of masks; got {str(value)[:80]!r}")
    return Path(value) if folder is None else folder / value


def _published(value: Any, place: str) -> Published:
    if isinstance(value, Published):
        return value
    try:
        if not isinstance(value, Mapping) or set(value) != {"miou", "source"}:
            raise ValueError("expected {miou: 82.3, source: the publication}")
        return Published(as_number(value["miou"], 0, 100, "miou"), as_text(value["source"], "source", 300))
    except ValueError as error:
        raise ConfigError(f"{place}: published: {error}; got {str(value)[:80]!r}") from error


def _with_folders(rows: Iterable[Row]) -> list[Row]:
    """Give each run its folder; rows with equal settings share the first one's."""
    found: list[Row] = []
    for row in rows:
        if any(row.name.casefold() == one.name.casefold() for one in found):
            raise ConfigError(f"--rows: {row.name!r} is the name of two rows; rename one")
        runs = [one for one in found if one.masks is None] if row.masks is None else []
        same = next((one for one in runs if one.config == row.config), None)
        name = folder_of(row.name) if same is None else same.folder
        taken = next((one for one in found if one.folder.casefold() == name.casefold()), None)
        if taken is not None and same is None:
            raise ConfigError(f"--rows: {row.name!r} and {taken.name!r} would share the folder {name}; rename one")
        found.append(replace(row, folder=name))
    return found


def folder_of(name: str) -> str:
    """Return a name of a folder for a row.

    >>> folder_of("SAM 3, plain"), folder_of("../a")
    ('SAM-3-plain', 'a')
    """
    text = re.sub(r"[^\w+.]+", "-", name).strip("-.")[:_LONGEST].rstrip("-.")
    if not text:
        raise ConfigError(f"--rows: {name!r} gives no name for a folder; use letters or digits")
    return text
