"""Whole runs: what they write, what they leave alone, and when they refuse."""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors import safe_open
from safetensors.torch import load_file, save_file

import dhr as package
from dhr import job
from dhr.data import FolderDataSet
from dhr.job.settings import RunConfig, differences
from dhr.models.uss import UssConfig
from dhr.models.wss import WssConfig
from dhr.train.config import ClassifierConfig

CONFIG = RunConfig(
    wss=WssConfig(backbone="test_resnet", weights="none", scales=(1.0,)),
    classifier=ClassifierConfig(epochs=2, batch=3, crop=32),
    uss=UssConfig(kind="colour", weights="none", scales=(1.0,)),
)


def stamps(folder: Path) -> dict[str, tuple[int, int, int]]:
    """What changes when somebody writes a file, or puts another in its place."""
    found = {path.relative_to(folder).as_posix(): path.lstat() for path in sorted(folder.rglob("*"))}
    return {name: (stat.st_mtime_ns, stat.st_size, stat.st_ino) for name, stat in found.items()}


def one_line(ended: Any, *words: str) -> None:
    """Assert that a call failed as it should: code 2, and one line on stderr that says what is wrong."""
    assert ended.code == 2, ended
    assert ended.err.startswith("dhr: ") and ended.err.count("\n") == 1 and ended.err.endswith("\n"), ended.err
    for word in words:
        assert word in ended.err


# What comes out


def test_masks_have_the_size_and_the_tags_of_their_photographs(finished: Any, labels: Any) -> None:
    data = FolderDataSet(finished.data)
    assert [sample.name for sample in data.samples][-1].startswith("trip/")
    for sample in data.samples:
        mask = labels(finished.out / "masks" / f"{sample.name}.png")
        assert mask.shape == data.read_image(sample).shape[:2]
        assert set(np.unique(mask)) <= set(sample.tags)
        for stage in ("cam", "seed", "inter", "intra"):
            assert labels(finished.out / "stages" / stage / f"{sample.name}.png").shape == mask.shape
        with np.load(finished.out / "cams" / f"{sample.name}.npz") as cams:
            assert cams["classes"].tolist() == list(sample.tags)
            assert cams["cams"].dtype == np.float16 and len(cams["cams"]) == len(sample.tags)
            assert cams["cams"].min() >= 0 and cams["cams"].max() <= 1


def test_run_json_says_what_was_done(finished: Any) -> None:
    record = finished.record()
    assert record["status"] == "finished"
    assert record["dhr"] == package.__version__
    assert record["preset"] == "default"
    assert record["seed"] == 0
    table = FolderDataSet(finished.data).classes
    assert (record["classes"], record["background"]) == (list(table.names), table.background)
    assert record["settings"]["wss"]["backbone"] == "test_resnet"
    assert record["settings"]["classifier"]["epochs"] == 2
    assert record["versions"]["torch"] == torch.__version__.split("+")[0]
    assert {"python", "torch", "torchvision", "timm", "numpy", "pillow"} <= set(record["versions"])
    assert [stage["name"] for stage in record["stages"]] == ["models", "scan", "classifier", "survey", "masks"]
    assert all(stage["seconds"] > 0 and stage["peak_memory_mb"] > 50 for stage in record["stages"])
    assert record["seconds"] == pytest.approx(sum(stage["seconds"] for stage in record["stages"]), abs=0.01)
    assert record["counts"]["photographs"] == record["counts"]["masks"] == 5
    assert record["counts"]["skipped"] == 0 and record["skipped"] == []


