"""The rules under real traffic: a node, its pods and a machine outside, in network namespaces."""

import contextlib
import errno
import ipaddress
import itertools
import socket
import threading
import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import replace

import pytest
from raftsman.agents import nft
from raftsman.agents.proxy import installed, ruleset, transaction
from raftsman.agents.proxy.service import Backend, Endpoint, Protocol, Service, ServicePort

from .conftest import GATEWAY, NODE, PORT, Namespace, World

TABLE = transaction.Table(
    "raftsman_proxy", ipaddress.IPv4Network("10.96.0.0/16"), ipaddress.IPv4Network("10.244.0.0/16")
)
HERE = ruleset.Node((NODE,))
TCP, UDP = Protocol.TCP, Protocol.UDP

numbers = itertools.count(1)


class Applied:
    """The rules of the world's node, changed as the proxy's thread would change them."""

    def __init__(self, node: Namespace) -> None:
        self._node = node
        self.rules = node.call(lambda: installed.Installed(TABLE))
        self.write_all()

    def set(self, *services: Service) -> None:
        known = self.rules.ruleset.services
        self.update({s.key: ruleset.service_rules(s, HERE, previous=known.get(s.key, ruleset.EMPTY)) for s in services})

    def update(self, changes: dict[str, ruleset.ServiceRules | None]) -> None:
        self._node.call(lambda: self.rules.update(changes))

    def write_all(self) -> None:
        self._node.call(lambda: self.rules.replace(self.rules.ruleset))


@pytest.fixture(scope="module")
def applied(world: World) -> Iterator[Applied]:
    made = Applied(world.node)
    yield made
    made.rules.close()


def endpoint(pod: Namespace, *, local: bool = True) -> Endpoint:
    return Endpoint(Backend(pod.address, PORT), local=local)


def service(*endpoints: Endpoint, protocol: Protocol = TCP, node_port: int = 0) -> Service:
    number = next(numbers)
    port = ServicePort("main", protocol, 80, node_port)
    return Service(
        f"default/s{number}", (port,), cluster_ips=(f"10.96.1.{number}",), endpoints={port.key: tuple(endpoints)}
    )


def frames(tap: socket.socket) -> Iterator[bytes]:
    """Every frame seen until the wire has been quiet for the tap's timeout."""
    with contextlib.suppress(TimeoutError):
        while True:
            yield tap.recv(2000)


def counts(client: Namespace, address: str, port: int = 80, *, times: int = 60) -> Counter[str]:
    return Counter(client.ask(address, port).split()[0] for _ in range(times))


def test_tcp_is_balanced_over_all_endpoints_from_pods_and_from_the_node(world: World, applied: Applied) -> None:
    made = service(*map(endpoint, world.pods))
    applied.set(made)
    for client in (world.pods[0], world.node):
        found = counts(client, made.cluster_ips[0])
        assert set(found) == {pod.name for pod in world.pods}
        assert min(found.values()) >= 5  # 20 expected; below 5 once in 10^6 runs


def test_udp_is_balanced_over_all_endpoints(world: World, applied: Applied) -> None:
    made = service(*map(endpoint, world.pods), protocol=UDP)
    applied.set(made)
    found = Counter(world.pods[0].ask_udp(made.cluster_ips[0], 80).split()[0] for _ in range(60))
    assert set(found) == {pod.name for pod in world.pods}
    assert world.node.ask_udp(made.cluster_ips[0], 80)


def test_a_pod_reaches_itself_through_its_own_service(world: World, applied: Applied) -> None:
    pod = world.pods[1]
    made = service(endpoint(pod))
    applied.set(made)
    assert pod.ask(made.cluster_ips[0], 80).split()[0] == pod.name


def test_an_endpoint_on_the_node_s_own_address_answers_pods_and_the_node(world: World, applied: Applied) -> None:
    world.serve(world.node, 6443)
    made = service(Endpoint(Backend(NODE, 6443), local=True))
    applied.set(made)
    for client in (world.pods[0], world.node):
        assert client.ask(made.cluster_ips[0], 80).split()[0] == world.node.name


