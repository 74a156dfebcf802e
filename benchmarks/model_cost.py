"""What the listed models cost: ``python benchmarks/model_cost.py --json F``.

Each network of ``dhr models``, with random weights, sees one photograph of 512 x 512 pixels, once, in a process of its
own: time and memory do not depend on what the weights are. Heads have 90 channels; networks that find names have two
classes. ``mb`` is the most memory that the process took above what it took before there was a model.
"""

import argparse
import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import torch
from common import commit, machine

from dhr.files import write_json
from dhr.models.cards import CARDS, CLIP, HALF, IMAGENET

SCALINGS = {IMAGENET: "ImageNet", HALF: "0.5", CLIP: "CLIP", None: "-"}
"""What mean and deviation of RGB are called."""
_CODE = """
import json, sys, tempfile, time, torch
from pathlib import Path
from dhr.models.cards import CARDS
from dhr.models.uss import HEADED, UssConfig, build_uss
from dhr.models.uss.cause import CauseHead
from dhr.models.uss.stego import HeadedFeatures, StegoHead
from dhr.models.wss import WssConfig
from dhr.models.wss.classifier import TagClassifier
from dhr.models.wss.clip_build import build_clip
from published import PUBLISHED, network, run as see
card = next(card for card in CARDS if card.name == sys.argv[1])
side, repetitions = int(sys.argv[2]), int(sys.argv[3])
image = torch.rand(1, 3, side, side)
def memory(key):
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith(key)) / 1024
before = memory("VmRSS")
if card.settings["kind"] in HEADED:
    below = build_uss(UssConfig(model=card.settings["model"], weights="none"))
    head = (CauseHead if card.settings["kind"] == "cause" else StegoHead)(below.dim, 90)
    model = HeadedFeatures(below, head, 90)
    run = lambda: model(image)
elif card.settings["kind"] == "clip":
    import transformers
    folder = tempfile.mkdtemp()
    transformers.CLIPConfig(vision_config={"patch_size": 16}, projection_dim=512).save_pretrained(folder)
    words = ["<|startoftext|>", "<|endoftext|>", *(chr(97 + i) + end for i in range(26) for end in ("", "</w>"))]
    transformers.CLIPTokenizer({word: index for index, word in enumerate(words)}, []).save_pretrained(folder)
    model = build_clip(WssConfig(kind="clip", backbone=folder, weights="none"), ["a", "b"])
    run = lambda: model.maps(image)
elif card.name in PUBLISHED:
    model = network(card.name)
    run = lambda: see(model, image)
elif card.role == "uss":
    model = build_uss(UssConfig(**card.settings, weights="none"))
    run = lambda: model(image)
else:
    model = TagClassifier(WssConfig(**card.settings, weights="none"), 2)
    run = lambda: model.maps(image)
seconds = []
for _ in range(repetitions + 1):
    start = time.perf_counter()
    run()
    seconds.append(time.perf_counter() - start)
count = sum(one.numel() for one in model.parameters()) if isinstance(model, torch.nn.Module) else 0
print(json.dumps({"ms": [1000 * one for one in seconds[1:]], "mb": memory("VmHWM") - before, "parameters": count}))
"""


def main() -> None:
    """Measure, print a table, and write the JSON file."""
    parser = argparse.ArgumentParser(description="Time and memory of every model that is listed.")
    parser.add_argument("--json", type=Path)
    parser.add_argument("--side", type=int, default=512)
    parser.add_argument("--repetitions", type=int, default=5)
    parser.add_argument("--models", nargs="*", help="some only, by their names in the list")
    given = parser.parse_args()
    rows: list[dict[str, Any]] = []
    columns = "model", "source", "weights", "licence", "channels", "stride", "scaling", "parameters, M", "ms", "MB"
    print(f"| {' | '.join(columns)} |\n|{len(columns) * ' --- |'}")
    for card in [card for card in CARDS if not given.models or card.name in given.models]:
        weights = f"`{card.hub}`" if card.hub else "a file" if card.file else "-"
        facts = [card.name, card.source, weights, f"{card.licence}, on request" if card.gated else card.licence]
        unmeasured = card.settings["kind"] in ("files", "boxes")  # a detector needs its words
        facts += ["-" if unmeasured else str(card.dim or 90), str(card.stride or "-"), SCALINGS[card.scaling]]
        if unmeasured:
            print(f"| {' | '.join(facts)} | {card.parameters or '-'} | - | - |")
            continue
        call = [sys.executable, "-c", _CODE, card.name, str(given.side), str(given.repetitions)]
        here = {**os.environ, "PYTHONPATH": os.pathsep.join([str(Path(__file__).parent), *sys.path])}
        found = json.loads(subprocess.run(call, check=True, capture_output=True, text=True, env=here).stdout)
        low, middle, high = torch.tensor(found["ms"]).quantile(torch.tensor([0.25, 0.5, 0.75])).tolist()
        row = {"model": card.name, "role": card.role, "ms": middle, "spread": [low, high]}
        rows.append({**row, "mb": found["mb"], "parameters": found["parameters"]})
        facts += [f"{found['parameters'] / 1e6:.1f}", f"{middle:.0f} ({low:.0f} .. {high:.0f})", f"{found['mb']:.0f}"]
        print(f"| {' | '.join(facts)} |", flush=True)
    if given.json:
        write_json(
            given.json, {"rows": rows, "side": given.side, "commit": commit(), "machine": machine(torch.device("cpu"))}
        )


if __name__ == "__main__":
    main()
