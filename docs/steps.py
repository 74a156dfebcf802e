"""Draw the pictures of docs/method.md: the result of each step on one photograph.

python docs/steps.py --data photos --config configs/msrc_v2.yaml --classifier FILE --out docs/method
"""

import argparse
from pathlib import Path

import matplotlib as mpl
import numpy as np
import torch
from torch import Tensor

from dhr.api.settings import run_settings
from dhr.data import ClassTable, FolderDataSet
from dhr.data.palette import class_palette
from dhr.job.folder import OutputFolder
from dhr.job.maps import Maps, see
from dhr.job.models import build_models
from dhr.job.settings import RunConfig
from dhr.method.config import PRESETS
from dhr.method.heatmaps import Features, centroid_heatmaps
from dhr.method.marginal import class_marginal
from dhr.method.rebalance import rebalance
from dhr.method.scene import Batch
from dhr.ops.transport import transport
from dhr.ops.upsample import resize
from dhr.types import Rebalanced

Row = list[tuple[str, np.ndarray]]


class Painter:
    """Turns maps and masks of one photograph into pictures of its size."""

    def __init__(self, image: Tensor, ids: list[int], classes: ClassTable) -> None:
        self.names = [classes.names[one] for one in ids]
        self._photograph = image[0].permute(1, 2, 0).numpy()
        self._size = (image.shape[-2], image.shape[-1])
        self._heat = mpl.colormaps["inferno"]
        self._colours = class_palette(classes)[ids] / 255.0

    def photograph(self, title: str) -> Row:
        """The photograph alone."""
        return [(title, self._photograph)]

    def heat(self, maps: Tensor, title: str) -> Row:
        """One picture per class: black is 0, bright is the highest value of all classes."""
        values = resize(maps, self._size)[0].numpy()
        values = np.clip(values, 0, None) / values.max()
        pictures = [0.35 * self._photograph + 0.65 * self._heat(one)[..., :3] for one in values]
        return [(f"{title}: {name}", one) for name, one in zip(self.names, pictures, strict=True)]

    def mask(self, labels: Tensor, title: str) -> Row:
        """Labels in the colours of their classes; black is void."""
        known = labels[0].numpy()
        colours = np.where((known >= 0)[..., None], self._colours[np.maximum(known, 0)], 0)
        return [(title, 0.35 * self._photograph + 0.65 * colours)]

    def best(self, scores: Tensor, title: str) -> Row:
        """The best class of scores on the grid."""
        return self.mask(resize(scores, self._size).argmax(dim=1), title)


def save(path: Path, rows: list[Row]) -> None:
    """Rows of titled pictures, as one file."""
    from matplotlib import pyplot as plt

    width = max(len(row) for row in rows)
    height, breadth = rows[0][0][1].shape[:2]
    figure, axes = plt.subplots(
        len(rows), width, figsize=(2.6 * width, (2.6 * height / breadth + 0.25) * len(rows)), squeeze=False,
        layout="constrained",
    )  # fmt: skip
    for line, row in zip(axes, rows, strict=True):
        for axis in line:
            axis.axis("off")
        for axis, (title, picture) in zip(line, row, strict=False):
            axis.imshow(np.clip(picture, 0, 1))
            axis.set_title(title, fontsize=8)
    figure.savefig(path, dpi=100)
    plt.close(figure)


def marginals(path: Path, shares: list[Tensor], names: list[str]) -> None:
    """The classes' shares, round by round."""
    from matplotlib import pyplot as plt

    figure, axis = plt.subplots(figsize=(5, 2.6), layout="constrained")
    for index, name in enumerate(names):
        axis.plot(range(1, len(shares) + 1), [100 * float(one[0, index]) for one in shares], "o-", label=name)
    axis.axhline(100 / len(names), color="grey", linestyle=":", label="uniform")
    axis.set(xlabel="round", ylabel="share of the image, %", ylim=(0, None))
    axis.legend(fontsize=8)
    figure.savefig(path, dpi=100)
    plt.close(figure)


