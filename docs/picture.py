"""Draw the README's picture: photographs with their tags, CAM and CRF, the paper's preset, the default.

dhr run --data photos --config FILE --classifier.file FILE --out OUT/default
dhr run --data photos --config FILE --classifier.file FILE --preset paper --out OUT/paper
python docs/picture.py --data photos --runs OUT --file docs/demo.jpg --show flower picosdeeuropa china aitzgorri

The first and third photograph come with scikit-learn (``flower.jpg``, ``china.jpg``), the others with Debian's
``lomiri-wallpapers-16.04``. The classifier is that of MSRC v2's ``val``.
"""

import argparse
from collections.abc import Iterable
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont

import dhr
from dhr.data import DataSet, Sample, read_mask
from dhr.data.palette import class_palette
from dhr.ops.upsample import resize

Picture = NDArray[np.uint8]

SIZE = (300, 200)
"""Width and height of one picture, in pixels."""
TITLES = ("tags", "CAM + CRF", "preset paper", "preset default")
HEADER, STRENGTH = 24, 0.65


def cam_with_crf(run: Path, sample: Sample, photograph: Picture) -> Picture:
    """Refine the CAMs of a run with the CRF; return class ids."""
    kept = np.load(run / "cams" / f"{sample.name}.npz")
    cams = torch.from_numpy(kept["cams"].astype(np.float32))[None]
    scores = resize(cams / cams.amax(dim=(2, 3), keepdim=True), photograph.shape[:2])
    best = dhr.refine(photograph[None], scores, "crf").argmax(dim=1)[0]
    return kept["classes"].astype(np.uint8)[np.asarray(best)]


def painted(photograph: Picture, labels: Picture, colours: Picture) -> Picture:
    """Lay the colours of the classes over a photograph."""
    mixed = (1 - STRENGTH) * photograph + STRENGTH * colours[labels]
    return mixed.round().astype(np.uint8)


def with_tags(photograph: Picture, tags: Iterable[tuple[str, Picture]]) -> Image.Image:
    """Write the tags into a photograph, each on the colour of its class."""
    image = Image.fromarray(photograph).resize(SIZE, Image.Resampling.LANCZOS)
    draw, font = ImageDraw.Draw(image), ImageFont.load_default(14)
    left = 4
    for name, colour in tags:
        wide = int(draw.textlength(name, font=font)) + 8
        fill = tuple(int(one) for one in colour)
        draw.rectangle((left, SIZE[1] - 22, left + wide, SIZE[1] - 4), fill=fill)
        bright = 0.3 * fill[0] + 0.6 * fill[1] + 0.1 * fill[2] > 128
        draw.text((left + 4, SIZE[1] - 21), name, fill="black" if bright else "white", font=font)
        left += wide + 4
    return image


def row(data: DataSet, sample: Sample, runs: Path, colours: Picture) -> list[Image.Image]:
    """Draw one photograph: its tags and three masks."""
    photograph = data.read_image(sample)
    masks = (
        cam_with_crf(runs / "default", sample, photograph),
        read_mask(runs / "paper" / "masks" / f"{sample.name}.png"),
        read_mask(runs / "default" / "masks" / f"{sample.name}.png"),
    )
    tags = [(data.classes.names[tag], colours[tag]) for tag in sample.tags]
    pictures = [Image.fromarray(painted(photograph, mask, colours)) for mask in masks]
    return [with_tags(photograph, tags), *(one.resize(SIZE, Image.Resampling.LANCZOS) for one in pictures)]


def main() -> None:
    """Paste one row per photograph."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    for name in ("data", "runs", "file"):
        parser.add_argument(f"--{name}", type=Path, required=True)
    parser.add_argument("--show", nargs="+", required=True, help="names of photographs, one per row")
    given = parser.parse_args()
    data = dhr.open_data(given.data)
    shown = {sample.name: sample for sample in data.samples}
    colours = class_palette(data.classes)
    width, height = SIZE
    picture = Image.new("RGB", (len(TITLES) * width, HEADER + len(given.show) * height), "white")
    draw, font = ImageDraw.Draw(picture), ImageFont.load_default(15)
    for column, title in enumerate(TITLES):
        draw.text((column * width + 5, 3), title, fill="black", font=font)
    for line, name in enumerate(given.show):
        for column, one in enumerate(row(data, shown[name], given.runs, colours)):
            picture.paste(one, (column * width, HEADER + line * height))
    picture.save(given.file, quality=88)


if __name__ == "__main__":
    main()