def test_records_describe_their_masks(finished: Any, labels: Any) -> None:
    names = (finished.data / "classes.txt").read_text().splitlines()
    vanished = 0
    for path in (finished.out / "items").rglob("*.json"):
        item = json.loads(path.read_bytes())
        mask = labels(finished.out / "masks" / path.relative_to(finished.out / "items").with_suffix(".png"))
        assert (item["height"], item["width"]) == mask.shape
        assert 0 <= item["quality"] <= 1
        for name, share in item["ratios"].items():
            assert share == pytest.approx((mask == names.index(name)).mean(), abs=1e-5)
        assert item["vanished"] == [tag for tag in item["tags"] if not (mask == names.index(tag)).any()]
        vanished += bool(item["vanished"])
    assert finished.record()["counts"]["with a vanished class"] == vanished


def test_a_background_class_is_in_masks_with_the_tags_only(fresh: Any, dhr: Any, labels: Any) -> None:
    lines = [line.split(",") for line in (fresh.data / "tags.csv").read_text().splitlines()[1:]]
    kept = [(name, tags.split(";")[0]) for name, tags in lines]  # the rest is background now
    names = ["background", *sorted({tag for _, tag in kept})]
    (fresh.data / "tags.csv").write_text("image,tags\n" + "".join(f"{name},{tag}\n" for name, tag in kept))
    (fresh.data / "classes.txt").write_text("\n".join(names))
    assert dhr(fresh.run("--method.background-level", "0.6")).code == 0
    for name, tag in kept:
        found = set(np.unique(labels(fresh.out / "masks" / name)).tolist())
        assert 0 in found and found <= {0, names.index(tag)}


def test_doubtful_pixels_are_void_in_masks_to_train_on(
    finished: Any, dhr: Any, new_case: Any, labels: Any, tmp_path: Path
) -> None:
    case = new_case(finished.data, tmp_path / "doubtful")
    arguments = case.run("--classifier.file", finished.out / "classifier.safetensors", "--doubtful", "0.7")
    assert dhr(arguments).code == 0
    masks = {path.relative_to(case.out / "masks"): path for path in (case.out / "masks").rglob("*.png")}
    void = []
    for name, path in masks.items():
        whole, sure = labels(path), labels(case.out / "training_masks" / name)
        assert (whole == labels(finished.out / "masks" / name)).all()  # which themselves are as they were
        assert (sure[sure != 255] == whole[sure != 255]).all()
        void.append((sure == 255).mean())
    assert 0 < np.mean(void) < 1

    first = next(iter(masks))
    (case.out / "training_masks" / first).unlink()
    assert dhr(arguments).code == 0
    assert (case.out / "training_masks" / first).is_file()


def test_shares_that_are_known_are_used(finished: Any, dhr: Any, new_case: Any, tmp_path: Path) -> None:
    """A class that is said to be large gets more than one that is said to be small."""
    names = [name for name in (finished.data / "classes.txt").read_text().split() if name != "background"]
    found = []
    for index, large in enumerate(("10.0", "0.1")):
        case = new_case(finished.data, tmp_path / str(index))
        prior = json.dumps({names[0]: float(large), names[1]: 1.0})
        arguments = ("--classifier.file", finished.out / "classifier.safetensors", "--method.marginal", "prior")
        assert dhr(case.run(*arguments, "--method.prior", prior)).code == 0
        items = [json.loads(path.read_bytes()) for path in (case.out / "items").rglob("*.json")]
        found.append(np.mean([item["ratios"][names[0]] for item in items if names[0] in item["tags"]]))
    assert found[0] > 1.2 * found[1]


def test_what_is_not_a_number_is_reported_and_skipped(finished: Any, dhr: Any, new_case: Any, tmp_path: Path) -> None:
    """Weights that are finite, of a network that makes infinity of them."""
    weights = load_file(finished.out / "classifier.safetensors")
    broken = {
        name: torch.full_like(value, 3e38) if value.is_floating_point() else value for name, value in weights.items()
    }
    with safe_open(finished.out / "classifier.safetensors", "pt") as file:
        save_file(broken, tmp_path / "broken.safetensors", file.metadata())
    case = new_case(finished.data, tmp_path / "other")
    ended = dhr(case.run("--classifier.file", tmp_path / "broken.safetensors"))
    assert ended.code == 1
    record = case.record()
    assert record["counts"]["masks"] == 0
    assert len(record["skipped"]) == 5
    assert all("hold NaN or infinity" in str(problem) for problem in record["skipped"])


