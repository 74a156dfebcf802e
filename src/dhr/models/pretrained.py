"""Networks of transformers, from its hub or from a folder that `save_pretrained` wrote; nothing that is read is run."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from importlib import import_module
from pathlib import Path
from typing import Any, TypeVar

import torch
from torch import nn

from dhr.errors import ConfigError, WeightsError
from dhr.models.remote import Remote, hub_remote, lacking, local_only, reason
from dhr.models.weights import HUB, NONE, check_folder

Read = TypeVar("Read")


@dataclass(frozen=True)
class Place:
    """Where a network of transformers is: on the hub, or in a folder."""

    model: str
    """Its name on the hub, or a folder."""
    weights: str
    """``hub`` (those of ``model``), ``none`` (random), or a folder that is read instead of ``model``."""
    setting: str
    """The setting that holds ``model``, for messages: `wss.backbone`."""
    what: str
    """The expected network, for messages."""
    words: bool = False
    """Whether it has a tokenizer."""
    pixels: bool = False
    """Whether it has a file on the size and the scaling of its images."""
    example: str = "AUTHOR/NAME"
    """A name on the hub, for messages."""
    older: bool = False
    """Whether weights on the hub may be a PyTorch state dict. In a folder they are safetensors."""
    only: bool = False
    """Whether ``setting`` alone names the network, so that a folder is given there, too."""

    @property
    def weights_setting(self) -> str:
        """The setting that holds ``weights``."""
        return self.setting if self.only else f"{self.setting.rpartition('.')[0]}.weights"

    @property
    def name(self) -> str:
        """The name or the folder that is read."""
        return self.model if self.weights in (HUB, NONE) else self.weights

    @property
    def local(self) -> bool:
        """Whether it is a folder."""
        return Path(self.name).is_dir()

    @property
    def remote(self) -> Remote | None:
        """What is read from the hub; None for a folder."""
        if self.weights not in (HUB, NONE):
            return None
        return hub_remote(
            *(self.model, self.weights, self.weights_setting),
            tokenizer=self.words, pixels=self.pixels, older=self.older,
        )  # fmt: skip

    @cached_property
    def asked(self) -> Mapping[str, Any]:
        """Arguments of `from_pretrained`, for what is there.

        Raises:
            ConfigError: ``model`` is neither a folder nor a name of the hub.
            WeightsError: the folder is missing, or the hub does not answer.
        """
        if self.weights not in (HUB, NONE) and not self.local:
            raise WeightsError(
                f"--{self.weights_setting}: no folder {self.name}; expected config.json and safetensors of a "
                f"{self.what}, as save_pretrained writes them"
            )
        if self.local:
            check_folder(Path(self.name), self.weights_setting)
        elif self.remote is None:
            raise ConfigError(
                f"{self.setting} must be a {self.what} on transformers' hub, such as {self.example}, or a folder that "
                f"holds one; got {self.name!r}"
            )
        return {**local_only(self.remote), "trust_remote_code": False}

    def had(self, read: Callable[[], Read]) -> Read:
        """Return what ``read`` returns.

        Raises:
            WeightsError: it failed.
        """
        try:
            return read()
        except Exception as error:  # a hub's client, and parsers of damaged files, raise any exception
            raise WeightsError(
                f"cannot read the {self.what} {self.name!r} ({reason(error, self.name)}); it needs config.json and "
                f"safetensors; without a network, name a folder that holds them: --{self.weights_setting} DIR"
            ) from error


def transformers_for(setting: str, extra: str = "clip", needed: Sequence[str] = ()) -> Any:
    """Import transformers, and keep it quiet: its warnings become errors here.

    Args:
        setting: what needs it, for the message.
        extra: the extra of dhr that has it.
        needed: further packages of this extra.

    Raises:
        ConfigError: it is not installed, or another package that is needed.
    """
    try:
        for name in needed:
            import_module(name)
        import huggingface_hub
        import transformers
    except ImportError as error:
        raise ConfigError(
            f"{error.name} is not installed, which {setting} needs; pip install 'dhr[{extra}]'"
        ) from error
    transformers.logging.set_verbosity_error()
    huggingface_hub.logging.set_verbosity_error()  # type: ignore[no-untyped-call]
    transformers.utils.logging.disable_progress_bar()
    return transformers


def model_type(transformers: Any, place: Place) -> str:
    """Return the `model_type` of its config.json.

    Raises:
        ConfigError: see :attr:`Place.asked`.
        WeightsError: it cannot be read.
    """
    asked = place.asked
    kept, _ = place.had(lambda: transformers.PreTrainedConfig.get_config_dict(place.name, **asked))
    if not kept:
        raise WeightsError(
            f"cannot read the {place.what} {place.name!r} (it has no config.json); name a folder that has all files: "
            f"--{place.weights_setting} DIR"
        )
    return str(kept.get("model_type", "model without a type"))


def read_kind(transformers: Any, place: Place, kinds: Mapping[str, str]) -> str:
    """Return the `model_type` of its config.json, which must be one of ``kinds``.

    Args:
        kinds: classes of transformers by `model_type`.

    Raises:
        ConfigError: it is of another kind, or this version of transformers lacks the class.
        WeightsError: it cannot be read.
    """
    kind = model_type(transformers, place)
    if kind not in kinds:
        raise ConfigError(
            f"{place.setting} {place.name!r} is a {kind} of transformers, expected a {place.what}: "
            f"{', '.join(dict.fromkeys(kinds.values()))}"
        )
    if not hasattr(transformers, kinds[kind]):
        raise ConfigError(
            f"{place.setting} {place.name!r} needs {kinds[kind]}, which transformers {transformers.__version__} lacks; "
            "pip install --upgrade transformers"
        )
    return kind


def read_network(made: Any, place: Place) -> nn.Module:
    """Read a network of the class ``made``, float32, in evaluation mode.

    Raises:
        WeightsError: it is missing, damaged, or of another architecture than its config.json.
    """
    asked = place.asked
    if place.weights == NONE:
        config = place.had(lambda: made.config_class.from_pretrained(place.name, **asked))
        random: nn.Module = place.had(lambda: made(config))
        return random.eval().float()
    if place.local:
        _check_files(place)
    network, info = place.had(
        lambda: made.from_pretrained(
            place.name, output_loading_info=True, ignore_mismatched_sizes=True, dtype=torch.float32,
            use_safetensors=None if place.older and not place.local else True, **asked,
        )
    )  # fmt: skip
    differ = sorted({*info["missing_keys"], *(key for key, *_ in info["mismatched_keys"])})
    if differ:
        raise WeightsError(
            f"{place.name} holds weights of another architecture than its config.json names: {len(differ)} of "
            f"{len(network.state_dict())} parameters differ, first {', '.join(differ[:3])}"
        )
    read: nn.Module = network.eval()
    return read


def _check_files(place: Place) -> None:
    """Refuse a folder without safetensors, or with some of them only."""
    folder = Path(place.name)
    missing = next(filter(None, map(lacking, sorted(folder.glob("*.safetensors.index.json")))), None)
    if missing is not None:
        raise WeightsError(f"--{place.weights_setting}: {folder} lacks {missing}; copy or download all of its files")
    if not list(folder.glob("*.safetensors")):
        raise WeightsError(
            f"--{place.weights_setting}: {folder} holds no safetensors; save it again with safe_serialization"
        )
