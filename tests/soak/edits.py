"""Edits a data set between calls: no mask, feature or report may be of what was there before."""

import os
import random
import re
import shutil
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from ..conftest import TINY
from .calls import CALLS, Call, check_whole, results, told
from .session import Session

_RUN = Call(lambda root: ["run", "--data", f"{root}/data", "--out", f"{root}/new", *TINY, "--batch", "1"], ("new",))
_CALLS = {"run": _RUN, "predict": CALLS["predict"], "features": CALLS["features"]}


class Folder:
    """A data folder that is edited; photographs in BMP keep their size in bytes, whatever they show."""

    def __init__(self, data: Path, chance: random.Random) -> None:
        self._root, self._chance = data / "images", chance
        self._table = data / "tags.csv"
        rows = [line.split(",") for line in self._table.read_text().splitlines()[1:]]
        self.tags = dict(rows)
        for name in [*self.tags][:2]:
            self.rename(name, name.removesuffix(".png") + ".bmp")
        self.write()

    def write(self) -> None:
        lines = [f"{name},{tags}" for name, tags in self.tags.items()]
        self._table.write_text("\n".join(["image,tags", *lines]) + "\n", encoding="utf-8")

    def rename(self, name: str, target: str) -> None:
        with Image.open(self._root / name) as image:
            image.load()
        (self._root / name).unlink()
        image.save(self._root / target)
        self.tags[target] = self.tags.pop(name)

    def edit(self) -> str:
        """Make one change, and name it."""
        names = [*self.tags]
        name, other = self._chance.sample(names, 2)
        kinds = ["draw", "draw unseen", "retag", "add", "swap", "touch"] + ["remove"] * (len(names) > 2)
        kind = self._chance.choice(kinds)
        path = self._root / name
        if kind.startswith("draw"):
            self._draw(path, unseen=kind == "draw unseen")
        elif kind == "retag":
            self.tags[name] = self._chance.choice([*self.tags.values(), "disc", "disc;square"])
        elif kind == "add":
            self._draw(self._root / (added := f"added-{self._chance.randrange(10**6)}.png"), size=(40, 56))
            self.tags[added] = self.tags[name]
        elif kind == "swap" and Path(other).suffix == path.suffix:
            spare = path.with_name("spare")
            for source, target in ((path, spare), (self._root / other, path), (spare, self._root / other)):
                source.replace(target)
        elif kind == "touch":
            os.utime(path)
        elif kind == "remove":
            path.unlink()
            del self.tags[name]
        self.write()
        return kind

    def _draw(self, path: Path, size: tuple[int, int] | None = None, unseen: bool = False) -> None:
        before = path.stat() if path.exists() else None
        if size is None:
            with Image.open(path) as image:
                size = image.size[::-1]
        blocks = np.random.default_rng(self._chance.randrange(10**6)).integers(0, 256, (6, 8, 3), np.uint8)
        rows, columns = np.arange(size[0]) * 6 // size[0], np.arange(size[1]) * 8 // size[1]
        Image.fromarray(blocks[rows][:, columns]).save(path)
        if unseen and before is not None:
            os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))


def edit(session: Session, seed: int) -> Counter[str]:
    """Edit a data set, go on in the old outputs, and compare with a call that begins with nothing."""
    chance = random.Random(seed)
    name = [*_CALLS][seed % len(_CALLS)]
    call, place = _CALLS[name], session.place()
    folder, counts = Folder(place / "data", chance), Counter({"rounds": 1, name: 1})
    assert session.forks(call.arguments(place)).code == 0
    for _ in range(chance.randint(1, 2)):
        kinds = [folder.edit() for _ in range(chance.randint(1, 3))]
        went_on = session.forks(call.arguments(place))
        shutil.rmtree(session.root / "kept", ignore_errors=True)
        kept = place.rename(session.root / "kept")
        _begin_again(kept, place, call)
        began = session.forks(call.arguments(place))
        at = f"{name}, {kinds}"
        told(went_on), told(began)
        assert went_on.code == began.code, f"{at}: {went_on.code}, not {began.code}: {went_on.err} {began.err}"
        check_whole(kept, call)
        if began.code == 0:
            _compare(at, results(kept, call, place), results(place, call), name)
            stale = _pictures(place) - _pictures(kept)
            assert not stale, f"{at}: the report lacks {len(stale)} pictures of a new call"
        counts.update(kinds)
        counts["edits"] += len(kinds)
    return counts


def _pictures(root: Path) -> set[bytes]:
    """The pictures in the report of a run."""
    report = root / "new" / "report.html"
    return set(re.findall(rb"data:image/[^\"']+", report.read_bytes())) if report.exists() else set()


def _begin_again(kept: Path, place: Path, call: Call) -> None:
    """Give the call its inputs without its outputs; the outputs so far stay in ``kept``."""
    place.mkdir()
    for one in kept.iterdir():
        if one.name not in call.outputs:
            one.rename(place / one.name)


def _compare(at: str, went_on: dict[str, Any], began: dict[str, Any], name: str) -> None:
    stale = sorted(
        file
        for file, content in began.items()
        if not file.endswith(("run.json", "store.json")) and went_on.get(file) != content
    )
    assert not stale, f"{at}: not as of a new call: {[(file, went_on.get(file), began[file]) for file in stale]}"
    if name == "run":
        more = {file for file in went_on.keys() - began.keys() if "/gone/" not in file}
        assert not more, f"{at}: left of before: {sorted(more)}"