def test_a_classifier_of_no_numbers_is_refused(finished: Any, dhr: Any, new_case: Any, tmp_path: Path) -> None:
    weights = load_file(finished.out / "classifier.safetensors")
    weights["classifier.weight"][0] = float("nan")
    with safe_open(finished.out / "classifier.safetensors", "pt") as file:
        save_file(weights, tmp_path / "broken.safetensors", file.metadata())
    case = new_case(finished.data, tmp_path / "other")
    ended = dhr(case.run("--classifier.file", tmp_path / "broken.safetensors"))
    assert ended.code == 2
    assert "classifier.weight holds NaN or infinity" in ended.err and len(ended.err.splitlines()) == 1
    assert not (case.out / "masks").exists()


def test_every_boundary_can_end_a_run(finished: Any, dhr: Any, new_case: Any, labels: Any, tmp_path: Path) -> None:
    """On the classifier of another run, so only the correction differs."""
    masks = {}
    for kind in ("crf", "pamr", "random_walk", "none"):
        case = new_case(finished.data, tmp_path / kind)
        options = ("--classifier.file", finished.out / "classifier.safetensors", "--boundary.kind", kind)
        assert dhr(case.run(*options)).code == 0
        paths = sorted((case.out / "masks").glob("*.png"))
        assert len(paths) == len(list((finished.out / "masks").glob("*.png")))
        masks[kind] = b"".join(labels(path).tobytes() for path in paths)
    assert len(set(masks.values())) == 4


def test_the_same_seed_gives_the_same_bytes_and_another_seed_another_classifier(
    finished: Any, dhr: Any, made: Any, new_case: Any, tmp_path: Path
) -> None:
    assert dhr(new_case(finished.data, tmp_path / "again").run()).code == 0
    first, again = made(finished.out), made(tmp_path / "again")
    assert first.keys() == again.keys()
    assert all(first[name] == again[name] for name in first if not name.startswith("items/"))
    assert dhr(new_case(finished.data, tmp_path / "other").run("--seed", "1")).code == 0
    assert made(tmp_path / "other")["classifier.safetensors"] != first["classifier.safetensors"]


def test_a_run_in_another_process_gives_the_same_bytes(finished: Any, forks: Any, made: Any, new_case: Any) -> None:
    case = new_case(finished.data, finished.out.with_name("elsewhere"))
    assert forks(case.run()).code == 0
    first, again = made(finished.out), made(case.out)
    assert all(first[name] == again[name] for name in first if not name.startswith("items/"))


def test_a_classifier_of_another_run_is_used_and_not_trained(
    finished: Any, dhr: Any, made: Any, new_case: Any, tmp_path: Path
) -> None:
    case = new_case(finished.data, tmp_path / "second")
    trained = finished.out / "classifier.safetensors"
    assert dhr(case.run("--classifier.file", str(trained))).code == 0
    assert not (case.out / "classifier.safetensors").exists()
    first, second = made(finished.out), made(case.out)
    assert {name for name in first if name.startswith("masks/")} <= set(second)
    assert all(second[name] == first[name] for name in second if name.startswith("masks/"))


def test_no_stages_are_kept_where_none_are_wanted(fresh: Any, dhr: Any, contents: Any) -> None:
    assert dhr(fresh.run("--no-stages")).code == 0
    folders = {name.split("/")[0] for name in contents(fresh.out)}
    assert "masks" in folders and not {"stages", "cams"} & folders


# What is left alone


