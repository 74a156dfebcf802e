"""A small finished run, made by hand, and a client of its page."""

import json
import shutil
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image
from starlette.testclient import TestClient

from dhr.api.memory import MemoryDataSet
from dhr.data import write_mask
from dhr.data.samples import VOID
from dhr.files import digest_regular, write_json
from dhr.job.folder import OutputFolder
from dhr.job.opened_run import OpenedRun
from dhr.job.settings import RunConfig
from dhr.progress import silent
from dhr.records.item import ItemRecord, table_key
from dhr.records.members import to_json
from dhr.records.run import RunRecord
from dhr.review.app import application
from dhr.review.desk import Desk
from dhr.review.guard import Secrets

CLASSES = ("background", "cat", "dog", "cup")
SIZES = ((24, 32), (20, 20), (32, 24), (16, 40))
TAGS = (("cat", "cup"), ("cat",), ("dog",), ("dog", "cup"))
VANISHED = ((), ("cat",), (), ("cup", "dog"))
QUALITY = (0.9, 0.5, 0.7, 0.6)
POST = {"X-Review": "1"}


@dataclass
class Page:
    """A client of the page of a run, and the run's folder."""

    client: TestClient
    desk: Desk
    keys: Secrets

    classes = CLASSES
    sizes = SIZES
    tags = TAGS

    @staticmethod
    def drawn(number: int) -> np.ndarray:
        """The machine's mask of a photograph: its first tag on the left, background on the right."""
        height, width = SIZES[number]
        mask = np.zeros((height, width), np.uint8)
        shown = [tag for tag in TAGS[number] if tag not in VANISHED[number]]
        if shown:
            mask[:, : width // 2] = CLASSES.index(shown[0])
        return mask

    @property
    def out(self) -> Path:
        return self.desk.photographs.run.folder.root

    def get(self, address: str, **options: Any) -> Any:
        return self.client.get(address, **options)

    def post(self, address: str, *, decision: Any = None, headers: dict[str, str] | None = None, **options: Any) -> Any:
        more = {} if decision is None else {"X-Decision": json.dumps(decision)}
        return self.client.post(address, headers={**POST, **more, **(headers or {})}, **options)

    def mask(self, number: int, kind: str = "mask") -> np.ndarray:
        answer = self.get(f"api/photographs/{number}/{kind}")
        assert answer.status_code == 200, answer.text
        size = int(answer.headers["x-height"]), int(answer.headers["x-width"])
        return np.frombuffer(answer.content, np.uint8).reshape(size)

    def revision(self, number: int) -> int:
        return int(self.get(f"api/photographs/{number}").json()["revision"])

    def stored(self, number: int) -> np.ndarray:
        name = self.desk.photographs.samples[number].name
        return np.asarray(Image.open(self.desk.photographs.run.folder.mask(name)))


def write_run(root: Path) -> None:
    """Write the photographs and the run."""
    folder, rng = OutputFolder(root / "out"), np.random.default_rng(0)
    (root / "photos").mkdir()
    for path, (height, width) in zip(photographs(root), SIZES, strict=True):
        blocks = rng.integers(0, 255, (height // 4, width // 4, 3), np.uint8)
        Image.fromarray(blocks.repeat(4, 0).repeat(4, 1)).save(path)
    data = MemoryDataSet(photographs(root), TAGS, CLASSES)
    for number, sample in enumerate(data.samples):
        mask = Page.drawn(number)
        write_mask(folder.mask(sample.name), mask)
        write_mask(folder.stage("cam", sample.name), np.full_like(mask, VOID))
        folder.cams(sample.name).parent.mkdir(exist_ok=True)
        np.savez(folder.cams(sample.name), cams=np.float16([[[0, 0.5, 1]]]), classes=np.array(sample.tags[:1]))
        item = ItemRecord(
            digest=data.digest(sample),
            width=mask.shape[1],
            height=mask.shape[0],
            tags=TAGS[number],
            ratios={CLASSES[one]: float((mask == one).mean()) for one in np.unique(mask)},
            vanished=VANISHED[number],
            quality=QUALITY[number],
            mask=digest_regular(folder.mask(sample.name)),
            table=table_key(CLASSES, True),
        )
        write_json(folder.item(sample.name), to_json(item))
    folder.write_record(RunRecord(status="finished", classes=CLASSES, background=True))


def photographs(root: Path) -> list[Path]:
    return [root / "photos" / f"p{number}.png" for number in range(len(SIZES))]


def opened(root: Path) -> OpenedRun:
    folder = OutputFolder(root / "out")
    record = folder.read()
    assert record is not None
    return OpenedRun(folder, record, MemoryDataSet(photographs(root), TAGS, CLASSES), RunConfig())


def serve(run: OpenedRun) -> Page:
    desk, keys = Desk.of(run), Secrets(token="secret")
    desk.photographs.read(silent)
    client = TestClient(application(desk, keys), base_url="http://127.0.0.1:7000/secret/", follow_redirects=False)
    return Page(client, desk, keys)


@pytest.fixture(scope="session")
def written_run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a run, to be copied."""
    root = tmp_path_factory.mktemp("run")
    write_run(root)
    return root


@pytest.fixture
def open_page(tmp_path: Path, written_run: Path) -> Iterator[Callable[..., Page]]:
    """A function that copies the run, changes it, and serves it."""
    root = tmp_path / "run"
    shutil.copytree(written_run, root)
    with ExitStack() as stack:

        def of_changed(change: Callable[[OpenedRun], OpenedRun | None] = lambda run: None) -> Page:
            run = opened(root)
            made = serve(change(run) or run)
            stack.enter_context(made.client)  # one event loop for all requests
            return made

        yield of_changed


@pytest.fixture
def page(open_page: Callable[..., Page]) -> Page:
    """The page of a run of four photographs."""
    return open_page()


@pytest.fixture(scope="module")
def same_page(written_run: Path) -> Iterator[Page]:
    """One page for all tests of a module that change nothing."""
    made = serve(opened(written_run))
    with made.client:
        yield made
