"""The rest of what people type: ranges, transactions, locks, elections, watches, users; with Debian's etcdctl."""

from __future__ import annotations

import json
import subprocess
import time
from collections.abc import Iterator

import members
import pytest
from etcdctl import ENV, command, ctl, lines, refusal, run

pytestmark = pytest.mark.etcdctl


@pytest.fixture(scope="module", autouse=True)
def _ready(store: members.Store) -> None:
    deadline = time.monotonic() + 10
    while run(store, "endpoint", "health").returncode:
        assert time.monotonic() < deadline, store.log


def started(store: members.Store, *arguments: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        command(store, *arguments), env=ENV, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )


def read(process: subprocess.Popen[str], count: int) -> list[str]:
    assert process.stdout is not None
    return [process.stdout.readline().strip() for _ in range(count)]


def put(store: members.Store, key: str, value: str) -> int:
    """The revision that it made."""
    return int(json.loads(ctl(store, "put", key, value, "--write-out=json")[0])["header"]["revision"])


def test_get_in_every_way(store: members.Store) -> None:
    _, _, at, _ = (put(store, key, value) for key, value in (("g/b", "1"), ("g/a", "3"), ("g/c", "2"), ("g/a", "4")))
    assert ctl(store, "get", "g/a", "--print-value-only") == ["4"]
    assert ctl(store, "get", "g/a", f"--rev={at}", "--print-value-only") == ["3"]
    assert ctl(store, "get", "g/", "--prefix", "--keys-only") == ["g/a", "g/b", "g/c"]
    assert ctl(store, "get", "g/a", "g/c", "--keys-only") == ["g/a", "g/b"]
    assert ctl(store, "get", "g/b", "--from-key", "--keys-only")[:2] == ["g/b", "g/c"]
    assert ctl(store, "get", "g/", "--prefix", "--keys-only", "--sort-by=CREATE") == ["g/b", "g/a", "g/c"]
    assert ctl(store, "get", "g/", "--prefix", "--keys-only", "--sort-by=MODIFY") == ["g/b", "g/c", "g/a"]
    assert ctl(store, "get", "g/", "--prefix", "--keys-only", "--sort-by=VERSION", "--order=DESCEND")[0] == "g/a"
    assert ctl(store, "get", "g/", "--prefix", "--print-value-only", "--sort-by=VALUE") == ["1", "2", "4"]
    assert ctl(store, "get", "g/", "--prefix", "--keys-only", "--limit=2") == ["g/a", "g/b"]
    counted = lines(store, "get", "g/", "--prefix", "--limit=1", "--write-out=fields")
    assert '"Count" : 3' in counted
    assert ctl(store, "get", "g/a", "--consistency=s", "--print-value-only") == ["4"]
    assert ctl(store, "get", "--hex", "g/a")[0] == r"\x67\x2f\x61"
    assert refusal(store, "get", "g/a", "--rev=999999") == "etcdserver: mvcc: required revision is a future revision"


def test_del_answers_with_what_it_deleted(store: members.Store) -> None:
    ctl(store, "put", "d/a", "1")
    ctl(store, "put", "d/b", "2")
    assert ctl(store, "del", "d/", "--prefix", "--prev-kv") == ["2", "d/a", "1", "d/b", "2"]
    assert ctl(store, "del", "d/a") == ["0"]


def test_put_keeps_what_it_is_told_to(store: members.Store) -> None:
    lease = ctl(store, "lease", "grant", "60")[1]
    assert ctl(store, "put", "p", "1", f"--lease={lease}", "--prev-kv") == ["OK"]
    assert ctl(store, "put", "p", "2", "--prev-kv", "--ignore-lease") == ["OK", "p", "1"]
    assert ctl(store, "put", "p", "--ignore-value") == ["OK"]
    assert ctl(store, "get", "p", "--print-value-only") == ["2"]
    assert refusal(store, "put", "nothing", "--ignore-value") == "etcdserver: key not found"
    assert refusal(store, "put", "p", "1", "--lease=77") == "etcdserver: requested lease not found"


def test_a_transaction_typed_in(store: members.Store) -> None:
    ctl(store, "put", "x/1", "one")
    typed = 'mod("x/1") > "0"\nver("x/1") = "1"\ncreate("x/2") = "0"\n\nput x/2 two\nget x/ --prefix\n\ndel x/1\n\n'
    assert ctl(store, "txn", "--interactive", feed=typed)[-6:] == ["SUCCESS", "OK", "x/1", "one", "x/2", "two"]
    answer = ctl(store, "txn", feed='val("x/1") = "none"\n\nput x/1 no\n\nput x/3 three\ndel x/2\n\n')
    assert answer == ["FAILURE", "OK", "1"]
    assert ctl(store, "get", "x/", "--prefix") == ["x/1", "one", "x/3", "three"]


