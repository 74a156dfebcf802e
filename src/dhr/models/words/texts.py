"""The words of the classes: which names a network is asked for, and in which sentences."""

import re
import unicodedata
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType
from typing import TYPE_CHECKING

from dhr.errors import ConfigError

if TYPE_CHECKING:
    from dhr.models.config import WssConfig

Given = str | tuple[str, ...] | dict[str, str | tuple[str, ...]]
"""The words of one class in the settings: a name, several, or `names` and `not`."""
PROMPTS: Mapping[str, str] = MappingProxyType({"clip": "a clean origami {}.", "sam3": "{}", "boxes": "{}"})
"""Sentences around a name that a kind was trained or published with."""
_PROMPT = "a photo of a {}."
_SPACES = ("Cc", "Zl", "Zp", "Zs")  # categories of Unicode: control characters and spaces
_NAMES, _NOT = "names", "not"
_SEPARATORS = re.compile(r"[.;,|/\n\r\t]+")


@dataclass(frozen=True)
class Word:
    """One class in words."""

    name: str
    """Its name in the class table."""
    names: tuple[str, ...]
    """What a network is asked for, one or more. Each cell of the class's map has the highest of their values."""
    negatives: tuple[str, ...] = ()
    """Names of other things that are taken for the class. Their map is subtracted."""


def words_of(
    names: Sequence[str], config: "WssConfig", usual: Mapping[str, str] = MappingProxyType({})
) -> tuple[Word, ...]:
    """Return the words of classes, in their order.

    Args:
        names: names of the classes.
        config: has `words`.
        usual: better names of some classes, for those that `words` leaves out.

    Raises:
        ConfigError: `words` has a class that does not exist, or a class has no name that can be read.

    >>> from dhr.models.config import WssConfig
    >>> words_of(["tv_monitor", "crane"], WssConfig(words={"crane": {"names": ("crane bird",), "not": ("hoist",)}}))
    (Word(name='tv_monitor', names=('tv monitor',), negatives=()), Word(name='crane', names=('crane bird',), \
negatives=('hoist',)))
    """
    if unknown := sorted({*config.words} - {*names}):
        raise ConfigError(f"wss.words: there is no class {', '.join(unknown)}")
    found = []
    for name in names:
        asked, negatives = _split(config.words.get(name, usual.get(name, name)), name)
        tidy = [_readable(text, name) for text in asked]
        found.append(Word(name, tuple(dict.fromkeys(tidy)), tuple(_readable(text, name) for text in negatives)))
    return tuple(found)


def prompts_of(config: "WssConfig") -> tuple[str, ...]:
    """Return the sentences for names; what a network makes of them is averaged."""
    given = PROMPTS.get(config.kind, _PROMPT) if config.prompt is None else config.prompt
    return (given,) if isinstance(given, str) else tuple(given)


def sentences(name: str, prompts: Sequence[str]) -> tuple[str, ...]:
    """Put a name into each sentence.

    >>> sentences("cat", ["a photo of a {}.", "{}"])
    ('a photo of a cat.', 'cat')
    """
    return tuple(prompt.replace("{}", name) for prompt in prompts)


def phrase(name: str, place: str = "wss.words") -> str:
    """Return a name without separators, for a detector that splits its text at them.

    Args:
        name: of a class.
        place: the setting that can give another name, for the message.

    Raises:
        ConfigError: nothing else is left of it.

    >>> phrase("St. Bernard"), phrase("bottle, glass / oil")
    ('St Bernard', 'bottle glass oil')
    """
    found = " ".join(_SEPARATORS.sub(" ", name).split())
    if not any(character.isalnum() for character in found):
        raise ConfigError(
            f"the class {name!r} consists of separators, at which a detector splits its text; give it another name "
            f"in {place}"
        )
    return found


def check_words(words: Mapping[str, Given], prompt: str | Sequence[str] | None) -> None:
    """Refuse words and sentences that cannot be used.

    Raises:
        ConfigError: one of them is empty, has an unknown part, or has no place for the name.
    """
    prompts = [] if prompt is None else [prompt] if isinstance(prompt, str) else list(prompt)
    if prompt is not None and not prompts:
        raise ConfigError("wss.prompt must hold one text or more; got an empty list")
    for one in prompts:
        if "{}" not in one:
            raise ConfigError(f"wss.prompt must hold {{}}, the place of the class's name; got {one!r}")
    for name, given in words.items():
        for text in (part for some in _split(given, name) for part in some):
            _readable(text, name)


def _split(given: Given, name: str) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Return the names of a class, and those of other things."""
    if isinstance(given, Mapping):
        if unknown := sorted({*given} - {_NAMES, _NOT}):
            raise ConfigError(f"wss.words: {name} has the part {unknown[0]!r}; its parts are `{_NAMES}` and `{_NOT}`")
        return _several(given.get(_NAMES, name)), _several(given.get(_NOT, ()))
    found = _several(given)
    if not found:
        raise ConfigError(f"wss.words: {name} has an empty list; give one name or more")
    return found, ()


def _several(given: str | Sequence[str]) -> tuple[str, ...]:
    return (given,) if isinstance(given, str) else tuple(given)


def _readable(text: str, name: str) -> str:
    """Return a name with plain spaces; refuse one without a visible character."""
    spaced = "".join(" " if one == "_" or unicodedata.category(one) in _SPACES else one for one in text)
    found = " ".join(spaced.split())
    if all(unicodedata.category(one)[0] in "CZ" for one in found):
        raise ConfigError(f"the class {name!r} has the empty name {text!r}; give it another one in wss.words")
    return found
