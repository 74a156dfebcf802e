import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from dhr.errors import ShapeError
from dhr.ops.confusion import confusion


def naive(pred: np.ndarray, truth: np.ndarray, classes: int, void: int) -> np.ndarray:
    matrix = np.zeros((classes, classes + 1), dtype=np.int64)
    for guess, label in zip(pred.ravel().tolist(), truth.ravel().tolist(), strict=True):
        if label != void and 0 <= label < classes:
            matrix[label, guess if guess != void and 0 <= guess < classes else classes] += 1
    return matrix


@st.composite
def pairs(draw: st.DrawFn) -> tuple[np.ndarray, np.ndarray, int]:
    shape = draw(st.sampled_from([(1, 1), (4, 5), (3, 4, 5), (2, 1, 3, 2), (0, 2, 2), (0, 3)]))
    classes = draw(st.integers(1, 6))
    random = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    values = np.array([*range(classes + 1), 255])  # one id too many, and void
    return random.choice(values, shape), random.choice(values, shape), classes


@settings(deadline=None)
@given(pairs(), st.sampled_from([torch.uint8, torch.int32, torch.int64]), st.sampled_from([255, 0]))
def test_equals_the_naive_loop(maps: tuple[np.ndarray, np.ndarray, int], dtype: torch.dtype, void: int) -> None:
    pred, truth, classes = maps
    result = confusion(torch.tensor(pred, dtype=dtype), torch.tensor(truth, dtype=dtype), classes, void)
    assert result.dtype == torch.int64
    assert result.shape == (*pred.shape[:-2], classes, classes + 1)
    flat = result.reshape(int(np.prod(pred.shape[:-2])), classes, classes + 1)
    for index, matrix in enumerate(flat):
        guess, label = (labels.reshape(len(flat), -1)[index] for labels in (pred, truth))
        np.testing.assert_array_equal(matrix.numpy(), naive(guess, label, classes, void))
    np.testing.assert_array_equal(flat.sum(0).numpy(), naive(pred, truth, classes, void))


@settings(deadline=None, max_examples=30)
@given(pairs(), st.randoms(use_true_random=False))
def test_renaming_the_classes_permutes_the_matrix(maps: tuple[np.ndarray, np.ndarray, int], random) -> None:
    pred, truth, classes = maps
    order = list(range(classes))
    random.shuffle(order)
    table = np.arange(256)
    table[:classes] = order
    before = confusion(torch.tensor(pred), torch.tensor(truth), classes)
    after = confusion(torch.tensor(table[pred]), torch.tensor(table[truth]), classes)
    assert torch.equal(after[..., order, :][..., [*order, classes]], before)


def test_counts_every_labelled_pixel_once() -> None:
    pred, truth = torch.randint(0, 256, (2, 40, 30)), torch.randint(0, 21, (2, 40, 30))
    assert confusion(pred, truth, 21).sum() == truth.numel()


def test_negative_labels_are_no_class() -> None:
    assert confusion(torch.tensor([[-1, 0]]), torch.tensor([[0, -1]]), 1).tolist() == [[0, 1]]


def test_inputs_stay_as_they_are() -> None:
    pred, truth = torch.tensor([[0, 255]]), torch.tensor([[255, 1]])
    confusion(pred, truth, 2)
    assert pred.tolist() == [[0, 255]] and truth.tolist() == [[255, 1]]


def test_refuses_what_does_not_fit() -> None:
    unchecked = getattr(confusion, "__wrapped__", confusion)  # below the shape check that only the tests have
    with pytest.raises(ShapeError, match="resize the prediction"):
        unchecked(torch.zeros(2, 2, dtype=torch.int64), torch.zeros(2, 3, dtype=torch.int64), 2)
    with pytest.raises(ShapeError, match="label maps"):
        unchecked(torch.zeros(2, dtype=torch.int64), torch.zeros(2, dtype=torch.int64), 2)
    with pytest.raises(ShapeError, match="at least 1"):
        confusion(torch.zeros(2, 2, dtype=torch.int64), torch.zeros(2, 2, dtype=torch.int64), 0)


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")
def test_no_host_synchronisation_and_same_counts_on_a_gpu() -> None:
    pred, truth = torch.randint(0, 30, (2, 64, 64)), torch.randint(0, 30, (2, 64, 64))
    on_device = pred.cuda(), truth.cuda()
    torch.cuda.set_sync_debug_mode("error")
    try:
        result = confusion(*on_device, 21)
    finally:
        torch.cuda.set_sync_debug_mode("default")
    assert torch.equal(result.cpu(), confusion(pred, truth, 21))
