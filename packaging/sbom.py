"""Lists what the wheel installs (SBOM, CycloneDX): ``python packaging/sbom.py ENVIRONMENT WHEEL FILE``.

The same wheel and libraries give the same bytes: the list has no time, and its serial number follows from the wheel.
"""

import hashlib
import json
import re
import subprocess
import sys
import uuid
from pathlib import Path

ROOT = Path(__file__).parents[1]
NEEDED = ("bomFormat", "serialNumber", "specVersion")  # by what attests it


def main(environment: Path, wheel: Path, file: Path) -> None:
    """Write the list, with the version of dhr and a serial number."""
    command = [sys.executable, "-m", "cyclonedx_py", "environment", "--pyproject", str(ROOT / "pyproject.toml")]
    command += ["--mc-type", "library", "--output-reproducible", str(environment)]
    listed = json.loads(subprocess.run(command, stdout=subprocess.PIPE, check=True).stdout)
    version = re.match(r"dhr-([^-]+)-", wheel.name)
    if version is None:
        sys.exit(f"expected a wheel of dhr, got {wheel.name}")
    listed["metadata"]["component"]["version"] = version[1]
    listed["serialNumber"] = uuid.uuid5(uuid.NAMESPACE_OID, hashlib.sha256(wheel.read_bytes()).hexdigest()).urn
    if missing := [name for name in NEEDED if not listed.get(name)]:
        sys.exit(f"the list lacks {', '.join(missing)}")
    file.write_text(json.dumps(listed, indent=2, sort_keys=True) + "\n", encoding="utf-8")
    print(f"{len(listed['components'])} libraries: {file}")


if __name__ == "__main__":
    main(*map(Path, sys.argv[1:]))
