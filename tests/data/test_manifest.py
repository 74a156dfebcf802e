"""Manifests: written from every data format, read again, and refused when they are bad."""

import json
import random
import struct
import sys
import tracemalloc
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any
from unittest.mock import patch

import jaxtyping
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

import dhr
from dhr.data import READERS, open_data, parquet
from dhr.data.arrow_texts import texts_of
from dhr.data.manifest import Entry, Row, RowReader, write_manifest
from dhr.data.manifest.columns import schema_of
from dhr.data.samples import ClassTable
from dhr.errors import ConfigError, DataError, DhrError, ItemError, OutputError

Lay = Callable[[str], Path]

CLASSES = ClassTable(("background", "cat", "dog"), True)
GOOD = {"id": ["a", "b"], "uri": ["a.png", "b.png"], "tags": [["cat"], ["dog"]]}


def write(path: Path, columns: dict[str, Any], metadata: dict[bytes, bytes] | None = None, **options: Any) -> Path:
    """A Parquet file of columns, with a class table unless other ``metadata`` are given."""
    table = pa.table(columns)
    kept = schema_of(CLASSES).metadata if metadata is None else metadata
    pq.write_table(table.replace_schema_metadata(kept), path, **options)
    return path


def reasons(path: Path) -> list[str]:
    return [problem.reason for problem in open_data(path).problems]


@pytest.mark.parametrize("kind", READERS)
def test_a_manifest_of_any_format_is_the_same_data_set(lay: Lay, kind: str, tmp_path: Path) -> None:
    root, file = lay(kind), tmp_path / "photos.parquet"
    data = open_data(root)
    result = dhr.manifest(root, file=file)
    assert result.complete and result.rows()[0]["photographs"] == len(data.samples)
    again = open_data(file)
    assert again.classes == data.classes and again.problems == ()
    assert [(one.name, one.tags, one.has_ground_truth) for one in again.samples] == [
        (one.name, one.tags, one.has_ground_truth) for one in data.samples
    ]
    for one, other in zip(data.samples, again.samples, strict=True):
        assert again.digest(other) == data.digest(one)
        assert np.array_equal(again.read_image(other), data.read_image(one))
        if one.has_ground_truth:
            assert np.array_equal(again.read_ground_truth(other), data.read_ground_truth(one))
    content = file.read_bytes()
    dhr.manifest(root, file=file)
    assert file.read_bytes() == content
    dhr.manifest(file, file=tmp_path / "copy.parquet")
    assert (tmp_path / "copy.parquet").read_bytes() == content


def test_photographs_below_the_manifest_are_named_from_there(lay: Lay, tmp_path: Path) -> None:
    root = lay("folder")
    dhr.manifest(root, file=root / "m.parquet")
    dhr.manifest(root, file=tmp_path / "other" / "m.parquet", sizes=True)
    near, far = (pq.read_table(folder / "m.parquet").to_pylist()[0] for folder in (root, tmp_path / "other"))
    assert (near["uri"], near["truth"], near["width"]) == ("images/a.png", "truth/a.png", None)
    assert far["uri"] == str(root / "images/a.png") and (far["width"], far["height"]) == (8, 6)
    assert open_data(root).classes.names == open_data(root / "m.parquet").classes.names  # the folder is one still
    moved = root.rename(tmp_path / "moved")
    assert open_data(moved / "m.parquet").samples[0].source == str(moved / "images/a.png")


