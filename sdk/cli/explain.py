"""`explain`: what a kind and its fields are, from the comments of the protos. Works without a cluster."""

from __future__ import annotations

import sys
import textwrap

import click
from google.protobuf.descriptor import Descriptor, FieldDescriptor
from raftsman import comments, resources
from raftsman.codec import plan
from raftsman.options import v1 as options

from . import targets
from .session import Session
from .verb import Failure, flag, verb

_SCALARS = {
    FieldDescriptor.TYPE_STRING: "string", FieldDescriptor.TYPE_BYTES: "string", FieldDescriptor.TYPE_BOOL: "boolean",
    FieldDescriptor.TYPE_DOUBLE: "number",
}  # fmt: skip
_OWN = {"apiVersion": "The group and version that the object is written in.", "kind": "What the object is."}
WIDTH = 76


@verb()
@click.argument("path", metavar="TYPE[.FIELD…]")
@flag("--recursive", help="Print the fields' fields too, without descriptions.")
@click.option("--api-version", default="", help="Of this group and version.")
async def explain(session: Session, path: str, recursive: bool, api_version: str) -> None:
    """Print what a kind or a field is: `explain deployment.spec.strategy`."""
    kind, *steps = path.split(".")
    resource = targets.resource_of(kind)
    if api_version:
        found = resources.by_kind(api_version, resource.kind)
        if found is None:
            raise Failure(f'no matches for kind "{resource.kind}" in version "{api_version}"')
        resource = found
    lines = [f"GROUP:      {resource.group}"] if resource.group else []
    lines += [f"KIND:       {resource.kind}", f"VERSION:    {resource.version}", ""]
    sys.stdout.write("\n".join([*lines, *_about(resource.message.DESCRIPTOR, steps, recursive)]) + "\n")


def _about(descriptor: Descriptor, steps: list[str], recursive: bool) -> list[str]:
    """The description of what the steps lead to, and its fields."""
    field: plan.Field | None = None
    text, top = comments.of_message(descriptor), True
    for step in steps:
        fields = plan.fields(descriptor) if descriptor is not None else {}
        if step in _OWN and top:
            return [f"FIELD: {step} <string>", "", *_described(_OWN[step])]
        field = fields.get(step)
        if field is None:
            raise Failure(f'field "{step}" does not exist')
        text = comments.of_fields(descriptor).get(step, "")
        inner = _message(field)
        descriptor, top = inner, False  # type: ignore[assignment]
    head = [f"FIELD: {steps[-1]} <{_type(field)}>", ""] if field is not None else []
    if descriptor is None:
        return [*head, *_described(text)]
    more = comments.of_message(descriptor) if field is not None else ""
    described = _described("\n".join(part for part in (text, more) if part))
    return [*head, *described, "", "FIELDS:", *_fields(descriptor, recursive, top=top)]


def _described(text: str) -> list[str]:
    return ["DESCRIPTION:", *_wrapped(text or "<empty>")]


def _wrapped(text: str) -> list[str]:
    return [
        line
        for part in text.splitlines()
        for line in textwrap.wrap(part, WIDTH, initial_indent="    ", subsequent_indent="    ")
    ]


def _fields(descriptor: Descriptor, recursive: bool, *, top: bool) -> list[str]:
    if recursive:
        return [*(f"  {name}\t<string>" for name in (_OWN if top else ())), *_tree(descriptor, "  ", ())]
    lines: list[str] = []
    if top:
        for name, text in _OWN.items():
            lines += [f"  {name}\t<string>", *_wrapped(text), ""]
    said = comments.of_fields(descriptor)
    for name, field in sorted(plan.fields(descriptor).items()):
        lines += [f"  {name}\t<{_type(field)}>", *_wrapped(said.get(name, "<no description>")), ""]
    return lines


def _tree(descriptor: Descriptor, indent: str, above: tuple[Descriptor, ...]) -> list[str]:
    """Names and types of all fields below; a message inside itself is not opened again."""
    lines: list[str] = []
    for name, field in sorted(plan.fields(descriptor).items()):
        lines.append(f"{indent}{name}\t<{_type(field)}>")
        inner = _message(field)
        if inner is not None and inner not in above and inner is not descriptor:
            lines += _tree(inner, indent + "  ", (*above, descriptor))
    return lines


def _message(field: plan.Field) -> Descriptor | None:
    """The message whose fields a user may write under a field."""
    return field.message if field.message is not None and not plan.format_of(field.message) else None


def _type(field: plan.Field | None) -> str:
    assert field is not None
    if field.message is None:
        name = _SCALARS.get(field.scalar, "integer")
    elif plan.format_of(field.message) == options.FORMAT_STRING_LIST:
        name = "[]string"
    else:
        name = field.message.name
    return {plan.Shape.LIST: f"[]{name}", plan.Shape.MAP: f"map[string]{name}"}.get(field.shape, name)
