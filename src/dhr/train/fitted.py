"""Values for settings of trainings that are 0, chosen from the photographs and the kind of device.

The choice depends on nothing else, such as free memory, so a training that goes on makes the same one.
"""

import math
from collections.abc import Sequence
from dataclasses import replace
from statistics import median_low

from dhr.train.config import ClassifierConfig, StudentTrainingConfig

_EPOCHS, _LEAST, _MOST = 8, 150, 10_000  # of the classifier: passes, and limits of its steps
_STUDENT_EPOCHS, _STUDENT_LEAST, _STUDENT_MOST = 40, 400, 20_000
_BATCH = {"cpu": 8}
_CROP = {"cpu": 256}
_GPU_BATCH, _GPU_CROP = 16, 512
_SMALLEST_CROP = 128
_UNIT = 32  # pixels: the output stride of most networks


def fitted_classifier(config: ClassifierConfig, photographs: int) -> ClassifierConfig:
    """Choose the epochs, if they are 0.

    >>> [fitted_classifier(ClassifierConfig(), count).epochs for count in (30, 331, 10_582, 100_000)]
    [75, 8, 8, 2]
    """
    if config.epochs:
        return config
    a_pass = math.ceil(max(1, photographs) / config.batch)
    epochs = max(_EPOCHS, math.ceil(_LEAST / a_pass))
    return replace(config, epochs=max(1, min(epochs, math.ceil(_MOST / a_pass))))


def fitted_student(
    config: StudentTrainingConfig,
    photographs: int,
    sizes: Sequence[tuple[int, int]],
    device: str,
    processes: int = 1,
) -> StudentTrainingConfig:
    """Choose steps, batch and crop, each if it is 0.

    Args:
        photographs: the number to train on.
        sizes: height and width of their working images, or of some of them.
        device: `cpu`, or the type of a GPU.
        processes: those that share a batch.

    >>> few = fitted_student(StudentTrainingConfig(), 30, [(213, 320)], "cpu")
    >>> few.steps, few.batch, few.crop
    (400, 8, 256)
    >>> many = fitted_student(StudentTrainingConfig(), 100_000, [(480, 640)], "cuda")
    >>> many.steps, many.batch, many.crop
    (20000, 16, 512)
    """
    unit = config.accumulate * processes
    batch = config.batch or math.ceil(_BATCH.get(device, _GPU_BATCH) / unit) * unit
    steps = math.ceil(_STUDENT_EPOCHS * photographs / batch)
    steps = config.steps or min(max(steps, _STUDENT_LEAST), _STUDENT_MOST)
    side = 1.2 * median_low(min(size) for size in sizes)
    crop = math.ceil(side / _UNIT) * _UNIT
    crop = config.crop or min(max(crop, _SMALLEST_CROP), _CROP.get(device, _GPU_CROP))
    return replace(config, steps=steps, batch=batch, crop=crop)
