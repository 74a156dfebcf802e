"""What a store of features costs and saves: ``python benchmarks/features.py --data DIR --config C --json F``.

Stores are filled with the photographs of a split, each in another way (half precision, 8 bits, fewer channels), and
read again; ``dhr run`` makes masks from each, which are scored against the truth. Reading is compared with a plain
``.npy`` file of the same features in half precision, and with the network. The classifier of the first run serves all;
``--classifier FILE`` brings one. What ``--work`` holds already is neither filled nor made again, and has no times.
"""

import argparse
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any, cast

import numpy as np
import torch
from common import Timing, commit, machine, run_config
from scored import RESAMPLES, cell, columns
from torch import Tensor

from dhr import job
from dhr.cli.progress import Bars
from dhr.cli.terminal import Terminal
from dhr.data.folder import FolderDataSet
from dhr.data.transforms import working_image
from dhr.evaluate import EvaluateConfig, evaluate
from dhr.features import Features, StoreConfig, fill
from dhr.files import write_json
from dhr.job.features import build_features
from dhr.job.settings import RunConfig
from dhr.records.members import to_json


class Timed:
    """A model whose calls are timed."""

    def __init__(self, model: Callable[[Tensor], Tensor]) -> None:
        self.model, self.seconds = model, 0.0

    def __call__(self, images: Tensor) -> Tensor:
        """What the model gives."""
        start = time.perf_counter()
        maps = self.model(images)
        self.seconds += time.perf_counter() - start
        return maps

    def __getattr__(self, name: str) -> Any:
        return getattr(self.model, name)


def filled(data: FolderDataSet, features: Features, config: RunConfig, bars: Bars) -> dict[str, float]:
    """Fill the store: seconds, and the share of them that the network took; nothing if it was filled before."""
    assert features.store is not None and features.source  # digests the network before it is wrapped
    timed = Timed(features.uss)
    features.uss = cast("Any", timed)
    start = time.perf_counter()
    done = fill(data, features, features.store, config.image.long_side, bars)
    seconds = time.perf_counter() - start
    if done.computed < len(data.samples):
        return {}
    return {"fill_s": seconds, "network_share": 100 * timed.seconds / seconds, "network_ms": 1000 * timed.seconds}


def reads(features: Features, images: list[Tensor], rounds: int, plain: Path) -> tuple[Timing, Timing]:
    """Milliseconds a photograph: of a call, from working image to features on the device; and of a ``.npy`` file."""
    whole, peer = [], []
    for index, image in enumerate(images):
        np.save(plain / f"{index}.npy", features(image)[0].half().numpy())
    for _ in range(rounds):
        for index, image in enumerate(images):
            start = time.perf_counter()
            features(image)
            whole.append(time.perf_counter() - start)
            start = time.perf_counter()
            torch.from_numpy(np.load(plain / f"{index}.npy", allow_pickle=False)).float()
            peer.append(time.perf_counter() - start)
    return Timing.of(whole), Timing.of(peer)


def main() -> None:
    """Fill, read, make masks, score them, print a table, write the JSON file."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--split", default="val")
    parser.add_argument("--config", type=Path, required=True)
    parser.add_argument("--classifier", type=Path)
    parser.add_argument("--pca", type=int, nargs="*", default=[96, 64, 32, 16], help="numbers of channels to try")
    parser.add_argument("--rounds", type=int, default=5, help="times that each photograph's features are read")
    parser.add_argument("--json", type=Path, required=True)
    parser.add_argument("--work", type=Path, default=Path("features-work"))
    given = parser.parse_args()
    data = FolderDataSet(given.data, given.split)
    call = ["run", "--data", str(given.data), "--split", given.split, "--config", str(given.config)]
    whole = run_config([*call, "--out", str(given.work / "run")])
    hows = {"16 bits": StoreConfig(), "8 bits": StoreConfig(bits=8)}
    hows |= {f"{count} channels": StoreConfig(pca=count) for count in given.pca}
    hows |= {f"{count} channels, 8 bits": StoreConfig(pca=count, bits=8) for count in given.pca[1:2]}
    classifier: Path | None = given.classifier
    rows: list[dict[str, Any]] = []
    print("| kept as | MB a photograph | read, ms | mIoU | minor IoU |\n| --- | --- | --- | --- | --- |")
    for name, asked in hows.items():
        place = given.work / name.replace(", ", "-").replace(" ", "-")
        (place / "plain").mkdir(parents=True, exist_ok=True)
        config = replace(whole, features=place / "store", classifier=replace(whole.classifier, file=classifier))
        with Bars(Terminal(stderr=True)) as bars:
            features = build_features(config, torch.device("cpu"), asked)
            assert features.store is not None
            times = filled(data, features, config, bars)
            images = [
                working_image(data.read_image(sample), config.image.long_side).unsqueeze(0) for sample in data.samples
            ]
            read, peer = reads(features, images, given.rounds, place / "plain")
            outcome = job.run(data, place / "out", config, progress=bars)
        classifier = classifier or place / "out" / "classifier.safetensors"
        scores = columns(evaluate(data, place / "out" / "masks", EvaluateConfig(resamples=RESAMPLES)))
        entries, size = features.store.disk.taken()
        row: dict[str, Any] = {
            "kept": name,
            "mb": size / 1e6 / entries,
            "read_ms": read.median,
            "read_spread": read.spread,
            "npy_ms": peer.median,
            "npy_spread": peer.spread,
            **scores,
            **times,
            "stages": [to_json(one) for one in outcome.stages],
        }
        rows.append(row)
        values = (f"{row['mb']:.2f}", f"{row['read_ms']:.2f}", cell(row, "miou"), cell(row, "minor_iou"))
        print(f"| {name} | " + " | ".join(values) + " |", flush=True)
        about = {"benchmark": "features", "split": given.split, "photographs": len(data.samples)}
        write_json(given.json, {**about, "rows": rows, "commit": commit(), "machine": machine(torch.device("cpu"))})
    first = rows[0]
    if "network_share" in first:
        print(f"filling: {first['fill_s']:.1f} s, {first['network_share']:.1f} % of it in the network")
    print(f"a .npy file is read in {first['npy_ms']:.2f} ms, the store's in {first['read_ms']:.2f} ms")


if __name__ == "__main__":
    main()
