"""The command line of ``dhr uss``."""

from dataclasses import fields
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from jsonargparse import ArgumentParser, Namespace

from dhr.cli.command import Call, Command, Ready, new_parser
from dhr.errors import ConfigError

if TYPE_CHECKING:
    from dhr.cli.early import Early

_TEXT = """
    Train a head on unsupervised features. In its codes, similar regions are closer and others farther
    apart than in the features of the network below it, which is not changed.

    --kind stego  STEGO (Hamilton et al. 2022): codes keep the correlations of the features
    --kind cause  CAUSE (Kim et al. 2023): concepts are found in the features; codes tell them apart

    No label is read: the data folder is one of `dhr run`, whose tags and ground truth are not read,
    or any folder of photographs.

    The output folder gets head.safetensors and run.json. Interrupted, the same command goes on from
    the last epoch, and ends with the same head. --config takes a YAML file with the sections uss,
    head, stego and cause; other sections are ignored.
"""

_END = """
examples:
  dhr uss train --kind stego --data photos --out head --uss.model vit_base_patch8_224.dino
  dhr run --data photos --out out --uss.model vit_base_patch8_224.dino --uss.kind stego
    --uss.head head/head.safetensors
"""
_SECTIONS = ("uss", "head", "stego", "cause")


def _ready(arguments: list[str]) -> Ready:
    from dhr.cli.early import early

    given = early(arguments)  # first: what follows takes seconds and hundreds of megabytes
    from dhr.cli.settings import check_groups, uss_beside
    from dhr.models.uss import UssConfig
    from dhr.train.head_config import CauseConfig, HeadConfig, StegoConfig

    check_groups(given)
    parser = new_parser(_TEXT, "dhr uss train --kind KIND --data DIR --out DIR [--config FILE] [settings]", _END)
    parser.add_argument("action", choices=["train"], help="what to do with the head")
    parser.add_argument("--kind", type=str, required=True, help="what kind of head: stego or cause")
    parser.add_argument("--data", type=Path, required=True, help="a data folder, or any folder of photographs")
    parser.add_argument(
        "--out", type=Path, required=True, help="the output folder: new, empty, or of the same training"
    )
    parser.add_argument("--split", type=str | None, help="only the photographs of this split")
    parser.add_argument("--config", type=Path | None, help="YAML file of settings")
    for section, settings in zip(_SECTIONS, (UssConfig, HeadConfig, StegoConfig, CauseConfig), strict=True):
        parser.add_class_arguments(settings, section)
    if given.file is not None:
        _read(parser, given)

    def call(part: Namespace) -> Call:
        from dhr.cli.uss import train
        from dhr.job.head import HeadTraining

        made = parser.instantiate(part)
        uss = made["uss"] if given.file is None else uss_beside(made["uss"], given.file, given.settings)
        config = HeadTraining(part.kind, uss, made["head"], made["stego"], made["cause"])
        return partial(train, part.data, part.split, part.out, config)

    return Ready(parser, call, given.arguments)


def _read(parser: ArgumentParser, given: "Early") -> None:
    """Take the settings of the YAML file as defaults."""
    from dhr.job.settings import RunConfig

    others = {"preset", *(field.name for field in fields(RunConfig))}
    known = set(parser.get_defaults().as_flat().__dict__)
    defaults: dict[str, Any] = {}
    for key, value in given.settings.items():
        section, dot, name = key.partition(".")
        if section in _SECTIONS:
            if not dot and not isinstance(value, dict):
                raise ConfigError(f"--config: {given.file}: {key} must hold settings, `name: value`; got {value!r}")
            defaults |= {f"{section}.{name}": value} if dot else {f"{section}.{one}": value[one] for one in value}
        elif section not in others:
            raise ConfigError(f"--config: {given.file}: no setting {key!r}; there are {', '.join(_SECTIONS)}")
    for key in defaults:
        if key not in known:
            raise ConfigError(f"--config: {given.file}: no setting {key!r}; `dhr uss train --help` lists them")
    parser.set_defaults(defaults)


USS = Command("uss", "train a head on unsupervised features, without labels", _ready)
