"""Settings: what is refused, and how."""

from dataclasses import FrozenInstanceError, replace
from typing import Any

import pytest

from dhr.errors import ConfigError
from dhr.method.boundary import BOUNDARIES
from dhr.method.config import PRESETS, BoundaryConfig, MethodConfig


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("eps", 0.0),
        ("eps", -1.0),
        ("eps", float("nan")),
        ("tau", 1.01),
        ("tau", -2.0),
        ("tau", float("nan")),
        ("smallest_ratio", -0.1),
        ("smallest_ratio", 1.0),
        ("rounds", 0),
        ("background", -0.1),
        ("background", 1.5),
        ("marginal", "equal"),
        ("combine", "sum"),
        ("overwrite", "always"),
    ],
)
@pytest.mark.usefixtures("unchecked")
def test_settings_that_cannot_work_are_refused_by_name(name: str, value: Any) -> None:
    with pytest.raises(ConfigError, match=f"method.{name}"):
        MethodConfig(**{name: value})
    with pytest.raises(ConfigError, match=f"method.{name}"):
        replace(PRESETS["default"], **{name: value})


@pytest.mark.parametrize(
    ("name", "value"), [("kind", "crf"), ("iterations", -1), ("dilations", ()), ("dilations", (1, 0))]
)
@pytest.mark.usefixtures("unchecked")
def test_boundaries_that_cannot_work_are_refused_by_name(name: str, value: Any) -> None:
    with pytest.raises(ConfigError, match=f"boundary.{name}"):
        BoundaryConfig(**{name: value})


@pytest.mark.usefixtures("unchecked")
@pytest.mark.parametrize("name", ["marginal", "combine", "overwrite"])
def test_a_refusal_names_what_is_known(name: str) -> None:
    with pytest.raises(ConfigError) as caught:
        MethodConfig(**{name: "nonsense"})
    assert getattr(PRESETS["default"], name) in str(caught.value)
    assert "nonsense" in str(caught.value)
    assert "\n" not in str(caught.value)


def test_every_boundary_can_be_chosen() -> None:
    for kind in BOUNDARIES:
        assert BoundaryConfig(kind=kind).kind == kind  # type: ignore[arg-type]


def test_presets_cannot_be_changed() -> None:
    assert set(PRESETS) >= {"default", "paper"}
    with pytest.raises(TypeError):
        PRESETS["default"] = MethodConfig()  # type: ignore[index]
    with pytest.raises(FrozenInstanceError):
        PRESETS["default"].eps = 1.0  # type: ignore[misc]


def test_the_paper_gives_all_classes_the_same_area() -> None:
    assert PRESETS["paper"].marginal == "uniform"
    assert PRESETS["paper"].combine == "product"
    assert PRESETS["paper"].rounds == 1
