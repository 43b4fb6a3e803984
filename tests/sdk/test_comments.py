"""Comments of the protos, at run time."""

from __future__ import annotations

from google.protobuf import timestamp_pb2
from raftsman import comments
from raftsman.core import v1 as core


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