def test_pods_see_the_client_pod_s_own_address(world: World, applied: Applied) -> None:
    made = service(endpoint(world.pods[1]))
    applied.set(made)
    assert world.pods[0].ask(made.cluster_ips[0], 80).split()[1] == world.pods[0].address


def test_a_node_port_answers_from_outside_from_the_node_and_from_pods(world: World, applied: Applied) -> None:
    made = service(*map(endpoint, world.pods), node_port=30080)
    applied.set(made)
    for client in (world.outside, world.node, world.pods[0]):
        assert set(counts(client, NODE, 30080)) == {pod.name for pod in world.pods}


def test_a_node_port_client_from_outside_is_masqueraded(world: World, applied: Applied) -> None:
    made = service(endpoint(world.pods[0]), node_port=30081)
    applied.set(made)
    assert world.outside.ask(NODE, 30081).split()[1] in (GATEWAY, NODE)


def test_an_external_address_answers_whoever_is_routed_here(world: World, applied: Applied) -> None:
    made = replace(service(*map(endpoint, world.pods)), external_ips=("203.0.113.7",))
    applied.set(made)
    for client in (world.outside, world.pods[0]):
        assert set(counts(client, "203.0.113.7")) == {pod.name for pod in world.pods}
    local = replace(made, external_local=True)
    applied.set(local)
    assert world.outside.ask("203.0.113.7", 80).split()[1] == world.outside.address


def test_sctp_services_are_balanced_too(world: World, applied: Applied) -> None:
    try:
        listener = world.pods[1].socket(socket.SOCK_STREAM, protocol=socket.IPPROTO_SCTP)
        client = world.pods[0].socket(socket.SOCK_STREAM, protocol=socket.IPPROTO_SCTP)
    except OSError:
        pytest.skip("this kernel has no SCTP")
    made = service(endpoint(world.pods[1]), protocol=Protocol.SCTP)
    applied.set(made)
    with listener, client:
        listener.bind(("0.0.0.0", PORT))
        listener.listen()
        client.connect((made.cluster_ips[0], 80))


def test_udp_clients_stick_with_affinity(world: World, applied: Applied) -> None:
    made = replace(service(*map(endpoint, world.pods), protocol=UDP, node_port=30086), affinity_timeout_s=60)
    applied.set(made)
    assert len({world.pods[0].ask_udp(made.cluster_ips[0], 80).split()[0] for _ in range(20)}) == 1
    assert len({world.outside.ask_udp(NODE, 30086).split()[0] for _ in range(20)}) == 1


def test_local_external_policy_keeps_the_client_s_address_and_uses_local_endpoints_only(
    world: World, applied: Applied
) -> None:
    elsewhere = endpoint(world.pods[1], local=False)
    made = replace(service(endpoint(world.pods[0]), elsewhere, node_port=30082), external_local=True)
    applied.set(made)
    answers = {world.outside.ask(NODE, 30082) for _ in range(20)}
    assert answers == {f"{world.pods[0].name} {world.outside.address}"}
    assert len(counts(world.node, NODE, 30082)) == 2


def test_local_external_policy_without_local_endpoints_drops_outsiders_only(world: World, applied: Applied) -> None:
    made = replace(service(endpoint(world.pods[1], local=False), node_port=30083), external_local=True)
    applied.set(made)
    with world.outside.socket(socket.SOCK_STREAM) as client:
        client.settimeout(0.3)
        with pytest.raises(TimeoutError):
            client.connect((NODE, 30083))
    assert world.pods[0].ask(NODE, 30083).split()[0] == world.pods[1].name


