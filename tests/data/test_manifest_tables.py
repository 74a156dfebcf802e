"""Manifests of tables that a user has."""

import tracemalloc
from collections.abc import Callable
from pathlib import Path
from typing import Any
from unittest.mock import patch

import jaxtyping
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

import dhr
from dhr.data import open_data
from dhr.data.manifest.from_table import FromTable, PhotographTable
from dhr.errors import ConfigError, DataError


@pytest.fixture
def made(tmp_path: Path) -> Callable[..., Any]:
    """Writes a manifest of a CSV text: the samples by name, and what was left out."""

    def make(text: str, classes: str | None = None, **columns: Any) -> tuple[dict[str, tuple[str, ...]], Any]:
        path = tmp_path / "t.csv"
        path.write_text(text, encoding="utf-8")
        if classes is not None:
            (tmp_path / "classes.txt").write_text(classes)
            columns["classes"] = tmp_path / "classes.txt"
        given = {"id": "name", "uri": "url", "tags": "labels", **columns}
        result = dhr.manifest(table=dhr.PhotographTable(path, **given), file=tmp_path / "m.parquet")
        data = open_data(tmp_path / "m.parquet")
        return {one.name: tuple(data.classes.names[tag] for tag in one.tags) for one in data.samples}, result

    return make


def test_tags_are_read_as_in_tables_of_tags(made: Callable[..., Any], tmp_path: Path) -> None:
    lines = 'a.jpg,photos/a.jpg,"dog;Cat",3', "b,photos/b.jpg,['dog'],4", 'c.png,/c.png,"cat, dog",5', "d,d.jpg,cat,"
    text = "\n".join(["name,url,labels,price", *lines])
    names, result = made(text)
    assert names == {"a": ("cat", "dog"), "b": ("dog",), "c": ("cat", "dog"), "d": ("cat",)} and result.complete
    rows = pq.read_table(tmp_path / "m.parquet").to_pylist()
    assert [row["uri"] for row in rows] == ["photos/a.jpg", "photos/b.jpg", "/c.png", "d.jpg"]
    assert pq.read_schema(tmp_path / "m.parquet").metadata[b"dhr"].startswith(b'{"kind": "manifest", "version": 1')
    assert (
        made(text.replace("Cat", "cow"), "cat\ndog\n")[1]
        .left_out[0]
        .reason.endswith("unknown tag 'cow'; correct it, or add it to " + str(tmp_path / "classes.txt"))
    )
    assert made("name,url,labels\na,a.jpg,cat+dog\n", separator="+")[0] == {"a": ("cat", "dog")}


def test_rows_of_one_photograph_with_one_tag_each_are_united(made: Callable[..., Any], tmp_path: Path) -> None:
    text = "name,url,labels\na,a.jpg,cat\nb,b.jpg,dog\na,a.jpg,dog\nc,c.jpg,cat\nc,other.jpg,dog\n"
    names, result = made(text)
    assert names == {"a": ("cat", "dog"), "b": ("dog",)}
    assert [problem.reason for problem in result.left_out] == [
        f"{tmp_path / 't.csv'}: rows 5 and 6 name other files or splits for it; keep one of them"
    ]


def test_the_order_of_rows_changes_nothing(made: Callable[..., Any], tmp_path: Path) -> None:
    lines = ["a,a.jpg,cat;dog,train,t.png", "b/x,b.jpg,dog,val,", "c,s3://bucket/c.jpg,cat,train,"]
    contents = []
    for order in (lines, lines[::-1]):
        text = "\n".join(["name,url,labels,set,truth", *order])
        names, _ = made(text, splits="set", truth="truth")
        contents.append((tmp_path / "m.parquet").read_bytes())
    assert contents[0] == contents[1] and list(names) == ["a", "b/x", "c"]
    assert [one.name for one in open_data(tmp_path / "m.parquet", split="train").samples] == ["a", "c"]
    assert [one.has_ground_truth for one in open_data(tmp_path / "m.parquet").samples] == [True, False, False]


