"""Match names of classes that are written in another case, or mistyped."""

import difflib
from collections import defaultdict
from collections.abc import Sequence

_HINTS = 256  # names whose neighbours are looked for; each takes milliseconds
_LONGEST = 100  # letters of such a name


class Spelling:
    """Finds the class that a name means, and classes that it could mean.

    >>> found = Spelling(("cat", "Dog", "dog"))
    >>> found.find("Cat"), found.find("DOG"), found.hint("DOG"), found.hint("cta")
    (0, None, "did you mean 'Dog' or 'dog'?", "did you mean 'cat'?")
    """

    def __init__(self, names: Sequence[str], source: str | None = "classes.txt") -> None:
        """Take the names of all classes, in Unicode's composed form, and the file that lists them, if any does."""
        self._names, self._source = names, source
        self._ids = {name: index for index, name in enumerate(names)}
        self._folded: dict[str, list[str]] = defaultdict(list)
        for name in names:
            self._folded[name.casefold()].append(name)
        self._others: dict[str, str] = {}
        self._hints: dict[str, str] = {}

    def find(self, name: str) -> int | None:
        """Return the id of the class of this name, or of the only class of this name in another case."""
        if (index := self._ids.get(name)) is not None:
            return index
        same = self._folded.get(name.casefold(), ())
        return self._ids[same[0]] if len(same) == 1 else None

    def read(self, name: str) -> int | None:
        """Find a class as :meth:`find`; :attr:`notes` reports a name in another case."""
        index = self.find(name)
        if index is not None and name not in self._ids:
            self._others.setdefault(name, self._names[index])
        return index

    def hint(self, name: str) -> str:
        """Suggest a remedy for an unknown name; each is looked up once, and only some hundred names are."""
        if name in self._hints:
            return self._hints[name]
        near = list(self._folded.get(name.casefold(), ()))
        if not near and len(self._hints) < _HINTS and len(name) <= _LONGEST:
            close = difflib.get_close_matches(name.casefold(), self._folded, n=3)
            near = [self._folded[one][0] for one in close]
        if near:
            hint = f"did you mean {' or '.join(repr(one) for one in near)}?"
        elif name.isdecimal():
            hint = "write the name of the class, not its number"
        else:
            hint = "correct it" if self._source is None else f"correct it, or add it to {self._source}"
        self._hints[name] = hint
        return hint

    @property
    def notes(self) -> list[str]:
        """Report the names in another case than their class, in a sentence."""
        if not self._others:
            return []
        pairs = [f"{name!r} as {of!r}" for name, of in list(self._others.items())[:3]]
        more = f" and {len(self._others) - 3} more" if len(self._others) > 3 else ""
        return [f"tags are read in other letters than classes have: {', '.join(pairs)}{more}"]
