"""Super-classes from unsupervised features: classes with similar mean centroids."""

from dataclasses import replace

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from dhr.data.samples import ClassTable, DataSet, Problem
from dhr.data.transforms import working_image
from dhr.errors import DataError, ItemError
from dhr.models.uss import UssModel
from dhr.ops.centroids import class_average_pooling
from dhr.ops.similarity import correlated_groups, feature_norms
from dhr.ops.upsample import area_average
from dhr.progress import Progress, Step, silent


@torch.no_grad()
def uss_supers(
    data: DataSet,
    model: UssModel,
    *,
    tau: float,
    centring: float,
    long_side: int,
    device: torch.device,
    progress: Progress = silent,
) -> tuple[ClassTable, tuple[Problem, ...]]:
    """Find super-classes from features: the groups of Eq. 4, for the data set instead of a photograph.

    In each photograph the ground truth pools the features to one centroid per class (CAP). The centroid of a class is
    the mean of their directions, minus ``centring`` times the mean over all classes.
    Classes are one super-class if a chain of cosines above ``tau`` joins them (:func:`correlated_groups`). Its name is
    that of its first class, and "+ n" for the others. A class without ground truth is a super-class of its own.

    Returns:
        The table, and the photographs that could not be used.

    Raises:
        DataError: ground truth is missing, or all photographs are unusable.
    """
    samples = [sample for sample in data.samples if sample.has_ground_truth]
    if not samples:
        raise DataError("--groups uss needs ground-truth masks to pool the features by, found none; give --supers")
    count = len(data.classes.names)
    sums = torch.zeros(0, 0, dtype=torch.float64)
    seen = torch.zeros(count, dtype=torch.bool)
    problems = []
    for done, sample in enumerate(samples, start=1):
        try:
            image, truth = data.read_image(sample), data.read_ground_truth(sample)
        except ItemError as error:
            problems.append(Problem(sample.source, str(error)))
        else:
            present = [label for label in data.classes.foreground if (truth == label).any()]
            if present:
                features = model(working_image(image, long_side).unsqueeze(0).to(device))
                masks = torch.from_numpy(np.stack([truth == label for label in present])[None]).float().to(device)
                if not sums.numel():
                    sums = torch.zeros(count, features.shape[1], dtype=torch.float64)
                sums[present] += _directions(features, masks).double().cpu()
                seen[present] = True
        progress(Step("features", done, len(samples)))
    if not seen.any():
        first = f": {problems[0].reason}" if problems else ""
        raise DataError(f"none of the {len(samples)} photographs can be used for --groups uss{first}")
    return replace(data.classes, supers=group_names(data.classes, sums, seen.tolist(), tau, centring)), tuple(problems)


def group_names(
    classes: ClassTable, sums: Float[Tensor, "c d"], seen: list[bool], tau: float, centring: float
) -> tuple[str, ...]:
    """Name of the super-class of each class, from the sums of the directions of its centroids.

    >>> table = ClassTable(("cat", "dog", "car"), background=False)
    >>> group_names(table, torch.tensor([[1.0, 0.1], [1.0, 0.0], [0.0, 1.0]]), [True] * 3, 0.8, 0.0)
    ('cat + 1', 'cat + 1', 'car')
    """
    valid = torch.tensor(seen)
    units = torch.nn.functional.normalize(sums, dim=1)
    units = units - centring * units[valid].mean(dim=0) if valid.any() else units
    same = correlated_groups(units.unsqueeze(0), valid.unsqueeze(0), tau)[0].cpu().numpy()
    names = []
    for index, name in enumerate(classes.names):
        members = np.flatnonzero(same[index])
        more = f" + {len(members) - 1}" if len(members) > 1 else ""
        names.append(classes.names[members[0]] + more if len(members) else name)
    return tuple(names)


def _directions(features: Float[Tensor, "1 d u v"], masks: Float[Tensor, "1 k h w"]) -> Float[Tensor, "k d"]:
    """Unit centroids of the classes of a photograph."""
    pooled = area_average(masks, (features.shape[2], features.shape[3])).flatten(2)
    flat = features.flatten(2)
    centroids: Tensor = class_average_pooling(flat, pooled, feature_norms(flat))[0]
    return torch.nn.functional.normalize(centroids, dim=1)
