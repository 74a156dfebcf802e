"""Everything on generated scenes: ``dhr.demo``."""

from dataclasses import replace
from pathlib import Path

from dhr.api.result import TableResult
from dhr.data.image_config import ImageConfig
from dhr.job.settings import RunConfig
from dhr.method.config import PRESETS
from dhr.models.config import UssConfig, WssConfig
from dhr.progress import Progress, silent
from dhr.train.config import ClassifierConfig
from dhr.words import STAGE_NAMES, percent


def demo_settings(seed: int) -> RunConfig:
    """Return settings of a small classifier, trained from random weights in minutes, and features without weights."""
    return RunConfig(
        image=ImageConfig(grid_stride=4),
        wss=WssConfig(backbone="test_resnet", weights="none", output_stride=16, scales=(1.0, 2.0)),
        classifier=ClassifierConfig(epochs=70, batch=16, crop=128, scale=(0.9, 1.2), jitter=0.1, lr=3e-3, head_lr=3e-3),
        uss=UssConfig(kind="colour", weights="none", scales=(1.0,)),
        seed=seed,
    )


def demo(
    out: Path | str = Path("demo"), *, scenes: int = 240, seed: int = 0, progress: Progress | None = None
) -> TableResult:
    """Try everything on generated scenes: draw them, make masks with two presets, score every step.

    A small classifier is trained on the tags from random weights. Masks are made with the preset `default` and with the
    equations of the paper. It works without a network connection and without data, and takes some minutes.

    The output folder gets data/, the scenes as a data folder, and default/ and paper/, the output folders of two runs.
    So all other commands can be tried: `dhr review --run demo/default`, then `dhr update --run demo/default`.

    Args:
        out: the output folder.
        scenes: number of scenes.
        seed: seed of scenes, training and all else.
        progress: called as the work goes on.

    Returns:
        One row per step and preset, in percent.

    Raises:
        OutputError: ``out`` holds something else, or other scenes.
    """
    from dhr.api.data import data_record, open_data
    from dhr.data.scenes import SceneDataSet
    from dhr.data.scenes_folder import write_scenes
    from dhr.evaluate import evaluate_stages
    from dhr.job.run import Origin
    from dhr.job.run import run as run_job
    from dhr.report.build import write_report

    config, out = demo_settings(seed), Path(out)
    place = out / "data"
    write_scenes(SceneDataSet(scenes, seed), place)
    data, known = open_data(place), data_record(place)
    rows: dict[str, dict[str, str]] = {}
    reports = []
    for preset in ("default", "paper"):
        chosen = replace(config, method=PRESETS[preset])
        if preset != "default":
            file = out / "default" / "classifier.safetensors"
            chosen = replace(chosen, classifier=replace(config.classifier, file=file))
        run_job(data, out / preset, chosen, progress=progress or silent, origin=Origin(preset, known))
        stages = evaluate_stages(data, out / preset)
        reports.append(write_report(out / preset, data, stages))
        for stage, name in STAGE_NAMES.items():
            one = stages[stage]
            values = {"mIoU": one.miou, "minor IoU": one.minor_iou, "accuracy": one.pixel_accuracy}
            values |= {"boundary F": one.boundary_f, "vanished": one.vanished}
            shown = name if stage == "cam" else f"{preset}: {name}"
            rows[shown] = {"masks": shown, **{key: percent(value) for key, value in values.items()}}
    return TableResult([*rows.values()], f"{scenes} generated scenes in {out}", files=tuple(reports))
