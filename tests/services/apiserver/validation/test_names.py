"""Names, keys and values in Kubernetes' words."""

from __future__ import annotations

import pytest
from raftsman.services.apiserver.validation import names


@pytest.mark.parametrize(
    ("rule", "text", "wrong"),
    [
        (names.dns_label, "web-1", []),
        (names.dns_label, "a.b", ["must not contain dots"]),
        (names.dns_label, "a" * 64, ["must be no more than 63 characters"]),
        (names.dns_subdomain, "a.b", []),
        (names.wildcard_subdomain, "*.a.b", []),
        (names.config_key, "..", ["must not be '..'"]),
        (names.config_key, "..a", ["must not start with '..'"]),
        (names.env_name, "", ["environment variable name must be non-empty"]),
        (names.env_name, "a b", []),
        (names.path_segment, "a/b", ["may not contain '/'"]),
    ],
)
def test_what_is_wrong_is_told(rule: names.Rule, text: str, wrong: list[str]) -> None:
    assert rule(text) == wrong


def test_a_pattern_is_told_with_examples() -> None:
    (told,) = names.config_key("a b")
    assert told == (
        "a valid config key must consist of alphanumeric characters, '-', '_' or '.' (e.g. 'key.name',  or 'KEY_NAME',"
        "  or 'key-name', regex used for validation is '[-._a-zA-Z0-9]+')"
    )
