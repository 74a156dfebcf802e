"""COCO 2014 and 2017, and own annotations in COCO's format: tags and masks from the instances."""

from collections import defaultdict
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from dhr.data.benchmarks import benchmark
from dhr.data.class_names import table_of
from dhr.data.classes import BACKGROUND, read_text
from dhr.data.coco_objects import CocoObject, PaintedTruth, coco_object
from dhr.data.images import SUFFIXES
from dhr.data.json_text import members
from dhr.data.listing import Names, list_files, name_of, printable
from dhr.data.mask_tags import Progress
from dhr.data.places import first_folder, no_split
from dhr.data.samples import ClassTable, Problem
from dhr.data.stored import Found, StoredDataSet
from dhr.errors import DataError

_PREFIX = "instances_"
_INSIDE = "_annotations.coco.json"  # as annotation tools write it, among the photographs


@dataclass
class _File:
    """What an annotation file holds, as it is read."""

    categories: list[tuple[int, dict[str, Any]]] = field(default_factory=list)
    images: list[tuple[int, dict[str, Any]]] = field(default_factory=list)
    objects: dict[int, list[CocoObject]] = field(default_factory=lambda: defaultdict(list))
    """By image; their labels are category ids still."""
    tags: dict[int, set[int]] = field(default_factory=lambda: defaultdict(set))
    """Category ids by image, crowds included: what is in a crowd is in the photograph."""
    problems: list[Problem] = field(default_factory=list)
    broken: dict[int, str] = field(default_factory=dict)
    """Why the objects of an image cannot be used."""


def _files(root: Path) -> dict[str, tuple[Path, Path]]:
    """Annotation file and folder of photographs of each split."""
    found = {}
    folder = root / "annotations"
    for path in sorted(folder.glob(f"{_PREFIX}*.json")) if folder.is_dir() else []:
        split = path.stem[len(_PREFIX) :]
        images = first_folder(root, f"images/{split}", split, "images")
        if images is not None and path.is_file():
            found[split] = path, images
    for path in sorted(root.glob(f"*/{_INSIDE}")):
        found[path.parent.name] = path, path.parent
    return found


def fits_coco(root: Path) -> bool:
    """Whether there are ``annotations/instances_SPLIT.json`` and photographs, or ``SPLIT/_annotations.coco.json``."""
    return bool(_files(root))


def read_coco(root: Path, split: str | None, progress: Progress, lenient: bool = False) -> StoredDataSet:
    """Read COCO's instances: class 0 is the background, the categories follow in the order of their ids, without gaps.

    An annotation file is read once and an object at a time; outlines are kept as arrays. Crowds are void in the truth,
    and tagged.

    Raises:
        DataError: the folder has not this layout, there is no such split, the file is damaged, or no photograph is
            usable.
    """
    files = _files(root)
    if not files:
        raise DataError(
            f"{root}: expected annotations/instances_SPLIT.json and photographs in images/SPLIT, SPLIT or images; "
            "there are none"
        )
    if split is not None and split not in files:
        years = [name for name in files if name.startswith(split)]
        if len(years) != 1:
            raise no_split(root, split, list(files))
        split = years[0]
    found: list[Found] = []
    problems: list[Problem] = []
    classes: ClassTable | None = None
    for path, images in [files[split]] if split is not None else files.values():
        table, ids = _table(path, (content := _read(path, progress)).categories)
        if classes is not None and table != classes:
            raise DataError(f"{path}: its categories are not those of the file before; open one split at a time")
        classes = table
        problems += content.problems
        found += _photographs(path, images, content, ids, problems)
    assert classes is not None
    where = str(root) + ("" if split is None else f" in split {split!r}")
    return StoredDataSet(where, classes, found, problems, "there is no image in the annotations")


def _read(path: Path, progress: Progress) -> _File:
    content = _File()
    for key, line, value in members(path, read_text(path), progress):
        if key not in ("categories", "images", "annotations"):
            continue
        if not isinstance(value, dict):
            content.problems.append(Problem(str(path), f"line {line}: expected an object in {key}; correct it"))
        elif key == "annotations":
            _add(content, path, line, value)
        elif not isinstance(value.get("id"), int) or isinstance(value["id"], bool):
            content.problems.append(Problem(str(path), f"line {line}: expected a whole number as id in {key}"))
        else:
            (content.categories if key == "categories" else content.images).append((line, value))
    return content


def _add(content: _File, path: Path, line: int, value: dict[str, Any]) -> None:
    image, category = value.get("image_id"), value.get("category_id")
    if type(image) is not int or type(category) is not int:
        content.problems.append(Problem(str(path), f"line {line}: expected image_id and category_id; correct it"))
        return
    content.tags[image].add(category)
    try:
        one = coco_object(value, 0, line)
    except ValueError as error:
        content.broken.setdefault(image, f"{path} line {line}: {error}; correct the annotation")
    else:
        content.objects[image].append(replace(one, label=one.label or -category - 1))


def _table(path: Path, categories: list[tuple[int, dict[str, Any]]]) -> tuple[ClassTable, dict[int, int]]:
    """The class table, and the class id of each category id."""
    named = {}
    for line, category in categories:
        if not isinstance(category.get("name"), str) or category["id"] in named:
            raise DataError(f"{path} line {line}: expected a category with a name and an id of its own; correct it")
        named[category["id"]] = category
    order = [one for one in sorted(named) if named[one]["name"].strip().casefold() != BACKGROUND]
    table = table_of([named[one]["name"] for one in order], path)
    uppers = [named[one].get("supercategory") for one in order]
    if all(isinstance(upper, str) and upper and upper.casefold() != BACKGROUND for upper in uppers):
        table = replace(table, supers=(BACKGROUND, *(str(upper) for upper in uppers)))
    coco = benchmark("coco")
    if coco.categories == (0, *order) and table.names == coco.classes.names:
        table = coco.classes
    return table, {one: label for label, one in enumerate(order, start=1)} | {
        one: 0 for one in named if one not in order
    }


def _photographs(path: Path, images: Path, content: _File, ids: dict[int, int], problems: list[Problem]) -> list[Found]:
    names = Names(list_files(images, SUFFIXES).files, f"{images.name}/")
    found, seen = [], set()
    for line, image in content.images:
        number, file = image["id"], image.get("file_name")
        if not isinstance(file, str) or number in seen:
            problems.append(Problem(str(path), f"line {line}: expected an image with a file_name and an id of its own"))
            continue
        seen.add(number)
        files, reason = names.find(file)
        if not files:
            problems.append(Problem(printable(file), f"{path} line {line}: {reason}"))
            continue
        tags, reason = content.tags.get(number, set()), content.broken.get(number)
        if unknown := sorted(tags - ids.keys()):
            reason = f"{path}: its objects are of the category {unknown[0]}, which does not exist; correct them"
        objects = tuple(
            replace(one, label=ids[-one.label - 1]) if one.label < 0 else one
            for one in ([] if reason else content.objects.get(number, []))
        )
        labels = tuple({ids[tag] for tag in tags} - {0}) if reason is None else ()
        truth = None if reason else PaintedTruth(path, objects)
        found.append(
            Found(name_of(files[0], SUFFIXES), str(images / files[0]), images / files[0], labels, truth, reason)
        )
    for number in sorted(content.tags.keys() - seen)[:20]:
        problems.append(Problem(str(path), f"annotations name the image {number}, which does not exist; remove them"))
    return found
