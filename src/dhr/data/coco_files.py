"""Find the files of COCO's format, and their photographs."""

import re
from dataclasses import dataclass
from pathlib import Path

from dhr.data.images import SUFFIXES
from dhr.data.places import first_folder
from dhr.files import open_regular

_PREFIX = "instances_"
_INSIDE = "_annotations.coco.json"  # as annotation tools write it, among the photographs
_KIND = re.compile("^(stuff|person_keypoints|panoptic|captions)_")
_END = 1 << 16  # bytes of a file's head and tail in which its format shows
_FIRST = re.compile(rb'(\xef\xbb\xbf)?\s*\{\s*"(info|licenses|images|annotations|categories|dhr|type)"\s*:')
_LISTS = re.compile(rb'"(images|annotations|categories)"\s*:\s*\[')


@dataclass(frozen=True)
class CocoFile:
    """An annotation file, and the folder of its photographs."""

    path: Path
    images: Path | None
    """None if there are none."""


def coco_files(root: Path) -> dict[str, CocoFile]:
    """Find the annotation files of a folder, by split.

    They are ``annotations/instances_SPLIT.json`` and ``SPLIT/_annotations.coco.json``; otherwise all files of COCO's
    format in the folder or in ``annotations/``, whose names are the splits.
    """
    found = {
        path.stem.removeprefix(_PREFIX): CocoFile(path, _photographs(root, path.stem.removeprefix(_PREFIX)))
        for path in sorted((root / "annotations").glob(f"{_PREFIX}*.json"))
        if path.is_file()
    }
    found |= {
        path.parent.name: CocoFile(path, path.parent) for path in sorted(root.glob(f"*/{_INSIDE}")) if path.is_file()
    }
    if not found:
        others = [*sorted((root / "annotations").glob("*.json")), *sorted(root.glob("*.json"))]
        for path in others:
            if not path.name.startswith(".") and _is_coco(path):
                split = _KIND.sub("", path.stem)
                found[split] = CocoFile(path, _photographs(root, split))
    return found


def _photographs(root: Path, split: str) -> Path | None:
    folder = first_folder(root, f"images/{split}", split, "images", "data", "JPEGImages")
    if folder is None and any(path.suffix.lower() in SUFFIXES for path in root.iterdir()):
        return root
    return folder


def _is_coco(path: Path) -> bool:
    """Tell whether beginning and end of a file look like COCO's, without reading all of it."""
    try:
        with open_regular(path) as file:
            head = file.read(_END)
            file.seek(max(0, file.seek(0, 2) - _END))
            tail = file.read(_END)
    except OSError:
        return False
    lists = {match.group(1) for match in (*_LISTS.finditer(head), *_LISTS.finditer(tail))}
    return bool(lists) and (_FIRST.match(head) is not None or (len(lists) > 1 and head.lstrip()[:1] == b"{"))
