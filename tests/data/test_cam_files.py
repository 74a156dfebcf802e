"""Class maps of other programs: what is read, what is refused, and that nothing of a file is run."""

import collections
import contextlib
import io
import os
import pickle
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import array_shapes, arrays

from dhr.data import write_mask
from dhr.data.cam_files import find_maps, read_maps
from dhr.data.plain_pickle import Refused, read_plain_pickle
from dhr.data.samples import ClassTable
from dhr.errors import ItemError

VOC = ClassTable(("background", "cat", "dog", "cow", "bus"), background=True)
TAGS = (1, 3)  # cat, cow
MAPS = np.random.default_rng(0).random((2, 5, 7)).astype(np.float32)


def save(path: Path, content: Any) -> Path:
    np.save(path, content, allow_pickle=True)
    return path


def refused(path: Path, *words: str, **more: Any) -> None:
    with pytest.raises(ItemError) as caught:
        read_maps(path, TAGS, VOC, **more)
    message = str(caught.value)
    assert str(path) in message and "\n" not in message
    for word in words:
        assert word in message, message


@pytest.mark.parametrize(
    "content",
    [
        {"keys": torch.tensor([0, 2]), "cam": torch.rand(2, 2, 2), "high_res": MAPS},  # IRN
        {"keys": np.array([2, 0]), "attn_highres": MAPS[::-1].astype(np.float64)},  # CLIP-ES
        {"keys": np.array([0, 2]), "IS_CAM": MAPS},  # SIPE
        {0: MAPS[0], 2: MAPS[1]},  # MCTformer, WeakTr
        {"0": torch.from_numpy(MAPS[0]), "2": torch.from_numpy(MAPS[1]), "3": torch.zeros(5, 7)},
        {np.int64(0): MAPS[0], np.int64(2): MAPS[1]},
        {"keys": [0, 2], "anything": MAPS, "name": "2007_000032"},
        collections.OrderedDict(keys=np.array([0, 1, 2]), cams=np.stack([MAPS[0], MAPS[0], MAPS[1]])),
        {"keys": torch.tensor([[0], [2]]), "high_res": torch.from_numpy(np.stack([MAPS, MAPS], axis=-1))[..., 0]},
        {"keys": np.array([0, 2]), "high_res": np.asfortranarray(MAPS)},
        {"keys": np.array([0, 2]), "high_res": MAPS.astype(">f4")},
    ],
)  # fmt: skip
def test_dictionaries_of_other_programs(content: Any, tmp_path: Path) -> None:
    result = read_maps(save(tmp_path / "a.npy", content), TAGS, VOC)
    assert result.dtype == np.float32
    np.testing.assert_allclose(result, MAPS, rtol=1e-6)


def test_numbering_that_counts_the_background(tmp_path: Path) -> None:
    path = save(tmp_path / "a.npy", {0: MAPS[0] * 0, 1: MAPS[0], 3: MAPS[1]})
    np.testing.assert_array_equal(read_maps(path, TAGS, VOC, "table"), MAPS)
    refused(path, "it lacks the map of cow", "it has cat, dog, bus", "--wss.numbering table")


def test_plain_arrays_and_our_own(tmp_path: Path) -> None:
    np.testing.assert_array_equal(read_maps(save(tmp_path / "a.npy", MAPS), TAGS, VOC), MAPS)
    whole = np.random.default_rng(1).random((4, 3, 3)).astype(np.float32)
    np.testing.assert_array_equal(read_maps(save(tmp_path / "b.npy", whole), TAGS, VOC), whole[[0, 2]])
    with_background = np.random.default_rng(1).random((5, 3, 3)).astype(np.float32)
    np.testing.assert_array_equal(
        read_maps(save(tmp_path / "c.npy", with_background), TAGS, VOC), with_background[[1, 3]]
    )
    np.savez_compressed(tmp_path / "d.npz", cams=MAPS.astype(np.float16), classes=np.array([1, 3]))
    np.testing.assert_allclose(read_maps(tmp_path / "d.npz", TAGS, VOC), MAPS, rtol=1e-3)
    np.savez(tmp_path / "e.npz", keys=np.array([2, 0]), high_res=MAPS[::-1])
    np.testing.assert_array_equal(read_maps(tmp_path / "e.npz", TAGS, VOC), MAPS)


