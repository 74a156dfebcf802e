"""Copy corrections to another folder of the same run."""

from collections.abc import Callable

from dhr.corrections.places import ITEMS, JSON, MASKS, ROOT
from dhr.corrections.publish import publish
from dhr.corrections.store import Corrections
from dhr.data.samples import Problem
from dhr.errors import OutputError
from dhr.files import inside, write_bytes, write_json
from dhr.records.members import to_json


def copy_corrections(source: Corrections, target: Corrections, shown: Callable[[str], bool]) -> list[Problem]:
    """Copy all decisions with their masks; return those that are damaged and stay behind.

    Args:
        source: the corrections.
        target: those of the copy, in whose folder no job works.
        shown: whether the mask of a photograph's correction is in the place of the machine's.
    """
    problems = []
    for name in sorted(source.names()):
        try:
            record = source.read(name)
            if record is None:
                continue
            if record.mask:
                record, content = source.pair(name)
                target.places.write(content, MASKS, name)
            write_json(target.places.path(ITEMS, name, JSON), to_json(record))
            if record.mask and shown(name):
                publish(target.places, name, record, None)
        except OutputError as error:
            problems.append(Problem(name, str(error)))
    for file in ("classes.txt", "withdrawn.json"):
        place = inside(source.root, f"{ROOT}/{file}")
        if place.is_file():
            write_bytes(inside(target.root, f"{ROOT}/{file}"), place.read_bytes())
    return problems
