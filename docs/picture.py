"""Draw the README's picture from the folder that `make demo` leaves: python docs/picture.py demo docs/demo.png."""

import sys
from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw

from dhr.data import SceneDataSet, palette, read_mask

COLUMNS = ("photograph", "CAM", "preset paper", "preset default", "truth")
SCENES = (3, 10, 12, 20)


def main(demo: Path, target: Path) -> None:
    """Paste a row a scene."""
    data = SceneDataSet(max(SCENES) + 1, 0)
    colours = palette(256)
    rows = []
    for index in SCENES:
        sample = data.samples[index]
        labels = [
            read_mask(demo / "default" / "stages" / "cam" / f"{sample.name}.png"),
            read_mask(demo / "paper" / "masks" / f"{sample.name}.png"),
            read_mask(demo / "default" / "masks" / f"{sample.name}.png"),
            data.read_ground_truth(sample),
        ]
        rows.append(np.hstack([data.read_image(sample), *(colours[one] for one in labels)]))
    body = Image.fromarray(np.vstack(rows))
    picture = Image.new("RGB", (body.width, body.height + 18), "white")
    picture.paste(body, (0, 18))
    draw = ImageDraw.Draw(picture)
    for column, title in enumerate(COLUMNS):
        draw.text((column * body.width // len(COLUMNS) + 4, 3), title, fill="black")
    picture.save(target, optimize=True)


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]))
