"""What a schema does to values: properties of pruning, defaulting and validation over random schemas and values."""

from __future__ import annotations

import copy
from typing import Any

from hypothesis import given
from hypothesis import strategies as st
from raftsman.meta import v1 as meta
from raftsman.options import v1 as options
from raftsman.resources import Resource
from raftsman.services.apiserver.custom import defaulting, document, pruning, structural, values
from raftsman.services.apiserver.custom.document import Document, Documents
from raftsman.services.apiserver.custom.schema import ANYTHING, compiled
from raftsman.services.apiserver.managedfields import documents
from raftsman.services.apiserver.validation.causes import Causes

NAMES = st.sampled_from(["a", "b", "c", "my-key"])
SCALARS = st.sampled_from([{"type": "string"}, {"type": "integer"}, {"type": "boolean"}, {"type": "number"}])
LEAVES = st.one_of(
    SCALARS,
    SCALARS.map(lambda one: {**one, "nullable": True}),
    st.just({"x-kubernetes-int-or-string": True}),
    st.just({"type": "object", "x-kubernetes-preserve-unknown-fields": True}),
    st.integers(0, 9).map(lambda number: {"type": "integer", "default": number}),
)


def objects(inner: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    return st.dictionaries(NAMES, inner, max_size=3).map(lambda found: {"type": "object", "properties": found})


SCHEMAS = objects(
    st.recursive(
        LEAVES,
        lambda inner: st.one_of(
            objects(inner),
            inner.map(lambda one: {"type": "array", "items": one}),
            inner.map(lambda one: {"type": "object", "additionalProperties": one}),
        ),
        max_leaves=6,
    )
)
JSON = st.recursive(
    st.one_of(st.none(), st.booleans(), st.integers(-(2**70), 2**70), st.text(max_size=3),
              st.floats(allow_nan=False, allow_infinity=False)),
    lambda inner: st.one_of(st.lists(inner, max_size=3), st.dictionaries(st.one_of(NAMES, st.text(max_size=2)), inner,
                                                                         max_size=3)),
    max_leaves=8,
)  # fmt: skip
CONTENTS = st.dictionaries(NAMES, JSON, max_size=3)


@given(SCHEMAS, CONTENTS)
def test_pruning_twice_is_pruning_once(tree: dict[str, Any], content: dict[str, Any]) -> None:
    schema = compiled(tree)
    pruning.prune(content, schema)
    once = copy.deepcopy(content)
    assert pruning.prune(content, schema) == []
    assert content == once


@given(CONTENTS)
def test_what_preserves_everything_prunes_nothing(content: dict[str, Any]) -> None:
    before = copy.deepcopy(content)
    assert pruning.prune(content, ANYTHING) == []
    assert content == before


@given(SCHEMAS, CONTENTS)
def test_defaulting_twice_is_defaulting_once_and_leaves_nothing_to_prune(
    tree: dict[str, Any], content: dict[str, Any]
) -> None:
    schema = compiled(tree)
    pruning.prune(content, schema)
    defaulting.fill(content, schema)
    once = copy.deepcopy(content)
    defaulting.fill(content, schema)
    assert content == once
    assert pruning.prune(content, schema) == []


@given(SCHEMAS, CONTENTS)
def test_validation_names_a_path_for_whatever_is_wrong_and_nothing_of_what_did_not_change(
    tree: dict[str, Any], content: dict[str, Any]
) -> None:
    schema, found = compiled(tree), Causes()
    values.validate(content, schema, found)
    assert all(one.field and one.message for one in found.found)
    again = Causes()
    values.validate(content, schema, again, old=copy.deepcopy(content))
    assert again.found == []


@given(SCHEMAS)
def test_a_schema_of_structure_alone_is_structural(tree: dict[str, Any]) -> None:
    causes = Causes()
    structural.check(tree, causes, path="s")
    assert causes.found == []


@given(SCHEMAS, CONTENTS, st.integers(1, 2**60))
def test_a_stored_document_reads_back_with_and_without_its_revision(
    tree: dict[str, Any], content: dict[str, Any], revision: int
) -> None:
    facts = options.Resource(group="g.example.com", version="v1", kind="Thing", name="things", namespaced=True)
    form = Documents(Resource(Document, None, facts), compiled(tree))
    decoded = form.decode({"metadata": {"name": "x", "labels": {"metadata": '"metadata":{'}}, **content})
    stored = form.serialise(decoded.message)
    opened = form.opened(stored, revision)
    assert form.closed(opened, revision) == stored
    read = form.parse(opened)
    assert read.metadata.resource_version == str(revision)
    assert form.serialise(read) == stored
    assert documents.same(read.content, decoded.message.content)


@given(CONTENTS, CONTENTS)
def test_what_differs_is_what_is_added_changed_or_removed(one: dict[str, Any], other: dict[str, Any]) -> None:
    root = documents.Root(ANYTHING)
    metadata = meta.ObjectMeta(name="x")
    same = documents.compared((metadata, one), (metadata, copy.deepcopy(one)), root)
    assert not same.added
    assert not same.changed
    assert not same.removed
    there = documents.compared((metadata, one), (metadata, other), root)
    back = documents.compared((metadata, other), (metadata, one), root)
    assert there.added == back.removed
    assert there.removed == back.added
    assert bool(there.added or there.changed or there.removed) is not documents.same(one, other)


def test_numbers_beyond_64_bits_are_doubles() -> None:
    assert document.carried({"a": [2**63, -(2**63), True]}) == {"a": [float(2**63), -(2**63), True]}
