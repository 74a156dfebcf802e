"""Masks without a record: whoever made them, none of them is lost."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from dhr.data.images import mask_bytes
from dhr.data.palette import palette
from dhr.job.folder import OutputFolder

LABELS = np.arange(12, dtype=np.uint8).reshape(3, 4)


def test_another_mask_is_put_aside(tmp_path: Path) -> None:
    folder = OutputFolder(tmp_path)
    assert not folder.write_mask("a", LABELS, palette())
    assert not folder.write_mask("a", LABELS, palette())  # as after a call that was killed before it wrote the record
    folder.mask("a").write_bytes(b"of a person")
    assert folder.write_mask("a", LABELS, palette())
    assert (tmp_path / "gone" / "masks" / "a.png").read_bytes() == b"of a person"
    assert folder.mask("a").read_bytes() == mask_bytes(LABELS, palette())
    folder.mask("a").write_bytes(b"kept already")
    (tmp_path / "corrections" / "masks").mkdir(parents=True)
    (tmp_path / "corrections" / "masks" / "a.png").write_bytes(b"kept already")
    assert not folder.write_mask("a", LABELS, palette())


@pytest.mark.parametrize("damage", ["deleted", "damaged"])
def test_a_mask_whose_record_is_gone_is_kept_apart(damage: str, finished: Any, dhr: Any) -> None:
    item, mask = (finished.out / "items" / "scene-000000.json"), (finished.out / "masks" / "scene-000000.png")
    item.write_text("{}")
    if damage == "deleted":
        item.unlink()
    before, content = mask.read_bytes(), mask_bytes(np.zeros((48, 64), np.uint8))
    mask.write_bytes(content)
    ended = dhr(finished.run())
    assert ended.code == 0 and "1 mask was there without a record" in " ".join(ended.out.split())
    assert mask.read_bytes() == before
    assert (finished.out / "gone" / "masks" / "scene-000000.png").read_bytes() == content
