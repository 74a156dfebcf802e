"""How long `dhr run` and `dhr predict` take beside an earlier commit, and beside their networks alone.

    python benchmarks/end_to_end.py --data DIR --split train --config FILE.yaml --classifier FILE --before REV --json F

``--before`` is a commit, which is checked out into a temporary folder and runs with the same interpreter, photographs,
classifier and settings (those that it lacks are left out). Every command is a process of its own, as users call it; the
commits take turns, so that a machine that becomes slower does so for both. Without ``--classifier`` and ``--student``
both are trained first, apart from all measurements, by the earlier commit, whose files the later one reads.

``speedup`` is the earlier commit's seconds over this one's, for the whole commands. ``over_networks`` is, for `run` and
`predict`, the whole command over the pure time of networks, boundary correction and PNG coding (``pure.py``, on the
same photographs and batches), with `, stages` without the seconds that the process takes to start and to write its
report; and for `training` a training of the classifier over its forward and backward passes. ``commands``
has the seconds of each stage and the peak memory of the process, ``agreement`` the share of equal pixels, and the
scores of both folders of masks where there is ground truth. All seconds are medians of the repetitions; ``spread`` has
the least and the most.
"""

import argparse
import csv
import json
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch
import yaml
from common import commit, machine
from PIL import Image

from dhr.api.data import open_data
from dhr.api.evaluate import evaluate
from dhr.data.images import SUFFIXES, write_mask
from dhr.data.samples import DataSet, Sample
from dhr.errors import DhrError
from dhr.files import write_json

ROOT = Path(__file__).resolve().parents[1]
_NAMES = """
import dataclasses, json, typing
from dhr.job.settings import RunConfig
def names(kind):
    hints = typing.get_type_hints(kind)
    return {one.name: names(hints[one.name]) if dataclasses.is_dataclass(hints[one.name]) else None
            for one in dataclasses.fields(kind)}
print(json.dumps(names(RunConfig)))
"""


@dataclass
class Ended:
    """What a process took."""

    wall: float
    cpu: float
    memory_mb: float


@dataclass
class Tree:
    """A version of the program."""

    name: str
    root: Path
    config: Path
    runs: dict[str, list[Ended]] = field(default_factory=dict)
    stages: dict[str, list[dict[str, float]]] = field(default_factory=dict)

    def call(self, *arguments: str | Path, script: Path | None = None) -> Ended:
        """Run ``dhr arguments``, or a script, and wait."""
        command = [sys.executable, *(["-m", "dhr"] if script is None else [str(script)]), *map(str, arguments)]
        environment = {**os.environ, "PYTHONPATH": str(self.root / "src")}
        with tempfile.TemporaryFile() as log:
            start = time.perf_counter()
            process = subprocess.Popen(command, stdout=log, stderr=log, env=environment, cwd=self.root)
            _, status, used = os.wait4(process.pid, 0)
            wall = time.perf_counter() - start
            process.returncode = os.waitstatus_to_exitcode(status)
            if process.returncode not in (0, 1):  # 1: some photographs were left out
                log.seek(0)
                raise RuntimeError(f"{self.name}: {' '.join(command)}\n{log.read().decode(errors='replace')[-3000:]}")
        return Ended(wall, used.ru_utime + used.ru_stime, used.ru_maxrss / 1e3)

    def timed(self, what: str, out: Path, *arguments: str | Path) -> None:
        """Run a command that fills a folder, and keep what it took."""
        if out.exists():
            shutil.rmtree(out)
        self.runs.setdefault(what, []).append(self.call(*arguments, "--out", out))
        record = json.loads((out / "run.json").read_bytes())
        self.stages.setdefault(what, []).append({one["name"]: one["seconds"] or 0.0 for one in record["stages"]})

    def median(self, what: str, name: str = "wall") -> float:
        """Median of the repetitions."""
        values: list[float] = [getattr(one, name) for one in self.runs[what]]
        return statistics.median(values)

    def figures(self, what: str) -> dict[str, Any]:
        """All figures of a command."""
        walls, stages = [one.wall for one in self.runs[what]], self.stages[what]
        return {
            "seconds": statistics.median(walls),
            "spread": [min(walls), max(walls)],
            "cpu_seconds": self.median(what, "cpu"),
            "peak_memory_mb": max(one.memory_mb for one in self.runs[what]),
            "stages": {name: statistics.median(one.get(name, 0.0) for one in stages) for name in stages[-1]},
        }