def test_compaction_physical_and_what_it_ends(store: members.Store) -> None:
    revision = max(put(store, "compacted", value) for value in "12345")
    assert ctl(store, "compaction", "--physical", str(revision)) == ["compacted", "revision", str(revision)]
    assert refusal(store, "get", "compacted", f"--rev={revision - 1}").endswith("required revision has been compacted")
    assert refusal(store, "compaction", str(revision)).endswith("required revision has been compacted")
    ended = run(store, "watch", "compacted", f"--rev={revision - 1}")
    assert "watch was canceled (etcdserver: mvcc: required revision has been compacted)" in ended.stderr


def test_a_watch_typed_in(store: members.Store) -> None:
    revision = put(store, "iv/1", "a")
    watch = started(store, "watch", "--interactive")
    try:
        assert watch.stdin is not None
        watch.stdin.write(f"watch iv/ --prefix --prev-kv --rev={revision}\n")
        watch.stdin.flush()
        assert read(watch, 3) == ["PUT", "iv/1", "a"]
        ctl(store, "del", "iv/1")
        assert read(watch, 5) == ["DELETE", "iv/1", "a", "iv/1", ""]
    finally:
        watch.kill()
        watch.wait()


def test_a_watch_runs_a_command(store: members.Store) -> None:
    revision = put(store, "cw", "1")
    echo = "echo $ETCD_WATCH_EVENT_TYPE $ETCD_WATCH_KEY"
    watch = started(store, "watch", "cw", f"--rev={revision}", "--", "sh", "-c", echo)
    try:
        assert read(watch, 4) == ["PUT", "cw", "1", '"PUT" "cw"']
    finally:
        watch.kill()
        watch.wait()


def test_a_lock_is_held_by_one(store: members.Store) -> None:
    first = started(store, "lock", "mutex/more")
    second = None
    try:
        held = read(first, 1)[0]
        assert held.startswith("mutex/more/")
        second = started(store, "lock", "mutex/more", "echo", "mine")
        time.sleep(0.3)
        assert second.poll() is None
        first.terminate()
        assert read(second, 1) == ["mine"]
        assert second.wait(10) == 0
    finally:
        for process in filter(None, (first, second)):
            process.kill()
            process.wait()


def test_an_election_has_one_winner(store: members.Store) -> None:
    first = started(store, "elect", "office", "alice")
    second = listening = None
    try:
        assert read(first, 2)[1] == "alice"
        listening = started(store, "elect", "--listen", "office")
        assert read(listening, 2)[1] == "alice"
        second = started(store, "elect", "office", "bob")
        time.sleep(0.3)
        first.terminate()
        assert read(second, 2)[1] == "bob"
        assert read(listening, 2)[1] == "bob"
    finally:
        for process in filter(None, (first, second, listening)):
            process.kill()
            process.wait()


def test_leases_listed_and_kept(store: members.Store) -> None:
    lease = ctl(store, "lease", "grant", "2")[1]
    assert lease in ctl(store, "lease", "list")
    keeper = started(store, "lease", "keep-alive", lease)
    try:
        assert "keepalived" in read(keeper, 1)[0]
        time.sleep(2.5)
        assert "remaining(" in " ".join(ctl(store, "lease", "timetolive", lease))
    finally:
        keeper.kill()
        keeper.wait()
    ctl(store, "lease", "revoke", lease)
    assert ctl(store, "lease", "timetolive", lease) == ["lease", lease, "already", "expired"]
    assert "etcdserver: requested lease not found" in refusal(store, "lease", "revoke", lease)


def test_alarms_defragmentation_and_hashes(store: members.Store) -> None:
    assert ctl(store, "alarm", "list") == []
    assert ctl(store, "alarm", "disarm") == []
    assert "Finished" in ctl(store, "defrag")


# -- users


@pytest.fixture(scope="module")
def secured(tmp_path_factory: pytest.TempPathFactory) -> Iterator[members.Store]:
    """root, and mia who may use /team/ and read /shared."""
    with members.lone(tmp_path_factory.mktemp("secured"), "--bcrypt-cost", "4") as store:
        while run(store, "endpoint", "health").returncode:
            time.sleep(0.05)
        for words in (
            "put /shared s",
            "put /other o",
            "user add root:pw",
            "user grant-role root root",
            "role add team",
            "role grant-permission team --prefix=true readwrite /team/",
            "role grant-permission team read /shared",
            "user add mia --new-user-password=pw",
            "user grant-role mia team",
            "auth enable",
        ):
            ctl(store, *words.split())
        yield store


