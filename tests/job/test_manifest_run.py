"""A run on a manifest makes the masks of a run on its data folder."""

from pathlib import Path
from typing import Any

import dhr as package


def test_masks_of_a_manifest_are_those_of_its_folder(finished: Any, dhr: Any, tmp_path: Path, made: Any) -> None:
    file, out = tmp_path / "photos.parquet", tmp_path / "again"
    assert dhr(["manifest", "--data", finished.data, "--file", file]).code == 0
    case = type(finished)(file, out)
    assert dhr(case.run()).code == 0
    before, again = made(finished.out), made(out)
    assert sum(name.startswith("masks/") for name in before) == 5
    for name in before:
        if name.startswith("items/"):
            assert before[name].pop("image") and again[name].pop("image")  # its path, absolute or not
    assert again == before
    assert (case.record()["data"]["path"], case.record()["identity"]) == (str(file), finished.record()["identity"])
    both = [package.evaluate(one.data, one.out / "masks") for one in (case, finished)]
    assert both[0].complete and str(both[0].rows()) == str(both[1].rows())
    assert dhr(case.run("--dry-run")).out.endswith("Everything is made; nothing would be done.\n")
    assert (
        dhr(["export", "--data", file, "--masks", out / "masks", "--to", "coco", "--file", tmp_path / "c.json"]).code
        == 0
    )
    file.unlink()
    gone = dhr(["update", "--run", out])
    assert gone.code == 2 and f"{file} is gone" in gone.err
