"""Functions of Kubernetes' CEL library that the language itself lacks: of lists, regular expressions and sets.

Patterns are RE2's, as in the language's own `matches`: a search takes a time linear in the text, whatever the pattern.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Sequence
from typing import Any

from raftsman.services.apiserver import patterns


def _find(text: str, pattern: str) -> str:
    found = patterns.compiled(pattern).search(text)
    return found[0] if found else ""


def _find_all(text: str, pattern: str) -> list[str]:
    return [found[0] for found in patterns.compiled(pattern).finditer(text)]


def _find_some(text: str, pattern: str, count: int) -> list[str]:
    return _find_all(text, pattern) if count < 0 else _find_all(text, pattern)[:count]


def _is_sorted(values: Sequence[Any]) -> bool:
    return all(one <= other for one, other in itertools.pairwise(values))


def _index_of(values: Sequence[Any], wanted: Any) -> int:
    return next((index for index, one in enumerate(values) if one == wanted), -1)


def _last_index_of(values: Sequence[Any], wanted: Any) -> int:
    return next((index for index in range(len(values) - 1, -1, -1) if values[index] == wanted), -1)


def _contains(values: Sequence[Any], wanted: Sequence[Any]) -> bool:
    return all(one in values for one in wanted)


def _equivalent(values: Sequence[Any], others: Sequence[Any]) -> bool:
    return _contains(values, others) and _contains(others, values)


def _intersects(values: Sequence[Any], others: Sequence[Any]) -> bool:
    return any(one in values for one in others)


def extension() -> Any:
    """All of them, declared."""
    from cel_expr_python import cel

    any_list, any_, text = cel.Type.List(cel.Type.DYN), cel.Type.DYN, cel.Type.STRING
    texts, number, truth = cel.Type.List(text), cel.Type.INT, cel.Type.BOOL

    def member(name: str, result: Any, *overloads: tuple[tuple[Any, ...], Callable[..., Any]]) -> Any:
        return cel.FunctionDecl(
            name,
            [
                cel.Overload(f"raftsman_{name}_{index}", result, list(parameters), is_member=True, impl=run)
                for index, (parameters, run) in enumerate(overloads)
            ],
        )

    def plain(name: str, run: Callable[..., Any]) -> Any:
        overload = cel.Overload(f"raftsman_{name}", truth, [any_list, any_list], is_member=False, impl=run)
        return cel.FunctionDecl(name, [overload])

    return cel.CelExtension(
        "raftsman",
        [
            member("find", text, ((text, text), _find)),
            member("findAll", texts, ((text, text), _find_all), ((text, text, number), _find_some)),
            member("isSorted", truth, ((any_list,), _is_sorted)),
            member("sum", any_, ((any_list,), sum)),
            member("min", any_, ((any_list,), min)),
            member("max", any_, ((any_list,), max)),
            member("indexOf", number, ((any_list, any_), _index_of)),
            member("lastIndexOf", number, ((any_list, any_), _last_index_of)),
            plain("sets.contains", _contains),
            plain("sets.equivalent", _equivalent),
            plain("sets.intersects", _intersects),
        ],
    )
