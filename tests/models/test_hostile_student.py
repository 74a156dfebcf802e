"""Students that somebody sent: a file is all that a student is made of, and is refused where it cannot be one."""

import json
import os
import socket
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors import safe_open
from safetensors.torch import save_file

from dhr.data.samples import ClassTable
from dhr.errors import ConfigError, WeightsError
from dhr.models.student import StudentConfig
from dhr.models.student.network import Student
from dhr.models.uss import UssConfig, build_uss
from dhr.models.weights import build_timm
from dhr.models.wss import WssConfig
from dhr.models.wss.classifier import TagClassifier
from dhr.train.student_file import read_student, write_student
from dhr.train.student_header import StudentHeader

Parts = tuple[dict[str, Any], dict[str, torch.Tensor]]


@pytest.fixture(scope="module")
def parts(tmp_path_factory: pytest.TempPathFactory) -> Parts:
    """Header and weights of a small student."""
    torch.manual_seed(0)
    network = TagClassifier(WssConfig(backbone="test_resnet", weights="none"), 2)
    student = Student(network, StudentConfig(width=8, low_level=4), 3)
    path = tmp_path_factory.mktemp("student") / "student.safetensors"
    write_student(path, student, ClassTable(("background", "cat", "dog"), True), 640)
    with safe_open(path, framework="pt") as file:
        header = json.loads(file.metadata()["student"])
        return header, {key: file.get_tensor(key) for key in file.keys()}  # noqa: SIM118


def changed(header: dict[str, Any], place: str, value: Any) -> dict[str, Any]:
    copy = json.loads(json.dumps(header))
    *groups, name = place.split(".")
    inner = copy
    for group in groups:
        inner = inner[group]
    if value is ...:
        inner.pop(name)
    else:
        inner[name] = value
    return dict(copy)


def write(path: Path, header: Any, state: dict[str, torch.Tensor]) -> Path:
    save_file(state, path, {"student": header if isinstance(header, str) else json.dumps(header)})
    return path


REFUSED: list[tuple[str, Any, str]] = [
    ("format", "dhr student 9", "its format is"),
    ("format", 1, "format"),
    ("kind", "other", "kind"),
    ("kind", 3, "kind"),
    ("long_side", 0, "long_side"),
    ("long_side", 31, "long_side"),
    ("long_side", 10**9, "long_side"),
    ("long_side", 10**400, "long_side"),
    ("long_side", True, "long_side"),
    ("long_side", "640", "long_side"),
    ("long_side", ..., "long_side"),
    ("colours", [[999, 0, 0], [0, 0, 0], [0, 0, 0]], "colours"),
    ("colours", [[-1, 0, 0], [0, 0, 0], [0, 0, 0]], "colours"),
    ("colours", [[0.5, 0, 0], [0, 0, 0], [0, 0, 0]], "colours"),
    ("colours", [[0, 0, 0]], "colours"),
    ("colours", [[0, 0], [0, 0], [0, 0]], "colours"),
    ("colours", "red", "colours"),
    ("classes", ["background", "cat\ndog", "owl"], "classes"),
    ("classes", ["background", "cat\x1b[2J", "owl"], "classes"),
    ("classes", ["background", "cat\u2028", "owl"], "classes"),
    ("classes", ["background", "cat", "cat"], "occurs twice"),
    ("classes", ["background", "", "cat"], "classes"),
    ("classes", ["background", "x" * 2000, "cat"], "classes"),
    ("classes", ["background", "cat", 3], "classes"),
    ("classes", [], "classes"),
    ("classes", ["background"], "classes"),
    ("classes", [str(number) for number in range(256)], "classes"),
    ("classes", ["background", "cat", "dog", "owl"], "shape"),
    ("background", 1, "background"),
    ("background", "yes", "background"),
    ("background", False, "shape"),
    ("wss", [], "wss"),
    ("wss", ..., "wss"),
    ("wss.backbone", "hf-hub:someone/something", "expected a name"),
    ("wss.backbone", "../../weights", "expected a name"),
    ("wss.backbone", "no_such_network", "no model"),
    ("wss.backbone", 3, ""),
    ("wss.output_stride", 7, "output_stride"),
    ("wss.output_stride", "x", ""),
    ("wss.scales", ["x"], ""),
    ("wss.std", [0, 0, 0], "std"),
    ("wss.mean", [float("nan")] * 3, "NaN"),
    ("wss.unknown", 1, "unknown"),
    ("wss.options", {"checkpoint_path": "weights"}, "must not refer to other files"),
    ("wss.options", {"pretrained": True}, "must not refer to other files"),
    ("wss.options", {"pretrained_cfg": {"url": "x"}}, "must not refer to other files"),
    ("wss.options", {"cache_dir": "x"}, "must not refer to other files"),
    ("wss.options", {"a": {"b": {"c": {"d": {"e": 1}}}}}, "nested too deep"),
    ("wss.options", {str(number): 1 for number in range(2000)}, "entries"),
    ("student.width", 10**9, "whole number"),
    ("student.width", 100_000, "shape"),
    ("student.width", 0, "width"),
    ("student.rates", [10**9], "whole number"),
    ("student.rates", [], "rates"),
    ("student.decoder", "other", "decoder"),
    ("student.norm", "layer", "norm"),
    ("student", 5, "student"),
]


