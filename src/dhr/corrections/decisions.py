"""People's decisions on the photographs of a job: which of them hold, and the tags that follow from them."""

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from functools import partial

from dhr.corrections.store import Corrections
from dhr.corrections.validity import tags_in, valid
from dhr.data.samples import ClassTable, DataSet, Sample
from dhr.errors import ItemError, OutputError
from dhr.records.correction import Correction
from dhr.words import counted


@dataclass(frozen=True)
class Decisions:
    """The decisions on the photographs that were looked at, by name."""

    held: dict[str, Correction] = field(default_factory=dict)
    """Those that hold."""
    outdated: dict[str, str] = field(default_factory=dict)
    """Why others are not used."""

    def take(self, name: str, correction: Correction, reason: str | None) -> Correction | None:
        """Note a decision, and return it unless there is a ``reason`` why it is outdated."""
        self.held.pop(name, None)
        self.outdated.pop(name, None)
        if reason is None:
            self.held[name] = correction
            return correction
        self.outdated[name] = reason
        return None


class DecisionReader:
    """Reads the decisions of a folder, one photograph at a time."""

    def __init__(self, store: Corrections | None) -> None:
        self.decisions = Decisions()
        self._store, self._names = store, set() if store is None else {*store.names()}

    def decide(self, sample: Sample, digest: str, classes: ClassTable) -> Correction | None:
        """Return the decision on a photograph of a data set with this content; None if there is none that holds."""
        return self.read(sample.name, partial(valid, sample=sample, digest=digest, classes=classes))

    def read(self, name: str, judge: Callable[[Correction], str | None]) -> Correction | None:
        """Return the decision on a photograph; None without one, or if ``judge`` says why it is outdated."""
        try:
            correction = self._store.read(name) if self._store is not None and name in self._names else None
        except OutputError as error:  # the run goes on, as with a photograph that cannot be read
            self.decisions.outdated[name] = str(error)
            return None
        return None if correction is None else self.decisions.take(name, correction, judge(correction))


def decided(sample: Sample, correction: Correction | None, classes: ClassTable) -> Sample:
    """Return a photograph with the tags that a correction gives it."""
    if correction is None or not correction.certain:
        return sample
    return replace(sample, tags=tags_in(correction, classes))


def rejected_among(data: DataSet, store: Corrections | None) -> Iterator[Sample]:
    """Yield the photographs of a data set that a person has rejected; only those with a decision are read."""
    names = set() if store is None else {*store.names()}
    reader = DecisionReader(store)
    for sample in data.samples:
        if sample.name in names:
            try:
                found = reader.decide(sample, data.digest(sample), data.classes)
            except ItemError:  # whoever reads its pixels reports it
                continue
            if found is not None and found.state == "rejected":
                yield sample


def rejected_note(names: Iterable[str], most: int = 3) -> list[str]:
    """Tell of photographs that are left out because a person rejected them; a decision is no problem.

    >>> rejected_note(["b", "a"])
    ['2 photographs left out, because they were rejected in review: a, b.']
    """
    told = sorted(names)
    if not told:
        return []
    they = "it was" if len(told) == 1 else "they were"
    more = f" and {len(told) - most} more" if len(told) > most else ""
    photographs = counted(len(told), "photograph")
    return [f"{photographs} left out, because {they} rejected in review: {', '.join(told[:most])}{more}."]


def states(corrections: Mapping[str, Correction]) -> str:
    """Count corrections by state, in words.

    >>> states({"a": Correction("mended", "0" * 64), "b": Correction("accepted", "0" * 64)})
    '1 accepted, 1 mended'
    """
    found = [one.state for one in corrections.values()]
    return ", ".join(f"{found.count(state)} {state}" for state in sorted({*found}))


def outdated_note(outdated: Mapping[str, str], most: int = 3) -> list[str]:
    """Tell of corrections that are not used, with the reasons of the first few."""
    if not outdated:
        return []
    are = "1 correction is" if len(outdated) == 1 else f"{len(outdated)} corrections are"
    told = [f"{name} ({outdated[name]})" for name in sorted(outdated)]
    more = f" and {len(told) - most} more" if len(told) > most else ""
    return [f"{are} outdated and not used, but kept: {', '.join(told[:most])}{more}."]
