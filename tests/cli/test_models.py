"""``dhr models``: what it lists."""

import json
from pathlib import Path
from typing import Any

from dhr.models.cards import CARDS


def test_every_model_is_listed(dhr: Any, tmp_path: Path) -> None:
    file = tmp_path / "models.json"
    result = dhr(["models", "--json", str(file)])
    assert result.code == 0, result.err
    listed = json.loads(file.read_text())["models"]
    assert [one["name"] for one in listed] == [card.name for card in CARDS]
    assert {one["weights"] for one in listed} <= {
        "none needed",
        "here",
        "a file that you name",
        "downloaded at first use",
        "on request",
    }
    for name in ("DINOv2", "ResNet-50", "CLIP", "colour"):
        assert name in result.out
    assert "needs dhr[clip]" in result.out  # brackets are no markup
