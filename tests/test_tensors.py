"""Files of tensors that are damaged, endless, or no files."""

import os
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file

from dhr.tensors import MAX_HEADER, check_finite, check_kinds, check_shapes, read_tensors


@pytest.fixture
def good(tmp_path: Path) -> Path:
    path = tmp_path / "good.safetensors"
    save_file({"a": torch.ones(2, 3), "b": torch.arange(4)}, path, {"about": "this"})
    return path


def test_tensors_come_back(good: Path) -> None:
    tensors, about = read_tensors(good)
    assert torch.equal(tensors["a"], torch.ones(2, 3)) and torch.equal(tensors["b"], torch.arange(4))
    assert about == {"about": "this"}


def cut(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-4])


def short(path: Path) -> None:
    path.write_bytes(b"\0\0\0")


def other(path: Path) -> None:
    path.write_bytes(b"x" * 500)


def header_of_a_gigabyte(path: Path) -> None:
    path.write_bytes((1 << 30).to_bytes(8, "little") + b"{")
    os.truncate(path, 1 << 31)


def header_of_nothing(path: Path) -> None:
    path.write_bytes((500).to_bytes(8, "little") + b"{" * 500)


@pytest.mark.parametrize("damage", [cut, short, other, header_of_a_gigabyte, header_of_nothing])
def test_damage_is_one_line(damage: Callable[[Path], None], good: Path) -> None:
    damage(good)
    with pytest.raises(ValueError, match=r"\w") as error:
        read_tensors(good)
    assert len(str(error.value).splitlines()) == 1 and len(str(error.value)) < 200


def test_the_size_of_header_and_file_is_bounded(good: Path) -> None:
    header_of_a_gigabyte(good)
    with pytest.raises(ValueError, match=f"over the limit of {MAX_HEADER // 1_000_000} MB"):
        read_tensors(good)
    with pytest.raises(OSError, match="over the limit of 100 MB"):
        read_tensors(good, 100_000_000)


def test_what_is_no_file_is_not_opened(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    for path in (tmp_path / "pipe", tmp_path, Path("/dev/zero")):
        with pytest.raises(OSError, match="not a regular file"):
            read_tensors(path)
    with pytest.raises(FileNotFoundError):
        read_tensors(tmp_path / "gone")


def test_shapes_kinds_and_numbers() -> None:
    tensors = {"a": torch.ones(2, 3), "b": torch.arange(4)}
    check_shapes(tensors, {"a": (2, None), "b": (4,)})
    check_kinds(tensors, {"a": (torch.float32, torch.float16), "b": (torch.int64,)})
    check_finite(tensors)
    for wanted, said in (
        ({"a": (2, 3)}, "did not expect a tensor 'b'"),
        ({"a": (2, 3), "b": (4,), "c": ()}, "expected a tensor 'c'"),
        ({"a": (2, 4), "b": (4,)}, r"a: expected the shape \(2, 4\), got \(2, 3\)"),
        ({"a": (6,), "b": (4,)}, r"a: expected the shape \(6\), got"),
    ):
        with pytest.raises(ValueError, match=said):
            check_shapes(tensors, wanted)
    with pytest.raises(ValueError, match=r"b: expected torch\.float32, got torch\.int64"):
        check_kinds(tensors, {"b": (torch.float32,)})
    for odd in (float("nan"), float("inf")):
        with pytest.raises(ValueError, match="c holds NaN or infinity"):
            check_finite({**tensors, "c": torch.tensor([1.0, odd])})
