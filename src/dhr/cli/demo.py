"""``dhr demo``."""

from dataclasses import replace
from pathlib import Path

from rich.console import Console
from rich.markup import escape

from dhr import evaluate as scoring
from dhr.cli.progress import Bars
from dhr.cli.score_tables import STAGE_NAMES, stage_table
from dhr.data.image_config import ImageConfig
from dhr.data.scenes import SceneDataSet
from dhr.evaluate import Scores
from dhr.job.run import run as run_job
from dhr.job.settings import RunConfig
from dhr.method.config import PRESETS
from dhr.models.config import WssConfig
from dhr.models.uss import UssConfig
from dhr.report import write_report
from dhr.train.config import ClassifierConfig


def settings(seed: int) -> RunConfig:
    """A classifier small enough to be trained from nothing in a few minutes, and features without weights."""
    return RunConfig(
        image=ImageConfig(grid_stride=4),
        wss=WssConfig(backbone="test_resnet", weights="none", output_stride=16, scales=(1.0, 2.0)),
        classifier=ClassifierConfig(epochs=70, batch=16, crop=128, scale=(0.9, 1.2), jitter=0.1, lr=3e-3, head_lr=3e-3),
        uss=UssConfig(kind="colour", weights="none", scales=(1.0,)),
        seed=seed,
    )


def demo(out: Path, scenes: int, seed: int) -> int:
    """Run on generated scenes with the presets `default` and `paper`, and score every stage."""
    console = Console()
    data = SceneDataSet(scenes, seed)
    config = settings(seed)
    classifier = out / "default" / "classifier.safetensors"
    table: dict[str, Scores] = {}
    for preset in ("default", "paper"):
        with Bars(console) as bars:
            chosen = replace(config, method=PRESETS[preset])
            if preset != "default":
                chosen = replace(chosen, classifier=replace(config.classifier, file=classifier))
            console.print(f"Preset {preset}: {scenes} generated scenes", highlight=False)
            run_job(data, out / preset, chosen, preset=preset, progress=bars)
            stages = scoring.evaluate_stages(data, out / preset)
            report = write_report(out / preset, data, stages)
            for stage, name in STAGE_NAMES.items():
                table[name if stage == "cam" else f"{preset}: {name}"] = stages[stage]
            console.print(f"Report: {escape(str(report))}", highlight=False, soft_wrap=True)
    console.print(stage_table(table))
    return 0
