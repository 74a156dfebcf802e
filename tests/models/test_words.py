"""The words of the classes: names, synonyms, negatives and sentences, and those that cannot be used."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dhr.api.settings import run_settings
from dhr.api.values import from_text
from dhr.errors import ConfigError
from dhr.models.config import WssConfig
from dhr.models.words.texts import Word, phrase, prompts_of, sentences, words_of

NAMES = ("tv_monitor", "crane", "ねこ")


def refused(*words: str, **wss: Any) -> None:
    with pytest.raises(ConfigError) as found:
        words_of(NAMES, WssConfig(**wss))
    assert "\n" not in str(found.value)
    for word in words:
        assert word in str(found.value), found.value


def test_a_class_has_its_name_or_others() -> None:
    assert words_of(NAMES, WssConfig()) == (
        Word("tv_monitor", ("tv monitor",)),
        Word("crane", ("crane",)),
        Word("ねこ", ("ねこ",)),
    )
    given: Any
    for given, names, negatives in (
        ("crane bird", ("crane bird",), ()),
        (("crane bird", "heron", "crane  bird"), ("crane bird", "heron"), ()),
        ({"names": ("crane bird",), "not": ("hoist",)}, ("crane bird",), ("hoist",)),
        ({"not": "hoist"}, ("crane",), ("hoist",)),
    ):
        assert words_of(NAMES, WssConfig(words={"crane": given}))[1] == Word("crane", names, negatives)


def test_usual_words_give_way_to_those_of_the_settings() -> None:
    usual = {"crane": "crane bird", "ねこ": "cat"}
    found = words_of(NAMES, WssConfig(words={"crane": "hoist"}), usual)
    assert [one.names for one in found] == [("tv monitor",), ("hoist",), ("cat",)]


def test_words_that_cannot_be_used_are_one_line() -> None:
    refused("no class zebra", words={"zebra": "horse"})
    refused("crane", "empty name", words={"crane": ""})
    refused("crane", "empty name", words={"crane": ("bird", " _\u200b")})
    refused("crane", "empty list", words={"crane": ()})
    refused("crane", "'nots'", "`not`", words={"crane": {"nots": ("hoist",)}})
    refused("wss.prompt", "{}", prompt="a photo")
    refused("wss.prompt", "{}", prompt=("a {}", "a photo"))
    refused("wss.prompt", "empty list", prompt=())
    with pytest.raises(ConfigError, match="empty name"):
        words_of(["cat", "__"], WssConfig())


def test_settings_take_all_forms() -> None:
    words = {"a": "b", "c": ["d", "e"], "f": {"names": ["g"], "not": "h"}}
    found, _ = run_settings({"wss.words": words, "wss.prompt": ["{}", "a {}"]})
    assert found.wss.words == {"a": "b", "c": ("d", "e"), "f": {"names": ("g",), "not": "h"}}
    assert found.wss.prompt == ("{}", "a {}")
    with pytest.raises(ConfigError, match=r"wss\.words must be"):
        run_settings({"wss.words": {"a": 3}})


def test_a_list_on_the_command_line() -> None:
    hint = str | tuple[str, ...] | None
    assert from_text("a {}", hint) == "a {}" and from_text("null", hint) is None
    assert from_text("['a {}', '{}']", hint) == ("a {}", "{}")
    with pytest.raises(ValueError, match="stands in quotes"):
        from_text("[a {}, {}]", hint)


def test_sentences_are_those_of_the_kind() -> None:
    assert prompts_of(WssConfig(kind="clip")) == ("a clean origami {}.",)
    assert prompts_of(WssConfig(kind="sam3")) == ("{}",)
    assert prompts_of(WssConfig(kind="clipseg")) == ("a photo of a {}.",)
    assert prompts_of(WssConfig(kind="sam3", prompt="a {}")) == ("a {}",)
    assert sentences("{}", ("a {}", "{}")) == ("a {}", "{}")


@given(st.text(max_size=20))
def test_a_phrase_holds_no_separator_or_is_refused(text: str) -> None:
    try:
        found = phrase(text)
    except ConfigError as error:
        assert "\n" not in str(error)
        return
    assert found == found.strip() and found and not {*found} & {*".;,|/\n\t\r"}
    assert phrase(found) == found


def test_two_hundred_classes_have_their_words() -> None:
    names = [f"thing {index}" for index in range(200)]
    assert [word.names for word in words_of(names, WssConfig())] == [(name,) for name in names]