@contextmanager
def checked_out(revision: str, into: Path) -> Iterator[Path]:
    """Check out a commit into a folder, and remove it at the end."""
    git = ["git", "-C", str(ROOT), "worktree"]
    subprocess.run([*git, "add", "--detach", "--quiet", str(into), revision], check=True)
    try:
        yield into
    finally:
        subprocess.run([*git, "remove", "--force", str(into)], check=True)


def known_settings(root: Path) -> dict[str, Any]:
    """Names of the settings of a version, by group."""
    environment = {**os.environ, "PYTHONPATH": str(root / "src")}
    done = subprocess.run([sys.executable, "-c", _NAMES], env=environment, check=True, stdout=subprocess.PIPE)
    found: dict[str, Any] = json.loads(done.stdout)
    return {**found, "preset": None}


def fitting_settings(given: Mapping[str, Any], known: Mapping[str, Any], folder: Path) -> dict[str, Any]:
    """Settings that a version has; paths that start at ``folder`` become whole ones."""
    found: dict[str, Any] = {}
    for name, value in given.items():
        if name not in known:
            continue
        if isinstance(value, Mapping) and known[name] is not None:
            found[name] = fitting_settings(value, known[name], folder)
        elif isinstance(value, str) and "/" in value and (folder / value).exists():
            found[name] = str((folder / value).resolve())
        else:
            found[name] = value
    return found