def test_truth_does_not_matter_to_a_run(finished: Any, dhr: Any, made: Any, new_case: Any, tmp_path: Path) -> None:
    for number, path in enumerate(sorted((finished.data / "truth").rglob("*.png"))):
        path.write_bytes(b"nothing that anybody could read" * number)
    case = new_case(finished.data, tmp_path / "with garbage")
    assert dhr(case.run()).code == 0
    first, second = made(finished.out), made(case.out)
    assert all(first[name] == second[name] for name in first if not name.startswith("items/"))


def opened(trace: tuple[str, ...], folder: Path) -> list[str]:
    return [line for line in trace if line.startswith(f"open {folder}")]


def test_a_run_opens_no_truth_and_no_socket_and_evaluate_opens_truth(fresh: Any, forks: Any) -> None:
    ran = forks(fresh.run(), watch="audit")
    assert ran.code == 0, ran.err
    assert len(opened(ran.trace, fresh.data / "images")) >= 5  # the watch works
    assert not opened(ran.trace, fresh.data / "truth")
    scored = forks(fresh.evaluate(), watch="audit")
    assert scored.code == 0, scored.err
    assert len(opened(scored.trace, fresh.data / "truth")) >= 5
    for trace in (ran.trace, scored.trace):
        sockets = [line for line in trace if line.startswith("socket.")]
        assert len(sockets) == 1 and sockets == list(trace[:1])  # the watch's own, which shows that it works


def test_inputs_are_not_altered(fresh: Any, dhr: Any, contents: Any) -> None:
    before = contents(fresh.data), stamps(fresh.data)
    assert dhr(fresh.run()).code == 0
    assert dhr(fresh.evaluate()).code == 0
    assert (contents(fresh.data), stamps(fresh.data)) == before


def test_a_finished_run_called_again_changes_nothing(finished: Any, dhr: Any) -> None:
    before = stamps(finished.out)
    ended = dhr(finished.run())
    assert ended.code == 0
    assert stamps(finished.out) == before
    assert "classifier:" not in ended.out and "masks:" not in ended.out  # no progress of either
    assert "5 of the masks were there already" in ended.out


def test_scores_in_the_report_outlive_another_call(finished: Any, dhr: Any) -> None:
    assert dhr(finished.evaluate()).code == 0
    scored = (finished.out / "report.html").read_bytes()
    assert dhr(finished.run()).code == 0
    assert (finished.out / "report.html").read_bytes() == scored


def test_a_report_that_is_missing_or_old_is_written(finished: Any, dhr: Any) -> None:
    report = finished.out / "report.html"
    report.unlink()
    assert dhr(finished.run()).code == 0
    assert report.is_file()
    report.write_text("of an earlier run")
    os.utime(report, ns=(0, 0))
    assert dhr(finished.run()).code == 0
    assert "</html>" in report.read_text()


@pytest.mark.parametrize("what", ["masks", "items"])
def test_what_is_deleted_is_made_anew(what: str, finished: Any, dhr: Any, made: Any) -> None:
    before = made(finished.out)
    kept = stamps(finished.out / "masks")
    victim = next((finished.out / what).glob("*.*"))
    victim.unlink()
    assert dhr(finished.run()).code == 0
    after = made(finished.out)
    assert all(after[name] == before[name] for name in before if not name.startswith("items/"))
    assert after.keys() == before.keys()
    now = stamps(finished.out / "masks")
    others = {name for name in kept if Path(name).stem != victim.stem and name.endswith(".png")}
    assert len(others) == 4 and all(kept[name] == now[name] for name in others)


def test_workers_make_no_difference(finished: Any, forks: Any, made: Any, new_case: Any, tmp_path: Path) -> None:
    case = new_case(finished.data, tmp_path / "workers")
    ended = forks(case.run("--classifier.workers", "2"))
    assert ended.code == 0, ended.err
    assert made(case.out)["classifier.safetensors"] == made(finished.out)["classifier.safetensors"]
    assert forks(finished.run("--classifier.workers", "2")).code == 0  # and do not make it another run


# Another run is refused


