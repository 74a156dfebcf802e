"""Files of settings from anybody: what could grow, or never end, is refused in one line before it is read."""

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from dhr.api.settings_file import read_settings
from dhr.errors import ConfigError
from dhr.plain_yaml import check_yaml, parse_yaml

BOMB = "a: &a0 [x, x]\n" + "".join(f"b{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 9)}]\n" for n in range(1, 9))

HOSTILE = {
    "aliases": (BOMB + "wss: *a8\n", "aliases such as"),
    "aliases under a name that is no setting": (BOMB, "aliases such as"),
    "an anchor that holds itself": ("wss: &a {options: *a}\n", "aliases such as"),
    "merged keys": ("a: &a {x: 1}\nwss: {<<: *a}\n", "aliases such as"),
    "a number of 5,000 digits": (f"classifier: {{epochs: {'9' * 5000}}}\n", "a number of over 100 digits"),
    "a number in base 60": (f"seed: 1{':59' * 5000}\n", "a number of over 100 digits"),
    "a hexadecimal number": (f"seed: 0x{'f' * 5000}\n", "a number of over 100 digits"),
    "brackets": ("wss: " + "[" * 20_000, "nest"),
    "braces": ("wss: " + "{a: " * 20_000, "nest"),
    "lists": ("".join(f"{'  ' * n}-\n" for n in range(300)), "nested over 20 deep"),
    "a month that is none": ("seed: 2020-13-45\n", "month"),
    "an object": ("wss: !!python/object/apply:os.mkdir [executed]\n", "could not determine a constructor"),
    "a tag": ("wss: !!set {a, b}\n", ""),
    "a section twice": (
        "classifier: {epochs: 3}\nseed: 1\nclassifier: {crop: 64}\n",
        "line 3: the key 'classifier' occurs twice",
    ),
    "a key twice in a section": ("wss:\n  weights: none\n  weights: hub\n", "line 3: the key 'weights' occurs twice"),
    "a key twice in braces": ("wss: [{a: [b], a: 2}]\n", "the key 'a' occurs twice"),
    "a key that is a list": ("? [a, b]\n: 1\n", "unhashable"),
    "control characters": ("a: \0\n", "control characters"),
    "no text": (b"\xff\xfe\xfa", "invalid start byte"),
}


@pytest.mark.parametrize("name", HOSTILE)
def test_what_could_grow_is_refused(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    content, said = HOSTILE[name]
    path = tmp_path / "settings.yaml"
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    try:
        read_settings(path)
    except ConfigError as error:
        assert said in str(error) and len(str(error).splitlines()) == 1
    else:
        assert not said
    assert sorted(one.name for one in tmp_path.iterdir()) == ["settings.yaml"]


def test_what_is_no_small_file_is_refused_before_it_is_read(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "sparse").write_bytes(b"")
    os.truncate(tmp_path / "sparse", 10**12)
    for path, said in ((tmp_path / "pipe", "named pipe"), (Path("/dev/zero"), "device"), (tmp_path / "sparse", "MB")):
        with pytest.raises(ConfigError, match=said):
            read_settings(path)


PARTS = "a|:|- |[|]|{|}|,|&x |*x|? |!!int |!!float |!!binary |<<|1|e9|0x|1:2|2020-01-32|~|'|\"|>|#|.inf|_"


@settings(max_examples=300, deadline=None)
@given(st.lists(st.sampled_from([*PARTS.split("|"), "|", " ", "\n", "  ", "%YAML 1.1\n", "---\n"]), max_size=25))
def test_any_text_is_read_or_refused_in_one_line(parts: list[str]) -> None:
    for reader in (check_yaml, parse_yaml):
        try:
            reader("".join(parts))
        except ValueError as error:
            assert len(str(error).splitlines()) <= 1


@given(
    st.dictionaries(
        st.from_regex(r"[a-z]{1,8}", fullmatch=True),
        st.integers(-(10**9), 10**9) | st.booleans() | st.lists(st.integers(0, 9), max_size=3) | st.just("abc"),
        min_size=1,
        max_size=4,
    )
)
def test_plain_settings_come_back(value: dict[str, Any]) -> None:
    assert parse_yaml(yaml.safe_dump(value)) == value


@pytest.mark.parametrize("name", ["aliases", "an anchor that holds itself", "a number of 5,000 digits", "brackets"])
@pytest.mark.parametrize("command", ["run", "train", "features", "train-head"])
def test_every_command_refuses_it_before_large_things_are_imported(command: str, name: str, tmp_path: Path) -> None:
    path = tmp_path / "settings.yaml"
    path.write_text(str(HOSTILE[name][0]))
    code = (
        "import sys; from dhr.cli import main; code = main(sys.argv[1:]); "
        "assert 'torch' not in sys.modules; sys.exit(code)"
    )
    arguments = [
        *command.split(),
        "--config",
        str(path),
        "--data",
        "d",
        "--features" if command == "features" else "--out",
        "o",
    ]
    ended = subprocess.run([sys.executable, "-c", code, *arguments], capture_output=True, text=True, check=False)
    assert ended.returncode == 2, ended.stderr
    assert ended.stderr.startswith(f"dhr: --config: {path} is not a YAML file of settings (")
    assert len(ended.stderr.splitlines()) == 1


@pytest.mark.parametrize("value", ["{a: &x 1, b: *x}", "[" * 200, "9" * 200])
def test_the_command_line_is_no_way_around(value: str, dhr: Any, fresh: Any) -> None:
    ended = dhr([*fresh.run(), "--wss.options", value])
    assert ended.code == 2
    assert "Traceback" not in ended.err


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("wss: {1: 2}\n", ""),
        ("wss: {options: {1: 2}}\n", ""),
        ("{1: 2}\n", "must hold settings"),
        ("null: 3\n", "must hold settings"),
        ("config: other.yaml\n", "names another file of settings"),
        ("method:\n", "method must hold settings"),
        ("- a\n", "must hold settings"),
        ("wss: {scales: {a: 1}}\n", ""),
        ("classifier: {epochs: 1e400}\n", ""),
        ("seed: [1]\n", ""),
    ],
)
def test_values_of_other_kinds_are_refused(text: str, said: str, dhr: Any, fresh: Any, tmp_path: Path) -> None:
    (tmp_path / "settings.yaml").write_text(text)
    ended = dhr([*fresh.run(), "--config", str(tmp_path / "settings.yaml")])
    assert ended.code == 2
    assert said in ended.err and "Traceback" not in ended.err
