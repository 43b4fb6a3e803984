"""Names, label keys and values, as RFC 1123 and RFC 1035 have them with Kubernetes' lengths.

Each rule takes a text and returns what is wrong with it, as sentences; nothing if it is right.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from functools import lru_cache

Rule = Callable[[str], list[str]]

_LABEL = re.compile(r"[a-z0-9]([-a-z0-9]*[a-z0-9])?")
_LABEL_1035 = re.compile(r"[a-z]([-a-z0-9]*[a-z0-9])?")
_SUBDOMAIN = re.compile(r"[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*")
_WILDCARD = re.compile(rf"\*\.{_SUBDOMAIN.pattern}")
_QUALIFIED = re.compile(r"([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9]")
_LABEL_VALUE = re.compile(r"(([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9])?")
_CONFIG_KEY = re.compile(r"[-._a-zA-Z0-9]+")
_PORT_NAME = re.compile(r"[-a-z0-9]+")

LABEL_MAX = 63
SUBDOMAIN_MAX = 253


def _pattern(text: str, expression: re.Pattern[str], *, limit: int, what: str, example: str) -> list[str]:
    wrong = [f"must be no more than {limit} characters"] if len(text) > limit else []
    if not expression.fullmatch(text):
        wrong.append(f"{what} (e.g. {example}, regex used for validation is '{expression.pattern}')")
    return wrong


@lru_cache(4096)
def dns_label(text: str) -> list[str]:
    """RFC 1123 label: namespaces, containers, volumes."""
    what = (
        "a lowercase RFC 1123 label must consist of lower case alphanumeric characters or '-', "
        "and must start and end with an alphanumeric character"
    )
    if not _LABEL.fullmatch(text) and _SUBDOMAIN.fullmatch(text):
        too_long = [f"must be no more than {LABEL_MAX} characters"] if len(text) > LABEL_MAX else []
        return [*too_long, "must not contain dots"]
    return _pattern(text, _LABEL, limit=LABEL_MAX, what=what, example="'my-name',  or '123-abc'")


@lru_cache(4096)
def dns_1035_label(text: str) -> list[str]:
    """RFC 1035 label: services."""
    what = (
        "a DNS-1035 label must consist of lower case alphanumeric characters or '-', "
        "start with an alphabetic character, and end with an alphanumeric character"
    )
    return _pattern(text, _LABEL_1035, limit=LABEL_MAX, what=what, example="'my-name',  or 'abc-123'")


@lru_cache(4096)
def dns_subdomain(text: str) -> list[str]:
    """RFC 1123 subdomain: most objects."""
    what = (
        "a lowercase RFC 1123 subdomain must consist of lower case alphanumeric characters, '-' or '.', "
        "and must start and end with an alphanumeric character"
    )
    return _pattern(text, _SUBDOMAIN, limit=SUBDOMAIN_MAX, what=what, example="'example.com'")


def wildcard_subdomain(text: str) -> list[str]:
    """`*.example.com`."""
    what = (
        "a wildcard DNS-1123 subdomain must start with '*.', followed by a valid DNS subdomain, which must consist of "
        "lower case alphanumeric characters, '-' or '.' and end with an alphanumeric character"
    )
    return _pattern(text, _WILDCARD, limit=SUBDOMAIN_MAX, what=what, example="'*.example.com'")


def path_segment(text: str) -> list[str]:
    """What RBAC objects are called: anything that can stand in a path."""
    if text in (".", ".."):
        return [f"may not be '{text}'"]
    return [f"may not contain '{char}'" for char in "/%" if char in text]


@lru_cache(4096)
def qualified(text: str) -> list[str]:
    """A label key: `[subdomain/]name`."""
    prefix, slash, name = text.rpartition("/")
    wrong = []
    if slash:
        if not prefix:
            wrong.append("prefix part must be non-empty")
        else:
            wrong += [f"prefix part {one}" for one in dns_subdomain(prefix)]
    if not name:
        return [*wrong, "name part must be non-empty"]
    if len(name) > LABEL_MAX:
        wrong.append(f"name part must be no more than {LABEL_MAX} characters")
    if not _QUALIFIED.fullmatch(name):
        wrong.append(
            "name part must consist of alphanumeric characters, '-', '_' or '.', and must start and end with an "
            f"alphanumeric character (e.g. 'MyName',  or 'my.name',  or '123-abc', regex used for validation is "
            f"'{_QUALIFIED.pattern}')"
        )
    return wrong


@lru_cache(4096)
def label_value(text: str) -> list[str]:
    what = (
        "a valid label must be an empty string or consist of alphanumeric characters, '-', '_' or '.', "
        "and must start and end with an alphanumeric character"
    )
    return _pattern(text, _LABEL_VALUE, limit=LABEL_MAX, what=what, example="'MyValue',  or 'my_value',  or '12345'")


@lru_cache(4096)
def config_key(text: str) -> list[str]:
    """A key of a ConfigMap or a Secret, which becomes a file name."""
    what = "a valid config key must consist of alphanumeric characters, '-', '_' or '.'"
    example = "'key.name',  or 'KEY_NAME',  or 'key-name'"
    wrong = _pattern(text, _CONFIG_KEY, limit=SUBDOMAIN_MAX, what=what, example=example)
    if text in (".", ".."):
        wrong.append(f"must not be '{text}'")
    elif text.startswith(".."):
        wrong.append("must not start with '..'")
    return wrong


@lru_cache(1024)
def port_name(text: str) -> list[str]:
    """RFC 6335 service name: 15 lower-case letters, digits and single dashes, one of them a letter."""
    wrong = []
    if len(text) > 15:
        wrong.append("must be no more than 15 characters")
    if not _PORT_NAME.fullmatch(text):
        wrong.append("must contain only alpha-numeric characters (a-z, 0-9), and hyphens (-)")
    if not any("a" <= char <= "z" for char in text):
        wrong.append("must contain at least one letter (a-z)")
    if "--" in text:
        wrong.append("must not contain consecutive hyphens")
    if text.startswith("-") or text.endswith("-"):
        wrong.append("must not begin or end with a hyphen")
    return wrong


def env_name(text: str) -> list[str]:
    """Any printable ASCII except `=` (relaxed environment variable names)."""
    if not text:
        return ["environment variable name must be non-empty"]
    if not all(" " <= char <= "~" and char != "=" for char in text):
        return ["a valid environment variable name must consist only of printable ASCII characters other than '='"]
    return []


def domain_prefixed_path(text: str) -> list[str]:
    """`example.com/anything`: a subdomain, a slash and a path."""
    domain, slash, path = text.partition("/")
    if not text:
        return ["must not be empty"]
    if not slash or not domain or not path:
        return ['must be a domain-prefixed path (such as "acme.io/foo")']
    wrong = dns_subdomain(domain)
    if not all(char.isascii() and (char.isalnum() or char in "/-_.~!$&'()*+,;=:@%") for char in path):
        wrong = [*wrong, "Invalid path (regex used for validation is '[A-Za-z0-9/\\-._~%!$&'()*+,;=:]+')"]
    return wrong
