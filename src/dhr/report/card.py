"""One photograph of the report: its pictures, tags, quality and warnings."""

import math
import os
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import quote

import numpy as np
from jaxtyping import UInt8

from dhr.corrections import Corrections
from dhr.data.images import read_mask
from dhr.data.samples import VOID, ClassTable, DataSet, Sample
from dhr.errors import DhrError
from dhr.evaluate.run import stage_folder
from dhr.report.cams import stored_cams
from dhr.report.charts import swatch
from dhr.report.panels import SIDE, data_uri, heat_map, overlay, shrink_labels, shrunk, thumbnail
from dhr.report.ranks import Ranks
from dhr.report.records import Item
from dhr.report.text import initial, named, percent, safe
from dhr.results.files import FileMasks
from dhr.results.protocol import Masks
from dhr.shards import find
from dhr.words import STAGE_NAMES, counted

_CAMS = 12  # heat maps of one photograph; with 60 tags they would fill a screen
_CAM_SIDE = 120  # pixels
_CHIPS = 40  # tags of one photograph
_SPOKEN = 6  # classes that the alternative text of a mask names


@dataclass(frozen=True)
class Look:
    """The data set, its scores and its colours, for every card."""

    data: DataSet
    out: Path
    colours: UInt8[np.ndarray, "256 3"]
    ids: Mapping[str, int]
    """Class id by name."""
    mious: Mapping[str, Mapping[str, float]]
    """mIoU by step and photograph; empty without scores; then ground truth is not read."""
    masks: Masks
    ranks: Ranks
    """Places of the masks by quality."""


def card(item: Item, sample: Sample, look: Look) -> str:
    """Return the HTML of one photograph. Files that are missing or cannot be read leave their picture out."""
    photograph, notes = _photograph(item, sample, look)
    figures = [figure(photograph, "Photograph", f"Photograph {item.name}")]

    def blend(labels: UInt8[np.ndarray, "h w"], title: str, miou: float = math.nan) -> None:
        small = shrink_labels(labels, photograph.shape[0], photograph.shape[1])
        picture = overlay(photograph, small, look.colours, look.data.classes.background)
        figures.append(figure(picture, title, f"{title} of {item.name}: {_shown(labels, look.data.classes)}", miou))

    for stage, title in STAGE_NAMES.items():
        labels = _stage(look, stage, item.name)
        if labels is not None:
            blend(labels, initial(title), look.mious.get(stage, {}).get(item.name, math.nan))
    machine = _machine(look, item)
    if machine is not None:
        blend(machine, "Machine's mask")
    truth = _truth(look, sample)
    if truth is not None:
        blend(truth, "Ground truth")
    if item.vanished:
        notes = [f"No pixel left of {', '.join(named(name) for name in item.vanished[:_CHIPS])}", *notes]
    if look.ranks.doubtful(item.quality):
        notes.append("Doubtful: lowest tenth in quality")

    warnings = "".join(f'<p class="warning"><span aria-hidden="true">▲</span> {note}</p>' for note in notes)
    return (
        f"<article{_attributes(item, look)}><header><h3><bdi>{_breakable(item.name)}</bdi></h3>"
        f'<p class="facts">{_facts(item, look)}</p><ul class="chips">{_chips(item, look)}</ul>{warnings}</header>'
        f'<div class="panels">{"".join(figures)}</div>{_cams(item, photograph, look)}'
        f'<p class="links">{_links(item, sample, look.out)}</p></article>\n'
    )


def _attributes(item: Item, look: Look) -> str:
    """Return the attributes for the filters and the order of the page: classes as numbers, quality."""

    def ids(names: Iterable[str]) -> str:
        return " ".join(str(index) for index in sorted({look.ids[name] for name in names if name in look.ids}))

    return (
        f' data-classes="{ids([*item.tags, *item.vanished, *(name for name in item.ratios if item.ratios[name])])}"'
        + (f' data-gone="{ids(item.vanished)}"' if item.vanished else "")
        + ("" if math.isnan(item.quality) else f' data-quality="{item.quality:.4g}"')
        + (" data-doubtful" if look.ranks.doubtful(item.quality) else "")
        + (f" data-{item.state}" if item.state else "")
        + (f' data-changed="{item.changed:.4g}"' if item.changed else "")
    )


def _links(item: Item, sample: Sample, out: Path) -> str:
    """Return links to the files of a photograph, relative to the page."""
    files = {"Mask": find(out / "masks", item.name, ".png"), "Record": find(out / "items", item.name, ".json")}
    found = [(title, path.relative_to(out).as_posix()) for title, path in files.items() if path.is_file()]
    try:
        if Path(sample.source).is_file():
            found.insert(0, ("Photograph", os.path.relpath(Path(sample.source).resolve(), out.resolve())))
    except (OSError, ValueError):  # it is on another drive, or the source is no path
        pass
    return " ".join(
        f'<a href="{safe(quote(os.fsencode(Path(path).as_posix())), 10_000)}">{title}'
        f'<span class="unseen"> of {safe(item.name, 240)}</span></a>'
        for title, path in found
    )


