"""Checks that a type checker knows the types of public names, and all that they lead to (`pyright --verifytypes`)."""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import dhr

PACKAGE = Path(dhr.__file__).parent


def report() -> dict[str, Any]:
    """Return what pyright finds. Types of other packages do not count."""
    paths = [str(PACKAGE.parent), *(path for path in sys.path if Path(path).name == "site-packages")]
    done = subprocess.run(
        [sys.executable, "-m", "pyright", "--verifytypes", "dhr", "--ignoreexternal", "--outputjson"],
        env={**os.environ, "PYTHONPATH": os.pathsep.join(paths)},
        stdout=subprocess.PIPE,
        check=False,  # 1 is also the answer to internal names without types
    )
    try:
        found: dict[str, Any] = json.loads(done.stdout)["typeCompleteness"]
    except (ValueError, KeyError):
        sys.exit(f"pyright ended with exit code {done.returncode} and without a report: {done.stdout[:500]!r}")
    if Path(found["packageRootDirectory"]).resolve() != PACKAGE.resolve():
        sys.exit(f"pyright read {found['packageRootDirectory']} instead of {PACKAGE}")
    return found


def unknown(symbols: list[dict[str, Any]], public: set[str]) -> list[str]:
    """Return the public names whose types are unknown, or depend on the type checker.

    Raises:
        SystemExit: the report lacks a public name.
    """
    found = {name: symbol for symbol in symbols for name in (symbol["name"], *symbol.get("alternateNames", ()))}
    if missing := public - set(found):
        sys.exit(f"the report of pyright lacks {', '.join(sorted(missing))}")
    return sorted(name for name in public if not found[name]["isTypeKnown"] or found[name]["isTypeAmbiguous"])


def main() -> None:
    """Print the public names whose types are not known, and how many there are."""
    public = {f"dhr.{name}" for name in dhr.__all__}
    found = report()
    bad = unknown(found["symbols"], public)
    for name in bad:
        print(f"{name} has unknown types, or leads to some")
    counts = found["exportedSymbolCounts"]
    print(f"of all names, internal ones too: {counts['withKnownType']} known of {sum(counts.values())}")
    print(f"public names with unknown types: {len(bad)} of {len(public)}")
    sys.exit(1 if bad else 0)


if __name__ == "__main__":
    main()
