"""COCO's instances."""

from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from dhr.data.annotated import Annotation, Thing
from dhr.data.coco_content import CocoContent, Image, read_coco_content
from dhr.data.coco_objects import Identity
from dhr.data.outlines import Outline, Patch, Size, union
from dhr.data.painted import PaintedObject
from dhr.errors import DataError
from dhr.imports.drawing import Drawings
from dhr.imports.shapes import Rules, add_annotations
from dhr.imports.target import Target
from dhr.progress import Progress
from dhr.words import printable

_VOID = "void\0"  # no category has this name


def read_coco_masks(file: Path, target: Target, progress: Progress) -> Drawings:
    """Read a JSON file. An image without objects is untouched.

    Crowds are void beside other objects of their class in the file, and objects where there are no others, as in a data
    set of this format.
    """
    if not file.is_file():
        raise DataError(f"{file}: expected a JSON file of COCO's format, found none; check the path")
    found, content = Drawings(), read_coco_content(file, progress)
    found.problems += content.problems
    rules = Rules(frozenset({_VOID}), by="unknown", holds_void=bool(content.void))
    add_annotations(found, _annotations(content), target.names(), target, rules)
    return found


def _annotations(content: CocoContent) -> Iterator[Annotation]:
    bearers: dict[Identity, set[str]] = defaultdict(set)
    for image in content.images:
        bearers[image.number].add(image.file)
    alone = content.crowds_alone()
    for image in content.images:
        wrong = None
        if len(bearers[image.number]) > 1:
            wrong = f"its id {printable(str(image.number))[:80]} is that of several images; give each an id of its own"
        things = [
            _thing(
                _VOID if one.crowd and one.category not in alone else _name(content, one.category), one.painted, image
            )
            for one in content.objects.get(image.number, [])
        ]
        things += [_thing(_VOID, one, image) for one in content.void.get(image.number, [])]
        unread = content.unread.get(image.number)
        yield Annotation(image.file, content.path, image.place, tuple(things), unread, wrong)


def _name(content: CocoContent, category: Identity) -> str:
    return content.name_of(category) or f"category {printable(str(category))[:80]}"


def _thing(label: str, one: PaintedObject, image: Image) -> Thing:
    outline = None if one.missing is not None else _Several(one.outlines)
    return Thing(label, "an object", outline, one.missing, one.drawn or image.drawn, region=True)


@dataclass(frozen=True)
class _Several:
    """Outlines whose union is one object."""

    parts: tuple[Outline, ...]

    def patch(self, drawn: Size, canvas: Size) -> Patch:
        """Paint all; see :meth:`~dhr.data.outlines.Outline.patch`."""
        return union([one.patch(drawn, canvas) for one in self.parts])