def test_a_split_and_class_tables_with_colours_and_super_classes(tmp_path: Path, formats: ModuleType) -> None:
    classes = ClassTable(("wall", "sky"), False, ("thing", "stuff"), ((1, 2, 3), (250, 0, 255)))
    formats.photograph(tmp_path / "a.png")
    entries = [
        Entry(name, "a.png", ("sky",), split=split) for name, split in (("a", "train"), ("b", "val"), ("c", None))
    ]
    write_manifest(tmp_path / "m.parquet", classes, entries)
    assert open_data(tmp_path / "m.parquet").classes == classes
    assert [one.name for one in open_data(tmp_path / "m.parquet", split="validation").samples] == ["b"]
    with pytest.raises(DataError, match=r"no split 'test'; there are 'train', 'val'"):
        open_data(tmp_path / "m.parquet", split="test")
    assert [one.split for one in open_data(tmp_path / "m.parquet").samples] == ["train", "val", None]


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"id": None}, "expected a column 'id', got 'uri', 'tags'"),
        ({"uri": None}, "expected a column 'uri'"),
        ({"tags": None}, "expected a column 'tags'"),
        ({"id": [1, 2]}, "expected texts in the column 'id', got int64"),
        ({"uri": [b"a", b"b"]}, "expected texts in the column 'uri', got binary"),
        ({"tags": ["cat", "dog"]}, "expected lists of texts in the column 'tags', got string"),
        ({"tags": [[["cat"]], [["dog"]]]}, "expected lists of texts in the column 'tags', got list"),
        ({"tags": [{"a": "cat"}, {"a": "dog"}]}, "expected lists of texts in the column 'tags', got struct"),
        ({"width": ["8", "8"]}, "expected whole numbers in the column 'width', got string"),
        ({"split": [1.5, 2.5]}, "expected texts in the column 'split', got double"),
    ],
)
def test_columns_that_are_missing_or_of_another_type_are_named(
    tmp_path: Path, change: dict[str, Any], words: str
) -> None:
    columns = {name: values for name, values in {**GOOD, **change}.items() if values is not None}
    with pytest.raises(DataError) as error:
        open_data(write(tmp_path / "m.parquet", columns))
    assert words in str(error.value) and "\n" not in str(error.value)


def test_texts_of_all_kinds_of_arrow_are_read(tmp_path: Path, formats: ModuleType) -> None:
    formats.photograph(tmp_path / "a.png")
    large = {
        "id": pa.array(["a", "b"], pa.large_string()),
        "uri": pa.array(["a.png", "a.png"]).dictionary_encode(),
        "tags": pa.array([["cat", "Dog", "cat"], []], pa.large_list(pa.large_string())),
        "width": pa.array([8, None], pa.int64()), "height": pa.array([6, 6], pa.uint8()),
    }  # fmt: skip
    for options in ({}, {"use_dictionary": False}, {"compression": "gzip", "data_page_version": "2.0"}):
        data = open_data(write(tmp_path / "m.parquet", large, **options))
        assert [(one.name, one.tags) for one in data.samples] == [("a", (1, 2)), ("b", ())]
        assert [one.size for one in data.samples if isinstance(one, Row)] == [(6, 8), None]
        assert any("'Dog' as 'dog'" in note for note in data.notes)


