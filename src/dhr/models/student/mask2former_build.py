"""Building a Mask2Former: with weights from transformers' hub, a folder, a file or timm, or random ones."""

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import torch

from dhr.errors import ConfigError, WeightsError
from dhr.models.pretrained import transformers_for
from dhr.models.remote import local_only, mask2former_remote, reason
from dhr.models.student import Mask2FormerConfig
from dhr.models.student.mask2former import UNUSED, Mask2FormerStudent
from dhr.models.weights import HUB, NONE, build_timm, check_folder, normalisation, read_state
from dhr.words import one_line

_TIMM = "timm/"
_SETTING = "mask2former.weights"
_NEW = ("class_predictor.", "criterion.")
"""Parameters that depend on the number of classes; with another number they are new."""
_ENCODER = "model.pixel_level_module.encoder."


def build_mask2former(config: Mask2FormerConfig, classes: int, background: bool) -> Mask2FormerStudent:
    """Make the student for ``classes`` classes, including the background. Nothing that is read is executed.

    Parameters that the weights lack are random: the class predictor for another number of classes, and, with weights of
    a backbone alone, everything else, including the norms of its maps.

    Raises:
        ConfigError: transformers is not installed, or there is no such model, type or setting.
        WeightsError: the weights are missing, damaged, or of another architecture.
    """
    transformers = _transformers()
    whole, known = _settings(transformers, config)
    whole.num_labels = classes
    network = _random(transformers, whole, config)
    encoder = network.model.pixel_level_module.encoder
    mean, std = normalisation(encoder._backbone if config.model.startswith(_TIMM) else network, config)
    if config.weights != NONE:
        state = None if config.weights == HUB else read_state(Path(config.weights), "a Mask2Former", _SETTING)
        if state is not None and any(key.startswith(_ENCODER) for key in state):
            network = _load(network, None, state, config, _NEW)
        elif config.model.startswith(_TIMM):
            name = config.model.removeprefix(_TIMM)
            options = {"features_only": True, "out_indices": tuple(encoder.config.out_indices)}
            encoder._backbone.load_state_dict(build_timm(name, config.weights, _SETTING, options).state_dict())
        elif state is not None:
            loaded = _load(encoder, None, state, config, ("hidden_states_norms.",))
            encoder.load_state_dict(loaded.state_dict())
        elif known == "mask2former":
            network = _load(network, config.model, None, config, _NEW)
        elif known == "backbone":
            loaded = _load(encoder, config.model, None, config, ("hidden_states_norms.",))
            encoder.load_state_dict(loaded.state_dict())
        else:
            raise WeightsError(
                f"{config.model!r} is a type of backbone, no weights belong to it; name a model with "
                f"--mask2former.model, a file with --{_SETTING} FILE, or --{_SETTING} none for random weights"
            )
    return Mask2FormerStudent(network, mean, std, background)


def rebuild_mask2former(
    settings: Mapping[str, Any],
    mean: Sequence[float] | None,
    std: Sequence[float] | None,
    classes: int,
    background: bool,
) -> Mask2FormerStudent:
    """Build the student of :meth:`Mask2FormerStudent.describe` with random weights; the network is not used.

    Args:
        settings: of the network.
        mean: RGB mean of the images.
        std: RGB standard deviation of the images.
        classes: number of classes, including the background.
        background: whether class 0 is the background.

    Raises:
        ConfigError: transformers is not installed.
        ValueError: the settings are incomplete, or would lead to a hub.
    """
    transformers = _transformers()
    if mean is None or std is None:
        raise ValueError("expected the mean and standard deviation of the images")
    backbone = settings["backbone_config"]
    kind = backbone["model_type"]
    if kind not in transformers.CONFIG_MAPPING:
        raise ValueError(f"transformers has no network {kind!r}")
    known = {*transformers.CONFIG_MAPPING[kind]().to_dict(), "stage_names", "out_features", "out_indices"}
    # Other names could make transformers fetch something: settings are copied into the configuration as they are.
    for given, names in ((settings, transformers.Mask2FormerConfig().to_dict()), (backbone, known)):
        if unknown := sorted({*given} - {*names}):
            raise ValueError(f"unknown settings {', '.join(unknown[:3])}")
    if kind != "timm_backbone" and backbone.get("backbone") is not None:
        raise ValueError("its backbone is the name of a model elsewhere")
    if kind == "timm_backbone":
        build_timm(backbone["backbone"], NONE, _SETTING, {"features_only": True})  # no name of a hub
    whole = transformers.Mask2FormerConfig.from_dict({**settings, "backbone_config": dict(backbone)})
    whole.num_labels = classes
    network = transformers.Mask2FormerForUniversalSegmentation(whole)
    return Mask2FormerStudent(
        network, torch.tensor(mean).view(3, 1, 1), torch.tensor(std).view(3, 1, 1), background
    )  # fmt: skip