def _shown(labels: UInt8[np.ndarray, "h w"], classes: ClassTable) -> str:
    """Return the classes of a mask with their shares, the largest first."""
    pixels = np.bincount(labels.ravel(), minlength=256)
    ranked = [int(index) for index in np.argsort(-pixels, kind="stable") if pixels[index]]
    parts = [f"{_name(index, classes)} {_whole(pixels[index] / labels.size)}" for index in ranked[:_SPOKEN]]
    return ", ".join([*parts, *([f"{len(ranked) - _SPOKEN} more"] if len(ranked) > _SPOKEN else [])])


def _whole(ratio: float) -> str:
    return "under 1\u2009%" if ratio < 0.005 else percent(ratio, 0)


def _name(label: int, classes: ClassTable) -> str:
    return classes.names[label] if label < len(classes.names) else "void" if label == VOID else f"class {label}"


def _photograph(item: Item, sample: Sample, look: Look) -> tuple[UInt8[np.ndarray, "h w 3"], list[str]]:
    try:
        return thumbnail(look.data.read_image(sample)), []
    except DhrError as error:
        height, width = shrunk(item.height or 1, item.width or 1)
        return np.full((height, width, 3), 128, dtype=np.uint8), [
            f"The photograph cannot be read: {safe(str(error), 300)}"
        ]


def _stage(look: Look, stage: str, name: str) -> UInt8[np.ndarray, "h w"] | None:
    try:
        of_stage = look.masks if stage == "mask" else FileMasks(stage_folder(look.out, stage))
        return read_mask(of_stage.mask(name))
    except DhrError:
        return None


def _machine(look: Look, item: Item) -> UInt8[np.ndarray, "h w"] | None:
    """Return the machine's mask of a photograph that a person mended."""
    try:
        return read_mask(Corrections.of(look.out).machine(item.name)) if item.state == "mended" else None
    except DhrError:
        return None


def _truth(look: Look, sample: Sample) -> UInt8[np.ndarray, "h w"] | None:
    try:
        return look.data.read_ground_truth(sample) if look.mious and sample.has_ground_truth else None
    except DhrError:
        return None


def _facts(item: Item, look: Look) -> str:
    facts = [f"{item.width}\u2009\u00d7\u2009{item.height}"] if item.width and item.height else []
    if item.state:
        facts.append(f"<b>{item.state}</b> in review")
    if item.changed:
        facts.append(f"<b>{percent(item.changed)}</b> of the pixels changed")
    if not math.isnan(item.quality):
        facts.append(f"quality rank <b>{look.ranks.text(item.quality)}</b> of {look.ranks.total:,}")
    miou = look.mious.get("mask", {}).get(item.name, math.nan)
    if not math.isnan(miou):
        facts.append(f"mIoU <b>{percent(miou)}</b>")
    return "".join(f"<span>{fact}</span>" for fact in facts)


def _chips(item: Item, look: Look) -> str:
    background = look.data.classes.names[:1] if look.data.classes.background else ()
    tags = item.tags or sorted(set(item.ratios) - set(background), key=lambda name: -item.ratios[name])
    shown = [*tags[:_CHIPS], *(name for name in background if name in item.ratios)]
    chips = []
    for name in shown:
        colour = swatch(look.colours[look.ids[name]]) if name in look.ids else ""
        share = f" <b>{_share(item.ratios[name])}</b>" if name in item.ratios else ""
        kind = ' class="gone"' if name in item.vanished else ""
        chips.append(f"<li{kind}>{colour}{named(name, 32)}{share}</li>")
    if len(tags) > _CHIPS:
        chips.append(f"<li>and {len(tags) - _CHIPS} more</li>")
    return "".join(chips)


def _share(ratio: float) -> str:
    return "&lt;\u20090.1\u2009%" if 0 < ratio < 0.001 else percent(ratio)


def _cams(item: Item, photograph: UInt8[np.ndarray, "h w 3"], look: Look) -> str:
    """Return heat maps, the classes in danger first: those that vanished, then the smallest."""
    names = look.data.classes.names
    pairs = [(names[index], cam) for index, cam in stored_cams(look.out / "cams", item.name, look.data.classes).items()]
    pairs.sort(key=lambda pair: (pair[0] not in item.vanished, item.ratios.get(pair[0], 0.0)))
    small = thumbnail(photograph, _CAM_SIDE)
    figures = "".join(
        figure(heat_map(small, cam), f"CAM of {name}", f"CAM of {name} in {item.name}", side=_CAM_SIDE)
        for name, cam in pairs[:_CAMS]
    )
    rest = f'<p class="note">and {counted(len(pairs) - _CAMS, "CAM")} more</p>' if len(pairs) > _CAMS else ""
    return f'<div class="cams">{figures}{rest}</div>' if figures else ""


def figure(
    picture: UInt8[np.ndarray, "h w 3"], caption: str, alt: str, miou: float = math.nan, side: int = SIDE
) -> str:
    """Return a picture with its caption, at most ``side`` pixels long on the page, and a score where it has one."""
    height, width = picture.shape[:2]
    shown = max(1, round(side * width / max(height, width)))  # small photographs are enlarged, tall ones stay narrow
    score = "" if math.isnan(miou) else f" <b>{percent(miou)}</b>"
    return (
        f'<figure><img src="{data_uri(picture)}" width="{width}" height="{height}" style="max-width:{shown}px" '
        f'alt="{safe(alt, 300)}" decoding="async">'
        f"<figcaption>{named(caption, 40)}{score}</figcaption></figure>"
    )


def _breakable(name: str) -> str:
    return safe(name, 240).replace("/", "/<wbr>")
