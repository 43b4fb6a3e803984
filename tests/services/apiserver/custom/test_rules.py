"""x-kubernetes-validations: which rules may be written, and what they say of objects."""

from __future__ import annotations

from typing import Any

import pytest
from raftsman.meta import v1 as meta
from raftsman.services.apiserver.custom import rules
from raftsman.services.apiserver.custom.document import Document
from raftsman.services.apiserver.custom.schema import compiled
from raftsman.services.apiserver.validation.causes import Causes


def schema(*written: dict[str, Any], root: tuple[dict[str, Any], ...] = (), **properties: Any) -> dict[str, Any]:
    spec: dict[str, Any] = {"type": "object", "properties": properties, "x-kubernetes-validations": list(written)}
    return {"type": "object", "properties": {"spec": spec}, "x-kubernetes-validations": list(root)}


TEXT = {"type": "string", "maxLength": 100}
NUMBER = {"type": "integer"}
LIST = {"type": "array", "maxItems": 20, "items": TEXT}


def checked(tree: dict[str, Any]) -> list[str]:
    causes = Causes()
    rules.check(tree, causes, path="s")
    return [f"{one.field}: {one.message}" for one in causes.found]


def judged(tree: dict[str, Any], spec: Any, old: Any = None, *, name: str = "it") -> list[str]:
    assert checked(tree) == []
    causes = Causes()

    def document(content: Any) -> Document:
        return Document(meta.ObjectMeta(name=name), {"spec": content})

    judge = rules.Judge(compiled(tree))
    judge.judge(document(spec), None if old is None else document(old), causes)
    return [f"{one.field}: {one.message}" for one in causes.found]


RULES = (
    ("self.min <= self.max", {"min": 1, "max": 2}, {"min": 3, "max": 2}),
    ("has(self.min) == has(self.max)", {}, {"min": 1}),
    ("!has(self.name) || self.name.startsWith('a')", {"name": "ab"}, {"name": "b"}),
    ("self.list.all(x, x.size() > 1) && self.list.exists(x, x == 'ab')", {"list": ["ab"]}, {"list": ["a"]}),
    ("self.list.isSorted() && self.list.indexOf('b') == 1", {"list": ["a", "b"]}, {"list": ["b", "a"]}),
    ("self.list.map(x, size(x)).sum() < 4", {"list": ["a"]}, {"list": ["aaaa"]}),
    ("self.name.matches('^[a-z]+$')", {"name": "abc"}, {"name": "a1"}),
    ("self.name.find('[0-9]+') == '12'", {"name": "a12"}, {"name": "a"}),
    ("self.name.split('.').size() == 2", {"name": "a.b"}, {"name": "a"}),
    ("isURL(self.name) && url(self.name).getHostname() == 'a.b'", {"name": "https://a.b:1/c"}, {"name": "https://b"}),
    ("isIP(self.name) && ip(self.name).family() == 4", {"name": "10.0.0.1"}, {"name": "::1"}),
    ("cidr('10.0.0.0/8').containsIP(self.name)", {"name": "10.1.1.1"}, {"name": "11.1.1.1"}),
    ("quantity(self.name).isLessThan(quantity('1Gi'))", {"name": "100Mi"}, {"name": "2Gi"}),
    ("quantity(self.name) == quantity('1')", {"name": "1000m"}, {"name": "2"}),
    ("semver(self.name).isGreaterThan(semver('1.9.0'))", {"name": "1.10.0"}, {"name": "1.9.0-rc.1"}),
    ("self.?name.orValue('x') == 'x'", {}, {"name": "y"}),
    ("self.when.getFullYear() < 2024", {"when": "2023-01-01T00:00:00Z"}, {"when": "2025-01-01T01:00:00Z"}),
    ("self.long > duration('1h')", {"long": "90m"}, {"long": "3s"}),
    ("self.raw.size() == 3", {"raw": "YWJj"}, {"raw": "YQ=="}),
    ("self.float > 1.5", {"float": 2}, {"float": 1}),
    ("self.my__dash__key == 'x' && self.__in__ == 1", {"my-key": "x", "in": 1}, {"my-key": "x", "in": 2}),
    ("self.map.all(k, k.startsWith('a') && self.map[k] > 1)", {"map": {"ab": 2}}, {"map": {"b": 2}}),
    ("type(self.port) == string ? self.port == 'http' : self.port > 1", {"port": 2}, {"port": "x"}),
    ("self.maybe == null || self.maybe == 'x'", {"maybe": None}, {"maybe": "y"}),
    ("sets.contains(self.list, ['a'])", {"list": ["b", "a"]}, {"list": []}),
    ("'%s-%d'.format([self.name, 1]) == 'a-1'", {"name": "a"}, {"name": "b"}),
    ("self.inner.deep[0].x == 1", {"inner": {"deep": [{"x": 1}]}}, {"inner": {"deep": [{"x": 2}]}}),
)  # fmt: skip
PROPERTIES: dict[str, Any] = {
    "min": NUMBER, "max": NUMBER, "name": TEXT, "list": LIST, "my-key": TEXT, "in": NUMBER,
    "when": {"type": "string", "format": "date-time"}, "long": {"type": "string", "format": "duration"},
    "raw": {"type": "string", "format": "byte"}, "float": {"type": "number"},
    "map": {"type": "object", "maxProperties": 9, "additionalProperties": NUMBER},
    "port": {"x-kubernetes-int-or-string": True}, "maybe": {"type": "string", "nullable": True},
    "inner": {
        "type": "object",
        "properties": {
            "deep": {"type": "array", "maxItems": 3, "items": {"type": "object", "properties": {"x": NUMBER}}}
        },
    },
}  # fmt: skip


