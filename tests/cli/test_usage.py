"""Settings, help, and the one line that says what is wrong."""

import re
import subprocess
import sys
from collections.abc import Callable
from dataclasses import fields
from pathlib import Path
from typing import Any

import pytest
import timm
from safetensors.torch import save_file

import dhr as package
from dhr.cli.parser import parse
from dhr.job.settings import RunConfig
from dhr.method.config import PRESETS

CONFIGS = sorted(Path(__file__).parents[2].joinpath("configs").rglob("*.yaml"))


def settings_of(*arguments: str) -> tuple[RunConfig, str]:
    """Settings and preset that a call of ``dhr run`` would have."""
    command: Any = parse(["run", "--data", "data", "--out", "out", *arguments])
    *_, config, preset = command.args
    assert isinstance(config, RunConfig)
    return config, preset


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
    one_line(dhr(fresh.run(*options)), options[0].partition("=")[0], f"is now called --{new}")
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
        ("--classifier.epochs", "0"),
        ("--classifier.crop", "16"),
        ("--classifier.lr", "nan"),
        ("--classifier.head_lr", "inf"),
        ("--classifier.scale", "[2, 1]"),
        ("--classifier.workers", "-1"),
        ("--method.tau", "2"),
        ("--method.combine", "sum"),
        ("--boundary.kind", "densecrf"),
        ("--image.long_side", "8"),
        ("--wss.output_stride", "5"),
        ("--wss.scales", "[]"),
        ("--wss.kind", "clip"),
        ("--wss.backbone", "resnet_of_nobody"),
        ("--uss.kind", "nothing"),
        ("--device", "abacus"),
        ("--device", "cuda:77"),
        ("--no_such_setting", "1"),
        ("--classifier.epochs",),
    ],
)
def test_settings_that_cannot_work_are_refused(arguments: tuple[str, ...], fresh: Any, dhr: Any) -> None:
    ended = dhr(fresh.run(*arguments))
    assert ended.code == 2, ended
    assert "Traceback" not in ended.err
    name, *values = arguments
    assert any(word in ended.err for word in (name.lstrip("-"), name.rpartition(".")[2], *values))  # it says which
    assert not (fresh.out / "run.json").exists()
    assert dhr(fresh.run()).code == 0 if arguments[0] == "--wss.kind" else True  # nothing stands in the way


def test_a_training_that_diverges_is_one_line(fresh: Any, dhr: Any) -> None:
    ended = dhr(fresh.run("--classifier.lr", "1e30", "--classifier.head_lr", "1e30", "--classifier.epochs", "4"))
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
    assert text.code == 0
    assert all(text.out.count(command) == 1 for command in ("dhr run", "dhr evaluate", "dhr demo"))


@pytest.mark.parametrize("command", [[], ["walk"], ["run"], ["evaluate"], ["run", "--data"]])
def test_wrong_usage_ends_with_code_2(command: list[str], dhr: Any) -> None:
    ended = dhr(command)
    assert ended.code == 2
    assert "Traceback" not in ended.err and "dhr" in ended.err


def test_what_is_missing_is_named_as_it_is_typed(dhr: Any) -> None:
    ended = dhr(["predict", "--images", "new"])
    assert ended.code == 2 and ended.err.startswith("usage: dhr predict --student FILE")
    assert "run: dhr predict --help" in ended.err and "required: --student, --out\n" in ended.err
    assert "dhr inspect" in dhr([]).err  # the manual


def test_help_of_run_says_what_one_needs_to_know(dhr: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "100")
    ended = dhr(["run", "--help"])
    assert ended.code == 0
    for word in ("images/", "tags.csv", "classes.txt", "splits/", "masks/", "report.html", "run.json", "exit codes"):
        assert word in ended.out
    assert re.search(r"0 all done.*1 done.*2 nothing.*130 interrupted", ended.out, re.DOTALL)
    for field in fields(RunConfig):
        assert f"--{field.name}" in ended.out
        part = getattr(RunConfig(), field.name)
        for setting in fields(part) if hasattr(part, "__dataclass_fields__") else ():
            assert f"--{field.name}.{setting.name}" in ended.out
    ours = ended.out.split("options:")[0] + ended.out[ended.out.index("examples:") :]
    assert all(len(line) <= 100 for line in ours.splitlines())


@pytest.mark.parametrize("command", ["evaluate", "demo"])
def test_help_of_the_others(command: str, dhr: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "100")
    ended = dhr([command, "--help"])
    assert all(len(line) <= 100 for line in ended.out.splitlines())
    assert ended.code == 0 and f"dhr {command}" in ended.out


def test_commands_that_need_no_network_import_none() -> None:
    code = """
import sys
from dhr.cli.parser import parse
parse(["evaluate", "--data", "a", "--pred", "b"])
parse(["inspect", "--data", "a"])
parse(["export", "--data", "a", "--pred", "b", "--to", "png", "--out", "c"])
print([name for name in ("torch", "timm", "matplotlib", "transformers", "datasets") if name in sys.modules])
import dhr
assert callable(dhr.rebalance) and set(dhr.__all__) <= set(dir(dhr)) and "torch" in sys.modules
assert not hasattr(dhr, "nothing")
"""
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert found.stdout == "[]\n"


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
    from dhr import job

    def interrupt(*_: Any, **__: Any) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(job, "run", interrupt)
        ended = dhr(fresh.run())
    assert ended.code == 130
    assert ended.err.count("\n") == 1 and "interrupted" in ended.err