@pytest.mark.parametrize(
    ("column", "value", "words"),
    [
        ("id", None, "its id is missing"),
        ("id", "", "its id is missing"),
        ("id", "/a", "got '/a'; rename it"),
        ("id", "trip/../../a", "got 'trip/../../a'"),
        ("id", "a//b", "got 'a//b'"),
        ("id", "a\\b", "a backslash"),
        ("id", "./a", "got './a'"),
        ("id", ".a", "dot at the beginning"),
        ("id", "C:a", "got 'C:a'"),
        ("id", "a/", "got 'a/'"),
        ("id", "a\nb", "control characters"),
        ("id", "a" * 1001, "over the limit of 1000"),
        ("id", "a" * 300, "takes 300 bytes"),
        ("uri", None, "its uri is missing"),
        ("uri", "", "1 to 8000 characters, got 0"),
        ("uri", "../secret.png", "leads out of the folder of the manifest"),
        ("uri", "a/../../b.png", "leads out"),
        ("uri", "a\0b.png", "control characters"),
        ("uri", "ftp://me:secret@host/a.png", "no file system is known for ftp://"),
        ("uri", "file://server/a.png", "names an absolute path of this machine"),
        ("uri", "x" * 9000, "got 9000"),
        ("truth", "../truth.png", "leads out"),
        ("tags", None, "its tags are missing"),
        ("tags", ["cow"], "unknown tag 'cow'"),
        ("tags", ["cat", None], "got null"),
        ("tags", ["c" * 5000], "got ccccc"),
        ("tags", ["cat"] * 2000, "it has 2000 tags"),
        ("width", 0, "got 0 x 6"),
        ("width", 2_000_000_000, "megapixels, got 2000000000 x 6"),
    ],
)
def test_a_bad_row_is_left_out_with_its_number(tmp_path: Path, column: str, value: Any, words: str) -> None:
    row = {"id": "bad", "uri": "b.png", "tags": ["dog"], "width": 8, "height": 6, "truth": None}
    rows = [{**row, "id": "a"}, {**row, column: value}, {**row, "id": "c"}]
    schema = pa.schema([field.with_nullable(True) for field in schema_of(CLASSES)], schema_of(CLASSES).metadata)
    table = pa.Table.from_pylist(rows, schema=schema)
    pq.write_table(table, tmp_path / "m.parquet")
    data = open_data(tmp_path / "m.parquet")
    assert [one.name for one in data.samples] == ["a", "c"]
    (problem,) = data.problems
    assert problem.reason.startswith(f"{tmp_path / 'm.parquet'} row 2: ") and words in problem.reason
    assert "\n" not in problem.reason and len(problem.reason) < 1000
    assert "secret@" not in problem.reason + problem.source


def test_ids_that_occur_again_are_left_out_with_their_places(tmp_path: Path) -> None:
    folder = tmp_path / "parts"
    folder.mkdir()
    for number, names in enumerate((["a", "b", "c"], ["d", "B", "b"], ["e"])):
        write_manifest(folder / f"{number}.parquet", CLASSES, [Entry(name, "a.png", ("cat",)) for name in names])
    data = open_data(folder)
    assert [one.name for one in data.samples] == ["a", "c", "d", "e"]
    assert [problem.reason for problem in data.problems] == [
        f"{folder}/0.parquet row 2: its id 'b' is also in {folder}/1.parquet row 2, {folder}/1.parquet row 3; "
        "give each its own",
        f"{folder}/1.parquet row 2: its id 'B' is also in {folder}/0.parquet row 2, {folder}/1.parquet row 3; "
        "give each its own",
        f"{folder}/1.parquet row 3: its id 'b' is also in {folder}/0.parquet row 2, {folder}/1.parquet row 2; "
        "give each its own",
    ]
    same = write(tmp_path / "m.parquet", {"id": ["a"] * 3000, "uri": ["a.png"] * 3000, "tags": [["cat"]] * 3000})
    with pytest.raises(DataError, match="no usable photograph"):
        open_data(same)


def test_tables_that_are_no_manifest_are_refused_in_one_line(tmp_path: Path) -> None:
    record = json.loads(schema_of(CLASSES).metadata[b"dhr"])

    def refused(path: Path, words: str) -> None:
        with pytest.raises(DataError, match=words) as error:
            open_data(path)
        assert "\n" not in str(error.value) and str(tmp_path) in str(error.value)

    refused(write(tmp_path / "m.parquet", GOOD, {}), "it has no class table.*`dhr manifest --table")
    (tmp_path / "folder").mkdir()
    write(tmp_path / "folder/x.parquet", GOOD, {})
    refused(tmp_path / "folder", "it has no class table")
    for change, words in (
        ({"kind": "rows"}, "expected a manifest, got 'rows'"),
        ({"version": 2}, "expected version 1 of a manifest, got 2"),
        ({"classes": ["cat", "cat"]}, "occurs twice"),
        ({"classes": []}, "expected one name or more"),
        ({"background": "yes"}, "background: expected true or false"),
        ({"colours": [[0, 0, 300]] * 3}, "expected a whole number, 0 to 255"),
        ({"supers": ["thing"]}, "supers: expected 3, one for each class, got 1"),
    ):
        content = {b"dhr": json.dumps({**record, **change}).encode()}
        refused(write(tmp_path / "m.parquet", GOOD, content), words)
    refused(write(tmp_path / "m.parquet", GOOD, {b"dhr": b"\xff{"}), "its class table is damaged")
    (tmp_path / "text.parquet").write_text("id,uri,tags\n")
    refused(tmp_path / "text.parquet", "or a manifest, got a file of another kind")
    refused(tmp_path / "none.parquet", "found none")
    (tmp_path / "parts").mkdir()
    for name, classes in (("a", CLASSES), ("b", ClassTable(("background", "cat"), True))):
        write_manifest(tmp_path / f"parts/{name}.parquet", classes, [Entry(name, "a.png", ("cat",))])
    refused(tmp_path / "parts", "b.parquet: its class table is not that of a.parquet")
    write_manifest(tmp_path / "empty.parquet", CLASSES, [])
    refused(tmp_path / "empty.parquet", "no usable photograph; it has no rows")


