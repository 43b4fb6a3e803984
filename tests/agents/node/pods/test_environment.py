"""Containers' environment variables."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from raftsman.agents.node import fields
from raftsman.agents.node.pods import environment
from raftsman.agents.node.pods.environment import ConfigFault, Sources, build, expand
from raftsman.core import v1 as core

from .builders import pod


def sources(
    config_maps: dict[str, core.ConfigMap] | None = None,
    secrets: dict[str, core.Secret] | None = None,
    services: list[core.Service] | None = None,
) -> Sources:
    return Sources(
        config_map=(config_maps or {}).get,
        secret=(secrets or {}).get,
        services=services or [],
        facts=fields.Facts(host_ip="192.0.2.1", pod_ips=("10.244.0.7",), cpu_milli=2000, memory_bytes=1 << 30),
    )


def service(name: str, namespace: str = "default", address: str = "10.96.0.5") -> core.Service:
    made = core.Service()
    made.metadata.name, made.metadata.namespace = name, namespace
    made.spec.cluster_ip = address
    made.spec.ports.add(name="http", port=80)
    made.spec.ports.add(name="dns-udp", port=53, protocol="UDP")
    return made


@pytest.mark.parametrize(
    ("text", "result"),
    [
        ("$(A)", "1"),
        ("x$(A)y$(B)", "x1y2"),
        ("$$(A)", "$(A)"),
        ("$(NONE)", "$(NONE)"),
        ("$A $ $$ $(", "$A $ $ $("),
        ("$$$(A)", "$1"),
    ],
)
def test_references_are_expanded(text: str, result: str) -> None:
    assert expand(text, {"A": "1", "B": "2"}) == result


@given(st.text(alphabet=st.characters(exclude_characters="$")))
def test_text_without_dollars_stays_as_it_is(text: str) -> None:
    assert expand(text, {"A": "1"}) == text


def test_variables_refer_to_what_came_before_them() -> None:
    made = pod()
    (web,) = made.spec.containers
    web.env.add(name="A", value="1")
    web.env.add(name="B", value="$(A)2")
    web.env.add(name="C", value="$(D)")
    web.env.add(name="D", value="x")
    assert build(made, web, sources()) == {"A": "1", "B": "12", "C": "$(D)", "D": "x"}


def test_whole_config_maps_and_secrets_come_in_with_their_prefix() -> None:
    made = pod()
    (web,) = made.spec.containers
    web.env_from.add(prefix="P_").config_map_ref.local_object_reference.name = "cm"
    web.env_from.add().secret_ref.local_object_reference.name = "s"
    web.env.add(name="P_k", value="own")
    found = build(
        made,
        web,
        sources(
            {"cm": core.ConfigMap(data={"k": "v", "other": "w", "no name!": "x"})},
            {"s": core.Secret(data={"pw": b"hunter2"})},
        ),
    )
    assert found == {"P_k": "own", "P_other": "w", "pw": "hunter2"}


def test_keys_fields_and_resources_are_looked_up() -> None:
    made = pod()
    made.metadata.labels["tier"] = "front"
    (web,) = made.spec.containers
    ref = web.env.add(name="K").value_from.config_map_key_ref
    ref.local_object_reference.name, ref.key = "cm", "k"
    secret = web.env.add(name="S").value_from.secret_key_ref
    secret.local_object_reference.name, secret.key = "s", "k"
    web.env.add(name="IP").value_from.field_ref.field_path = "status.podIP"
    web.env.add(name="TIER").value_from.field_ref.field_path = "metadata.labels['tier']"
    web.env.add(name="CPU").value_from.resource_field_ref.resource = "limits.cpu"
    found = build(made, web, sources({"cm": core.ConfigMap(data={"k": "v"})}, {"s": core.Secret(data={"k": b"w"})}))
    assert found == {"K": "v", "S": "w", "IP": "10.244.0.7", "TIER": "front", "CPU": "2"}


def test_what_is_missing_is_named_unless_it_is_optional() -> None:
    made = pod()
    (web,) = made.spec.containers
    ref = web.env.add(name="K").value_from.config_map_key_ref
    ref.local_object_reference.name, ref.key = "cm", "k"
    with pytest.raises(ConfigFault, match='configmap "cm" not found'):
        build(made, web, sources())
    with pytest.raises(ConfigFault, match="couldn't find key k in ConfigMap default/cm"):
        build(made, web, sources({"cm": core.ConfigMap()}))
    ref.optional = True
    assert build(made, web, sources()) == {}
    bulk = web.env_from.add().secret_ref
    bulk.local_object_reference.name = "s"
    with pytest.raises(ConfigFault, match='secret "s" not found'):
        build(made, web, sources())
    bulk.optional = True
    assert build(made, web, sources()) == {}


def test_services_of_the_namespace_and_the_apis_own_are_variables() -> None:
    made = pod()
    services = [
        service("my-web"),
        service("elsewhere", "other"),
        service("headless", address="None"),
        service("kubernetes", address="10.96.0.1"),
    ]
    found = build(made, made.spec.containers[0], sources(services=services))
    assert found["MY_WEB_SERVICE_HOST"] == "10.96.0.5"
    assert found["MY_WEB_SERVICE_PORT"] == "80"
    assert found["MY_WEB_SERVICE_PORT_DNS_UDP"] == "53"
    assert found["MY_WEB_PORT"] == "tcp://10.96.0.5:80"
    assert found["MY_WEB_PORT_53_UDP"] == "udp://10.96.0.5:53"
    assert found["MY_WEB_PORT_53_UDP_ADDR"] == "10.96.0.5"
    assert not [name for name in found if name.startswith(("ELSEWHERE", "HEADLESS"))]
    made.spec.enable_service_links = False
    found = build(made, made.spec.containers[0], sources(services=services))
    assert "KUBERNETES_SERVICE_HOST" in found
    assert "MY_WEB_SERVICE_HOST" not in found


def test_an_unknown_field_is_a_configuration_fault() -> None:
    made = pod()
    made.spec.containers[0].env.add(name="X").value_from.field_ref.field_path = "spec.secrets"
    with pytest.raises(ConfigFault, match=r"'spec\.secrets' is not supported"):
        build(made, made.spec.containers[0], sources())


def test_the_api_is_known_by_its_service_in_the_default_namespace() -> None:
    made = dict(environment.service_variables([service("kubernetes", "other")], "x", links=True))
    assert made == {}
