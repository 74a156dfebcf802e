"""The matrix of class pairs that touch, as a picture."""

from pathlib import Path

import numpy as np

from dhr.evaluate.adjacency import Adjacency
from dhr.report.matrix import draw_matrix, write_picture
from dhr.words import percent

_DRAWN = 100  # classes of the picture


def draw_adjacency(found: Adjacency, path: Path) -> None:
    """Draw a row per class and a column per class that it touches; classes without contact are left out.

    Raises:
        OutputError: the file cannot be written.
    """
    classes, diagonal = found.classes, np.eye(len(found.classes.names), dtype=bool)
    areas = np.where(diagonal, 0, found.pairs)
    weight = (areas + areas.T).sum(1)
    chosen = (
        [int(i) for i in np.argsort(-weight, kind="stable")[:_DRAWN] if weight[i] > 0]
        or [int(i) for i in np.flatnonzero(found.pairs.diagonal())[:_DRAWN]]
        or list(classes.foreground)[:_DRAWN]
    )
    upper = classes.supers
    if upper is None:
        order = sorted(chosen)
    else:
        rank = {name: number for number, name in enumerate(dict.fromkeys(upper))}
        order = sorted(chosen, key=lambda i: (rank[upper[i]], i))
    shares = areas / np.maximum(found.pairs.diagonal(), 1)[:, None]
    image = draw_matrix(
        shares[np.ix_(order, order)],
        [classes.names[i] for i in order],
        None if upper is None else [upper[i] for i in order],
        f"Adjacent {percent(found.adjacent)} % of the foreground, inter-class {percent(found.inter)} % of it",
        "Percent of the row's class in regions that touch the column's class; lines separate super-classes.",
    )
    write_picture(path, image)