def test_masks(tmp_path: Path) -> None:
    mask = np.array([[0, 1, 255], [3, 3, 2]], np.uint8)
    write_mask(tmp_path / "a.png", mask)
    result = read_maps(tmp_path / "a.png", TAGS, VOC)
    np.testing.assert_array_equal(result, [[[0, 1, 0], [0, 0, 0]], [[0, 0, 0], [1, 1, 0]]])
    write_mask(tmp_path / "b.png", np.array([[7]], np.uint8))
    refused(tmp_path / "b.png", "class 7", "ends at 4")


@pytest.mark.parametrize(
    ("content", "word"),
    [
        (MAPS[0], "(k, u, v)"),
        (np.zeros((3, 2, 2)), "it has 3 maps; expected 2"),
        (np.zeros((2, 0, 3)), "(2, 0, 3)"),
        (np.full((2, 1, 1), np.nan), "NaN"),
        (np.full((2, 1, 1), 1e39), "NaN"),
        (np.zeros((2, 2, 2), complex), "complex"),
        (np.zeros((2, 2, 2), "U3"), "<U3"),
        ({}, "keys or classes"),
        ({"keys": np.array([0, 1]), "high_res": MAPS}, "it lacks the map of cow"),
        ({"classes": np.array([0, 2]), "high_res": MAPS}, "it lacks the map of cat, cow"),
        ({"keys": np.array([0, 2, 3]), "high_res": MAPS}, "expected one array (3, u, v)"),
        ({"keys": np.array([0, 2])}, "expected one array"),
        ({"keys": np.array([0, 2]), "a": MAPS, "b": MAPS}, "a, b"),
        ({"keys": np.array(["a", "b"]), "cam": MAPS}, "a"),
        ({0: MAPS[0], 2: MAPS[1, :2]}, "differ in size"),
        ({0: "cat", 2: "cow"}, "cannot be used"),
        ({"keys": None, "cam": MAPS}, "cannot be used"),
        ([1, 2], "cannot be used"),
        ("text", "cannot be used"),
        (None, "cannot be used"),
        ({1.5: MAPS}, "float"),
        ({"keys": {1, 2}, "cam": MAPS}, "set"),
        ({"keys": np.array([0, 2]), "cam": np.array([MAPS[0], "x"], dtype=object)}, "2 objects"),
        ({"keys": Path("a")}, "pathlib"),
    ],
)
def test_what_are_no_maps_of_the_tags(content: Any, word: str, tmp_path: Path) -> None:
    with np.errstate(over="ignore"):
        refused(save(tmp_path / "a.npy", content), word)


