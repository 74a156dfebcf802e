"""The files around the package: workflows, recipes and the Makefile agree with each other and with the package."""

import re
import tomllib
from pathlib import Path
from typing import Any

import pytest
import yaml
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

import dhr

ROOT = Path(__file__).parents[1]
WORKFLOWS = sorted((ROOT / ".github" / "workflows").glob("*.yml"))
PROJECT: dict[str, Any] = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
CONDA = {"torch": "pytorch", "xxhash": "python-xxhash"}  # other names there
ALLOWED = {
    "choco install make --no-progress",  # make itself
    'gh release create "$GITHUB_REF_NAME" --verify-tag --notes "See CHANGELOG.md." dist/* sbom/sbom.json',
}


def targets() -> set[str]:
    text = (ROOT / "Makefile").read_text(encoding="utf-8")
    return set(re.findall(r"^([a-z][a-z-]*):(?!=)", text, re.MULTILINE))


def read(path: Path) -> Any:
    return yaml.safe_load(path.read_text(encoding="utf-8"))


def steps(workflow: Path) -> list[dict[str, Any]]:
    return [step for job in read(workflow)["jobs"].values() for step in job.get("steps", ())]


def test_all_workflows_are_there() -> None:
    assert [path.stem for path in WORKFLOWS] == ["docs", "newest", "release", "test"]


@pytest.mark.parametrize("workflow", WORKFLOWS, ids=lambda path: path.stem)
def test_steps_of_a_workflow_are_make_targets(workflow: Path) -> None:
    commands = [line for step in steps(workflow) for line in step.get("run", "").splitlines()]
    assert commands
    for command in commands:
        name = re.fullmatch(r"make ([a-z-]+)(?: [A-Z]+=\w+)*", command)
        assert command in ALLOWED or (name is not None and name[1] in targets()), command


@pytest.mark.parametrize("workflow", WORKFLOWS, ids=lambda path: path.stem)
def test_a_workflow_has_few_rights_and_fixed_actions(workflow: Path) -> None:
    read_only = {"contents": "read"}
    whole, text = read(workflow), workflow.read_text(encoding="utf-8")
    assert whole["permissions"] == read_only
    for job in whole["jobs"].values():
        rights = {name for name, right in job.get("permissions", {}).items() if right == "write"}
        if "uses" in job:
            assert job["uses"].startswith("./.github/workflows/") and not rights
            continue
        assert job["timeout-minutes"] <= 60
        own = [step for step in job["steps"] if step.get("run", "").startswith("make") or "checkout" in str(step)]
        assert not (own and rights), "a job that may write runs no code of the project"
    for step in steps(workflow):
        if action := step.get("uses"):
            assert re.fullmatch(r"[\w-]+/[\w-]+@[0-9a-f]{40}", action), action
            assert re.search(rf"{action} # v\d+\.\d+\.\d+$", text, re.MULTILINE), f"{action} lacks its version"
            assert "checkout" not in action or step["with"]["persist-credentials"] is False
        assert "${{" not in step.get("run", ""), "text of others must not become a command"


def test_workflows_test_all_versions_that_the_package_names() -> None:
    named = {one.rpartition(" ")[2] for one in PROJECT["project"]["classifiers"] if "Python :: 3." in one}
    matrix = read(ROOT / ".github" / "workflows" / "test.yml")["jobs"]["suite"]["strategy"]["matrix"]
    assert set(matrix["python"]) == named
    assert PROJECT["project"]["requires-python"] == f">={min(named, key=lambda one: int(one[2:]))}"


def test_phony_targets_exist_and_the_head_of_the_makefile_names_them() -> None:
    text = (ROOT / "Makefile").read_text(encoding="utf-8")
    phony = re.search(r"^\.PHONY: (.*)$", text, re.MULTILINE)
    assert phony is not None and set(phony[1].split()) == targets()
    head = text.partition(".PHONY")[0]
    assert all(re.search(rf"\b{name}\b", head) for name in targets() - {"lint", "test-all"})


