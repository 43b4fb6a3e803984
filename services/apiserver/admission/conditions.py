"""What expressions about a request see of it, and matchConditions.

object and oldObject (null if there is none), request (an AdmissionRequest without the two), namespaceObject where a
policy asks for it. Made once for a request and its present state, however many expressions look at it.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from raftsman.services.apiserver.cel import expressions
from raftsman.services.apiserver.webhooks import reviews

from .attributes import Attributes

NAMES = ("object", "oldObject", "request")


class ConditionError(Exception):
    """A condition that has no value."""


def variables(attributes: Attributes) -> dict[str, Any]:
    request = reviews.question(attributes)["request"]
    found = {"object": request.pop("object"), "oldObject": request.pop("oldObject")}
    return {**found, "request": request}


def all_hold(conditions: Iterable[Any], seen: Mapping[str, Any]) -> bool:
    """Whether every condition is true; one that is false decides, even beside one that fails. Raises ConditionError."""
    failed = ""
    for condition in conditions:
        try:
            holds = expressions.compiled(condition.expression, NAMES).evaluate(seen)
        except (expressions.CompileError, expressions.EvaluationError) as error:
            failed = failed or f"{condition.name}: {error}"
            continue
        if holds is not True:
            return False
    if failed:
        raise ConditionError(failed)
    return True
