"""Networks of transformers, from its hub or from a folder that `save_pretrained` wrote; nothing that is read is run."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, TypeVar

import torch
from torch import nn

from dhr.errors import ConfigError, WeightsError
from dhr.models.remote import Remote, hub_remote, local_only
from dhr.models.weights import HUB, NONE, check_folder
from dhr.words import one_line

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

    @property
    def weights_setting(self) -> str:
        """The setting that holds ``weights``."""
        return f"{self.setting.rpartition('.')[0]}.weights"

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
        return hub_remote(self.model, self.weights, self.weights_setting, tokenizer=self.words)

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
                f"{self.setting} must be a name of transformers' hub (AUTHOR/NAME) of a {self.what}, or a folder that "
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
                f"cannot read the {self.what} {self.name!r} ({one_line(error)}); it needs config.json and safetensors; "
                f"without a network, or for a model that must be asked for, name a folder: --{self.weights_setting} DIR"
            ) from error


def transformers_for(setting: str) -> Any:
    """Import transformers, and keep it quiet: its warnings become errors here.

    Raises:
        ConfigError: it is not installed.
    """
    try:
        import huggingface_hub
        import transformers
    except ImportError as error:
        raise ConfigError(f"{error.name} is not installed, which {setting} needs; pip install 'dhr[clip]'") from error
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
        raise WeightsError(f"{place.name} holds no config.json; expected a {place.what} as save_pretrained writes it")
    return str(kept.get("model_type", "model without a type"))


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
    if place.local and not list(Path(place.name).glob("*.safetensors")):
        raise WeightsError(
            f"--{place.weights_setting}: {place.name} holds no safetensors; save it again with safe_serialization"
        )
    network, info = place.had(
        lambda: made.from_pretrained(
            place.name, output_loading_info=True, ignore_mismatched_sizes=True, dtype=torch.float32,
            use_safetensors=True, **asked,
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
