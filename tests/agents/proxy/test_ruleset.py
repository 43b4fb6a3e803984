"""Which elements services need, and that differences of them add up."""

import ipaddress
import re
from dataclasses import replace

from hypothesis import given
from hypothesis import strategies as st
from raftsman.agents.proxy import transaction
from raftsman.agents.proxy.ruleset import (
    Balance,
    Mark,
    Node,
    Refusal,
    Ruleset,
    Split,
    desired,
    keep_places,
    service_rules,
    sticky_numbers,
)
from raftsman.agents.proxy.service import Backend, Endpoint, Frontend, Protocol, Service, ServicePort, usable

NODE = Node(("192.168.77.1",))
TABLE = transaction.Table("t", ipaddress.IPv4Network("10.96.0.0/16"), ipaddress.IPv4Network("10.244.0.0/16"))
HTTP = ServicePort("http", Protocol.TCP, 80)
FRONTEND = Frontend("10.96.0.7", Protocol.TCP, 80)


def endpoint(last: int, *, local: bool = False, ready: bool = True, terminating: bool = False) -> Endpoint:
    return Endpoint(Backend(f"10.244.0.{last}", 8080), ready=ready, terminating=terminating, local=local)


def service(*endpoints: Endpoint, port: ServicePort = HTTP, key: str = "default/web") -> Service:
    return Service(key, (port,), cluster_ips=("10.96.0.7",), endpoints={port.key: endpoints})


def test_a_cluster_address_balances_over_ready_endpoints() -> None:
    rules = service_rules(service(endpoint(1), endpoint(2), endpoint(3, ready=False)), NODE)
    assert rules.verdicts == {FRONTEND: Balance(2, Mark.OURS | Mark.MASQUERADE)}
    assert rules.endpoints == {
        (FRONTEND, 0x52020000): Backend("10.244.0.1", 8080),
        (FRONTEND, 0x52020001): Backend("10.244.0.2", 8080),
    }


def test_without_endpoints_connections_are_rejected() -> None:
    assert service_rules(service(), NODE).verdicts == {FRONTEND: Refusal.REJECT}


def test_terminating_endpoints_serve_only_while_no_ready_one_does() -> None:
    leaving = endpoint(1, ready=False, terminating=True)
    assert usable((leaving,)) == (leaving.backend,)
    assert usable((leaving, endpoint(2))) == (Backend("10.244.0.2", 8080),)


def test_a_node_port_answers_on_every_node_address() -> None:
    node = Node(("192.168.77.1", "10.0.0.5"))
    rules = service_rules(service(endpoint(1), port=replace(HTTP, node_port=30080)), node)
    assert {f.address for f in rules.verdicts if f.port == 30080} == {"192.168.77.1", "10.0.0.5"}


def test_local_policies_without_local_endpoints_drop_rather_than_reject() -> None:
    made = service(endpoint(1), port=replace(HTTP, node_port=30080))
    inside = service_rules(replace(made, internal_local=True), NODE)
    assert inside.verdicts[FRONTEND] is Refusal.DROP
    outside = service_rules(replace(made, external_local=True), NODE)
    verdict = outside.verdicts[Frontend("192.168.77.1", Protocol.TCP, 30080)]
    assert verdict == Split(Balance(1, Mark.OURS | Mark.MASQUERADE), Refusal.DROP)


def test_a_frontend_that_two_services_claim_stays_with_the_first_until_that_one_goes() -> None:
    first, second = service(endpoint(1), key="z/first"), service(endpoint(2), key="a/second")
    one = desired([first], NODE)
    two = one.updated({second.key: service_rules(second, NODE)})
    assert two.owners[FRONTEND] == first.key
    assert two.shadowed == {second.key}
    both = {s.key: service_rules(s, NODE) for s in (first, second)}
    assert two.updated(both).owners[FRONTEND] == first.key
    gone = two.updated({first.key: None, second.key: service_rules(second, NODE)})
    assert gone.owners == {FRONTEND: second.key}
    assert not gone.shadowed


