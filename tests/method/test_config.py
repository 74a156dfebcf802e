"""Settings: what is refused, and how."""

from dataclasses import FrozenInstanceError, replace
from typing import Any

import pytest

from dhr.errors import ConfigError
from dhr.job.settings import RunConfig
from dhr.method.boundary import BOUNDARIES
from dhr.method.config import PRESETS, BoundaryConfig, CrfConfig, MethodConfig, PamrConfig, RandomWalkConfig, SamConfig


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
        ("background_level", -0.1),
        ("background_level", 1.5),
        ("prior", {"cat": 0.0}),
        ("centring", 1.0),
        ("centring", -0.1),
        ("uss_weight", 1.1),
        ("marginal", "equal"),
        ("combine", "sum"),
    ],
)
@pytest.mark.usefixtures("unchecked")
def test_settings_that_cannot_work_are_refused_by_name(name: str, value: Any) -> None:
    with pytest.raises(ConfigError, match=f"method.{name}"):
        MethodConfig(**{name: value})
    with pytest.raises(ConfigError, match=f"method.{name}"):
        replace(PRESETS["default"], **{name: value})


@pytest.mark.parametrize("preset", PRESETS)
def test_shares_that_would_not_be_used_are_refused(preset: str) -> None:
    with pytest.raises(ConfigError, match=r"method.prior is given, but method.marginal is '.*set it to prior"):
        replace(PRESETS[preset], prior={"cat": 0.2})
    if preset == "released":
        return
    assert replace(PRESETS[preset], prior={"cat": 0.2}, marginal="prior").prior == {"cat": 0.2}


def test_a_run_needs_the_shares_that_it_is_to_use() -> None:
    known = replace(PRESETS["default"], marginal="prior", prior={"cat": 0.2})
    with pytest.raises(ConfigError, match=r"method.marginal prior needs method.prior"):
        RunConfig(method=replace(known, prior={}))
    with pytest.raises(ConfigError, match=r"crops.*method.marginal to estimated"):
        RunConfig(method=known, recursion=True)
    assert RunConfig(method=known).method.prior


@pytest.mark.parametrize("name", ["kind", "base"])
@pytest.mark.usefixtures("unchecked")
def test_unknown_boundaries_are_refused_by_name(name: str) -> None:
    with pytest.raises(ConfigError, match=f"boundary.{name} .*crf.*random_walk.*'densecrf'"):
        BoundaryConfig(**{name: "densecrf"})


@pytest.mark.parametrize(
    ("part", "name", "value"),
    [
        (SamConfig, "sam.model", ""),
        (SamConfig, "sam.regions", 0),
        (SamConfig, "sam.agreement", 1.0),
        (SamConfig, "sam.agreement", float("nan")),
        (PamrConfig, "pamr.iterations", -1),
        (PamrConfig, "pamr.dilations", ()),
        (PamrConfig, "pamr.dilations", (1, 0)),
        (CrfConfig, "crf.iterations", -1),
        (CrfConfig, "crf.gaussian_sxy", 0.0),
        (CrfConfig, "crf.bilateral_srgb", -1.0),
        (CrfConfig, "crf.bilateral_sxy", float("nan")),
        (CrfConfig, "crf.bilateral_compat", -1.0),
        (RandomWalkConfig, "random_walk.radius", 0),
        (RandomWalkConfig, "random_walk.steps", -1),
        (RandomWalkConfig, "random_walk.beta", 0.0),
    ],
)
@pytest.mark.usefixtures("unchecked")
def test_boundaries_that_cannot_work_are_refused_by_name(part: type, name: str, value: Any) -> None:
    with pytest.raises(ConfigError, match=f"boundary.{name}"):
        part(**{name.split(".")[1]: value})


@pytest.mark.usefixtures("unchecked")
@pytest.mark.parametrize("name", ["marginal", "combine"])
def test_a_refusal_names_what_is_known(name: str) -> None:
    with pytest.raises(ConfigError) as caught:
        MethodConfig(**{name: "nonsense"})
    assert getattr(PRESETS["default"], name) in str(caught.value)
    assert "nonsense" in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.usefixtures("unchecked")
def test_every_boundary_can_be_chosen() -> None:
    for kind in BOUNDARIES:
        base = "pamr" if kind == "sam" else kind  # it corrects finished scores alone
        assert BoundaryConfig(kind=kind, base=base).kind == kind  # type: ignore[arg-type]
    with pytest.raises(ConfigError, match=r"boundary.base must be one of crf, pamr, random_walk, none; got 'sam'"):
        BoundaryConfig(base="sam")  # type: ignore[arg-type]


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


@pytest.mark.parametrize(
    "change", [{"rounds": 2}, {"marginal": "estimated"}, {"centring": 0.5}, {"combine": "mean"}], ids=str
)
def test_what_the_authors_program_has_not_is_refused(change: dict[str, Any]) -> None:
    (name,) = change
    with pytest.raises(ConfigError, match=f"method.{name} is always .*another preset than released"):
        replace(PRESETS["released"], **change)
    assert replace(PRESETS["paper"], **change) != PRESETS["paper"]
    assert replace(PRESETS["released"], eps=0.2, tau=0.5, background_level=None, survey=0.5).released


def test_the_defaults_are_those_of_the_pages() -> None:
    """docs/method.md lists them; scores were measured with them."""
    made = PRESETS["default"]
    told = (made.eps, made.marginal, made.smallest_ratio, made.guard, made.rounds, made.centring, made.tau)
    assert told == (0.2, "estimated", 0.05, 0.03, 6, 0.5, 0.8)
    assert (made.combine, made.uss_weight, made.survey, made.survey_rounds) == ("mean", 0.6, 0.6, 10)
    paper = PRESETS["paper"]
    assert (paper.eps, paper.marginal, paper.guard, paper.rounds, paper.centring) == (0.1, "uniform", 0.0, 1, 0.0)
    assert (paper.combine, paper.tau, paper.background_level, paper.survey) == ("product", 0.8, 0.3, 0.0)
    crf, pamr, walk = CrfConfig(), PamrConfig(), RandomWalkConfig()
    assert (crf.iterations, crf.gaussian_compat, crf.gaussian_sxy) == (10, 3.0, 1.0)
    assert (crf.bilateral_compat, crf.bilateral_sxy, crf.bilateral_srgb) == (4.0, 67.0, 3.0)
    assert (pamr.iterations, pamr.dilations) == (10, (1, 2, 4, 8))
    assert (walk.radius, walk.beta, walk.steps, walk.sigma_colour) == (5, 10.0, 256, 0.1)
    assert (SamConfig().regions, SamConfig().agreement) == (3, 0.6)


def test_values_at_the_edge_are_allowed() -> None:
    edges = {"background_level": 0.0, "smallest_ratio": 0.0, "guard": 0.0, "centring": 0.0, "survey": 0.0, "rounds": 1}
    assert all(getattr(MethodConfig(**{name: value}), name) == value for name, value in edges.items())
    most = {"background_level": 1.0, "tau": 1.0, "uss_weight": 1.0, "survey": 1.0}
    assert all(getattr(MethodConfig(**{name: value}), name) == value for name, value in most.items())
    assert CrfConfig(iterations=0, gaussian_compat=0.0, bilateral_compat=0.0).iterations == 0
    assert PamrConfig(iterations=0).iterations == 0 and RandomWalkConfig(steps=0).steps == 0
