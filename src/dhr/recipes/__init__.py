"""Recipes: settings for a purpose, by name. Each is a YAML file of settings like any other, and lies beside this file.

A recipe sets networks, sizes, views and the lengths of trainings. A preset (:data:`dhr.PRESETS`) sets the method.
"""

from collections.abc import Mapping
from importlib.resources import files
from types import MappingProxyType
from typing import Any

from dhr.plain_yaml import parse_yaml

RECIPES: Mapping[str, str] = MappingProxyType(
    {
        "small": "small networks, smaller images and fewer views: for a CPU",
        "default": "the defaults of all settings",
        "best": "mirrored views as well, and a student that makes the final masks: for a GPU, and time",
    }
)
"""What each recipe is for, by name."""


def recipe(name: str) -> dict[str, Any]:
    """Read a recipe, one of :data:`RECIPES`.

    >>> recipe("small")["wss"]["backbone"]
    'mobilenetv2_100'
    """
    text = (files("dhr.recipes") / f"{name}.yaml").read_text(encoding="utf-8")
    return parse_yaml(text) or {}
