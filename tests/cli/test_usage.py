"""Settings, help, and the one line that says what is wrong."""

import subprocess
import sys
from collections.abc import Callable
from importlib import import_module
from pathlib import Path
from typing import Any

import pytest
import timm
from safetensors.torch import save_file

import dhr as package
from dhr.api.settings import run_settings
from dhr.cli import call
from dhr.cli.table import COMMANDS
from dhr.job.settings import RunConfig
from dhr.method.config import PRESETS

CONFIGS = sorted(
    path for path in Path(__file__).parents[2].joinpath("configs").rglob("*.yaml") if path.parent.name != "rivals"
)


def settings_of(*arguments: str) -> tuple[RunConfig, str]:
    """Settings and preset that a call of ``dhr run`` would have."""
    command: Any = call(["run", "--data", "data", "--out", "out", *arguments])
    return run_settings(command.args[1].get("config", "default"))


def one_line(ended: Any, *words: str) -> None:
    assert ended.code == 2, ended
    assert ended.err.startswith("dhr: ") and ended.err.count("\n") == 1 and ended.err.endswith("\n"), ended.err
    for word in words:
        assert word in ended.err


# Settings


@pytest.mark.parametrize("path", CONFIGS, ids=lambda path: path.stem)
def test_every_yaml_that_we_ship_is_read(path: Path) -> None:
    config, preset = settings_of("--config", str(path))
    assert preset in PRESETS
    assert config != RunConfig(method=PRESETS[preset])


def test_there_are_yaml_files_to_test() -> None:
    assert CONFIGS


def test_without_settings_they_are_the_defaults() -> None:
    assert settings_of() == (RunConfig(), "default")
    assert settings_of("--preset", "paper") == (RunConfig(method=PRESETS["paper"]), "paper")


def test_the_command_line_comes_after_the_yaml_and_that_after_the_preset(tmp_path: Path) -> None:
    file = tmp_path / "a.yaml"
    file.write_text("preset: paper\nmethod: {tau: 0.6, rounds: 3}\nclassifier: {epochs: 5, scale: [0.5, 1]}\nseed: 7\n")
    config, preset = settings_of("--config", str(file), "--method.tau", "0.9", "--classifier.epochs=2")
    assert preset == "paper"
    assert config.method.combine == PRESETS["paper"].combine != PRESETS["default"].combine  # the preset's
    assert (config.method.rounds, config.seed, config.classifier.scale) == (3, 7, (0.5, 1.0))  # the file's
    assert (config.method.tau, config.classifier.epochs) == (0.9, 2)  # the command line's
    config, preset = settings_of("--method.tau", "0.9", "--config", str(file), "--preset", "default")
    assert (preset, config.method.combine) == ("default", PRESETS["default"].combine)
    assert (config.method.rounds, config.method.tau) == (3, 0.9)  # wherever the file is named


def test_files_named_in_a_yaml_are_looked_for_from_its_folder(tmp_path: Path) -> None:
    file = tmp_path / "deep" / "a.yaml"
    file.parent.mkdir()
    file.write_text("wss: {weights: ../w.safetensors}\nuss: {weights: /abs/u.pt}\nclassifier: {file: c.safetensors}\n")
    config, _ = settings_of("--config", str(file))
    assert Path(config.wss.weights) == file.parent / ".." / "w.safetensors"
    assert config.uss.weights == "/abs/u.pt"
    assert config.classifier.file == file.parent / "c.safetensors"
    config, _ = settings_of("--config", str(file), "--wss.weights", "here.pt", "--classifier.file", "mine.safetensors")
    assert config.wss.weights == "here.pt"
    assert config.classifier.file == Path("mine.safetensors")
    file.write_text("wss.weights: w.pt\nmethod.tau: 0.4\n")
    config, _ = settings_of("--config", str(file))
    assert (Path(config.wss.weights), config.method.tau) == (file.parent / "w.pt", 0.4)
    file.write_text("wss: {weights: none}\nuss: {weights: hub}\n")
    config, _ = settings_of("--config", str(file))
    assert (config.wss.weights, config.uss.weights) == ("none", "hub")


