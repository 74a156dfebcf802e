"""Match the names that other programs give to objects with the classes of a data set."""

import re
from collections import defaultdict
from collections.abc import Mapping, Sequence

from dhr.data.background import is_background
from dhr.data.class_names import class_of
from dhr.data.samples import ClassTable

_ARTICLE = re.compile(r"(?:an?|the)\s+(?=\S)")
_JOINTS = re.compile(r"[\s_\-]+")
_ENDS = " \t\r\n.,;:!?\"'"


class Labels:
    """Finds classes by name. Case, articles, blanks, `_` and `-` do not count, unless they tell two classes apart.

    Args:
        classes: the class table.
        words: other names of classes, by class.
    """

    def __init__(self, classes: ClassTable, words: Mapping[str, Sequence[str]]) -> None:
        self._exact: dict[str, int] = {}
        loose: dict[str, set[int]] = defaultdict(set)
        for index in classes.foreground:
            name = classes.names[index]
            for one in (name, *words.get(name, ())):
                loose[_loose(one)].add(index)
        for index in classes.foreground:
            self._exact[class_of(classes.names[index])] = index
        self._loose = {key: next(iter(ids)) for key, ids in loose.items() if len(ids) == 1}

    def find(self, label: str) -> int | None:
        """Return the class id of a label; None if it is not the name of a class."""
        exact = self._exact.get(class_of(label))
        return self._loose.get(_loose(label)) if exact is None else exact

    @staticmethod
    def ignored(label: str) -> bool:
        """Tell whether a label stands for the background."""
        return is_background(label)


def _loose(name: str) -> str:
    """Return a name as it is compared.

    >>> _loose("A potted plant."), _loose("potted-plant"), _loose("TV_monitor")
    ('pottedplant', 'pottedplant', 'tvmonitor')
    """
    text = class_of(name).casefold().strip(_ENDS)
    return _JOINTS.sub("", _ARTICLE.sub("", text, count=1) if _ARTICLE.match(text) else text)