@pytest.mark.parametrize(
    ("base", "uri"), [("s3://bucket/photos/", "s3://bucket/photos/trip/a.jpg"), ("/far", "/far/trip/a.jpg")]
)
def test_relative_paths_begin_at_the_base(made: Callable[..., Any], tmp_path: Path, base: str, uri: str) -> None:
    made("name,url,labels\na,trip/a.jpg,cat\nb,http://host/b.jpg,cat\nc,../c.jpg,cat\n", base=base)
    assert [row["uri"] for row in pq.read_table(tmp_path / "m.parquet").to_pylist()] == [uri, "http://host/b.jpg"]


def test_parquet_tables_of_lists_texts_and_numbers(tmp_path: Path) -> None:
    columns = {"image_id": [7, 8, 9], "path": ["a.jpg", "b.jpg", None], "objects": [["cat", "dog"], [], ["dog"]]}
    texts = {**columns, "objects": ["cat|dog", "", "dog"]}
    for number, table in enumerate((columns, texts)):
        path, file = tmp_path / f"t{number}.parquet", tmp_path / f"m{number}.parquet"
        pq.write_table(pa.table(table), path)
        given = dhr.PhotographTable(path, id="image_id", uri="path", tags="objects")
        result = dhr.manifest(table=given, file=file)
        assert [(one.name, one.tags) for one in open_data(file).samples] == [("7", (1, 2)), ("8", ())]
        assert ["row 3: its uri is missing" in problem.reason for problem in result.left_out] == [True]
    assert (tmp_path / "m0.parquet").read_bytes() == (tmp_path / "m1.parquet").read_bytes()


def test_bad_tables_are_one_line_each(made: Callable[..., Any], tmp_path: Path) -> None:
    good = "name,url,labels\na,a.jpg,cat\n"
    for text, columns, words in (
        (good, {"id": "ID"}, "expected a column 'ID', got the columns 'name', 'url', 'labels'"),
        ("name,url,labels,name\n", {}, "expected a column 'name', got two of this name"),
        ("name,url,labels\n", {}, "no row has a tag in the column 'labels'"),
        ("name,url,labels\n,a.jpg,cat\n", {}, "no usable photograph; .*'name' is empty"),
        ('name,url,labels\na,"a.jpg,cat\n', {}, "not valid CSV"),
    ):
        with pytest.raises(DataError, match=words) as error:
            made(text, **columns)
        assert "\n" not in str(error.value)
    names, result = made(good + "b,b.jpg,cat,dog\n")
    assert list(names) == ["a"] and "more fields than the header" in result.left_out[0].reason
    pq.write_table(pa.table({"name": ["a"], "url": [1.5], "labels": ["cat"]}), tmp_path / "t.parquet")
    given = dhr.PhotographTable(tmp_path / "t.parquet", id="name", uri="url", tags="labels")
    with pytest.raises(DataError, match="expected texts or lists of texts in the column 'url', got double"):
        dhr.manifest(table=given, file=tmp_path / "m2.parquet")


def test_options_that_need_each_other(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="--id is about a table of photographs; give --table as well"):
        dhr.PhotographTable(id="name")
    with pytest.raises(ConfigError, match="--table is about a table of photographs; give --tags as well"):
        dhr.PhotographTable(tmp_path, id="name", uri="url")
    for given in ({}, {"data": tmp_path, "table": dhr.PhotographTable(tmp_path, "a", "b", "c")}):
        with pytest.raises(ConfigError, match="--data DIR or --table FILE, one of them"):
            dhr.manifest(**given, file=tmp_path / "m.parquet")
    with pytest.raises(ConfigError, match="photographs in memory have no place"):
        dhr.manifest((["a"], [["cat"]]), file=tmp_path / "m.parquet")


def test_rows_of_a_text_are_not_kept(tmp_path: Path) -> None:
    """What stays of a row is a row of the manifest."""

    def peak(count: int) -> int:
        path = tmp_path / f"{count}.csv"
        path.write_text("name,url,labels\n" + "".join(f"{n},s3://bucket/{n}.jpg,cat;dog\n" for n in range(count)))
        tracemalloc.start()
        found = FromTable(PhotographTable(path, "name", "url", "labels")).data_set()
        most = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        assert len(found.samples) == count
        return most

    with patch.object(jaxtyping.config, "jaxtyping_disable", True):  # as it is for users
        peak(10)  # imports
        assert (peak(12_000) - peak(11_000)) / 1_000 < 700  # 1,500 if all rows were kept