@pytest.mark.parametrize(
    ("content", "word"),
    [
        ("methid: {tau: 1}", "methid"),
        ("method: {tua: 0.5}", "tua"),
        ("method: {tau: high}", "tau"),
        ("method: 3", "method"),
        ("method: [1]", "method"),
        ("method:", "method"),
        ("classifier: {epochs: 1.5}", "epochs"),
        ("wss: {scales: 1}", "scales"),
        ("preset: papre", "papre"),
        ("preset: [paper]", "paper"),
        ("- a\n- b", "name: value"),
        ("just text", "name: value"),
        ("a: [", "YAML"),
        ("a: \x00", "YAML"),
    ],
)
def test_a_yaml_that_cannot_be_used_is_refused(content: str, word: str, fresh: Any, dhr: Any, tmp_path: Path) -> None:
    file = tmp_path / "settings.yaml"
    file.write_text(content)
    ended = dhr(fresh.run("--config", str(file)))
    assert ended.code == 2
    assert word in ended.err and "Traceback" not in ended.err
    assert not fresh.out.exists()


@pytest.mark.parametrize(
    ("yaml", "options", "new"),
    [
        ("train: {epochs: 3}", ("--train.epochs", "3"), "classifier"),
        ("train.epochs: 3", ("--train.epochs=3",), "classifier.epochs"),
        ("joint: {steps: 3}", ("--joint.steps", "3"), "student_training"),
        ("classifier: c.safetensors", ("--classifier", "c.safetensors"), "classifier.file"),
    ],
)
def test_old_names_of_settings_are_refused_with_the_new_one(
    yaml: str, options: tuple[str, ...], new: str, fresh: Any, dhr: Any, tmp_path: Path
) -> None:
    one_line(dhr(fresh.run(*options)), options[0].partition("=")[0], f"is now called --{new.replace('_', '-')}")
    (tmp_path / "settings.yaml").write_text(yaml + "\n")
    for command in (fresh.run(), ["train", *fresh.run()[1:]], ["features", "--data", "d", "--features", "f"]):
        one_line(dhr([*command, "--config", str(tmp_path / "settings.yaml")]), f"is now called {new}")
    assert not fresh.out.exists()


def test_a_yaml_that_is_not_there_is_one_line(fresh: Any, dhr: Any, tmp_path: Path) -> None:
    one_line(dhr(fresh.run("--config", "nowhere.yaml")), "--config", "nowhere.yaml")
    one_line(dhr(fresh.run("--config", str(tmp_path))), "--config", "it is a folder")
    one_line(dhr(fresh.run("--config", "a.yaml", "--config", "b.yaml")), "--config", "once")
    (tmp_path / "latin.yaml").write_bytes(b"# caf\xe9\n")
    one_line(dhr(fresh.run("--config", str(tmp_path / "latin.yaml"))), "latin.yaml")


@pytest.mark.parametrize(
    "arguments",
    [
        ("--preset", "papre"),
        ("--seed", "-1"),
        ("--seed", str(2**70)),
        ("--classifier.epochs", "-1"),
        ("--classifier.crop", "16"),
        ("--classifier.lr", "nan"),
        ("--classifier.head-lr", "inf"),
        ("--classifier.scale", "[2, 1]"),
        ("--classifier.workers", "-1"),
        ("--method.tau", "2"),
        ("--method.combine", "sum"),
        ("--boundary.kind", "densecrf"),
        ("--image.long-side", "8"),
        ("--wss.output-stride", "5"),
        ("--wss.scales", "[]"),
        ("--wss.kind", "clip"),
        ("--wss.backbone", "resnet_of_nobody"),
        ("--uss.kind", "nothing"),
        ("--device", "abacus"),
        ("--device", "cuda:77"),
        ("--no-such-setting", "1"),
        ("--classifier.epochs",),
    ],
)
def test_settings_that_cannot_work_are_refused(arguments: tuple[str, ...], fresh: Any, dhr: Any) -> None:
    ended = dhr(fresh.run(*arguments))
    one_line(ended)
    name, *values = arguments
    assert any(word in ended.err for word in (name.lstrip("-"), name.rpartition(".")[2], *values))  # it says which
    assert not (fresh.out / "run.json").exists()


