"""What can be told without a cluster: flags, words, mistakes."""

from __future__ import annotations

import io
from pathlib import Path

import click
import pytest
from raftsman.cli import main, verb, wait
from raftsman.core import v1 as core

from .conftest import CommandLine


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("frobnicate",), 'unknown command "frobnicate" for "raftsman"'),
        (("port-forward", "pod/x"), "TYPE/NAME and list of ports are required"),
        (("cp", "a", "b"), "one of src or dest must be a local file"),
        (("attach",), "at least 1 argument is required"),
        (("get", "pods", "--frob"), "unknown flag: --frob"),
        (("get", "pods", "-Z"), "unknown shorthand flag: -Z"),
        (("rollout", "frob"), 'unknown command "frob" for "raftsman rollout"'),
        (("get", "pods", "-o", "xml"), "unable to match a printer"),
        (("get", "pods", "-o", "jsonpath"), "unable to match a printer"),
        # A server may have such a custom resource; there is none to ask.
        (("get", "frobs"), "no such file"),
        (("get",), "you must specify the type of resource"),
        (("delete", "pods"), "no name was specified"),
        (("delete", "pod", "x", "--all"), "name cannot be provided"),
        (("delete", "pod", "x", "--now", "--grace-period=5"), "cannot be specified together"),
        (("get", "pod/x", "pods"), "not of the form TYPE/NAME"),
        (("get", "pods", "--watch=maybe"), 'invalid argument "maybe"'),
        (("scale", "deploy/x"), "missing option '--replicas'"),
        (("exec", "pod"), "you must specify at least one command"),
        (("wait", "pod/x", "--for=sunrise"), "unrecognized condition"),
        (("apply", "-f", "/nonexistent.yaml"), "cannot be read: no such file"),
        (("apply", "-f", "https://example.com/x.yaml"), "is refused: manifests are read from files"),
        (("apply", "-f", "x.yaml", "--prune"), "all resources selected for prune"),
        (("apply", "-f", "x.yaml", "--prune", "--all", "--prune-allowlist=Pod"), "it is GROUP/VERSION/KIND"),
        (("apply", "-k", "folder"), "-k is not supported"),
        (("apply", "-f", "x.yaml", "--force-conflicts"), "--force-conflicts needs --server-side"),
        (("apply", "-f", "x.yaml", "--server-side", "--dry-run=client"), "does not go with --server-side"),
        (("patch", "pod", "x", "-p", "{"), "unable to parse"),
        (("patch", "pod", "x"), "must specify --patch"),
        (("label", "pod", "x", "a b=c"), "not a valid key"),
        (("set", "image", "deploy/x"), "at least one image update"),
        (("taint", "nodes", "n", "a=b:Sometimes"), "the effect must be one of"),
        (("get", "pods", "--request-timeout=soon"), "is not a duration"),
    ],
)
def test_a_mistake_is_one_clear_line(bare: CommandLine, words: tuple[str, ...], said: str) -> None:
    err = bare.fails(*words)
    assert err.startswith("error: ")
    assert said in err


def test_without_a_cluster_the_error_says_what_to_do(bare: CommandLine) -> None:
    assert "no such file" in bare.fails("get", "pods")


@pytest.mark.parametrize("name", [*main._VERBS])
def test_every_verb_has_its_help(bare: CommandLine, name: str) -> None:
    found = bare(name, "--help")
    assert found.code == 0
    assert found.out.startswith("Usage: raftsman")


def test_the_help_lists_every_verb(bare: CommandLine) -> None:
    out = bare.ok("--help")
    assert all(f"  {name} " in out for name in main._VERBS)


def test_short_flags_take_an_equals_sign() -> None:
    assert verb.normalised(["get", "-o=json", "-n=x", "--", "-a=b"]) == ["get", "-o", "json", "-n", "x", "--", "-a=b"]


def test_a_flag_whose_value_may_be_left_out_never_eats_a_word() -> None:
    @verb.verb("x")
    @click.argument("words", nargs=-1)
    @click.option("--dry-run", default="none")
    @verb.flag("--all")
    @verb.flag("--wait", default=True)
    async def command(session: object, **given: object) -> None: ...

    def parsed(*words: str) -> dict[str, object]:
        return command.make_context("x", [*words], obj=verb.Globals()).params

    assert parsed("--dry-run", "a")["dry_run"] == "client"
    assert parsed("--dry-run", "a")["words"] == ("a",)
    assert parsed("--all=true", "--wait=false") == {"words": (), "dry_run": "none", "all": True, "wait": False}
    assert parsed("--all=false")["all"] is False


def test_global_flags_are_taken_before_and_after_the_verb() -> None:
    for words in (["-n", "a", "get", "pods"], ["get", "pods", "-n", "a"]):
        ctx = main.cli.make_context("raftsman", words, obj=verb.Globals())
        name, command, rest = main.cli.resolve_command(ctx, [*ctx._protected_args, *ctx.args])
        assert command is not None
        command.make_context(name, rest, parent=ctx)
        assert ctx.obj.namespace == "a"


def test_manifests_are_created_on_the_client_alone(
    bare: CommandLine, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    out = bare.ok("create", "deployment", "web", "--image=r/shop:1", "--port=80", "--dry-run=client", "-o", "yaml")
    assert "image: r/shop:1" in out
    assert "name: shop" in out
    (tmp_path / "key").write_text("v")
    out = bare.ok("create", "secret", "generic", "s", f"--from-file=k={tmp_path / 'key'}", "--dry-run", "-o=json")
    assert '"k": "dg=="' in out
    stdin = io.TextIOWrapper(io.BytesIO(b"{apiVersion: v1, kind: ConfigMap, metadata: {name: c}}"))
    monkeypatch.setattr("sys.stdin", stdin)
    assert bare.ok("create", "-f", "-", "--dry-run=client") == "configmap/c created (dry run)\n"


def test_conditions_are_tests_of_objects() -> None:
    pod = core.Pod()
    pod.status.phase = "Running"
    pod.status.conditions.add(type="Ready", status="True")
    assert wait.condition("condition=ready")(pod)
    assert not wait.condition("condition=Ready=False")(pod)
    assert wait.condition("jsonpath={.status.phase}=Running")(pod)
    assert wait.condition('jsonpath={.status.conditions[?(@.type=="Ready")].status}=True')(pod)
    assert not wait.condition("jsonpath=.status.podIP")(pod)
    assert wait.condition("delete")(None)
    assert not wait.condition("condition=Ready")(None)


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_completion_scripts_are_printed(bare: CommandLine, shell: str) -> None:
    assert "_RAFTSMAN_COMPLETE" in bare.ok("completion", shell)