def test_photographs_that_are_gone_or_damaged_are_named(tmp_path: Path, formats: ModuleType) -> None:
    formats.photograph(tmp_path / "a.png")
    (tmp_path / "broken.png").write_bytes((tmp_path / "a.png").read_bytes()[:45])
    formats.photograph(tmp_path / "small.png", (3, 3))
    entries = [
        Entry("a", "a.png", ("cat",), (6, 8), truth="none.png"), Entry("b", "broken.png", ("cat",)),
        Entry("c", "none.png", ("cat",)), Entry("d", "a.png", ("cat",), truth="small.png"),
    ]  # fmt: skip
    write_manifest(tmp_path / "m.parquet", CLASSES, entries)
    data = open_data(tmp_path / "m.parquet")
    a, b, c, d = data.samples
    for read, words in (
        (lambda: data.read_ground_truth(a), "none.png: expected an image file, found none"),
        (lambda: data.read_image(b), "broken.png: .*decode"),
        (lambda: data.digest(c), "none.png: cannot be read"),
        (lambda: data.read_image(c), "none.png: expected an image file, found none"),
        (lambda: data.read_ground_truth(c), "it has no ground-truth mask"),
        (lambda: data.read_ground_truth(d), "expected a mask of 8x6 pixels"),
    ):
        with pytest.raises(ItemError, match=words) as error:
            read()
        assert "\n" not in str(error.value)
    other = open_data(formats.folder(tmp_path / "set"))
    with pytest.raises(ItemError, match="not a photograph of a manifest"):
        data.read_image(other.samples[0])


def test_a_batch_of_rows_is_all_that_a_worker_needs(tmp_path: Path, formats: ModuleType) -> None:
    formats.photograph(tmp_path / "a.png")
    batch = pa.table({"id": ["a", "../b"], "uri": ["a.png", "a.png"], "tags": [["dog"], ["dog"]]})
    row, problem = RowReader(CLASSES, tmp_path).read(batch)
    assert isinstance(row, Row) and (row.name, row.tags, row.load()) == ("a", (2,), tmp_path / "a.png")
    assert not isinstance(problem, Row) and problem.reason.startswith("manifest row 2: expected an id")


# Hostile files


def _nested(depth: int) -> bytes:
    """A Parquet file whose only column has so many types around it; written by hand."""

    def number(value: int) -> bytes:
        value, made = value << 1, b""
        while value > 127:
            made, value = made + bytes([value & 127 | 128]), value >> 7
        return made + bytes([value])

    def element(children: int | None) -> bytes:
        return (
            b"\x15\x02\x25\x02\x18\x01a\x00"
            if children is None
            else b"\x35\x02\x18\x01a\x15" + number(children) + b"\0"
        )

    types = [element(1)] * (depth + 1) + [element(None)]
    count = number(len(types))  # a plain number, twice as large with a sign
    size = len(types)
    count = b""
    while size > 127:
        count, size = count + bytes([size & 127 | 128]), size >> 7
    footer = b"\x15\x02\x19\xfc" + count + bytes([size]) + b"".join(types) + b"\x16\x00\x19\x0c\x00"
    return b"PAR1" + footer + struct.pack("<I", len(footer)) + b"PAR1"


