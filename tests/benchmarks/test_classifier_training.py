"""The benchmark of the classifier's training measures what it says."""

import json
import sys
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parents[2] / "benchmarks"))

from classifier_training import main


def test_it_compares_a_training_with_its_network(scenes: Any, tmp_path: Path) -> None:
    data = scenes(tmp_path / "data", count=3)
    network = ["--wss.backbone", "test_resnet", "--wss.weights", "none"]
    crops = ["--classifier.crop", "32", "--classifier.batch", "2"]
    main(["--data", str(data), "--turns", "2", "--epochs", "1", "--json", str(tmp_path / "a.json"), *network, *crops])
    found = json.loads((tmp_path / "a.json").read_text())
    assert found["over_networks"] > 0 and found["over_networks_cpu"] > 0
    assert (found["photographs"], found["steps"], found["crop"]) == (3, 2, 32)
    assert len(found["ratios"]["clock"]) == 2