@given(st.lists(st.integers(0, 30), unique=True), st.sets(st.integers(0, 30)))
def test_endpoints_keep_their_places_unless_a_hole_must_be_filled(before: list[int], wanted: set[int]) -> None:
    old = tuple(Backend(str(i), 1) for i in before)
    new = tuple(Backend(str(i), 1) for i in sorted(wanted))
    placed = keep_places(old, new)
    assert set(placed) == set(new)
    assert len(placed) == len(new)
    moved = [b for place, b in enumerate(old[: len(new)]) if b in new and placed[place] != b]
    assert moved == []


@given(st.sets(st.integers(0, 2000), max_size=300))
def test_affinity_numbers_are_distinct_and_fit_the_mark(endpoints: set[int]) -> None:
    numbers = sticky_numbers(Backend(f"10.0.{i // 256}.{i % 256}", 80) for i in endpoints)
    assert len(set(numbers.values())) == len(endpoints)
    assert all(0 <= number <= 0xFFFF for number in numbers.values())


endpoints = st.lists(
    st.builds(endpoint, st.integers(1, 9), local=st.booleans(), ready=st.booleans(), terminating=st.booleans()),
    max_size=6,
)
services = st.builds(
    lambda number, found, protocol, node_port, internal, external, affinity, external_ip: Service(
        f"default/s{number}",
        (ServicePort("p", protocol, 80, node_port=node_port),),
        cluster_ips=(f"10.96.0.{number}",),
        external_ips=(external_ip,) if external_ip else (),
        internal_local=internal,
        external_local=external,
        affinity_timeout_s=affinity,
        endpoints={("p", protocol): tuple(found)},
    ),
    st.integers(1, 4),
    endpoints,
    st.sampled_from(Protocol),
    st.sampled_from([0, 30080, 30081]),
    st.booleans(),
    st.booleans(),
    st.sampled_from([0, 60]),
    st.sampled_from(["", "203.0.113.7"]),
)


def play(commands: str, held: dict[str, dict[str, str]]) -> None:
    """Apply element commands to a model of the maps, as strictly as the kernel does."""
    for verb, name, body in re.findall(r"^(add|delete) element inet t (\w+) \{ (.*) \}$", commands, re.MULTILINE):
        elements = held.setdefault(name, {})
        for item in body.split(", "):
            key, _, value = item.partition(" : ")
            if verb == "delete":
                del elements[key]
            else:
                assert key not in elements
                elements[key] = value


@given(st.lists(st.tuples(services, st.booleans()), max_size=12))
def test_differences_add_up_to_what_a_full_write_gives(steps: list[tuple[Service, bool]]) -> None:
    current, held = Ruleset(), {}  # type: tuple[Ruleset, dict[str, dict[str, str]]]
    chains: frozenset[str] = frozenset()
    for made, keep in steps:
        before = current.services.get(made.key)
        rules = service_rules(made, NODE, **({"previous": before} if before else {}))
        after = current.updated({made.key: rules if keep else None})
        change = transaction.diff(current, after, TABLE, chains=chains)
        play(change.commands, held)
        current, chains = after, change.chains
    whole: dict[str, dict[str, str]] = {}
    play(transaction.full(current, TABLE).commands, whole)
    assert {k: v for k, v in held.items() if v} == {k: v for k, v in whole.items() if v}
    targets = {v.removeprefix("goto ") for v in held.get("services", {}).values()} - {"drop", "refuse"}
    assert targets <= chains


def test_a_change_of_nothing_is_no_command() -> None:
    ruleset = desired([service(endpoint(1))], NODE)
    assert transaction.diff(ruleset, ruleset, TABLE, chains=frozenset()).commands == ""
    again = desired([service(endpoint(1))], NODE, previous=ruleset)
    assert transaction.diff(ruleset, again, TABLE, chains=frozenset({"all-1"})).commands == ""


def test_one_more_endpoint_is_two_additions_and_one_removal() -> None:
    before = desired([service(endpoint(2))], NODE)
    after = desired([service(endpoint(1), endpoint(2))], NODE, previous=before)
    held = [line for line in transaction.diff(before, after, TABLE, chains=frozenset()).commands.splitlines()]
    assert [line for line in held if "element" in line] == [
        "delete element inet t services { 10.96.0.7 . tcp . 80 }",
        "add element inet t services { 10.96.0.7 . tcp . 80 : goto all-2 }",
        "add element inet t endpoints { 10.96.0.7 . tcp . 80 . 0x52020001 : 10.244.0.1 . 8080 }",
    ]