MIA = ("--user", "mia:pw")
ROOT = ("--user", "root", "--password", "pw")
DENIED = "etcdserver: permission denied"


def test_users_and_roles_are_shown(secured: members.Store) -> None:
    assert ctl(secured, *ROOT, "user", "list") == ["mia", "root"]
    assert ctl(secured, *ROOT, "role", "list") == ["team"]
    assert ctl(secured, *ROOT, "user", "get", "mia") == ["User:", "mia", "Roles:", "team"]
    shown = lines(secured, *ROOT, "role", "get", "team")
    assert shown == [
        "Role team",
        "KV Read:",
        "\t/shared",
        "\t[/team/, /team0) (prefix /team/)",
        "KV Write:",
        "\t[/team/, /team0) (prefix /team/)",
    ]
    assert refusal(secured, *MIA, "user", "list") == DENIED
    assert ctl(secured, *MIA, "user", "get", "mia") == ["User:", "mia", "Roles:", "team"]


def test_a_user_reaches_what_is_hers(secured: members.Store) -> None:
    assert refusal(secured, "get", "/shared") == "etcdserver: user name is empty"
    assert refusal(secured, "--user", "mia:wrong", "get", "/shared").endswith("invalid user ID or password")
    assert ctl(secured, *MIA, "put", "/team/a", "1") == ["OK"]
    assert ctl(secured, *MIA, "get", "/team/", "--prefix") == ["/team/a", "1"]
    assert ctl(secured, *MIA, "get", "/shared") == ["/shared", "s"]
    for words in ("put /shared x", "get /other", "get / --prefix", "del /team --from-key", "compaction 2"):
        assert refusal(secured, *MIA, *words.split()) == DENIED
    assert refusal(secured, *MIA, "txn", feed='val("/other") = "o"\n\nget /team/a\n\n\n') == DENIED
    assert ctl(secured, *MIA, "txn", feed='val("/shared") = "s"\n\nput /team/b 2\n\n\n') == ["SUCCESS", "OK"]
    watch = run(secured, *MIA, "watch", "/other")
    assert "etcdserver: permission denied" in watch.stderr
    assert ctl(secured, *MIA, "lock", "/team/lock", "echo", "held") == ["held"]


def test_what_is_taken_away_is_gone(secured: members.Store) -> None:
    ctl(secured, *ROOT, "user", "add", "tom", "--new-user-password=pw")
    ctl(secured, *ROOT, "user", "grant-role", "tom", "team")
    tom = ("--user", "tom:pw")
    assert ctl(secured, *tom, "get", "/shared") == ["/shared", "s"]
    ctl(secured, *ROOT, "user", "passwd", "tom", "--interactive=false", feed="new\n")
    assert refusal(secured, *tom, "get", "/shared").endswith("invalid user ID or password")
    tom = ("--user", "tom:new")
    ctl(secured, *ROOT, "user", "revoke-role", "tom", "team")
    assert refusal(secured, *tom, "get", "/shared") == DENIED
    ctl(secured, *ROOT, "user", "delete", "tom")
    assert refusal(secured, *tom, "get", "/shared").endswith("invalid user ID or password")


def test_root_stays_and_may_do_everything(secured: members.Store) -> None:
    for words in ("user delete root", "user revoke-role root root"):
        assert refusal(secured, *ROOT, *words.split()) == "etcdserver: invalid auth management"
    assert refusal(secured, *ROOT, "user", "add", "mia:pw") == "etcdserver: user name already exists"
    assert refusal(secured, *ROOT, "role", "add", "team") == "etcdserver: role name already exists"
    assert refusal(secured, *ROOT, "role", "get", "none") == "etcdserver: role name not found"
    assert ctl(secured, *ROOT, "get", "/other") == ["/other", "o"]
    assert "true," in ctl(secured, *ROOT, "endpoint", "status")
    assert "is healthy" in run(secured, *MIA, "endpoint", "health").stderr
    ctl(secured, *ROOT, "auth", "disable")
    assert ctl(secured, "get", "/other") == ["/other", "o"]
    ctl(secured, "auth", "enable")
    assert refusal(secured, "get", "/other") == "etcdserver: user name is empty"
