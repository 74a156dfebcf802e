"""Clicks on a photograph, with networks that answer in a known way."""

import numpy as np
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from dhr.job.click import Click
from dhr.job.clicked import clicked
from dhr.prompts import Prompts, Proposals


def disc(place: int, prompts: Prompts) -> Proposals:
    """A disc around the first point in an image of 60 x 80; two worse proposals cover everything and nothing."""
    assert place == 0 and prompts.points is not None
    x, y = prompts.points[0, 0].tolist()
    rows, columns = torch.meshgrid(torch.arange(60), torch.arange(80), indexing="ij")
    round_one = 100 - (columns - x) ** 2 - (rows - y) ** 2
    logits = torch.stack([torch.full_like(round_one, 9.0), round_one, torch.full_like(round_one, torch.nan)])
    return Proposals(logits[None], torch.tensor([[0.2, 0.8, torch.nan]]))


@settings(max_examples=20)
@given(st.floats(0, 1), st.floats(0, 1), st.integers(1, 3))
def test_the_thing_lies_where_the_photograph_was_clicked(across: float, down: float, factor: int) -> None:
    size = (60 * factor, 80 * factor)
    x, y = across * (size[1] - 1), down * (size[0] - 1)
    found = clicked(disc, Click([(x, y, True)]), (60, 80), size)
    assert found.shape == size and found[round(y), round(x)]
    rows, columns = np.nonzero(found)
    assert np.abs(rows - y).max() <= 10 * factor + 1 and np.abs(columns - x).max() <= 10 * factor + 1


def test_points_beside_the_thing_and_boxes_reach_the_network() -> None:
    seen = list[Prompts]()

    def propose(place: int, prompts: Prompts) -> Proposals:
        seen.append(prompts)
        return Proposals(torch.full((1, 1, 4, 4), -1.0), torch.ones(1, 1))

    click = Click([(39.5, 19.5, True), (0.0, 0.0, False)], (20.0, 10.0, 60.0, 30.0))
    assert not clicked(propose, click, (20, 40), (40, 80)).any()
    only_box = clicked(propose, Click(box=(0.0, 0.0, 80.0, 40.0)), (20, 40), (40, 80))
    assert not only_box.any() and seen[1].points is None and seen[1].labels is None
    first = seen[0]
    assert first.points is not None and first.labels is not None and first.boxes is not None
    assert first.points.tolist() == [[[19.5, 9.5], [0, 0]]] and first.labels.tolist() == [[1, 0]]
    assert first.boxes.tolist() == [[10, 5, 30, 15]]
