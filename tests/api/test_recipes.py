"""Recipes: YAML files in the package, between presets and files of the user."""

from dataclasses import asdict, replace
from importlib.resources import files
from pathlib import Path
from typing import Any

import pytest

from dhr.api.settings import flat, run_settings
from dhr.errors import ConfigError
from dhr.job.settings import RunConfig
from dhr.method.config import PRESETS
from dhr.recipes import RECIPES, recipe


def test_every_file_is_a_recipe_and_every_recipe_a_file() -> None:
    shipped = {path.name for path in files("dhr.recipes").iterdir() if path.name.endswith(".yaml")}
    assert shipped == {f"{name}.yaml" for name in RECIPES}


@pytest.mark.parametrize("name", RECIPES)
def test_a_recipe_leaves_the_method_to_presets(name: str) -> None:
    given = flat(RunConfig, recipe(name), name)
    assert not [one for one in given if one.startswith(("method", "boundary", "seed", "preset"))]
    config, preset = run_settings(name)
    assert preset == "default" and config.method == PRESETS["default"] and config.boundary == RunConfig().boundary
    paper, _ = run_settings({"recipe": name, "preset": "paper"})
    assert paper == replace(config, method=PRESETS["paper"])


def test_the_recipe_default_changes_nothing() -> None:
    assert run_settings("default") == (RunConfig(), "default")


def test_a_small_run_costs_less_and_a_best_one_more() -> None:
    small, default, best = (run_settings(name)[0] for name in RECIPES)
    for views in (lambda one: one.wss, lambda one: one.uss):
        costs = [
            sum((scale * one.image.long_side) ** 2 for scale in views(one).scales) * (1 + views(one).flip)
            for one in (small, default, best)
        ]
        assert costs[0] < costs[1] < costs[2]


def test_a_recipe_is_below_files_and_options_and_above_presets(tmp_path: Path, dhr: Any) -> None:
    file = tmp_path / "a.yaml"
    file.write_text("recipe: small\nimage: {long_side: 333}\n")
    config, _ = run_settings(file)
    assert (config.wss.backbone, config.image.long_side) == ("mobilenetv2_100", 333)
    config, _ = run_settings({"config": file, "image.long_side": 99})
    assert (config.wss.backbone, config.image.long_side) == ("mobilenetv2_100", 99)
    config, _ = run_settings({"config": file, "recipe": "best"})
    assert (config.wss.backbone, config.image.long_side) == (RunConfig().wss.backbone, 333)
    assert (
        dhr(["models", "--download", "--recipe", "default", "--wss.weights", "none", "--uss.kind", "colour"]).code == 0
    )


def test_an_unknown_recipe_is_refused_in_one_line(dhr: Any, fresh: Any) -> None:
    ended = dhr(fresh.run("--recipe", "smal"))
    assert ended.code == 2 and ended.err == (
        "dhr: --recipe must be one of small, default, best; got 'smal'; did you mean small?\n"
    )
    with pytest.raises(ConfigError, match=r"recipe or preset .*small.*paper.* or a YAML file; got 'smal'"):
        run_settings("smal")
    assert asdict(run_settings("small")[0]) != asdict(RunConfig())