@pytest.mark.parametrize(
    ("setting", "value", "name"),
    [
        ("--seed", "1", "seed was 0, now 1"),
        ("--method.tau", "0.5", "settings.method.tau was 0.8, now 0.5"),
        ("--classifier.epochs", "3", "settings.classifier.epochs was 2, now 3"),
        ("--wss.backbone", "test_vit", "settings.wss.backbone was test_resnet, now test_vit"),
        ("--preset", "paper", "settings.method.combine"),
    ],
)
def test_other_settings_are_refused_by_name(setting: str, value: str, name: str, finished: Any, dhr: Any) -> None:
    before = stamps(finished.out)
    one_line(dhr(finished.run(setting, value)), "holds another run", name, "--out")
    assert stamps(finished.out) == before


def test_masks_do_not_go_among_the_photographs(dhr: Any, finished: Any) -> None:
    out = finished.data / "images" / "masks"
    one_line(dhr(finished.run("--out", str(out))), "among the photographs")
    assert not out.exists()


def test_foreign_files_are_refused_and_kept(fresh: Any, dhr: Any, contents: Any) -> None:
    fresh.out.mkdir()
    (fresh.out / "thesis.docx").write_text("years of work")
    one_line(dhr(fresh.run()), "thesis.docx", "--out")
    assert contents(fresh.out) == {"thesis.docx": b"years of work"}


@pytest.mark.parametrize("content", ["", "{", "[]", "{}", '{"model": "of another program"}', '{"identity": 3}'])
def test_a_run_json_of_something_else_is_refused_and_kept(content: str, fresh: Any, dhr: Any) -> None:
    fresh.out.mkdir()
    (fresh.out / "run.json").write_text(content)
    one_line(dhr(fresh.run()), "run.json", "--out")
    assert (fresh.out / "run.json").read_text() == content


def test_an_empty_folder_is_taken(fresh: Any, dhr: Any) -> None:
    fresh.out.mkdir()
    assert dhr(fresh.run()).code == 0


_HOLDER = """
import sys
from pathlib import Path
from dhr.job import OutputFolder
with OutputFolder(Path(sys.argv[1])).lock():
    print("held", flush=True)
    sys.stdin.readline()
"""


