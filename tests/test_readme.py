"""The script of README: from photographs to exported masks."""

import json
import re
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from dhr.cli import call
from dhr.data import SceneDataSet, read_mask

README = Path(__file__).parents[1] / "README.md"


def test_the_script_of_the_readme_goes_from_photographs_to_exported_masks(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("pycocotools")
    found = re.search(r"^```python\n(.*?)^```$", README.read_text(encoding="utf-8"), re.MULTILINE | re.DOTALL)
    assert found is not None and "import dhr" in found[1]
    scenes = SceneDataSet(4, 0)
    (tmp_path / "photos" / "images").mkdir(parents=True)
    lines = ["image,tags"]
    for sample in scenes.samples:
        Image.fromarray(scenes.read_image(sample)).save(tmp_path / "photos" / "images" / f"{sample.name}.png")
        lines.append(f"{sample.name}.png,{';'.join(scenes.classes.names[tag] for tag in sample.tags)}")
    (tmp_path / "photos" / "tags.csv").write_text("\n".join(lines) + "\n")
    (tmp_path / "photos" / "classes.txt").write_text("\n".join(scenes.classes.names) + "\n")
    monkeypatch.chdir(tmp_path)
    script = found[1].replace('"uss.kind": "colour",', '"uss.kind": "colour", "classifier.epochs": 1,')
    exec(compile(script, str(README), "exec"), {})  # a script of ours
    masks = sorted((tmp_path / "out" / "masks").glob("*.png"))
    assert [mask.stem for mask in masks] == [sample.name for sample in scenes.samples]
    assert all(np.isin(read_mask(mask), range(len(scenes.classes.names))).all() for mask in masks)
    exported = json.loads((tmp_path / "out" / "masks.json").read_text())
    assert len(exported["images"]) == 4 and exported["annotations"]


def test_the_commands_of_the_readme_can_be_read() -> None:
    """All options exist, and the lines for own photographs use the recipe for CPUs."""
    lines = re.findall(r"^ +(dhr [^#\n]*)", README.read_text(encoding="utf-8"), re.MULTILINE)
    commands = [line.split()[1] for line in lines]
    assert {"inspect", "plan", "run", "evaluate", "export", "predict"} <= {*commands}
    for line in lines:
        call(line.split()[1:])
    assert all("--recipe small" in line for line in lines if line.split()[1] in ("plan", "run"))
