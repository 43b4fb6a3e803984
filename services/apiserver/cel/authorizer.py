"""The `authorizer` of expressions: may the caller do something else, too?

    authorizer.group("apps").resource("deployments").namespace("x").name("y").check("delete").allowed()
    authorizer.path("/healthz").check("get").allowed()      authorizer.serviceAccount("x", "y").requestResource…

A question is a map that each step adds to; `decides` is who answers, as long as an expression is evaluated.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from contextvars import ContextVar
from typing import Any

Question = dict[str, Any]
Decides = Callable[[Question], bool]

_deciding: ContextVar[Decides | None] = ContextVar("deciding", default=None)
_STEPS = ("group", "resource", "subresource", "namespace", "name", "path", "fieldSelector", "labelSelector")


@contextlib.contextmanager
def answering(decides: Decides) -> Iterator[None]:
    token = _deciding.set(decides)
    try:
        yield
    finally:
        _deciding.reset(token)


def _adding(key: str) -> Callable[[Question, str], Question]:
    return lambda question, value: {**question, key: value}


def _service_account(question: Question, namespace: str, name: str) -> Question:
    return {**question, "serviceAccount": f"{namespace}:{name}"}


def _allowed(question: Question) -> bool:
    decides = _deciding.get()
    if decides is None or "verb" not in question:
        raise ValueError("no such overload: allowed() is asked of a check")
    return decides(question)


def extension() -> Any:
    from cel_expr_python import cel

    question, text = cel.Type.Map(cel.Type.STRING, cel.Type.DYN), cel.Type.STRING

    def member(name: str, result: Any, parameters: list[Any], run: Callable[..., Any]) -> Any:
        overload = cel.Overload(f"authorizer_{name}", result, [question, *parameters], is_member=True, impl=run)
        return cel.FunctionDecl(name, [overload])

    return cel.CelExtension(
        "authorizer",
        [
            *(member(step, question, [text], _adding(step)) for step in _STEPS),
            member("check", question, [text], _adding("verb")),
            member("serviceAccount", question, [text, text], _service_account),
            member("allowed", cel.Type.BOOL, [], _allowed),
            member("reason", text, [], lambda _: ""),
            member("errored", cel.Type.BOOL, [], lambda _: False),
            member("error", text, [], lambda _: ""),
        ],
    )
