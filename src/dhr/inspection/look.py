"""Facts on one photograph of a data set, and whether it and its ground truth can be read."""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Int64, UInt8

from dhr.data.palette import class_palette
from dhr.data.samples import DataSet, Problem, Sample
from dhr.errors import ItemError
from dhr.report.panels import overlay, shrink_labels, thumbnail
from dhr.words import without

SIDE = 180
"""Longest side of a picture, pixels."""


@dataclass(frozen=True)
class Picture:
    """A photograph for the page, and its ground truth over it where there is one."""

    photograph: UInt8[np.ndarray, "h w 3"]
    truth: UInt8[np.ndarray, "h w 3"] | None


@dataclass(frozen=True)
class Seen:
    """The part of one photograph in the census; it is much smaller than the photograph."""

    sample: Sample
    size: tuple[int, int] | None
    """Height and width, upright; None if it cannot be read."""
    digest: str | None
    """SHA-256 of its content; None if it cannot be read."""
    pixels: Int64[np.ndarray, "256"] | None
    """Pixels of its ground truth by label; None if it is missing or unreadable."""
    problems: tuple[Problem, ...]
    picture: Picture | None


def look(data: DataSet, sample: Sample, with_picture: bool) -> Seen:
    """Read a photograph and its ground truth as a run and its scores would."""
    problems, digest, image = list[Problem](), None, None
    try:
        digest = data.digest(sample)
        image = data.read_image(sample)
    except ItemError as error:
        problems.append(_problem(sample, error))
    truth = None
    if sample.has_ground_truth and image is not None:  # its size is that of the photograph
        try:
            truth = data.read_ground_truth(sample)
        except ItemError as error:
            problems.append(_problem(sample, error))
    return Seen(
        sample,
        None if image is None else (image.shape[0], image.shape[1]),
        None if image is None else digest,
        None if truth is None else np.bincount(truth.ravel(), minlength=256),
        tuple(problems),
        _picture(data, image, truth) if with_picture and image is not None else None,
    )


def _problem(sample: Sample, error: ItemError) -> Problem:
    return Problem(sample.source, without(sample.source, error))


def _picture(data: DataSet, image: UInt8[np.ndarray, "h w 3"], truth: UInt8[np.ndarray, "h w"] | None) -> Picture:
    small = thumbnail(image, SIDE)
    if truth is None:
        return Picture(small, None)
    labels = shrink_labels(truth, small.shape[0], small.shape[1])
    return Picture(small, overlay(small, labels, class_palette(data.classes), data.classes.background))