def test_the_version_stands_in_one_place() -> None:
    assert "version" in PROJECT["project"]["dynamic"] and "version" not in PROJECT["project"]
    assert read(ROOT / "CITATION.cff")["version"] == dhr.__version__
    assert read(ROOT / "conda" / "recipe.yaml")["context"]["version"] == dhr.__version__
    assert read(ROOT / "CITATION.cff")["license"] == PROJECT["project"]["license"]


def test_the_conda_recipe_needs_what_the_package_needs() -> None:
    needed = [re.split(r"(?=[><=])", one, maxsplit=1) for one in PROJECT["project"]["dependencies"]]
    listed = read(ROOT / "conda" / "recipe.yaml")["requirements"]["run"]
    python = f"python {PROJECT['project']['requires-python']}"
    assert sorted(listed) == sorted([python, *(f"{CONDA.get(name, name)} {lowest}" for name, lowest in needed)])


def test_the_lock_file_fits_the_package_and_names_public_hosts_alone() -> None:
    """`make lock` renews it."""
    text = (ROOT / "uv.lock").read_text(encoding="utf-8")
    hosts = set(re.findall(r"\w+://([^/\"]+)", text))
    assert hosts == {"pypi.org", "files.pythonhosted.org"}
    locked = tomllib.loads(text)
    versions: dict[str, list[str]] = {}
    for one in locked["package"]:
        versions.setdefault(one["name"], []).append(one.get("version", ""))
    (ours,) = (one for one in locked["package"] if one["name"] == "dhr")
    recorded = {
        _key(one["name"], one.get("marker", ""), one.get("specifier", "")) for one in ours["metadata"]["requires-dist"]
    }
    groups = {"": PROJECT["project"]["dependencies"], **PROJECT["project"]["optional-dependencies"]}
    wanted = [(extra, Requirement(line)) for extra, lines in groups.items() for line in lines]
    assert recorded == {_key(need.name, extra, str(need.specifier)) for extra, need in wanted}
    for _, need in wanted:
        found = versions[canonicalize_name(need.name)]
        assert all(need.specifier.contains(version) for version in found), f"{need} is locked as {found}"
    assert locked["requires-python"] == PROJECT["project"]["requires-python"]


def _key(name: str, marker: str, specifier: str) -> tuple[str, str, str]:
    """Return a requirement of the package: its name, the extra that it belongs to, and its versions."""
    extra = re.search(r"extra == '([\w-]+)'", marker)
    return canonicalize_name(name), extra[1] if extra else marker, specifier


def test_the_pre_commit_hook_is_a_make_target() -> None:
    hooks = read(ROOT / ".pre-commit-config.yaml")["repos"][0]["hooks"]
    assert [hook["entry"].split() for hook in hooks] == [["make", "lint"]] and "lint" in targets()


def test_forms_for_issues_can_be_filled_in() -> None:
    for name in ("bug", "wish"):
        form = read(ROOT / ".github" / "ISSUE_TEMPLATE" / f"{name}.yml")
        assert form["name"] and form["description"]
        fields = [field for field in form["body"] if field["type"] != "markdown"]
        assert fields and all(field["attributes"]["label"] and field["id"] for field in fields)


def test_images_copy_files_that_exist() -> None:
    kept = re.findall(r"^!(\S+)$", (ROOT / ".dockerignore").read_text(encoding="utf-8"), re.MULTILINE)
    copied = re.findall(r"^COPY (.+) \S+$", (ROOT / "Dockerfile").read_text(encoding="utf-8"), re.MULTILINE)
    names = [name for line in copied for name in line.split()]
    assert sorted(names) == sorted(kept) and all((ROOT / name).exists() for name in names)
    stages = re.findall(r"^FROM \S+ AS (\w+)$", (ROOT / "Dockerfile").read_text(encoding="utf-8"), re.MULTILINE)
    built = re.findall(r"--target (\w+)", (ROOT / "Makefile").read_text(encoding="utf-8"))
    assert set(built) < set(stages)
