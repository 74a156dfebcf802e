"""Differences between a call and the run in its folder, and the stages that they make invalid."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import get_args

from dhr.errors import ConfigError, OutputError
from dhr.job.data_job import DataJob
from dhr.job.job import ANOTHER, other_run
from dhr.job.settings import StageName
from dhr.records.scan import Scanned

ORDER = get_args(StageName)
"""The stages of runs that can be made again. A run has some of them."""

CONCERNS = {
    "wss": "classifier",
    "wss.scales": "survey",
    "wss.flip": "survey",
    "wss.maps": "survey",
    "wss.numbering": "survey",
    "sources": "calibration",
    "sources.classifier": "classifier",
    "sources.classifier.scales": "calibration",
    "sources.classifier.flip": "calibration",
    "sources.irn": "classifier",
    "sources.irn.scales": "calibration",
    "sources.irn.flip": "calibration",
    "affinity": "affinity",
    "uss": "survey",
    "features": "survey",
    "precision": "survey",
    "method": "survey",
    "boundary": "survey",
    "boundary.kind": "masks",
    "boundary.sam": "masks",
    "stages": "masks",
    "doubtful": "masks",
    "recursion": "student",
    "student": "student",
    "student_training": "student",
}
"""The first stage that depends on a setting, or on a group of settings; the first stage depends on all others."""

MAPS = ("settings.wss.maps", "settings.sources.files.maps")
"""Parts of the identity that change with the photographs: each has a file of maps."""


@dataclass(frozen=True)
class PhotographChanges:
    """The photographs of a folder that are not as they were in the last call, by name."""

    new: tuple[str, ...] = ()
    gone: tuple[str, ...] = ()
    retagged: tuple[str, ...] = ()
    replaced: tuple[str, ...] = ()
    """Those with other content."""
    rejected: tuple[str, ...] = ()
    """Those that a person has rejected since."""
    returned: tuple[str, ...] = ()
    """Those that are not rejected any more."""
    classes: bool = False
    """Whether the class table changed."""
    common: int = 0
    """Number of photographs that are in both."""

    @staticmethod
    def between(before: Mapping[str, Scanned], now: Mapping[str, Scanned], classes: bool) -> "PhotographChanges":
        """Compare two scans."""
        both = [name for name in now if name in before]
        tags = [(name, before[name].tags, now[name].tags) for name in both]
        return PhotographChanges(
            new=tuple(name for name in now if name not in before),
            gone=tuple(name for name in before if name not in now),
            retagged=tuple(name for name, old, new in tags if old is not None and {*old} != {*(new or ())}),
            replaced=tuple(name for name in both if before[name].digest != now[name].digest),
            rejected=tuple(name for name in both if now[name].rejected and not before[name].rejected),
            returned=tuple(name for name in both if before[name].rejected and not now[name].rejected),
            classes=classes,
            common=len(both),
        )

    def __str__(self) -> str:
        """Return the changes in words.

        >>> str(PhotographChanges(new=("a", "b"), gone=("c",)))
        '2 photographs are new, 1 is gone'
        """
        parts = [
            (self.retagged, "has other tags", "have other tags"),
            (self.replaced, "has other content", "have other content"),
            (self.rejected, "was rejected in review", "were rejected in review"),
            (self.returned, "is not rejected any more", "are not rejected any more"),
            (self.new, "is new", "are new"),
            (self.gone, "is gone", "are gone"),
        ]
        found = [(len(names), one if len(names) == 1 else many) for names, one, many in parts if names]
        texts = [f"{count} {text}" for count, text in found]
        if found:
            texts[0] = f"{found[0][0]} photograph{'s' if found[0][0] > 1 else ''} {found[0][1]}"
        if self.classes:
            texts.insert(0, "the class table changed")
        return ", ".join(texts) or "the photographs or tags changed"


@dataclass(frozen=True)
class Call:
    """Options of a call for a folder that holds a run."""

    redo: str | None = None
    """This stage and all later ones are made again."""
    keep_classifier: bool = False
    """Whether the trained stages stay as they are although photographs or tags changed."""

    def __post_init__(self) -> None:
        if self.redo is not None and self.redo not in ORDER:
            raise ConfigError(f"--redo must be one of {', '.join(ORDER)}; got {self.redo!r}")
        if self.keep_classifier and self.redo in ORDER[:2]:
            raise ConfigError(f"--redo {self.redo} trains again what --keep-classifier keeps; give one of them")


@dataclass(frozen=True)
class Decision:
    """The stages that are made again, and the reason."""

    stages: tuple[str, ...] = ()
    """Names of the stages; masks of other stages are made again if their own photograph changed."""
    note: str | None = None
    """The decision in a sentence."""
    redo: str | None = None
    """The first of the stages that the present call makes again."""
    drafts: bool = False
    """Whether the drafts of the survey are as good as before."""


def refuse_settings(job: DataJob, call: Call) -> None:
    """Refuse settings and versions other than the folder's, unless `--redo` covers all stages that depend on them.

    Raises:
        OutputError: they differ.
    """
    found = [
        text for text in job.differences(job.record.identity) if text.startswith(("settings.", "libraries", "dhr "))
    ]
    found = [text for text in found if _name(text) not in MAPS]
    if found:
        refuse_unless_redone(job, call, found)


def refuse_unless_redone(job: DataJob, call: Call, found: Sequence[str]) -> None:
    """Refuse the differences ``found`` unless `--redo` covers them.

    Raises:
        OutputError: it does not.
    """
    chain = job.chain
    first = min(chain.index(_concerned(_name(text), job)) for text in found)
    if call.redo is None:
        raise OutputError(f"{other_run(job.folder.root, found)}; {ANOTHER}, or --redo {_typed(chain[first])}")
    if chain.index(_present(call.redo, chain)) > first:
        named = "; ".join(found[:3])
        raise OutputError(
            f"{job.folder.root} holds another run: {named}; this concerns the stage {chain[first]}: give "
            f"--redo {_typed(chain[first])}, or {ANOTHER}"
        )


def decide(job: DataJob, call: Call, changes: PhotographChanges) -> Decision:
    """Decide which stages of the run in the folder are made again.

    Raises:
        ConfigError: the classifier cannot be kept.
        OutputError: the folder holds a run of other photographs, or maps that changed.
    """
    before, chain = job.before, job.chain
    assert before is not None
    different = job.differences(job.record.identity)
    data = "photographs and tags changed" in different
    if data:
        _refuse_unlike(job, changes)
    if {*MAPS} & {*map(_name, different)} and (call.keep_classifier or not data):
        refuse_unless_redone(job, call, [text for text in different if _name(text) in MAPS])
    first = len(chain)
    redo = before.redo if before.status == "running" else None
    if call.redo is not None and (redo != call.redo or set(different) - {"photographs and tags changed"}):
        redo = call.redo
        first = chain.index(_present(call.redo, chain))
    if data:
        first = min(first, _invalid(job, call, changes))
    learns = job.learns
    stages = tuple(name for name in chain if name in chain[first:] or name in learns)
    reasons = [*([str(changes)] if data else []), *([str(job.teaching)] if learns else [])]
    note = to_do(", ".join(reasons), stages, chain) if reasons else None
    return Decision(stages, note, redo, drafts=bool(learns) and "survey" not in chain[first:])


def _invalid(job: DataJob, call: Call, changes: PhotographChanges) -> int:
    """Return the number of the first stage that the changes make invalid; the chain's length if all stay valid."""
    chain = job.chain
    if changes.classes:
        if call.keep_classifier:
            raise ConfigError(
                "--keep-classifier: the class table changed, and the classifier has one output per class of the old "
                f"one; leave the option away, and it is trained again, or {ANOTHER}"
            )
        return 0
    fitted = [index for index, name in enumerate(chain) if name not in ("masks", "second masks")]
    if call.keep_classifier:
        fitted = [index for index in fitted if not job.is_made(chain[index])]
    return fitted[0] if fitted else len(chain)