def test_local_internal_policy_uses_local_endpoints_only(world: World, applied: Applied) -> None:
    made = replace(service(endpoint(world.pods[0]), endpoint(world.pods[1], local=False)), internal_local=True)
    applied.set(made)
    assert set(counts(world.pods[2], made.cluster_ips[0], times=20)) == {world.pods[0].name}


@pytest.mark.parametrize("place", ["pod", "node", "outside"])
def test_a_service_without_endpoints_refuses_at_once(world: World, applied: Applied, place: str) -> None:
    made = service(node_port=30084)
    applied.set(made)
    client = {"pod": world.pods[0], "node": world.node, "outside": world.outside}[place]
    for address, port in ((made.cluster_ips[0], 80), (NODE, 30084)):
        began = time.monotonic()
        with pytest.raises(ConnectionRefusedError):
            client.ask(address, port)
        assert time.monotonic() - began < 0.5


def test_a_udp_service_without_endpoints_refuses_at_once(world: World, applied: Applied) -> None:
    made = service(protocol=UDP)
    applied.set(made)
    # A local sender is told by send() itself that the packet was not let out.
    for client, refusal in ((world.pods[0], ConnectionRefusedError), (world.node, PermissionError)):
        with pytest.raises(refusal):
            client.ask_udp(made.cluster_ips[0], 80)


def test_a_udp_client_that_keeps_its_port_leaves_an_endpoint_that_went(world: World, applied: Applied) -> None:
    made = service(endpoint(world.pods[1]), protocol=UDP)
    applied.set(made)
    with world.pods[0].socket(socket.SOCK_DGRAM) as client:
        client.connect((made.cluster_ips[0], 80))
        client.send(b"?")
        assert client.recv(100).decode().split()[0] == world.pods[1].name
        applied.set(replace(made, endpoints={made.ports[0].key: (endpoint(world.pods[2]),)}))
        client.send(b"?")
        assert client.recv(100).decode().split()[0] == world.pods[2].name


def test_a_table_that_somebody_removed_is_written_anew_with_the_next_change(world: World, applied: Applied) -> None:
    made = service(endpoint(world.pods[1]))
    applied.set(made)
    world.node.call(lambda: nft.Nft().run("delete table inet raftsman_proxy"))
    assert not world.node.call(applied.rules.is_present)
    applied.set(replace(made, endpoints={made.ports[0].key: (endpoint(world.pods[2]),)}))
    assert world.pods[0].ask(made.cluster_ips[0], 80).split()[0] == world.pods[2].name


def test_a_table_of_another_shape_is_made_anew(world: World, applied: Applied) -> None:
    made = service(endpoint(world.pods[1]))
    applied.set(made)
    table = "inet raftsman_proxy"
    other = f"delete table {table}\nadd table {table}\nadd set {table} hairpin {{ type mark ; }}"
    world.node.call(lambda: nft.Nft().run(other))
    applied.write_all()
    assert world.pods[0].ask(made.cluster_ips[0], 80).split()[0] == world.pods[1].name


def test_another_cluster_in_the_same_namespace_is_refused_with_a_sentence(world: World, applied: Applied) -> None:
    world.node.call(lambda: nft.Nft().run("add table inet raftsman_proxy_12345678"))
    with pytest.raises(installed.AnotherCluster, match="raftsman_proxy_12345678"):
        world.node.call(applied.rules.refuse_another_cluster)
    world.node.call(lambda: installed.cleanup("12345678"))
    world.node.call(applied.rules.refuse_another_cluster)


def test_cleaning_up_twice_is_harmless(world: World) -> None:
    for _ in range(2):
        world.node.call(lambda: installed.cleanup("87654321"))


def test_an_unknown_service_address_is_refused_and_never_leaves_the_machine(world: World, applied: Applied) -> None:
    with world.outside.call(lambda: socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(0x0003))) as tap:
        tap.bind(("eth0", 0))
        tap.settimeout(0.2)
        for client in (world.pods[0], world.node):
            with pytest.raises(ConnectionRefusedError):
                client.ask("10.96.200.200", 80)
            with pytest.raises(OSError) as raised:
                client.ask_udp("10.96.200.201", 80)
            assert raised.value.errno in (errno.ECONNREFUSED, errno.EPERM)
        assert not [frame for frame in frames(tap) if bytes([10, 96]) in frame]