@pytest.mark.parametrize(("rule", "right", "wrong"), RULES, ids=[one[0] for one in RULES])
def test_a_rule_tells_right_from_wrong(rule: str, right: Any, wrong: Any) -> None:
    tree = schema({"rule": rule}, **PROPERTIES)
    assert judged(tree, right) == []
    assert judged(tree, wrong) == [f'spec: Invalid value: "object": failed rule: {rule}']


@pytest.mark.parametrize(
    ("rule", "why"),
    [
        ("self.nam == 'x'", "undefined field 'nam'"),
        ("self.name > 1", "no matching overload"),
        ("self.name ==", "Syntax error"),
        ("self.name", "cel expression must evaluate to a bool"),
        ("nobody(self)", "undeclared reference to 'nobody'"),
        ("", "Required value: rule is not specified"),
    ],
)
def test_a_rule_that_cannot_hold_is_named_when_it_is_written(rule: str, why: str) -> None:
    (told,) = checked(schema({"rule": rule}, **PROPERTIES))
    assert told.startswith("s.properties[spec].x-kubernetes-validations[0].rule: ")
    assert why in told


def test_rules_about_a_change_are_judged_when_there_was_something_before() -> None:
    tree = schema({"rule": "self.min >= oldSelf.min", "message": "may only grow"}, **PROPERTIES)
    assert judged(tree, {"min": 1}) == []
    assert judged(tree, {"min": 2}, {"min": 1}) == []
    assert judged(tree, {"min": 1}, {"min": 2}) == ['spec: Invalid value: "object": may only grow']


def test_with_an_optional_old_value_a_rule_is_judged_always() -> None:
    tree = schema({"rule": "oldSelf.hasValue() || self.min == 1", "optionalOldSelf": True}, **PROPERTIES)
    assert judged(tree, {"min": 1}) == []
    assert judged(tree, {"min": 2}) != []
    assert judged(tree, {"min": 2}, {"min": 1}) == []


def test_items_of_keyed_lists_have_a_before_and_others_may_not_ask_for_it() -> None:
    items = {
        "type": "object", "required": ["k"], "properties": {"k": TEXT, "v": NUMBER},
        "x-kubernetes-validations": [{"rule": "self.v == oldSelf.v"}],
    }  # fmt: skip
    keyed = {"type": "array", "maxItems": 9, "items": items, "x-kubernetes-list-type": "map",
             "x-kubernetes-list-map-keys": ["k"]}  # fmt: skip
    tree = schema(keyed=keyed)
    before = {"keyed": [{"k": "a", "v": 1}, {"k": "b", "v": 1}]}
    after = {"keyed": [{"k": "b", "v": 2}, {"k": "c", "v": 7}, {"k": "a", "v": 1}]}
    assert judged(tree, after, before) == ['spec.keyed[0]: Invalid value: "object": failed rule: self.v == oldSelf.v']
    (told,) = checked(schema(plain={"type": "array", "maxItems": 9, "items": items}))
    assert "oldSelf cannot be used on the uncorrelatable portion of the schema" in told


def test_what_did_not_change_is_not_judged_again() -> None:
    tree = schema({"rule": "self.min < 5"}, **PROPERTIES)
    assert judged(tree, {"min": 9}, {"min": 9}) == []
    assert judged(tree, {"min": 9}, {"min": 8}) != []


def test_messages_reasons_and_paths_are_the_rules_own() -> None:
    written = {
        "rule": "self.min < self.max", "messageExpression": "'min must be below ' + string(self.max)",
        "reason": "FieldValueForbidden", "fieldPath": ".min",
    }  # fmt: skip
    assert judged(schema(written, **PROPERTIES), {"min": 3, "max": 2}) == ["spec.min: Forbidden: min must be below 2"]
    root = ({"rule": "self.metadata.name == 'it'", "message": "another name"},)
    assert judged(schema(root=root, **PROPERTIES), {}, name="else") == ['<nil>: Invalid value: "object": another name']
    assert "fieldPath must be a valid path" in checked(schema({**written, "fieldPath": ".nowhere"}, **PROPERTIES))[0]
    assert "Unsupported value" in checked(schema({**written, "reason": "Because"}, **PROPERTIES))[0]


def test_a_rule_that_fails_while_it_runs_is_broken() -> None:
    tree = schema({"rule": "self.min < 5"}, **PROPERTIES)
    assert judged(tree, {}) == ['spec: Invalid value: "object": no such key: min evaluating rule: self.min < 5']


def test_rules_that_could_cost_too_much_are_refused_when_they_are_written() -> None:
    unbounded = {"type": "array", "items": {"type": "string"}}
    nested = "self.a.all(x, self.a.all(y, x == y))"
    (told,) = checked(schema({"rule": nested}, a=unbounded))
    assert "estimated rule cost exceeds budget by factor of more than 100x" in told
    assert checked(schema({"rule": nested}, a={**unbounded, "maxItems": 100})) == []
