"""x-kubernetes-validations: rules in CEL (KEP-2876), checked when a definition is written, judged with every object.

A rule stands in a schema and is about the value there: `self`. One that names `oldSelf` is about a change, and judged
only where there was a value before: found by names and by the keys of lists of type map; it may not stand where that
cannot be found. With `optionalOldSelf` it is judged always. A value that did not change is judged only by rules about
changes (KEP-4008). A rule that fails while it runs is a rule that is broken. At most RULES_MAX causes are told.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from raftsman.services.apiserver.cel import costs, expressions, typed
from raftsman.services.apiserver.managedfields.documents import same
from raftsman.services.apiserver.validation.causes import Causes

from . import bound
from .document import Document
from .schema import ABSENT, MAP, Schema, compiled

RULES_MAX = 100
MESSAGE_CHARACTERS_MAX = 2048
MESSAGE_EXPRESSION_MAX = 5 << 10
_REASONS = ("FieldValueInvalid", "FieldValueForbidden", "FieldValueRequired", "FieldValueDuplicate")
_STRINGS = re.compile(r"""r?(\"\"\"(?:.|\n)*?\"\"\"|'''(?:.|\n)*?'''|"(?:\\.|[^"\\])*"|'(?:\\.|[^'\\])*')""")
_OLD = re.compile(r"\boldSelf\b")
_OPTIONAL = "cel.bind(oldSelf, raftsman_had ? optional.of(raftsman_old) : optional.none(), ({rule}))"
_VARIABLES = ("oldSelf", "raftsman_had", "raftsman_old", "self")
_SIMPLER = (
    "try simplifying the rule, or adding maxItems, maxProperties, and maxLength where arrays, maps, and strings are "
    "declared"
)
_PATH = re.compile(r"\.([A-Za-z_][\w-]*)|\['((?:[^'\\]|\\.)*)'\]", re.ASCII)


def about_change(rule: Mapping[str, Any]) -> bool:
    """Whether it names `oldSelf`, outside of texts."""
    words = (rule.get("rule", ""), rule.get("messageExpression", ""))
    return any(_OLD.search(_STRINGS.sub('""', word)) for word in words)


@dataclass(frozen=True, slots=True)
class _Rule:
    facts: Mapping[str, Any]
    program: expressions.Program
    message: expressions.Program | None
    transition: bool
    optional: bool

    @classmethod
    def of(cls, facts: Mapping[str, Any]) -> _Rule:
        """Raises expressions.CompileError."""
        optional = bool(facts.get("optionalOldSelf"))
        said = facts.get("messageExpression")
        message = _program(said, optional=optional) if said else None
        program = _program(facts.get("rule", ""), optional=optional)
        return cls(facts, program, message, about_change(facts), optional)


def _program(text: str, *, optional: bool) -> expressions.Program:
    text = _OPTIONAL.format(rule=text) if optional else text
    return expressions.compiled(text, _VARIABLES)


class Judge:
    """Judges objects by the rules of one schema, which were checked before."""

    def __init__(self, schema: Schema) -> None:
        self._schema = schema
        self._rules: dict[int, tuple[_Rule, ...]] = {}

    def judge(self, new: Document, old: Document | None, causes: Causes) -> None:
        found = Causes()
        before = ABSENT if old is None else _whole(old)
        self._node(_whole(new), before, self._schema, "", found, root=True)
        causes.found += found.found[:RULES_MAX]

    def _node(self, value: Any, old: Any, schema: Schema, path: str, causes: Causes, *, root: bool = False) -> None:
        if not schema.any_rules or len(causes.found) > RULES_MAX or value is None:
            return
        unchanged = old is not ABSENT and same(value, old)
        if schema.rules:
            self._judge(value, old, schema, path, causes, root=root, unchanged=unchanged)
        if not schema.below_has_rules:
            return
        if isinstance(value, dict):
            for name, inner in value.items():
                below = schema.named(name)
                if below is not None:
                    earlier = old.get(name, ABSENT) if isinstance(old, dict) else ABSENT
                    self._node(inner, earlier, below, f"{path}.{name}" if path else name, causes)
        elif isinstance(value, list) and schema.items is not None:
            self._items(value, old, schema, path, causes, unchanged=unchanged)

    def _items(self, value: list[Any], old: Any, schema: Schema, path: str, causes: Causes, *, unchanged: bool) -> None:
        assert schema.items is not None
        before: dict[Any, Any] = {}
        if isinstance(old, list) and schema.list_type == MAP:
            before = {str(schema.item_key(item)): item for item in old}
        for index, item in enumerate(value):
            earlier = before.get(str(schema.item_key(item)), ABSENT) if before else ABSENT
            if unchanged and earlier is ABSENT:
                earlier = item
            self._node(item, earlier, schema.items, f"{path}[{index}]", causes)

    def _judge(
        self, value: Any, old: Any, schema: Schema, path: str, causes: Causes, *, root: bool, unchanged: bool
    ) -> None:
        rules = self._rules.get(id(schema))
        if rules is None:
            rules = self._rules[id(schema)] = tuple(_Rule.of(facts) for facts in schema.rules)
        variables: dict[str, Any] = {}
        for rule in rules:
            if unchanged and not rule.transition:
                continue
            if rule.transition and not rule.optional and (old is ABSENT or old is None):
                continue
            if not variables:
                variables = _variables(value, old, schema, root=root)
            _apply(rule, variables, schema, path, causes)


def _variables(value: Any, old: Any, schema: Schema, *, root: bool) -> dict[str, Any]:
    had = old is not ABSENT and old is not None
    before = bound.value(old, schema, root=root) if had else None
    return {
        "self": bound.value(value, schema, root=root), "oldSelf": before, "raftsman_had": had, "raftsman_old": before,
    }  # fmt: skip


def _whole(document: Document) -> dict[str, Any]:
    """What rules at the root see: of the metadata, the name."""
    metadata = {"name": document.metadata.name}
    if document.metadata.generate_name:
        metadata["generateName"] = document.metadata.generate_name
    return {**document.content, "metadata": metadata}


def _apply(rule: _Rule, variables: dict[str, Any], schema: Schema, path: str, causes: Causes) -> None:
    text = rule.facts.get("rule", "")
    try:
        if rule.program.evaluate(variables) is True:
            return
        message = _message(rule, variables)
    except expressions.EvaluationError as error:
        message = f"{error} evaluating rule: {rule.facts.get('message') or text}"
    where = _field(path, rule.facts.get("fieldPath", ""))
    type_ = schema.type or "object"
    match rule.facts.get("reason", _REASONS[0]):
        case "FieldValueForbidden":
            causes.forbidden(where, message)
        case "FieldValueRequired":
            causes.required(where, message)
        case "FieldValueDuplicate":
            causes.duplicate(where, type_)
        case _:
            causes.invalid(where, type_, message)


def _message(rule: _Rule, variables: dict[str, Any]) -> str:
    """What the rule's own expression says, else its message, else the rule."""
    if rule.message is not None:
        try:
            said = rule.message.evaluate(variables)
        except expressions.EvaluationError:
            said = None
        if isinstance(said, str) and said.strip() and "\n" not in said:
            return said[:MESSAGE_EXPRESSION_MAX]
    return rule.facts.get("message") or f"failed rule: {rule.facts.get('rule', '')}"


def _field(path: str, below: str) -> str:
    """A path, and what fieldPath says of it."""
    steps = "".join(f".{found[1] or found[2]}" for found in _PATH.finditer(below))
    return (path + steps).lstrip(".") or "<nil>"


# -- when a definition is written


def check(tree: Mapping[str, Any], causes: Causes, *, path: str) -> None:
    """What is wrong with the rules of a schema, and whether they could cost too much."""
    total, before = 0, len(causes.found)
    for node in _nodes(compiled(tree), path, root=True, correlatable=True, copies=1):
        environment = None
        for index, facts in enumerate(node.schema.rules):
            at = f"{node.path}.x-kubernetes-validations[{index}]"
            found = Causes()
            _words(facts, found, at, node)
            if not found:
                if environment is None:
                    environment = expressions.typed_environment(*typed.environment(node.schema, root=node.root))
                total += _compile(facts, found, at, node, environment)
            causes.found += found.found
    if total > costs.PER_DEFINITION_MAX and len(causes.found) == before:
        factor = costs.factor(total, costs.PER_DEFINITION_MAX)
        why = (
            "x-kubernetes-validations estimated rule cost total for entire OpenAPIv3 schema exceeds budget by factor of"
        )
        causes.forbidden(path, f"{why} {factor}")


@dataclass(frozen=True, slots=True)
class _Node:
    """A schema with rules. `copies`: how many values of it an object may have."""

    schema: Schema
    path: str
    root: bool
    correlatable: bool
    copies: int


def _nodes(schema: Schema, path: str, *, root: bool, correlatable: bool, copies: int) -> Iterator[_Node]:
    if not schema.any_rules:
        return
    if schema.rules:
        yield _Node(schema, path, root, correlatable, copies)
    for name, inner in schema.properties.items():
        yield from _nodes(inner, f"{path}.properties[{name}]", root=False, correlatable=correlatable, copies=copies)
    if schema.additional is not None:
        many = copies * costs.size_of(schema)
        at = f"{path}.additionalProperties"
        yield from _nodes(schema.additional, at, root=False, correlatable=correlatable, copies=many)
    if schema.items is not None:
        keyed, many = correlatable and schema.list_type == MAP, copies * costs.size_of(schema)
        yield from _nodes(schema.items, f"{path}.items", root=False, correlatable=keyed, copies=many)


def _words(facts: Mapping[str, Any], causes: Causes, at: str, node: _Node) -> None:
    rule, message = facts.get("rule", ""), facts.get("message", "")
    if not rule.strip():
        causes.required(f"{at}.rule", "rule is not specified")
    if "\n" in rule and not message:
        causes.required(f"{at}.message", "message must be specified if rule contains line breaks")
    if message and not message.strip():
        causes.invalid(f"{at}.message", message, "message must be non-empty if specified")
    if "\n" in message:
        causes.invalid(f"{at}.message", message, "message must not contain line breaks")
    if len(message) > MESSAGE_CHARACTERS_MAX:
        causes.too_long(f"{at}.message", MESSAGE_CHARACTERS_MAX)
    if facts.get("reason") is not None and facts["reason"] not in _REASONS:
        causes.not_supported(f"{at}.reason", facts["reason"], _REASONS)
    if facts.get("fieldPath") and not _leads_somewhere(facts["fieldPath"], node.schema):
        causes.invalid(f"{at}.fieldPath", facts["fieldPath"], "fieldPath must be a valid path")
    transition = about_change(facts)
    if facts.get("optionalOldSelf") is not None and not transition:
        causes.invalid(
            f"{at}.optionalOldSelf", facts["optionalOldSelf"], "may not be set if oldSelf is not used in rule"
        )
    if transition and not node.correlatable:
        why = "oldSelf cannot be used on the uncorrelatable portion of the schema"
        causes.invalid(f"{at}.rule", rule, why)


def _leads_somewhere(path: str, schema: Schema) -> bool:
    position, found = 0, schema
    while position < len(path):
        step = _PATH.match(path, position)
        below = found.named(step[1] or step[2]) if step is not None else None
        if step is None or below is None:
            return False
        position, found = step.end(), below
    return True


def _compile(facts: Mapping[str, Any], causes: Causes, at: str, node: _Node, environment: Any) -> int:
    """Compile a rule and its message; what all of its evaluations in an object may cost."""
    optional, cost = bool(facts.get("optionalOldSelf")), 0
    for word, wanted, why in (
        ("rule", "BOOL", "cel expression must evaluate to a bool"),
        ("messageExpression", "STRING", "messageExpression must evaluate to a string"),
    ):
        text = facts.get(word, "")
        if not text:
            continue
        try:
            checked = expressions.checked(_OPTIONAL.format(rule=text) if optional else text, environment)
            _program(text, optional=optional)
        except expressions.CompileError as error:
            causes.invalid(f"{at}.{word}", text, f"compilation failed: {error}")
            continue
        if checked.type not in (wanted, "DYN"):
            causes.invalid(f"{at}.{word}", text, why)
            continue
        one = costs.estimate(checked.serialised, node.schema)
        if one > costs.PER_EXPRESSION_MAX:
            factor = costs.factor(one, costs.PER_EXPRESSION_MAX)
            causes.forbidden(f"{at}.{word}", f"estimated rule cost exceeds budget by factor of {factor} ({_SIMPLER})")
        cost += one * node.copies
    return cost