def test_a_service_address_answered_on_the_node_itself_is_left_alone() -> None:
    made = service()
    address = made.cluster_ips[0]
    rules = ruleset.service_rules(made, replace(HERE, served_here=frozenset({address})))
    assert rules.verdicts == {}


def test_client_affinity_sticks_and_survives_other_endpoints_changes(world: World, applied: Applied) -> None:
    pods = world.pods
    made = replace(service(*map(endpoint, pods)), affinity_timeout_s=60)
    applied.set(made)
    address = made.cluster_ips[0]
    chosen = {client.name: counts(client, address, times=20) for client in (pods[0], pods[1], world.node)}
    assert all(len(found) == 1 for found in chosen.values())
    favourite = next(iter(chosen[pods[0].name]))
    other = next(pod for pod in pods if pod.name != favourite)
    key = made.ports[0].key
    applied.set(replace(made, endpoints={key: tuple(endpoint(p) for p in pods if p is not other)}))
    assert set(counts(pods[0], address, times=10)) == {favourite}
    applied.set(replace(made, endpoints={key: tuple(endpoint(p) for p in pods if p.name != favourite)}))
    moved = counts(pods[0], address, times=20)
    assert len(moved) == 1
    assert favourite not in moved


def test_client_affinity_is_kept_when_everything_is_written_again(world: World, applied: Applied) -> None:
    made = replace(service(*map(endpoint, world.pods)), affinity_timeout_s=60)
    applied.set(made)
    before = world.pods[0].ask(made.cluster_ips[0], 80)
    applied.write_all()
    assert {world.pods[0].ask(made.cluster_ips[0], 80) for _ in range(20)} == {before}


def test_changes_of_endpoints_under_load_lose_no_connection(world: World, applied: Applied) -> None:
    made = service(*map(endpoint, world.pods))
    applied.set(made)
    failures: list[Exception] = []
    done = threading.Event()
    asked = itertools.count()

    def load() -> None:
        while not done.is_set():
            try:
                assert world.pods[0].ask(made.cluster_ips[0], 80)
                next(asked)
            except Exception as error:
                failures.append(error)

    threads = [threading.Thread(target=load) for _ in range(4)]
    for thread in threads:
        thread.start()
    key = made.ports[0].key
    for turn in range(500):
        chosen = world.pods[: turn % 3 + 1]
        applied.set(replace(made, endpoints={key: tuple(map(endpoint, chosen))}))
        if turn % 100 == 50:
            applied.write_all()
        time.sleep(0.001)
    done.set()
    for thread in threads:
        thread.join()
    assert failures == []
    assert next(asked) > 100


def test_two_thousand_services_load_and_one_change_is_cheap(
    world: World, applied: Applied, capsys: pytest.CaptureFixture[str]
) -> None:
    def many(index: int) -> Service:
        port = ServicePort("main", TCP, 80)
        address = f"10.96.{100 + index // 250}.{index % 250 + 1}"
        backends = tuple(Endpoint(Backend(f"10.244.{i + 1}.{index % 250}", 80)) for i in range(5))
        return Service(f"many/s{index}", (port,), cluster_ips=(address,), endpoints={port.key: backends})

    services = [many(index) for index in range(2000)]
    began = time.perf_counter()
    applied.set(*services)
    loaded = time.perf_counter()
    applied.set(replace(services[7], endpoints={}))
    changed = time.perf_counter()
    with capsys.disabled():
        print(f"\n2000 services x 5: {loaded - began:.3f} s; one change: {(changed - loaded) * 1000:.2f} ms")
    applied.update(dict.fromkeys((s.key for s in services), None))
