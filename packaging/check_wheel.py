"""Checks an installed wheel, as someone without the sources has it: `dhr demo`, and the program of the README."""

import os
import re
import subprocess
import sys
import tempfile
from pathlib import Path

from PIL import Image

import dhr
from dhr.data import SceneDataSet

README = Path(__file__).parents[1] / "README.md"
TINY = '"uss.kind": "colour", "classifier.epochs": 1,'


def draw(folder: Path) -> None:
    """Write four generated scenes as a folder of photographs, tags and classes."""
    scenes = SceneDataSet(4, 0)
    (folder / "images").mkdir(parents=True)
    lines = ["image,tags"]
    for sample in scenes.samples:
        Image.fromarray(scenes.read_image(sample)).save(folder / "images" / f"{sample.name}.png")
        lines.append(f"{sample.name}.png,{';'.join(scenes.classes.names[tag] for tag in sample.tags)}")
    (folder / "tags.csv").write_text("\n".join(lines) + "\n", encoding="utf-8")
    (folder / "classes.txt").write_text("\n".join(scenes.classes.names) + "\n", encoding="utf-8")


def main() -> None:
    """Run both in an empty folder."""
    if "site-packages" not in Path(dhr.__file__).parts:
        sys.exit(f"dhr must be an installed wheel; it is {dhr.__file__}")
    if not (Path(dhr.__file__).parent / "py.typed").is_file():
        sys.exit("the wheel lacks py.typed, so its types are not used by type checkers")
    program = re.search(r"^```python\n(.*?)^```$", README.read_text(encoding="utf-8"), re.MULTILINE | re.DOTALL)
    if program is None:
        sys.exit(f"{README} has no program")
    with tempfile.TemporaryDirectory() as folder:
        os.chdir(folder)
        subprocess.run([sys.executable, "-m", "dhr", "demo", "--scenes", "24", "--out", "demo"], check=True)
        draw(Path("photos"))
        exec(compile(program[1].replace('"uss.kind": "colour",', TINY), str(README), "exec"), {})
        made = len([*Path("out/masks").glob("*.png")])
    if made != 4:
        sys.exit(f"the program of the README made {made} masks instead of 4")
    print(f"dhr {dhr.__version__} works as an installed wheel")


if __name__ == "__main__":
    main()
