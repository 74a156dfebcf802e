"""Settings: a preset, a YAML file, a mapping, or the dataclass, with the same errors."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import dhr
from dhr.api.settings import part_settings, run_settings, settings_of
from dhr.api.values import expected, fitted, from_text, shown
from dhr.errors import ConfigError
from dhr.export.config import ExportConfig
from dhr.job.settings import RunConfig
from dhr.method.config import PRESETS


def test_a_config_may_be_of_any_kind(tmp_path: Path) -> None:
    paper = RunConfig(method=PRESETS["paper"])
    assert run_settings("paper") == (paper, "paper") == run_settings({"preset": "paper"})
    assert run_settings(paper)[0] is paper
    (tmp_path / "a.yaml").write_text("preset: paper\nmethod: {tau: 0.5}\n")
    config, preset = run_settings(tmp_path / "a.yaml")
    assert (config.method.tau, preset) == (0.5, "paper") and run_settings(str(tmp_path / "a.yaml"))[0] == config
    for mapping in ({"method.tau": 0.5, "preset": "paper"}, {"method": {"tau": 0.5}, "preset": "paper"}):
        assert run_settings(mapping)[0] == config


@pytest.mark.parametrize(
    ("config", "words"),
    [
        ("papre", "did you mean paper?"),
        ({"preset": "papre"}, "did you mean paper?"),
        ({"method.tua": 1}, "did you mean method.tau?"),
        ({"method": {"tau": "high"}}, "method.tau must be a number; got 'high'"),
        ({"method": 3}, "method must hold settings"),
        ({"train": {"epochs": 3}}, "is now called classifier"),
        ({"classifier.epochs": 1.5}, "classifier.epochs must be a whole number"),
        ({"classifier.epochs": True}, "classifier.epochs must be a whole number"),
        ({"stages": 1}, "stages must be true or false"),
        ({"wss.scales": 1}, "wss.scales must be values in brackets, each a number"),
        ({"boundary.kind": "densecrf"}, "boundary.kind must be one of crf"),
    ],
)
def test_a_config_that_cannot_be_used_is_one_line(config: Any, words: str) -> None:
    with pytest.raises(ConfigError) as error:
        run_settings(config)
    assert words in str(error.value) and "\n" not in str(error.value)


def test_numbers_of_numpy_are_numbers() -> None:
    given = {"seed": np.int64(3), "method.tau": np.float32(0.5), "wss.scales": np.array([1.0, 2.0])}
    config, _ = run_settings(given)
    assert (config.seed, config.method.tau, config.wss.scales) == (3, 0.5, (1.0, 2.0))
    assert {type(config.seed), type(config.method.tau)} == {int, float}


def test_a_setting_that_is_given_twice_is_refused() -> None:
    with pytest.raises(ConfigError, match=r"method\.tau is given twice"):
        run_settings({"method.tau": 0.5, "method": {"tau": 0.6}})


def test_parts_have_their_own_settings(tmp_path: Path) -> None:
    assert part_settings(ExportConfig, None) == ExportConfig()
    assert part_settings(ExportConfig, {"min_area": 3}) == ExportConfig(min_area=3)
    (tmp_path / "a.yaml").write_text("min_area: 4\n")
    assert part_settings(ExportConfig, tmp_path / "a.yaml").min_area == 4
    with pytest.raises(ConfigError, match="did you mean min_area"):
        part_settings(ExportConfig, {"min_areas": 3})
    with pytest.raises(ConfigError, match="config must be a ExportConfig"):
        part_settings(ExportConfig, 3)


def test_every_setting_is_documented() -> None:
    for setting in settings_of(RunConfig).values():
        assert len(setting.text) > 3, setting.name
        assert expected(setting.hint) != "a value", setting.name


@pytest.mark.parametrize("setting", settings_of(RunConfig).values(), ids=lambda one: one.name)
def test_a_default_comes_back_from_its_text(setting: Any) -> None:
    text = "null" if setting.default is None else shown(setting.default)
    assert from_text(text, setting.hint) == setting.default
    assert fitted(setting.default, setting.hint) == setting.default


@given(st.floats(allow_nan=False, allow_infinity=False))
def test_any_number_comes_back_from_its_text(value: float) -> None:
    assert from_text(repr(value), float) == value
    assert from_text(f"[{value!r}, 1]", tuple[float, float]) == (value, 1.0)


def test_settings_are_explained() -> None:
    rows = dhr.settings("classifier").rows()
    assert {row["name"] for row in rows} == {name for name in settings_of(RunConfig) if name.startswith("classifier.")}
    assert len(dhr.settings().rows()) == len(settings_of(RunConfig))
    with pytest.raises(ConfigError, match="did you mean method"):
        dhr.settings("method.tua")
