"""The page of a run whose masks are rows: it answers as that of files, and changes no row."""

import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest

from dhr.corrections.beside import masks_at
from dhr.data import read_mask
from dhr.results.places import mask_folder
from dhr.results.row import SCHEMA

from .conftest import opened, serve


@pytest.fixture
def pages(written_run: Path, packed: Callable[..., Path], tmp_path: Path) -> Iterator[tuple[Any, Any]]:
    """The page of a run with files, and that of the same with rows."""
    found = []
    for kind in ("files", "rows"):
        root = tmp_path / kind
        shutil.copytree(written_run, root)
        if kind == "rows":
            packed(root / "out")
        found.append(serve(opened(root)))
    with found[0].client, found[1].client:
        yield found[0], found[1]


def looks(page: Any) -> list[Any]:
    """Everything that the page shows of all photographs."""
    queue = page.get("api/queue").json()
    shown = [[page.get(f"api/photographs/{number}").json(), page.mask(number).tolist()] for number in range(4)]
    machine = [page.mask(number, "machine").tolist() for number in range(4)]
    thumbs = [page.get(f"api/photographs/{number}/thumb").content for number in range(4)]
    layers = [page.get(f"api/photographs/{number}/layer/cam").content for number in range(4)]
    return [queue, page.get("api/session").json()["counts"], shown, machine, thumbs, layers]


def test_it_answers_as_the_page_of_files(pages: tuple[Any, Any]) -> None:
    files, rows = pages
    before = {path: path.read_bytes() for path in (rows.out / "rows").iterdir()}
    assert looks(rows) == looks(files)
    for page in pages:
        tags = [page.classes.index(name) for name in page.tags[1]]
        drawn = page.drawn(1) * 0 + tags[0]
        decision = {"state": "mended", "revision": 0, "tags": tags}
        assert page.post("api/photographs/1/save", decision=decision, content=drawn.tobytes()).status_code == 200
        for number, state in ((0, "accepted"), (2, "rejected"), (3, "skipped")):
            answer = page.post(f"api/photographs/{number}/decide", json={"state": state, "revision": 0})
            assert answer.status_code == 200, answer.text
    assert looks(rows) == looks(files)
    for number in range(4):
        one, other = (page.desk.photographs.corrections.read(f"p{number}") for page in pages)
        assert one == other and (one is None or one.machine)
        name = files.desk.photographs.samples[number].name
        assert (read_mask(masks_at(mask_folder(rows.out)).mask(name)) == files.stored(number)).all()
    for page in pages:
        assert page.post("api/photographs/1/decide", json={"state": "undecided", "revision": 1}).status_code == 200
    assert looks(rows) == looks(files)
    assert {path: path.read_bytes() for path in (rows.out / "rows").iterdir()} == before
    assert not (rows.out / "masks").exists() and not (rows.out / "corrections" / "machine").exists()


def test_records_are_read_once_for_the_queue(pages: tuple[Any, Any], monkeypatch: pytest.MonkeyPatch) -> None:
    reads = []
    read = pq.ParquetFile.read_row_group

    def seen(self: Any, group: int, **more: Any) -> Any:
        reads.append(tuple(more["columns"]))
        return read(self, group, **more)

    monkeypatch.setattr(pq.ParquetFile, "read_row_group", seen)
    root = pages[1].out.parent
    page = serve(opened(root))
    page.get("api/queue")
    assert reads == [("id", "tags", "shares", "quality", "vanished")] * 2  # two parts of one row group


def test_a_damaged_row_is_named(pages: tuple[Any, Any]) -> None:
    rows = pages[1]
    for path in (rows.out / "rows").iterdir():
        column = pq.ParquetFile(path).metadata.row_group(0).column(SCHEMA.get_field_index("mask"))
        content = bytearray(path.read_bytes())
        content[column.data_page_offset + column.total_compressed_size - 5] ^= 1
        path.write_bytes(content)
    answers = [rows.get(f"api/photographs/{number}/mask") for number in range(4)]
    assert {answer.status_code for answer in answers} == {409}
    assert all("damaged" in answer.json()["error"] for answer in answers)