def draw(maps: Maps, painter: Painter, out: Path, config: RunConfig) -> None:
    """Every step's picture."""

    def made(preset: str = "default", rounds: int | None = None) -> Rebalanced:
        settings = PRESETS[preset]
        changed = {**vars(settings), "rounds": rounds or settings.rounds}
        batch = Batch(maps.cams, maps.uss, maps.wss, maps.images)
        return rebalance(batch, type(settings)(**changed), config.boundary)

    ours, paper = made(), made("paper")
    grid = ours.activation.shape[-2:]
    save(out / "cam.jpg", [
        painter.photograph("photograph") + painter.heat(ours.activation, "CAM"),
        painter.best(ours.activation, "best CAM") + painter.mask(ours.base, "base mask"),
    ])  # fmt: skip

    flat, settings = ours.activation.flatten(2), PRESETS["default"]
    own = class_marginal(torch.nn.functional.one_hot(flat.argmax(1), flat.shape[1]).mT.float(), ours.valid, settings)
    uniform = class_marginal(own[..., None], ours.valid, PRESETS["paper"])
    plans = [
        transport(flat, q, ours.valid, eps=settings.eps).assignment.view_as(ours.activation) for q in (own, uniform)
    ]
    save(out / "seeds.jpg", [
        painter.heat(plans[0], "f_OT, estimated") + painter.best(plans[0] * ours.activation, "seeds"),
        painter.heat(plans[1], "f_OT, uniform") + painter.best(plans[1] * ours.activation, "seeds"),
    ])  # fmt: skip

    uss, wss = Features.of(maps.uss), Features.of(resize(maps.wss, (grid[0], grid[1])))
    masks = ours.initial.flatten(2)
    save(out / "heatmaps.jpg", [
        painter.heat(centroid_heatmaps(features, masks, centring).scores.view_as(ours.initial), f"{name}, {how}")
        for name, features in (("USS", uss), ("WSS", wss))
        for centring, how in ((0.0, "cosine"), (settings.centring, "centred"))
    ])  # fmt: skip
    save(out / "steps.jpg", [
        painter.best(one.initial, f"{name}: M_init") + painter.best(one.inter, "Step 2, inter-class")
        + painter.best(one.intra, "Step 3, intra-class") + painter.mask(one.mask, "Step 4, CRF")
        for name, one in (("paper", paper), ("default", ours))
    ])  # fmt: skip
    marginals(out / "rounds.png", [made(rounds=n).ratios for n in range(1, settings.rounds + 1)], painter.names)
    sure = painter.heat(ours.confidence[:, None].expand(-1, len(painter.names), -1, -1), "confidence")[0][1]
    doubt = torch.where(ours.confidence < 0.2, -1, ours.mask)
    save(out / "confidence.jpg", [
        [*painter.mask(ours.mask, "mask"), ("confidence", sure), *painter.mask(doubt, "void where below 0.2")]
    ])  # fmt: skip


@torch.no_grad()
def main() -> None:
    """Look at the first photograph of the data set, and draw."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    for name in ("data", "config", "classifier", "out"):
        parser.add_argument(f"--{name}", type=Path, required=True)
    given = parser.parse_args()
    mpl.use("Agg")
    config, _ = run_settings({"config": given.config, "classifier.file": given.classifier})
    data = FolderDataSet(given.data)
    if data.classes.background:
        parser.error("the pictures are of a data set without background")
    sample, device = data.samples[0], torch.device("cpu")
    models = build_models(data, config, OutputFolder(given.out), device)
    maps = see(data.read_image(sample), sample, models, config)
    given.out.mkdir(parents=True, exist_ok=True)
    draw(
        maps,
        Painter(maps.images, list(sample.tags), data.classes),
        given.out,
        config,
    )


if __name__ == "__main__":
    main()