def test_settings_that_were_refused_do_not_stand_in_the_way(fresh: Any, dhr: Any) -> None:
    assert dhr(fresh.run("--wss.kind", "clip")).code == 2
    assert dhr(fresh.run()).code == 0


def test_a_training_that_diverges_is_one_line(fresh: Any, dhr: Any) -> None:
    ended = dhr(fresh.run("--classifier.lr", "1e30", "--classifier.head-lr", "1e30", "--classifier.epochs", "4"))
    one_line(ended, "diverged", "--classifier.lr")


# Weights


@pytest.fixture
def weights(tmp_path: Path) -> Callable[[str], str]:
    def write(model: str) -> str:
        path = tmp_path / f"{model}.safetensors"
        save_file(timm.create_model(model, pretrained=False).state_dict(), path)
        return str(path)

    return write


@pytest.mark.parametrize("setting", ["--wss.weights", "--uss.weights", "--classifier.file"])
def test_weights_that_are_missing_or_damaged_are_one_line(
    setting: str, fresh: Any, dhr: Any, weights: Callable[[str], str], tmp_path: Path
) -> None:
    more = ("--uss.kind", "timm", "--uss.model", "test_vit") if setting == "--uss.weights" else ()
    one_line(dhr(fresh.run(*more, setting, "nowhere.safetensors")), setting, "nowhere.safetensors")
    whole = Path(weights("test_resnet")).read_bytes()
    for number, content in enumerate((b"", b"not weights", whole[:1000], whole[: len(whole) // 2])):
        bad = tmp_path / f"bad{number}.safetensors"
        bad.write_bytes(content)
        one_line(dhr(fresh.run(*more, setting, str(bad))), setting, str(bad))
    one_line(dhr(fresh.run(*more, setting, str(tmp_path))), setting)


def test_weights_of_another_architecture_are_one_line(fresh: Any, dhr: Any, weights: Callable[[str], str]) -> None:
    one_line(dhr(fresh.run("--wss.weights", weights("test_vit"))), "another architecture", "'test_resnet'")
    one_line(dhr(fresh.run("--classifier.file", weights("test_resnet"))), "--classifier.file", "classes")


def test_a_classifier_of_other_classes_is_one_line(finished: Any, dhr: Any, new_case: Any, tmp_path: Path) -> None:
    names = (finished.data / "classes.txt").read_text()
    (finished.data / "classes.txt").write_text(names + "unicorn\n")
    case = new_case(finished.data, tmp_path / "second")
    one_line(
        dhr(case.run("--classifier.file", str(finished.out / "classifier.safetensors"))), "trained for the classes"
    )
    (finished.data / "classes.txt").write_text(names)
    run = case.run("--classifier.file", str(finished.out / "classifier.safetensors"), "--wss.backbone", "test_resnet2")
    one_line(dhr([*run, "--wss.backbone", "test_convnext"]), "--classifier.file")


# Help


def test_help_and_version(dhr: Any) -> None:
    assert dhr(["--version"]).out == f"dhr {package.__version__}\n"
    text = dhr(["--help"])
    assert text.code == 0 and dhr([]) == text
    assert all(text.out.count(f"dhr {command} ") == 1 for command in COMMANDS)


@pytest.mark.parametrize(
    "command",
    [
        ["walk"],
        ["run"],
        ["evaluate"],
        ["run", "--data"],
        ["run", "photos"],
        ["run", r"--seed\1=3"],
        ["settings", r"--a\q"],
    ],
)
def test_wrong_usage_is_one_line(command: list[str], dhr: Any) -> None:
    one_line(dhr(command))


def test_what_is_missing_is_named_as_it_is_typed(dhr: Any) -> None:
    one_line(dhr(["predict", "--images", "new"]), "--student, --out are missing", "dhr predict --help")
    one_line(dhr(["evaluate", "--masks", "m", "--split", "val"]), "--split", "--data DIR")


@pytest.mark.parametrize(
    ("arguments", "near"),
    [
        (("evalute",), "did you mean evaluate?"),
        (("rum",), "did you mean run?"),
        (("-q", "run"), "write options after it"),
        (("run", "--hlp"), "did you mean --help?"),
        (("run", "--redo", "survy"), "did you mean survey?"),
        (("run", "--classifier.epoch", "3"), "did you mean --classifier.epochs?"),
        (("run", "--tau", "3"), "did you mean --method.tau?"),
        (("run", "--image.long_side", "64"), "--image.long_side is now called --image.long-side"),
        (("evaluate", "--pred", "a"), "--pred is now called --masks"),
        (("uss", "train"), "dhr uss is now called dhr train-head"),
        (("run", "--stages", "false"), "--stages takes no value: write --stages or --no-stages"),
        (("run", "--no-recursion=true"), "--no-recursion takes no value"),
    ],
)
def test_what_was_meant_is_suggested(arguments: tuple[str, ...], near: str, dhr: Any) -> None:
    one_line(dhr(arguments), near)


def test_the_nearest_setting_of_a_yaml_is_suggested(dhr: Any, fresh: Any, tmp_path: Path) -> None:
    (tmp_path / "a.yaml").write_text("method: {tua: 0.5}\n")
    one_line(dhr(fresh.run("--config", str(tmp_path / "a.yaml"))), "a.yaml", "did you mean method.tau?")


def test_a_setting_is_named_as_it_was_typed(dhr: Any, fresh: Any) -> None:
    one_line(dhr(fresh.run("--image.long-side", "8")), "dhr: --image.long-side must be 32 or more")


def test_commands_that_need_no_network_import_none() -> None:
    code = """
import sys
from dhr.cli import call
from dhr.cli.table import COMMANDS
from dhr.cli.help import help_of
from dhr.cli.table import COMMANDS
call(["evaluate", "--data", "a", "--masks", "b"])
call(["inspect", "--data", "a"])
call(["export", "--data", "a", "--masks", "b", "--to", "png", "--out", "c"])
call(["run", "--data", "a", "--out", "b", "--method.tau", "0.7"])
call(["train", "--data", "a", "--out", "b"])
assert all(help_of(command, whole=True) for command in COMMANDS.values())
print([name for name in ("torch", "timm", "numba", "matplotlib", "transformers", "datasets") if name in sys.modules])
import dhr
assert callable(dhr.rebalance) and set(dhr.__all__) <= set(dir(dhr)) and "torch" in sys.modules
import dhr.evaluate.run
assert callable(dhr.evaluate) and callable(dhr.train) and callable(dhr.models)
assert not hasattr(dhr, "nothing")
"""
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert found.stdout == "[]\n"


@pytest.mark.parametrize("arguments", [["--preset", "x"], ["--method.tau", "2"], ["--student.kind", "mask2former"]])
def test_what_can_be_refused_at_once_needs_no_pytorch(arguments: list[str], tmp_path: Path) -> None:
    code = (
        "import sys; from dhr.cli import main; code = main(sys.argv[1:]); "
        "assert 'torch' not in sys.modules; sys.exit(code)"
    )
    call = ["train", "--data", str(tmp_path), "--out", "out", *arguments]
    ended = subprocess.run([sys.executable, "-c", code, *call], capture_output=True, text=True, check=False)
    assert ended.returncode == 2 and ended.stderr.startswith("dhr: ") and ended.stderr.count("\n") == 1, ended.stderr


def test_the_module_can_be_run() -> None:
    found = subprocess.run([sys.executable, "-m", "dhr", "--version"], capture_output=True, text=True, check=True)
    assert found.stdout == f"dhr {package.__version__}\n"
    bad = subprocess.run(
        [sys.executable, "-m", "dhr", "run", "--data", "nowhere", "--out", "nowhere-too"],
        capture_output=True,
        text=True,
        check=False,
    )
    assert bad.returncode == 2
    assert bad.stderr.count("\n") == 1 and "nowhere" in bad.stderr


def test_an_interruption_is_told(fresh: Any, dhr: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupt(*_: Any, **__: Any) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(import_module("dhr.job.run"), "run", interrupt)
        ended = dhr(fresh.run())
    assert ended.code == 130
    assert ended.err.count("\n") == 1 and "interrupted" in ended.err
