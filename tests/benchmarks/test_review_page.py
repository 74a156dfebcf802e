"""The benchmark of the page: on two small photographs it measures what it says."""

import json
import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parents[2] / "benchmarks"))


def test_a_small_run_gives_all_figures(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("playwright", reason="Playwright is not installed; it is in dhr[dev]")
    if not Path("/usr/bin/chromium").exists():
        pytest.skip("there is no /usr/bin/chromium; apt-get install chromium")
    import review_page

    file = tmp_path / "page.json"
    options = {"photographs": 2, "width": 64, "height": 48, "seconds": 0.3, "pause": 100, "repetitions": 1}
    words = [word for name, value in options.items() for word in (f"--{name}", str(value))]
    monkeypatch.setattr(sys, "argv", ["review_page.py", "--json", str(file), *words])
    review_page.main()
    found = json.loads(file.read_text(encoding="utf-8"))
    assert found["size"] == [64, 48] and found["commit"] and found["machine"]["cpu"]
    assert found["first_ms"]["count"] == 1 and found["next_ms"]["count"] == 1
    frames = found["frame_ms"]  # a busy machine may draw none in this time
    assert 0 <= frames["late"] <= 1 and (frames["count"] == 0 or frames["largest"] > 0)
