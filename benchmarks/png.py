"""How masks are coded best as PNG: ``python benchmarks/png.py --masks DIR --json F``.

DIR holds indexed PNGs, such as masks of a run. Each is coded with several settings of zlib, in turns; milliseconds are
CPU time per mask, the least of the repetitions.
"""

import argparse
import io
import time
import zlib
from pathlib import Path
from typing import Any

import numpy as np
import torch
from common import commit, machine
from PIL import Image, features

from dhr.data.images import PNG_CODING
from dhr.data.palette import palette
from dhr.files import write_json

SETTINGS: dict[str, dict[str, int]] = {
    "as masks are written": PNG_CODING,
    **{f"level {level}": {"compress_level": level} for level in (1, 3, 6, 9)},
}


def coded(labels: Any, options: dict[str, int]) -> int:
    """Bytes of a mask."""
    image = Image.fromarray(labels)
    image.putpalette(palette().tobytes())
    file = io.BytesIO()
    image.save(file, format="PNG", **options)
    return len(file.getvalue())


def main() -> None:
    """Measure, print, write."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--masks", type=Path, required=True)
    parser.add_argument("--json", type=Path)
    parser.add_argument("--count", type=int, default=100, help="most masks")
    parser.add_argument("--repetitions", type=int, default=5)
    given = parser.parse_args()
    masks = [np.array(Image.open(path)) for path in sorted(given.masks.rglob("*.png"))[: given.count]]
    if not masks:
        parser.error(f"there is no PNG in {given.masks}")
    seconds: dict[str, list[float]] = {name: [] for name in SETTINGS}
    sizes: dict[str, int] = {}
    for _ in range(given.repetitions):
        for name, options in SETTINGS.items():
            start = time.process_time()
            sizes[name] = sum(coded(one, options) for one in masks)
            seconds[name].append(time.process_time() - start)
    rows = [
        {"setting": name, "ms": 1000 * min(seconds[name]) / len(masks), "bytes": sizes[name] / len(masks)}
        for name in SETTINGS
    ]
    for row in rows:
        print(f"{row['setting']:>22} {row['ms']:8.2f} ms {row['bytes']:10.0f} bytes")
    if given.json:
        zlib_ng = features.check_feature("zlib_ng")
        write_json(
            given.json,
            {
                "benchmark": "png", "rows": rows, "zlib": zlib.ZLIB_RUNTIME_VERSION, "zlib_ng": zlib_ng,
                "commit": commit(), "machine": machine(torch.device("cpu")),
            },
        )  # fmt: skip


if __name__ == "__main__":
    main()