def test_files_that_are_damaged(tmp_path: Path) -> None:
    for name, content in (
        ("a.npy", {"keys": torch.tensor([0, 2]), "cam": MAPS}),
        ("b.npy", {"keys": np.array([0, 2]), "cam": MAPS}),
        ("c.npy", MAPS),
    ):
        whole = save(tmp_path / name, content).read_bytes()
        for length in (0, 5, 11, 60, 128, len(whole) // 2, len(whole) - 1):
            (tmp_path / name).write_bytes(whole[:length])
            refused(tmp_path / name)
    np.savez(tmp_path / "d.npz", cams=MAPS, classes=np.array([1, 3]))
    whole = (tmp_path / "d.npz").read_bytes()
    for length in (0, 40, len(whole) // 2, len(whole) - 1):
        (tmp_path / "d.npz").write_bytes(whole[:length])
        refused(tmp_path / "d.npz")
    np.savez(tmp_path / "e.npz", cams=np.array([{"a": 1}]), classes=np.array([1, 3]))  # a pickle in an .npz
    refused(tmp_path / "e.npz")
    (tmp_path / "f.npz").write_text("These are no maps.")
    refused(tmp_path / "f.npz")
    refused(tmp_path / "missing.npy")


def test_what_would_fill_the_memory_is_refused_first(tmp_path: Path) -> None:
    with (
        zipfile.ZipFile(tmp_path / "a.npz", "w", zipfile.ZIP_DEFLATED) as archive,
        archive.open("cams.npy", "w", force_zip64=True) as file,
    ):
        np.lib.format.write_array_header_1_0(
            file, {"descr": "|u1", "fortran_order": False, "shape": (2, 1 << 16, 1 << 15)}
        )
        for _ in range(2):
            file.write(bytes(1 << 20))
    content = (tmp_path / "a.npz").read_bytes()
    size = (2 << 20) + 128
    huge = content.replace(size.to_bytes(8, "little"), (1 << 40).to_bytes(8, "little"))
    (tmp_path / "a.npz").write_bytes(huge)
    refused(tmp_path / "a.npz")


class Call:
    """Whoever unpickles it calls ``function``."""

    def __init__(self, function: Any, *arguments: Any, state: Any = None) -> None:
        self.made = (function, arguments) if state is None else (function, arguments, state)

    def __reduce__(self) -> Any:
        return self.made


def intruders(marker: Path) -> dict[str, Any]:
    import subprocess

    command = f"open({str(marker)!r}, 'w').close()"
    return {
        "open": Call(open, str(marker), "w"),
        "system": Call(os.system, f"touch {marker}"),
        "exec": Call(exec, command),
        "eval": Call(eval, command),
        "popen": Call(subprocess.Popen, ["touch", str(marker)]),
        "getattr": Call(getattr, [], "append"),
        "np.load": Call(np.load, str(marker)),
        "torch.load": Call(torch.load, str(marker)),
        "in a key": {Call(open, str(marker), "w"): 1},
        "in a list": [1, [Call(open, str(marker), "w")]],
        "in an object array": np.array([{"a": Call(open, str(marker), "w")}], dtype=object),
        "torch": Call(torch.storage._load_from_bytes, pickle.dumps(Call(open, str(marker), "w"), protocol=2)),
        "torch zip": Call(torch.storage._load_from_bytes, saved(Call(open, str(marker), "w"))),
        "module": Call(__import__, "antigravity"),
        "class": Call(type, "A", (), {}),
    }


def saved(content: Any) -> bytes:
    buffer = io.BytesIO()
    torch.save(content, buffer)
    return buffer.getvalue()


INTRUDERS = sorted(intruders(Path("marker")))


@pytest.mark.parametrize("protocol", [0, 2, 4, 5])
@pytest.mark.parametrize("name", INTRUDERS)
def test_nothing_of_a_file_is_run(name: str, protocol: int, tmp_path: Path) -> None:
    marker = tmp_path / "marker"
    content = pickle.dumps({"keys": [0, 2], "cam": MAPS, "more": intruders(marker)[name]}, protocol=protocol)
    with pytest.raises(Refused):
        read_plain_pickle(content)
    header = io.BytesIO()
    np.lib.format.write_array_header_1_0(header, {"descr": "|O", "fortran_order": False, "shape": ()})
    (tmp_path / "a.npy").write_bytes(header.getvalue() + content)
    refused(tmp_path / "a.npy", "cannot be used")
    assert not marker.exists()


def test_the_intruders_are_as_dangerous_as_they_are_meant_to_be(tmp_path: Path) -> None:
    for name in ("open", "system", "exec", "eval", "in a list"):
        marker = tmp_path / name
        pickle.loads(pickle.dumps(intruders(marker)[name]))
        assert marker.exists(), name


@pytest.mark.parametrize(
    "content",
    [
        b"c__builtin__\neval\n(S'1'\ntR.",
        b"cnumpy\nndarray\n(tR.",  # a class that is only a name is not called
        b"cnumpy\ndtype\n(S'O'\ntR.",
        b"cnumpy.core.multiarray\n_reconstruct\n(cnumpy\ndtype\n(I0\ntS'b'\ntR.",
        b"cnumpy\n__builtins__\n.",
        b"cnumpy.core.multiarray\n_reconstruct.__globals__\n.",
        b"\x80\x04\x8c\x16numpy.core.multiarray\x94\x8c\x18_reconstruct.__globals__\x94\x93.",
        b"Pid\n.",
        b"\x82\x01.",
        b"(lp0\n" + b"(lp0\n" * 50 + b"a" * 50 + b".",
        b"]q\x00h\x00a.",  # a list that holds itself
    ],
)
def test_crafted_opcodes_are_refused(content: bytes) -> None:
    with pytest.raises(Refused):
        read_plain_pickle(content)


def state(shape: Any, kind: str, data: Any) -> bytes:
    """An array that describes itself as ``kind``, with ``data`` behind it."""
    return pickle.dumps(
        Call(
            np.zeros(0).__reduce__()[0],  # numpy.core, or numpy._core since numpy 2
            np.ndarray,
            (0,),
            b"b",
            state=(1, shape, Call(np.dtype, kind), False, data),
        )
    )


@pytest.mark.parametrize(
    "content",
    [
        state((1,), "O8", b"12345678"),  # an address of the author's choice
        state((10**12,), "f4", b"1234"),
        state((-1,), "f4", b"1234"),
        state((1,), "V4", b"1234"),
        state((1,), "f4", None),
        state(None, "f4", b"1234"),
    ],
)
def test_arrays_that_do_not_fit_their_bytes_are_refused(content: bytes) -> None:
    try:
        assert read_plain_pickle(content).shape == (1,)  # -1 is what reshape makes of it
    except Refused:
        pass
    else:
        assert content == state((-1,), "f4", b"1234")


@given(st.data())
def test_random_changes_are_read_or_refused(data: Any) -> None:
    content = bytearray(pickle.dumps({"keys": torch.tensor([0, 2]), "cam": MAPS[:, :2, :2], "n": np.float32(1)}))
    for _ in range(data.draw(st.integers(1, 4))):
        content[data.draw(st.integers(0, len(content) - 1))] = data.draw(st.integers(0, 255))
    with contextlib.suppress(Refused, MemoryError):
        read_plain_pickle(bytes(content))


@given(
    st.sampled_from(["?", "i1", "u2", "<i4", ">i8", "<f2", "<f4", ">f8"]).flatmap(
        lambda kind: arrays(kind, array_shapes(min_dims=0, max_dims=4, min_side=0, max_side=4))
    ),
    st.integers(0, 5),
)
def test_arrays_are_those_that_were_written(array: np.ndarray, protocol: int) -> None:
    for one in (array, np.asfortranarray(array), array[..., ::-1] if array.ndim else array):
        result = read_plain_pickle(pickle.dumps({"a": one, "b": [one.dtype.type(1)]}, protocol=protocol))
        np.testing.assert_array_equal(result["a"], one)
        assert result["a"].dtype.kind == one.dtype.kind
        assert result["b"] == [1]


@given(st.lists(st.integers(0, 4), max_size=3), st.integers(0, 4), st.booleans())
def test_tensors_are_those_that_were_written(size: list[int], protocol: int, turned: bool) -> None:
    tensor = torch.arange(1 + int(np.prod(size)), dtype=torch.float32)[1:].view(size)
    tensor = tensor.transpose(0, -1) if turned and tensor.dim() > 1 else tensor
    for one in (tensor, tensor.half(), tensor.long(), tensor.bool(), tensor.bfloat16()):
        result = read_plain_pickle(pickle.dumps(one, protocol=protocol))
        np.testing.assert_array_equal(result, one.float().numpy())


def test_one_file_a_photograph(tmp_path: Path) -> None:
    (tmp_path / "trip").mkdir()
    path = save(tmp_path / "trip" / "a.npy", MAPS)
    assert find_maps(tmp_path, "trip/a") == path
    with pytest.raises(ItemError, match="got no file"):
        find_maps(tmp_path, "a")
    write_mask(tmp_path / "trip" / "a.png", np.zeros((1, 1), np.uint8))
    with pytest.raises(ItemError, match=r"got a\.npy and a\.png"):
        find_maps(tmp_path, "trip/a")


@pytest.mark.parametrize("kind", [np.uint8, np.int64, np.uint16])
def test_arrays_of_class_ids_are_masks(kind: Any, tmp_path: Path) -> None:
    labels = np.array([[0, 1, 1], [3, 3, 255]])
    wanted = np.stack([labels == 1, labels == 3]).astype(np.float32)
    np.savez(tmp_path / "b.npz", seg=labels.astype(kind))
    for path in (save(tmp_path / "a.npy", labels.astype(kind)), tmp_path / "b.npz"):
        np.testing.assert_array_equal(read_maps(path, TAGS, VOC), wanted)
    refused(save(tmp_path / "c.npy", (labels + 4).astype(kind)), "names class 5; the table ends at 4")
    refused(save(tmp_path / "d.npy", labels.astype(np.float32)), "expected maps (k, u, v)")
    refused(save(tmp_path / "e.npy", labels - 1), "names class -1")


def test_an_array_alone_may_have_any_name_and_be_a_batch_of_one(tmp_path: Path) -> None:
    np.savez(tmp_path / "a.npz", logits=MAPS[None], name=np.array(3))
    np.testing.assert_array_equal(read_maps(tmp_path / "a.npz", TAGS, VOC), MAPS)
    np.testing.assert_array_equal(read_maps(save(tmp_path / "b.npy", {"probs": MAPS}), TAGS, VOC), MAPS)
    refused(save(tmp_path / "c.npy", np.stack([MAPS, MAPS])), "expected maps (k, u, v)")
    refused(save(tmp_path / "d.npy", {"probs": MAPS, "features": MAPS}), "expected keys or classes")