def _transformers() -> Any:
    # transformers' loss is built with scipy, and ours matches with it
    return transformers_for("student.kind mask2former", "mask2former", ("scipy",))


def _settings(transformers: Any, config: Mask2FormerConfig) -> tuple[Any, str]:
    """Return the settings of the network, and whether ``config.model`` is a `mask2former`, `backbone` or `type`."""
    known = "type"
    if config.model.startswith(_TIMM):
        name = config.model.removeprefix(_TIMM)
        build_timm(name, NONE, _SETTING, {"features_only": True})  # its message is better if timm lacks the model
        backbone = transformers.TimmBackboneConfig(backbone=name, out_indices=[-4, -3, -2, -1]).to_dict()
        whole: dict[str, Any] = {}
    elif config.model in transformers.CONFIG_MAPPING:
        whole, backbone = {}, transformers.CONFIG_MAPPING[config.model]().to_dict()
    else:
        if Path(config.model).is_dir():
            check_folder(Path(config.model), "mask2former.model")
        asked = {**local_only(mask2former_remote(config)), "trust_remote_code": False}
        found = _from_hub(config.model, lambda: transformers.AutoConfig.from_pretrained(config.model, **asked))
        known = "mask2former" if found.model_type == "mask2former" else "backbone"
        whole = found.to_dict() if known == "mask2former" else {}
        backbone = whole.pop("backbone_config") if whole else found.to_dict()
    _refuse_unknown(config.backbone, backbone, "mask2former.backbone", config.model)
    _refuse_unknown(config.options, transformers.Mask2FormerConfig().to_dict(), "mask2former.options", "Mask2Former")
    backbone = {key: value for key, value in backbone.items() if key not in ("id2label", "label2id")}
    if "depths" in config.backbone:  # settings derived from the old depths would contradict
        for key in ("stage_names", "num_layers", "hidden_size", "out_features", "out_indices"):
            backbone.pop(key, None)
    backbone = {**backbone, **config.backbone}
    if not config.model.startswith(_TIMM):
        kind = backbone.pop("model_type")
        names = transformers.CONFIG_MAPPING[kind].from_dict(backbone).to_dict().get("stage_names")
        if not names or len(names) < 4:
            raise ConfigError(f"mask2former.model {config.model!r} has fewer than four maps, which Mask2Former needs")
        backbone |= {"model_type": kind, "out_features": list(names[-4:])}
        backbone.pop("out_indices", None)
    whole = {key: value for key, value in whole.items() if key not in ("id2label", "label2id", "num_labels")}
    return transformers.Mask2FormerConfig.from_dict({**whole, **config.options, "backbone_config": backbone}), known


def _refuse_unknown(given: Mapping[str, Any], known: Iterable[str], setting: str, model: str) -> None:
    if unknown := sorted({*given} - {*known}):
        raise ConfigError(f"{setting}: {model} has no setting {', '.join(unknown)}; names are those of transformers")


def _random(transformers: Any, settings: Any, config: Mask2FormerConfig) -> Any:
    try:
        return transformers.Mask2FormerForUniversalSegmentation(settings)
    except Exception as error:  # a network raises any exception for wrong settings
        raise ConfigError(
            f"transformers cannot build a Mask2Former on {config.model!r} ({one_line(error, 200)})"
        ) from error


def _load(network: Any, model: str | None, state: Any, config: Mask2FormerConfig, new: tuple[str, ...]) -> Any:
    """Load the weights of a hub's or folder's ``model``, or of ``state``; transformers converts older names.

    Raises:
        WeightsError: they are missing or damaged, or a parameter that is not ``new`` is missing or has another shape.
    """
    place = f"--{_SETTING}: {config.weights}" if model is None else model
    asked = {} if model is None else local_only(mask2former_remote(config))
    loaded, info = _from_hub(
        place, lambda: type(network).from_pretrained(
            model, config=network.config, state_dict=state, ignore_mismatched_sizes=True, output_loading_info=True,
            dtype=torch.float32, **asked,
        ),
    )  # fmt: skip
    others = {key for key, *_ in info["mismatched_keys"]}
    differ = sorted(
        key
        for key in {*info["missing_keys"], *others}
        if not key.startswith(new) and not UNUSED.match(key.removeprefix(_ENCODER))
    )
    if differ:
        raise WeightsError(
            f"{place} holds weights of another architecture than {config.model!r}: {len(differ)} of "
            f"{len(network.state_dict())} parameters differ, first {', '.join(differ[:3])}"
        )
    return loaded.train(network.training)


def _from_hub(place: str, load: Any) -> Any:
    try:
        return load()
    except Exception as error:  # clients, and parsers of damaged files, raise any exception
        raise WeightsError(
            f"cannot read {place!r} ({reason(error, place)}); name a folder with config.json and safetensors, or a "
            "model of transformers' hub where there is a network (--mask2former.model)"
        ) from error
