"""The entry point of `raftsman`: which verb, then that verb's file.

A verb's module is imported when the verb is used, so that each costs only what it needs. Every failure ends here: one
line on stderr as kubectl words it, exit code 1 (130 after Ctrl-C), and no traceback.
"""

from __future__ import annotations

import importlib
import os
import sys
from collections.abc import Sequence

import click

from .verb import GLOBAL_OPTIONS, Globals, Reported, normalised

_VERBS = {
    "annotate": "label",
    "api-resources": "api_resources",
    "api-versions": "api_resources",
    "apply": "apply",
    "attach": "attach",
    "auth": "auth",
    "autoscale": "autoscale",
    "certificate": "certificate",
    "cluster-info": "cluster_info",
    "completion": "completion",
    "config": "config",
    "cordon": "cordon",
    "cp": "cp",
    "create": "create",
    "debug": "debug",
    "delete": "delete",
    "describe": "describe",
    "diff": "diff",
    "drain": "drain",
    "edit": "edit",
    "events": "events",
    "exec": "exec",
    "explain": "explain",
    "expose": "expose",
    "get": "get",
    "label": "label",
    "logs": "logs",
    "patch": "patch",
    "port-forward": "port_forward",
    "replace": "replace",
    "rollout": "rollout",
    "run": "run",
    "scale": "scale",
    "set": "set",
    "taint": "taint",
    "uncordon": "cordon",
    "version": "version",
    "wait": "wait",
}
# kubectl's other verbs, and what each would need.
_UNSUPPORTED = {
    "kustomize": "kustomize's builder (kubectl kustomize DIR | raftsman apply -f -)",
    "proxy": "the REST API",
    "top": "resource metrics (no metrics API is served)",
}
_CLUSTER_VERBS = ("up", "down", "kubeconfig")
_PROGRAMS = {"store": "store"}


class Verbs(click.Group):
    """The verbs by name, imported late."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return sorted([*_VERBS, *_CLUSTER_VERBS, *_PROGRAMS])

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name in _CLUSTER_VERBS:
            try:
                cluster = importlib.import_module("raftsman.cli.cluster")
            except ModuleNotFoundError:
                return None
            found = getattr(cluster, cmd_name, None)
            return found if isinstance(found, click.Command) else None
        module_name = _VERBS.get(cmd_name) or _PROGRAMS.get(cmd_name)
        if module_name is None:
            return None
        module = importlib.import_module(f"raftsman.cli.{module_name}")
        command: click.Command = getattr(module, cmd_name.replace("-", "_"))
        return command

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        if args and not args[0].startswith("-") and self.get_command(ctx, args[0]) is None:
            if args[0] in _UNSUPPORTED:
                raise click.UsageError(f"{args[0]} is not supported yet: it needs {_UNSUPPORTED[args[0]]}")
            raise click.UsageError(f'unknown command "{args[0]}" for "raftsman"')
        return super().resolve_command(ctx, args)


@click.group(cls=Verbs, params=[*GLOBAL_OPTIONS()], context_settings={"help_option_names": ["-h", "--help"]})
@click.pass_context
def cli(ctx: click.Context) -> None:
    """Raftsman runs containers on a cluster: kubectl's verbs, and `up` and `down` for the cluster itself."""


def main(arguments: Sequence[str] | None = None) -> None:
    """Run one command line and exit."""
    sys.exit(run(sys.argv[1:] if arguments is None else list(arguments)))


def run(arguments: list[str]) -> int:
    """Run one command line; its exit code."""
    try:
        result = cli.main(normalised(arguments), prog_name="raftsman", standalone_mode=False, obj=Globals())
        sys.stdout.flush()
        return result if isinstance(result, int) else 0
    except BrokenPipeError:
        # Whoever read our output has seen enough. Python must not complain about it at exit either.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 1
    except (KeyboardInterrupt, click.Abort):
        return 130
    except click.exceptions.NoArgsIsHelpError as error:
        click.echo(error.ctx.get_help() if error.ctx else "", err=True)
        return 1
    except click.UsageError as error:
        _say(_usage(error), error.ctx)
        return 1
    except click.ClickException as error:
        click.echo(error.format_message() if isinstance(error, Reported) else f"error: {error.message}", err=True)
        return 1


def _usage(error: click.UsageError) -> str:
    if isinstance(error, click.NoSuchOption):
        name = error.option_name
        kind = "flag" if name.startswith("--") else "shorthand flag"
        similar = f" (did you mean {' or '.join(sorted(error.possibilities))}?)" if error.possibilities else ""
        return f"unknown {kind}: {name}{similar}"
    message = error.format_message()
    return message[:1].lower() + message[1:].rstrip(".")


def _say(message: str, ctx: click.Context | None) -> None:
    path = ctx.command_path if ctx else "raftsman"
    click.echo(f"error: {message}\nSee '{path} --help' for usage.", err=True)


if __name__ == "__main__":
    main()
