"""Prints the disk space of `dhr` and of each extra, by what is installed in this environment: `make sizes`."""

import re
import sys
from collections.abc import Iterable
from importlib.metadata import Distribution, PackageNotFoundError, distribution
from pathlib import Path

from packaging.requirements import Requirement


def needed(name: str, extras: Iterable[str] = ()) -> dict[str, Distribution]:
    """Return a library with all that it needs, by name. A library that is not installed counts as nothing."""
    found, left = dict[str, Distribution](), [(name, frozenset(extras))]
    seen = set(left)
    while left:
        one, wanted = left.pop()
        try:
            installed = distribution(one)
        except PackageNotFoundError:
            print(f"{one} is not installed here", file=sys.stderr)
            continue
        found[re.sub(r"[-_.]+", "-", one).lower()] = installed
        for line in installed.requires or ():
            need = Requirement(line)
            if need.marker is None or any(need.marker.evaluate({"extra": extra}) for extra in (*wanted, "")):
                step = (need.name, frozenset(need.extras))
                left += [step] if step not in seen else []
                seen.add(step)
    return found


def megabytes(libraries: Iterable[Distribution]) -> float:
    """Return the size of all files of these libraries."""
    files = (Path(str(file.locate())) for library in libraries for file in library.files or ())
    return sum(file.stat().st_size for file in files if file.is_file()) / 1e6


def main() -> None:
    """Print one line for torch, one for the rest of dhr, and one for each extra: what it adds to dhr."""
    torch, alone = needed("torch"), needed("dhr")
    rows = [("torch, with the libraries for CUDA", torch)]
    rows += [("dhr without extras, besides torch", {key: alone[key] for key in alone.keys() - torch.keys()})]
    for extra in sorted(alone["dhr"].metadata.get_all("Provides-Extra") or ()):
        whole = needed("dhr", [extra])
        rows += [(extra, {key: whole[key] for key in whole.keys() - alone.keys()})]
    for title, libraries in filter(lambda row: row[1], rows):
        print(f"{title:36} {megabytes(libraries.values()):7.0f} MB  {len(libraries):3} libraries")


if __name__ == "__main__":
    main()
