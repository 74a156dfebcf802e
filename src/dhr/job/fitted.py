"""Values for settings of trainings that are 0, chosen from the photographs and the device."""

from collections.abc import Sequence
from dataclasses import replace

from dhr.data.transforms import working_size
from dhr.job.settings import RunConfig
from dhr.train.fitted import fitted_classifier, fitted_student


def fitted(config: RunConfig, photographs: int, sizes: Sequence[tuple[int, int]], device: str) -> RunConfig:
    """Choose the values that the trainings of a run will choose; see :mod:`dhr.train.fitted`.

    Args:
        photographs: their number.
        sizes: height and width of some of them, one or more.
        device: `cpu`, or the type of a GPU.
    """
    working = [working_size(height, width, config.image.long_side) for height, width in sizes]
    training = config.student_training
    return replace(
        config,
        classifier=fitted_classifier(config.classifier, photographs),
        student_training=fitted_student(training, photographs, working, device, training.devices),
    )