@pytest.mark.parametrize(("place", "value", "said"), REFUSED)
def test_a_header_that_cannot_be_is_refused_in_one_line(
    place: str, value: Any, said: str, parts: Parts, tmp_path: Path, unchecked: None
) -> None:
    header, state = parts
    path = write(tmp_path / "student.safetensors", changed(header, place, value), state)
    with pytest.raises(WeightsError, match="is not a usable student") as error:
        read_student(path)
    text = str(error.value)
    assert said in text and len(text.splitlines()) == 1 and len(text) < 600


@pytest.mark.parametrize("header", ["[" * 100_000, "[]", "null", "", '{"format": NaN}', '{"a": 1, "a": 2}'])
def test_a_header_that_is_none_is_refused(header: str, parts: Parts, tmp_path: Path) -> None:
    with pytest.raises(WeightsError, match="is not a usable student") as error:
        read_student(write(tmp_path / "student.safetensors", header, parts[1]))
    assert len(str(error.value).splitlines()) == 1


def test_weights_that_do_not_fit_are_refused(parts: Parts, tmp_path: Path) -> None:
    header, state = parts
    name = next(name for name, value in state.items() if value.ndim == 4)
    for change, said in (
        ({name: torch.full_like(state[name], float("nan"))}, "NaN or infinity"),
        ({name: state[name][1:].contiguous()}, "expected the shape"),
        ({"more": torch.ones(1)}, "did not expect a tensor"),
    ):
        path = write(tmp_path / "student.safetensors", header, {**state, **change})
        with pytest.raises(WeightsError, match=said):
            read_student(path)


@pytest.mark.parametrize("kind", ["pipe", "device", "folder"])
def test_what_is_no_file_is_not_opened(kind: str, tmp_path: Path) -> None:
    path = Path("/dev/zero") if kind == "device" else tmp_path / kind
    if kind == "pipe":
        os.mkfifo(path)
    elif kind == "folder":
        path.mkdir()
    with pytest.raises(WeightsError, match="not a regular file"):
        read_student(path)


_SEEN: list[tuple[str, str]] = []
_WATCHING = False


def _watch(event: str, arguments: tuple[Any, ...]) -> None:
    if _WATCHING and event in ("open", "socket.connect", "socket.getaddrinfo"):
        _SEEN.append((event, str(arguments[0] if event == "open" else arguments)))


@pytest.fixture
def watched() -> Iterator[list[tuple[str, str]]]:
    """Files that are opened and hosts that are asked meanwhile; a hook of Python's can never be taken away again."""
    global _WATCHING
    if not hasattr(_watch, "hooked"):
        sys.addaudithook(_watch)
        _watch.hooked = True  # type: ignore[attr-defined]
    _SEEN.clear()
    _WATCHING = True
    yield _SEEN
    _WATCHING = False


@pytest.mark.parametrize("weights", ["hub", "{place}/other.safetensors", "/etc/passwd", "", 3, None])
@pytest.mark.parametrize("kind", ["classifier", "files", "clip"])
def test_weights_named_in_a_header_are_never_looked_for(
    weights: Any,
    kind: str,
    parts: Parts,
    tmp_path: Path,
    watched: list[tuple[str, str]],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Weights are in the file; whatever it says of others is passed over, and nothing else is opened."""
    header, state = parts
    place = tmp_path / "elsewhere"
    place.mkdir()
    named = weights.format(place=place) if isinstance(weights, str) else weights
    header = changed(changed(header, "wss.weights", named), "wss.kind", kind)
    header = changed(header, "wss.maps", str(place))
    path = write(tmp_path / "student.safetensors", header, state)

    def refuse(*_: Any) -> None:
        raise AssertionError("the network is asked")

    monkeypatch.setattr(socket.socket, "connect", refuse)
    watched.clear()
    student = read_student(path).student
    opened = [name for event, name in watched if event == "open" and "python" not in name and name != str(path)]
    assert not [
        one for one in opened if "elsewhere" in one or "passwd" in one or one.endswith((".safetensors", ".bin"))
    ]
    assert not [event for event, _ in watched if event.startswith("socket")]
    with torch.no_grad():
        assert bool(student.segment(torch.zeros(1, 3, 40, 40)).isfinite().all())


@pytest.mark.parametrize("option", ["pretrained", "checkpoint_path", "pretrained_cfg", "cache_dir"])
def test_options_lead_to_no_other_weights(option: str) -> None:
    with pytest.raises(ConfigError, match=rf"timm's option '{option}' is not allowed here"):
        build_timm("test_resnet", "none", "wss.weights", {option: "x"})
    for model in ("test_resnet", "test_vit"):
        with pytest.raises(ConfigError, match=rf"timm's option '{option}' is not allowed here"):
            build_uss(UssConfig(model=model, weights="none", options={option: "x"}))


def test_a_header_of_the_usual_kind_is_taken(parts: Parts) -> None:
    header = StudentHeader.parse(changed(parts[0], "colours", [[0, 0, 0], [255, 0, 1], [2, 3, 4]]))
    assert header.classes.colours == ((0, 0, 0), (255, 0, 1), (2, 3, 4))
    assert header.settings["wss"]["weights"] == "none" and "kind" not in header.settings["wss"]