@pytest.mark.parametrize("depth", [40, 9_000, 200_000])
def test_types_inside_each_other_do_not_end_the_process(tmp_path: Path, depth: int) -> None:
    (tmp_path / "m.parquet").write_bytes(_nested(depth))
    with pytest.raises(DataError, match=r"nested over 32 deep|it holds a list of 200002 values"):
        open_data(tmp_path / "m.parquet")


def test_pages_and_lists_that_unpack_to_too_much_are_refused_unread(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    long = {"id": ["a"], "uri": ["u" * 300_000], "tags": [["cat"]]}
    path = write(tmp_path / "m.parquet", long, compression="zstd")
    assert path.stat().st_size < 20_000
    monkeypatch.setattr(parquet, "MAX_PAGE", 200_000)
    with pytest.raises(DataError, match=r"a page of the column 'uri' unpacks to 0 MB, over the limit"):
        open_data(path)
    many = write(tmp_path / "n.parquet", {"id": ["a"], "uri": ["u"], "tags": [["cat"] * 40_000]})
    with pytest.raises(DataError, match="the column 'tags' has over 20 values per row"):
        open_data(many)
    monkeypatch.setattr(parquet, "MAX_ROWS", 1)
    with pytest.raises(DataError, match="it has 2 rows, over the limit of 1"):
        open_data(write(tmp_path / "o.parquet", GOOD))


def test_a_long_text_in_every_row_is_in_memory_once(tmp_path: Path) -> None:
    count = 2_000
    rows = {"id": [f"{n:06d}" for n in range(count)], "uri": ["u" * 7_000] * count, "tags": [["cat"]] * count}
    path = write(tmp_path / "m.parquet", rows)
    pool, before = pa.default_memory_pool(), pa.total_allocated_bytes()
    tracemalloc.start()
    data = open_data(path)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert len(data.samples) == count and peak < 10_000_000 < count * 7_000
    assert pool.bytes_allocated() - before < 1_000_000


@pytest.mark.parametrize("rows", [100, 25_000])
def test_texts_of_other_rows_are_not_decoded(tmp_path: Path, rows: int) -> None:
    """pyarrow's dictionaries hold all texts since the beginning of a row group, whose size is up to the writer."""
    names = [f"{n:06d}" for n in range(25_000)]
    path = write(tmp_path / "m.parquet", {"id": [None, *names[1:]]}, row_group_size=rows)
    with parquet.open_parquet(path, ["id"]) as table:
        batches = [texts_of(batch.column("id")) for batch in table.batches(["id"])]
    assert [one.texts[code] for one in batches for code in one.of] == [None, *names[1:]]
    assert all(len(one.texts) <= len(one.of) + 1 for one in batches)


def test_damaged_files_are_refused_and_never_read_wrong(tmp_path: Path) -> None:
    entries = [Entry(f"trip/{n}", f"photos/{n}.png", ("cat", "dog"), split="train") for n in range(50)]
    write_manifest(tmp_path / "m.parquet", CLASSES, entries)
    content, whole = (tmp_path / "m.parquet").read_bytes(), open_data(tmp_path / "m.parquet").samples
    generator, refused = random.Random(0), 0
    for _ in range(150):
        made = bytearray(content)
        for _ in range(generator.randint(1, 4)):
            at = generator.randrange(len(made))
            match generator.randrange(3):
                case 0:
                    made[at] = generator.randrange(256)
                case 1:
                    del made[at : at + generator.randrange(9)]
                case 2:
                    made[at:at] = bytes(generator.randrange(256) for _ in range(generator.randrange(9)))
        (tmp_path / "m.parquet").write_bytes(bytes(made))
        try:
            open_data(tmp_path / "m.parquet")
        except DhrError as error:
            assert "\n" not in str(error)
            refused += 1
    assert refused > 100 and len(whole) == 50


# Size


def test_a_row_takes_some_hundred_bytes(tmp_path: Path) -> None:
    def peak(count: int) -> tuple[int, int]:
        names = (f"2026/trip-{n % 100:03d}/photograph-{n:07d}" for n in range(count))
        entries = (
            Entry(name, f"s3://bucket/photographs/{name}.jpg", ("cat", "dog")[: 1 + len(name) % 2]) for name in names
        )
        path = tmp_path / f"{count}.parquet"
        write_manifest(path, CLASSES, entries)
        tracemalloc.start()
        data = open_data(path)
        kept, most = tracemalloc.get_traced_memory()
        tracemalloc.stop()
        assert len(data.samples) == count
        return kept, most

    with patch.object(jaxtyping.config, "jaxtyping_disable", True):  # as it is for users
        peak(100)  # imports
        small, large = peak(500), peak(2_500)
    assert (large[0] - small[0]) / 2_000 < 350  # 290 counted
    assert large[1] - large[0] < 10_000_000  # besides what stays, a batch


@pytest.mark.slow
def test_a_million_rows_are_listed(tmp_path: Path) -> None:
    entries = (Entry(f"trip-{n % 1000}/{n}", f"s3://bucket/photographs/{n}.jpg", ("cat",)) for n in range(1_000_000))
    write_manifest(tmp_path / "m.parquet", CLASSES, entries)
    tracemalloc.start()
    data = open_data(tmp_path / "m.parquet")
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert len(data.samples) == 1_000_000 and peak < 500_000_000


# Writing


def test_nothing_of_others_is_overwritten(tmp_path: Path, lay: Lay) -> None:
    root = lay("coco")
    other = write(tmp_path / "other.parquet", GOOD, {})
    (tmp_path / "text.csv").write_text("id\n")
    for path in (other, tmp_path / "text.csv"):
        before = path.read_bytes()
        with pytest.raises(OutputError, match="is not a manifest that dhr wrote"):
            dhr.manifest(root, file=path)
        assert path.read_bytes() == before
    (tmp_path / "photos.files").mkdir()
    (tmp_path / "photos.files/mine.txt").write_text("mine")
    with pytest.raises(OutputError, match=r"photos.files exists, and `dhr manifest` did not make it"):
        dhr.manifest(root, file=tmp_path / "photos.parquet")
    assert sorted(path.name for path in (tmp_path / "photos.files").iterdir()) == ["mine.txt"]


def test_ground_truth_that_cannot_be_read_is_named_and_the_row_is_kept(tmp_path: Path, lay: Lay) -> None:
    root = lay("voc")
    (root / "VOCdevkit/VOC2012/SegmentationClassAug/2008_000001.png").write_bytes(b"x")
    (root / "VOCdevkit/VOC2012/JPEGImages/2007_000039.jpg").write_bytes(b"x")
    result = dhr.manifest(root, file=tmp_path / "m.parquet", sizes=True)
    said = [(Path(problem.source).name[:-4], problem.reason.rpartition("; ")[2]) for problem in result.left_out]
    lost = "its ground truth is not in the manifest"
    assert said == [("2007_000039", "its size is not in the manifest"), ("2007_000039", lost), ("2008_000001", lost)]
    assert len(open_data(tmp_path / "m.parquet").samples) == 3


def test_without_pyarrow_one_line_names_the_extra(tmp_path: Path, lay: Lay, monkeypatch: pytest.MonkeyPatch) -> None:
    root = lay("folder")
    dhr.manifest(root, file=tmp_path / "m.parquet")
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    parquet.arrow.cache_clear()
    try:
        for call in (
            lambda: open_data(tmp_path / "m.parquet"),
            lambda: dhr.manifest(root, file=tmp_path / "n.parquet"),
        ):
            with pytest.raises(ConfigError, match=r"pyarrow, which is not installed; pip install 'dhr\[cluster\]'"):
                call()
        assert open_data(root).samples  # all else works
    finally:
        parquet.arrow.cache_clear()