def test_a_folder_that_another_process_writes_to_is_refused_and_left_alone(finished: Any, dhr: Any) -> None:
    command = [sys.executable, "-c", _HOLDER, str(finished.out)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as holder:
        assert holder.stdin and holder.stdout
        assert holder.stdout.readline() == "held\n"
        temporary = finished.out / "masks" / ".half.dhr-tmp"
        temporary.write_bytes(b"the other process writes this")
        one_line(dhr(finished.run()), "another process is writing")
        assert temporary.exists()
        holder.stdin.write("\n")
        holder.stdin.flush()
        holder.wait()
    assert dhr(finished.run()).code == 0
    assert not temporary.exists()


def test_weights_that_cannot_be_had_leave_the_folder_free_for_other_settings(fresh: Any, dhr: Any) -> None:
    one_line(dhr(fresh.run("--wss.weights", "nowhere.safetensors")), "--wss.weights", "nowhere.safetensors")
    (fresh.data / "bad.safetensors").write_bytes(b"no weights")
    one_line(dhr(fresh.run("--wss.weights", str(fresh.data / "bad.safetensors"))), "--wss.weights")
    assert dhr(fresh.run()).code == 0


def test_a_finished_run_needs_its_weights_no_more(fresh: Any, dhr: Any) -> None:
    import timm
    from safetensors.torch import save_file

    weights = fresh.data.parent / "weights.safetensors"
    save_file(timm.create_model("test_resnet", pretrained=False).state_dict(), weights)
    run = fresh.run("--wss.weights", str(weights))
    assert dhr(run).code == 0
    kept = weights.read_bytes()
    weights.unlink()
    before = stamps(fresh.out)
    assert dhr(run).code == 0
    assert stamps(fresh.out) == before
    next((fresh.out / "masks").glob("*.png")).unlink()
    assert dhr(run).code == 0  # the classifier is trained: its backbone is not needed
    weights.write_bytes(kept[:-1] + b"\x01")
    one_line(dhr(run), "settings.wss.weights changed")


def test_the_name_of_the_weights_does_not_matter_their_content_does(fresh: Any, dhr: Any) -> None:
    import timm
    from safetensors.torch import save_file

    weights = fresh.data.parent / "weights.safetensors"
    save_file(timm.create_model("test_resnet", pretrained=False).state_dict(), weights)
    assert dhr(fresh.run("--wss.weights", str(weights))).code == 0
    moved = weights.rename(weights.with_name("moved.safetensors"))
    assert dhr(fresh.run("--wss.weights", str(moved))).code == 0


# Where nothing can be written


def test_output_below_a_file_is_refused(fresh: Any, dhr: Any, new_case: Any, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("no folder")
    for out in (tmp_path / "file", tmp_path / "file" / "out", Path("/proc/nowhere")):
        one_line(dhr(new_case(fresh.data, out).run()), str(out), "--out")
    assert (tmp_path / "file").read_text() == "no folder"


@pytest.mark.parametrize("largest", [500, 5_000, 1_000_000])
def test_a_disk_that_refuses_ends_the_run_and_the_next_call_goes_on(
    largest: int, finished: Any, forks: Any, made: Any, new_case: Any, tmp_path: Path
) -> None:
    case = new_case(finished.data, tmp_path / "full")
    one_line(forks(case.run(), largest_file=largest), "cannot write", "File too large")
    assert not list(case.out.rglob("*.dhr-tmp"))
    assert forks(case.run()).code == 0
    first, second = made(finished.out), made(case.out)
    assert all(first[name] == second[name] for name in first if not name.startswith("items/"))


def test_a_damaged_checkpoint_is_named(finished: Any, dhr: Any) -> None:
    (finished.out / "classifier.safetensors").unlink()
    shutil.rmtree(finished.out / "masks")
    checkpoint = finished.out / "work" / "classifier.checkpoint"
    checkpoint.write_bytes(b"half of it")
    one_line(dhr(finished.run()), str(checkpoint), "--redo classifier")
    assert dhr(finished.run("--redo", "classifier")).code == 0


def test_a_damaged_classifier_is_named(finished: Any, dhr: Any) -> None:
    path = finished.out / "classifier.safetensors"
    path.write_bytes(path.read_bytes()[:-1000])
    shutil.rmtree(finished.out / "masks")
    one_line(dhr(finished.run()), str(path))


# The library's way


def test_run_from_python(fresh: Any) -> None:
    seen: list[tuple[str, int, int]] = []
    outcome = job.run(
        FolderDataSet(fresh.data),
        fresh.out,
        CONFIG,
        progress=lambda step: seen.append((step.stage, step.done, step.total)),
    )
    assert (outcome.out, outcome.masks, outcome.new, outcome.skipped) == (fresh.out, 5, 5, ())
    assert list(dict.fromkeys(stage for stage, _, _ in seen)) == [
        "scan",
        "plan",
        "classifier",
        "survey",
        "discriminants",
        "masks",
    ]
    for stage in ("scan", "classifier", "survey", "masks"):
        counts = [(done, total) for name, done, total in seen if name == stage]
        assert counts == sorted(counts) and counts[-1][0] == counts[-1][1]
    again = job.run(FolderDataSet(fresh.data), fresh.out, CONFIG)
    assert (again.masks, again.new, again.vanished) == (5, 0, outcome.vanished)


def test_differences_name_each_setting() -> None:
    old = {"a": {"b": 1, "c": [1.0]}, "d": None}
    assert differences(old, old) == []
    assert differences(old, {"a": {"b": 2, "c": [1.0]}, "e": "x"}) == ["a.b was 1, now 2", "e was None, now x"]
