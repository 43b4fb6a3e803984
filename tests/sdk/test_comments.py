"""Comments of the protos, at run time."""

from __future__ import annotations

import importlib
from pathlib import Path

from google.protobuf import timestamp_pb2
from google.protobuf.descriptor import Descriptor
from raftsman import comments
from raftsman.codec import plan
from raftsman.core import v1 as core

PROTOS = Path(__file__).parents[2] / "protos"


def test_a_message_has_what_stands_above_it_in_its_proto() -> None:
    assert comments.of_message(core.Service.DESCRIPTOR) == "One stable address and name for a changing set of pods."


def test_fields_have_theirs_by_the_names_that_json_uses() -> None:
    found = comments.of_fields(core.PodStatus.DESCRIPTOR)
    assert "podIP" in found
    assert "pod_ip" not in found


def test_fields_of_inlined_messages_are_among_their_parents() -> None:
    found = comments.of_fields(core.Volume.DESCRIPTOR)
    assert found["emptyDir"]
    assert "volumeSource" not in found


def test_a_package_without_a_file_of_comments_has_none() -> None:
    assert comments.of_message(timestamp_pb2.Timestamp.DESCRIPTOR) == ""


def test_every_message_and_field_of_the_api_has_a_comment() -> None:
    """Generated code of etcd's protocol has etcd's own documentation."""
    missing = []
    for proto in sorted(PROTOS.rglob("*.proto")):
        module = ".".join(proto.relative_to(PROTOS).with_suffix("").parts) + "_pb2"
        if not module.startswith("raftsman.etcd."):
            for message in importlib.import_module(module).DESCRIPTOR.message_types_by_name.values():
                missing += _without_comment(message)
    assert not missing


def _without_comment(message: Descriptor) -> list[str]:
    found = [] if comments.of_message(message) else [message.full_name]
    said = comments.of_fields(message)
    inlined = {field.name for field in message.fields if plan.field_facts(field).inline}
    return found + [f.full_name for f in message.fields if f.name not in inlined and f.json_name not in said]
