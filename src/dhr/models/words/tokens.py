"""Texts as a network reads them: their tokens."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from torch import Tensor

from dhr.errors import ConfigError, WeightsError
from dhr.models.pretrained import Place
from dhr.models.remote import TOKENIZER

_SPACES = " \u2581\u0120"  # in tokens


@dataclass(frozen=True)
class Reader:
    """Makes tokens of texts, one text at a time, so that the padding of other texts cannot matter."""

    tokenizer: Any
    most: int
    """Tokens that the network reads."""
    padded: bool
    """Whether it reads so many always."""
    lower: bool
    """Whether it was trained on small letters."""
    model: str
    """Its name, for messages."""

    def check(self, names: Sequence[str]) -> None:
        """Refuse names of which the tokenizer makes nothing.

        Raises:
            ConfigError: it has no token for a name.
        """
        unknown = self.tokenizer.unk_token_id
        for name in names:
            tokens = self.tokenizer(self._cased(name), add_special_tokens=False)["input_ids"]
            pieces = self.tokenizer.convert_ids_to_tokens([token for token in tokens if token != unknown])
            if not any(piece.strip(_SPACES) for piece in pieces):
                raise ConfigError(
                    f"the tokenizer of {self.model!r} has no token for the name {name!r}; give the class another name "
                    "in wss.words"
                )

    def __call__(self, text: str) -> Mapping[str, Tensor]:
        """Return the tokens of a text as arguments of the network.

        Raises:
            ConfigError: it is longer than the network reads.
        """
        padding = {"padding": "max_length", "max_length": self.most} if self.padded else {}
        tokens: Mapping[str, Tensor] = self.tokenizer([self._cased(text)], return_tensors="pt", **padding)
        count = tokens["input_ids"].shape[1]
        if count > self.most:
            raise ConfigError(
                f"{text!r} has {count} tokens, {self.model!r} reads {self.most}; give a shorter name in wss.words, or "
                "a shorter wss.prompt"
            )
        return {name: tokens[name] for name in ("input_ids", "attention_mask") if name in tokens}

    def _cased(self, text: str) -> str:
        return text.lower() if self.lower else text


def read_tokenizer(transformers: Any, place: Place, words: int) -> Any:
    """Read the tokenizer of a network.

    Args:
        words: that the network has.

    Raises:
        WeightsError: it is missing, or of another network.
    """
    asked, folder = place.asked, Path(place.name)
    if place.local and not any((folder / name).is_file() for name in TOKENIZER):
        raise WeightsError(
            f"--{place.weights_setting}: {folder} holds no words of a tokenizer; copy all files of the {place.what}, "
            f"{TOKENIZER[0]} or another of {', '.join(TOKENIZER[1:])} too"
        )
    tokenizer = place.had(lambda: transformers.AutoTokenizer.from_pretrained(place.name, **asked))
    if len(tokenizer) > words:
        raise WeightsError(
            f"the tokenizer of {place.name!r} has {len(tokenizer)} words, the network {words}; copy all files of one "
            f"{place.what}"
        )
    return tokenizer