def chosen(samples: Sequence[Sample], limit: int | None) -> list[Sample]:
    """At most ``limit`` samples, evenly spaced."""
    if limit is None or limit >= len(samples):
        return list(samples)
    return [samples[index * len(samples) // limit] for index in range(limit)]


def write_folder(data: DataSet, samples: Sequence[Sample], root: Path) -> Path:
    """Write some photographs, as they are stored, and their ground truth as a data folder that every version reads."""
    rows = [["image", "tags"]]
    for sample in samples:
        source = Path(sample.source)
        suffix = source.suffix.lower()
        as_it_is = source.is_file() and suffix in SUFFIXES
        path = root / "images" / f"{sample.name}{suffix if as_it_is else '.png'}"
        path.parent.mkdir(parents=True, exist_ok=True)
        if as_it_is:
            shutil.copyfile(source, path)
        else:
            Image.fromarray(data.read_image(sample)).save(path, compress_level=1)
        if sample.has_ground_truth:
            write_mask(root / "truth" / f"{sample.name}.png", data.read_ground_truth(sample))
        tags = ";".join(data.classes.names[tag] for tag in sample.tags)
        rows.append([path.relative_to(root / "images").as_posix(), tags])
    with (root / "tags.csv").open("w", newline="", encoding="utf-8") as file:
        csv.writer(file).writerows(rows)
    (root / "classes.txt").write_text("\n".join(data.classes.names) + "\n", encoding="utf-8")
    return root


def agreement(data: Path, before: Path | None, now: Path) -> dict[str, Any]:
    """How alike two folders of masks are, and what each scores."""
    found: dict[str, Any] = {}
    folders = {"before": before, "now": now}
    for name, masks in folders.items():
        if masks is not None and (data / "truth").is_dir():
            try:
                scores = evaluate(data, masks).scores.whole_json()
                found[name] = {key: scores[key] for key in ("miou", "minor_iou", "pixel_accuracy") if key in scores}
            except DhrError as error:
                found[name] = str(error)
    if before is not None:
        shares = []
        for path in sorted(now.rglob("*.png")):
            if (other := before / path.relative_to(now)).is_file():
                with Image.open(path) as one, Image.open(other) as two:
                    shares.append(float((np.array(one) == np.array(two)).mean()))
        found["equal_pixels"] = statistics.fmean(shares) if shares else None
        found["least_equal"] = min(shares, default=None)
    return found


@dataclass(frozen=True)
class Work:
    """What both versions work on."""

    data: Path
    classifier: Path
    student: Path | None
    folder: Path

    def out(self, tree: Tree, what: str) -> Path:
        """Output folder of a command."""
        return self.folder / f"{what} {tree.name}"

    def masks(self, tree: Tree, what: str) -> Path:
        """Masks of a command."""
        return self.out(tree, what) / "masks"

    def measure(self, tree: Tree, only: Sequence[str]) -> None:
        """Take each command once."""
        common: list[str | Path] = ["--data", self.data, "--config", tree.config, "--classifier.file", self.classifier]
        if "run" in only:
            tree.timed("run", self.out(tree, "run"), "run", *common)
        if "predict" in only and self.student is not None:
            images = self.data / "images"
            tree.timed("predict", self.out(tree, "predict"), "predict", "--student", self.student, "--images", images)

    def pure(self, tree: Tree, what: str) -> dict[str, float]:
        """Pure times of a command (``pure.py``)."""
        found = self.folder / "pure.json"
        arguments: list[str | Path] = ["--data", self.data, "--config", tree.config, "--only", what, "--json", found]
        arguments += ["--classifier", self.classifier, "--masks", self.masks(tree, what)]
        arguments += [] if self.student is None else ["--student", self.student]
        if what != "training":
            record = json.loads((self.out(tree, what) / "run.json").read_bytes())
            arguments += ["--batch", str(record.get("batch") or 1)]
        tree.call(*arguments, script=ROOT / "benchmarks/pure.py")
        content: dict[str, float] = json.loads(found.read_bytes())
        return content


def over_networks(now: Tree, pure: Mapping[str, Sequence[Mapping[str, float]]]) -> dict[str, float]:
    """Commands over what they cannot do without: whole, and their stages alone."""

    def least(what: str, *names: str) -> float:
        return statistics.median(sum(one[name] for name in names) for one in pure[what])

    needed = {"run": ("networks", "crf", "png"), "predict": ("predict_networks", "predict_png")}
    found: dict[str, float] = {}
    for what, names in needed.items():
        if what in pure:
            found[what] = now.median(what) / least(what, *names)
            stages = statistics.median(sum(one.values()) for one in now.stages[what])
            found[f"{what}, stages"] = stages / least(what, *names)
    if "training" in pure and all(pure["training"]):
        found["training"] = statistics.median(one["training"] / one["training_networks"] for one in pure["training"])
    return found


def prepared(given: argparse.Namespace, tree: Tree, data: Path, folder: Path) -> Work:
    """The classifier and the student, trained where they are not given."""
    arguments: list[str | Path] = ["--data", data, "--config", tree.config]
    classifier, student = given.classifier, given.student
    if student is None and "predict" in given.only:
        known = [] if classifier is None else ["--classifier.file", classifier]
        brief = ["--student-training.steps", "4", "--student-training.batch", "2"]
        tree.call("train", *arguments, *known, *brief, "--out", folder / "student")
        student, classifier = folder / "student/student.safetensors", classifier or folder / "student" / CLASSIFIER
    if classifier is None:
        tree.call("run", *arguments, "--out", folder / "classifier")
        classifier = folder / "classifier" / CLASSIFIER
    return Work(data, Path(classifier).resolve(), student and Path(student).resolve(), folder)


CLASSIFIER = "classifier.safetensors"
ALL = ("run", "predict", "training")


def measured(given: argparse.Namespace, trees: Sequence[Tree], data: Path, folder: Path) -> dict[str, Any]:
    """All figures."""
    work = prepared(given, trees[0], data, folder)
    now, before = trees[-1], trees[0] if len(trees) > 1 else None
    pure: dict[str, list[dict[str, float]]] = {}
    for turn in range(given.repeat):
        for tree in trees if turn % 2 == 0 else reversed(trees):
            work.measure(tree, given.only)
        for what in given.only:
            pure.setdefault(what, []).append(work.pure(now, what))
        print(f"repetition {turn + 1} of {given.repeat}: {now.runs and {k: v[-1].wall for k, v in now.runs.items()}}")
    commands = [what for what in ("run", "predict") if what in now.runs]
    return {
        "speedup": {what: before.median(what) / now.median(what) for what in commands} if before else None,
        "over_networks": over_networks(now, pure),
        "commands": {what: {tree.name: tree.figures(what) for tree in trees} for what in commands},
        "pure": {
            what: {name: statistics.median(one[name] for one in found) for name in found[-1]}
            for what, found in pure.items()
        },
        "agreement": {
            what: agreement(
                data, None if before is None else work.out(before, what) / "masks", work.out(now, what) / "masks"
            )
            for what in commands
        },
    }


def print_table(result: Mapping[str, Any]) -> None:
    """Print the figures that count."""
    for what, trees in result["commands"].items():
        for name, row in trees.items():
            stages = ", ".join(f"{stage} {seconds:.1f}" for stage, seconds in row["stages"].items())
            print(f"{what:>8} {name:>7} {row['seconds']:8.1f} s {row['peak_memory_mb']:7.0f} MB  {stages}")
    for what, seconds in result["pure"].items():
        print(f"{what:>8}    pure  " + ", ".join(f"{name} {value:.1f}" for name, value in seconds.items()))
    for name in ("speedup", "over_networks", "agreement"):
        print(f"{name}: {json.dumps(result[name])}")


def main() -> None:
    """Measure, print, write."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--split")
    parser.add_argument("--config", type=Path, required=True, help="YAML file of settings")
    parser.add_argument("--classifier", type=Path, help="trained classifier; trained first if it is not given")
    parser.add_argument("--student", type=Path, help="student for predict; trained briefly if it is not given")
    parser.add_argument("--before", help="commit to compare with")
    parser.add_argument("--limit", type=int, help="most photographs")
    parser.add_argument("--repeat", type=int, default=3)
    parser.add_argument("--only", nargs="+", choices=ALL, default=list(ALL), help="what to measure")
    parser.add_argument("--json", type=Path, help="file for the figures")
    given = parser.parse_args()
    settings = yaml.safe_load(given.config.read_text(encoding="utf-8")) or {}
    with tempfile.TemporaryDirectory() as name, contextmanager(_trees)(given.before, Path(name)) as roots:
        folder = Path(name)
        opened = open_data(given.data, split=given.split)
        data = write_folder(opened, chosen(opened.samples, given.limit), folder / "data")
        trees = []
        for tree, root in roots.items():
            config = folder / f"{tree}.yaml"
            kept = fitting_settings(settings, known_settings(root), given.config.resolve().parent)
            config.write_text(yaml.safe_dump(kept), encoding="utf-8")
            trees.append(Tree(tree, root, config))
        result: dict[str, Any] = {
            "benchmark": "end_to_end",
            **measured(given, trees, data, folder),
            "inputs": {key: str(value) for key, value in vars(given).items() if key != "json"},
            "photographs": len(chosen(opened.samples, given.limit)),
            "commit": commit(),
            "machine": machine(torch.device("cuda" if torch.cuda.is_available() else "cpu")),
        }
    print_table(result)
    if given.json:
        write_json(given.json, result)


def _trees(before: str | None, folder: Path) -> Iterator[dict[str, Path]]:
    """Roots of the versions, the earlier one first."""
    if before is None:
        yield {"now": ROOT}
        return
    with checked_out(before, folder / "source") as root:
        yield {"before": root, "now": ROOT}


if __name__ == "__main__":
    main()
