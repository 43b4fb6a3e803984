"""Write `comments.tsv` for every generated API package: what stands above each message and field in its protos.

A line is `Message` or `Message.field`, a tab, and the comment with its lines joined. Compiled Python code has no
comments, and people who ask `explain` have no protos.
"""

from __future__ import annotations

import sys
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path

from google.protobuf import descriptor_pb2

_MESSAGES = descriptor_pb2.FileDescriptorProto.MESSAGE_TYPE_FIELD_NUMBER
_FIELDS = descriptor_pb2.DescriptorProto.FIELD_FIELD_NUMBER


def main(protos: Path, root: Path) -> None:
    found: dict[str, dict[str, str]] = defaultdict(dict)
    for file in descriptor_pb2.FileDescriptorSet.FromString(protos.read_bytes()).file:
        if file.package.startswith("raftsman."):
            found[file.package].update(comments(file))
    for package, lines in found.items():
        folder = root.joinpath(*package.split(".")[1:])
        text = "".join(f"{name}\t{comment}\n" for name, comment in sorted(lines.items()))
        if text:
            (folder / "comments.tsv").write_text(text)


def comments(file: descriptor_pb2.FileDescriptorProto) -> Iterator[tuple[str, str]]:
    """(name, comment) of the messages and fields that have one. The API's messages are not nested."""
    for location in file.source_code_info.location:
        comment = " ".join(location.leading_comments.split())
        match list(location.path):
            case [kind, message] if kind == _MESSAGES and comment:
                yield file.message_type[message].name, comment
            case [kind, message, inner, field] if (kind, inner) == (_MESSAGES, _FIELDS) and comment:
                yield f"{file.message_type[message].name}.{file.message_type[message].field[field].name}", comment


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]))