def _refuse_unlike(job: DataJob, changes: PhotographChanges) -> None:
    """Refuse a folder if all photographs are others than in its run: most likely it is the wrong folder."""
    if changes.gone and changes.new and not changes.common:
        raise OutputError(
            f"{job.folder.root} holds another run: all of its {len(changes.gone)} photographs are others than these; "
            f"{ANOTHER}"
        )


def to_do(changed: str, stages: Sequence[str], chain: Sequence[str]) -> str:
    """Return a sentence on the stages that are made again after a change."""
    text = changed[0].upper() + changed[1:]
    kept = [name for name in chain if name not in stages and name not in ("masks", "second masks")]
    if "masks" not in stages:
        stages = ["masks of the photographs that changed", *stages]
    again = f"made again: {', '.join(stages)}"
    return f"{text}; {again}; kept: {', '.join(kept)}." if kept else f"{text}; {again}."


def _name(text: str) -> str:
    """Return the setting in the text of a difference."""
    return text.split(" was ")[0].removesuffix(" changed")


def _concerned(name: str, job: DataJob) -> str:
    chain = job.chain
    if not name.startswith("settings."):  # a version: stages that are made stay, and those after them get the new one
        return next((stage for stage in chain if not job.is_made(stage)), chain[-1])
    parts = name.removeprefix("settings.").split(".")
    prefixes = [".".join(parts[:count]) for count in range(len(parts), 0, -1)]
    return _present(next((CONCERNS[one] for one in prefixes if one in CONCERNS), ORDER[0]), chain)


def _present(stage: str, chain: Sequence[str]) -> str:
    """Return the first stage of the chain that is not before ``stage``."""
    later = [one for one in chain if ORDER.index(one) >= ORDER.index(stage)]
    return later[0] if later else chain[-1]


def _typed(stage: str) -> str:
    return f'"{stage}"' if " " in stage else stage
