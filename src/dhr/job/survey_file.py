"""The file of a survey."""

from pathlib import Path

import torch
from safetensors.torch import save

from dhr.method.survey import Survey
from dhr.method.swaps import Swap
from dhr.ops.discriminant import Discriminant
from dhr.parsing import as_number
from dhr.tensors import check_finite, check_kinds, check_shapes, read_tensors

_FLOATS = ("weights", "bias", "known")


def survey_content(survey: Survey) -> bytes:
    """Return the content of the file of a survey."""
    swaps = [(one.first, one.second, one.joint, one.deciding) for one in survey.swaps]
    evidence = [(one.evidence, one.consistency) for one in survey.swaps]
    return save(
        {
            **{name: value.cpu().contiguous() for name, value in vars(survey.discriminant).items()},
            "trust": torch.tensor(survey.trust, dtype=torch.float64),
            "agreement": survey.agreement.cpu(),
            "swaps": torch.tensor(swaps, dtype=torch.int64).reshape(-1, 4),
            "evidence": torch.tensor(evidence, dtype=torch.float64).reshape(-1, 2),
        }
    )


def read_survey(path: Path, classes: int, channels: int) -> Survey:
    """Read a survey for this number of classes and of channels of the USS features.

    Raises:
        OSError: it cannot be read.
        ValueError: it is damaged, or of another data set or features.
    """
    found, _ = read_tensors(path)
    check_shapes(
        found,
        {
            "weights": (classes, channels), "bias": (classes,), "known": (classes,), "trust": (),
            "agreement": (classes,), "swaps": (None, 4), "evidence": (None, 2),
        },
    )  # fmt: skip
    kinds = {
        **dict.fromkeys(_FLOATS, torch.float32),
        **dict.fromkeys(("trust", "agreement", "evidence"), torch.float64),
    }
    check_kinds(found, {name: (kind,) for name, kind in {**kinds, "swaps": torch.int64}.items()})
    check_finite({name: value for name, value in found.items() if name != "swaps"})
    known, trust, swaps = found["known"], float(found["trust"]), found["swaps"]
    if not bool(((known == 0) | (known == 1)).all()):
        raise ValueError("known: expected 0 and 1 only")
    if not bool(((found["agreement"] >= 0) & (found["agreement"] <= 1)).all()):
        raise ValueError("agreement: expected 0..1")
    if len(swaps) != len(found["evidence"]) or bool((swaps < 0).any() | (swaps[:, :2] >= classes).any()):
        raise ValueError("swaps: expected pairs of classes, one for each evidence")
    pairs = tuple(
        Swap(first, second, evidence, consistency, joint, deciding)
        for (first, second, joint, deciding), (evidence, consistency) in zip(
            swaps.tolist(), found["evidence"].tolist(), strict=True
        )
    )
    discriminant = Discriminant(*(found[name] for name in _FLOATS))
    return Survey(discriminant, as_number(trust, 0, 1, "trust"), found["agreement"], pairs)
