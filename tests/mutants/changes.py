"""Finds the places of a module that can be changed, and changes one."""

import ast
import difflib
import hashlib
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache, cached_property
from pathlib import Path

from cosmic_ray.ast import ast_nodes, get_ast
from cosmic_ray.mutating import mutate_code
from cosmic_ray.plugins import get_operator

_PAIRS = {
    "BinaryOperator": "Add_Sub Sub_Add Mul_Div Div_Mul FloorDiv_Mul Mod_Add Pow_Mul BitOr_BitAnd BitAnd_BitOr "
    "BitXor_BitOr RShift_LShift LShift_RShift",
    "ComparisonOperator": "Eq_NotEq NotEq_Eq Lt_LtE LtE_Lt Gt_GtE GtE_Gt Lt_Gt Gt_Lt LtE_GtE GtE_LtE Is_IsNot IsNot_Is",
    "UnaryOperator": "USub_UAdd Delete_Not",
}
OPERATORS = (
    *(f"core/Replace{kind}_{pair}" for kind, pairs in _PAIRS.items() for pair in pairs.split()),
    *("core/AddNot", "core/NumberReplacer", "core/ReplaceTrueWithFalse", "core/ReplaceFalseWithTrue"),
    *("core/ReplaceAndWithOr", "core/ReplaceOrWithAnd", "core/ReplaceBreakWithContinue"),
    *("core/ReplaceContinueWithBreak", "core/ZeroIterationForLoop"),
)
"""Pairs of operators that take the same operands: a change that is an error at once says little of the tests."""


@dataclass(frozen=True)
class Change:
    """One change of one module."""

    path: Path
    module: str
    """The path below ``src/dhr``."""
    operator: str
    occurrence: int
    line: int
    source: str
    """Digest of the module as it is."""

    @property
    def key(self) -> str:
        """A name that stays while the module stays."""
        return f"{self.module}:{self.operator}:{self.occurrence}"

    @cached_property
    def code(self) -> str:
        """The whole module, changed."""
        code = mutate_code(_read(self.path), get_operator(self.operator)(), self.occurrence)
        assert code is not None
        return str(code)

    @cached_property
    def text(self) -> str:
        """The lines before and after."""
        _, _, *lines = difflib.unified_diff(_read(self.path).splitlines(), self.code.splitlines(), n=0)
        return " -> ".join(" ".join(line[1:].strip() for line in lines if line[0] == sign) for sign in "-+")

    def __str__(self) -> str:
        return f"{self.module}:{self.line}: {self.text}"


def changes_of(root: Path, module: str) -> Iterator[Change]:
    """Yield all changes of a module below a folder. Annotations and decorators stay as they are."""
    code = _read(root / module)
    source = hashlib.sha256(code.encode()).hexdigest()[:16]
    inert, nodes = _inert(code), [*ast_nodes(get_ast(code))]
    for name in OPERATORS:
        operator = get_operator(name)()
        places = (start for node in nodes for start, _ in operator.mutation_positions(node))
        for occurrence, start in enumerate(places):
            if not any(first <= start < last for first, last in inert):
                yield Change(root / module, module, name, occurrence, start[0], source)


@cache
def _read(path: Path) -> str:
    return path.read_text(encoding="utf-8")


def _inert(code: str) -> list[tuple[tuple[int, int], tuple[int, int]]]:
    """Return where the annotations and decorators of a module begin and end."""
    found: list[ast.expr | None] = []
    for node in ast.walk(ast.parse(code)):
        if isinstance(node, ast.arg | ast.AnnAssign):
            found.append(node.annotation)
        elif isinstance(node, ast.FunctionDef):
            found += [node.returns, *node.decorator_list]
        elif isinstance(node, ast.ClassDef):
            found += node.decorator_list
    return [((one.lineno, one.col_offset), (one.end_lineno or 0, one.end_col_offset or 0)) for one in found if one]
