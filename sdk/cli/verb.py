"""What makes a click command behave as a verb of kubectl.

Global flags are taken before and after the verb. `-o=json` and `--wait=false` mean what they mean there, and a flag
whose value may be left out never eats the next word. A verb is an async function that is given a Session.
"""

from __future__ import annotations

import asyncio
import functools
import re
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from typing import Any

import click
from click.shell_completion import CompletionItem
from raftsman import times

_SHORT = re.compile(r"-[A-Za-z]=")
_TRUE, _FALSE = ("true", "1", "t", "True", "TRUE"), ("false", "0", "f", "False", "FALSE")
COMMAND = "raftsman.cli.command"


@dataclass(slots=True)
class Globals:
    """The flags that every verb takes."""

    kubeconfig: str | None = None
    context: str | None = None
    namespace: str | None = None
    request_timeout_s: float | None = None
    log_level: str | None = None
    cluster: str | None = None
    user: str | None = None
    server: str | None = None
    token: str | None = None
    certificate_authority: str | None = None
    client_certificate: str | None = None
    client_key: str | None = None
    tls_server_name: str | None = None
    impersonate: str | None = None
    impersonate_groups: tuple[str, ...] | None = None
    impersonate_uid: str | None = None


class Failure(click.ClickException):
    """A sentence for stderr after `error: `, exit code 1."""


class UnknownKind(Failure):
    """A kind that is none of the built-in ones."""


class Reported(click.ClickException):
    """A failure whose text stands as it is, without `error: ` before it."""


def normalised(arguments: list[str]) -> list[str]:
    """`-o=json` as click reads it: `-o json`. What follows `--` is somebody else's."""
    found: list[str] = []
    for index, argument in enumerate(arguments):
        if argument == "--":
            return found + arguments[index:]
        if _SHORT.match(argument):
            found += [argument[:2], argument[3:]]
        else:
            found.append(argument)
    return found


def duration_s(text: str) -> float:
    """Seconds of `30s`, `5m`, or a bare number."""
    if re.fullmatch(r"-?\d+(\.\d+)?", text):
        return float(text)
    try:
        return times.parse_duration(text) / 10**9
    except ValueError as error:
        raise click.BadParameter(str(error)) from None


class Duration(click.ParamType[float]):
    """A length of time in seconds, written as Go does."""

    name = "duration"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> float:
        return value if isinstance(value, float) else duration_s(str(value))


class Completed(click.ParamType[str]):
    """A word as it is, which a shell may complete: `what` is words, pods, nodes, namespaces, contexts or formats."""

    name = "text"

    def __init__(self, what: str) -> None:
        self.what = what

    def shell_complete(self, ctx: click.Context, param: click.Parameter, incomplete: str) -> list[CompletionItem]:
        from . import completing, output

        flags = ctx.ensure_object(Globals)
        before = [str(word) for word in ctx.params.get(str(param.name)) or ()]
        match self.what:
            case "words" | "pods":
                found = completing.words(flags, before, incomplete, pods=self.what == "pods")
            case "contexts":
                found = completing.contexts(flags)
            case "formats":
                found = [name.rstrip("…") for name in output.FORMATS.split(", ")]
            case kind:
                found = [name for name in completing.names(flags, kind) if name not in before]
        return [CompletionItem(word) for word in found if word.startswith(incomplete)]


def _completed(param: click.Parameter) -> None:
    """Let a shell complete an argument by what its metavar says that it is."""
    if isinstance(param, click.Argument) and param.name in ("words", "nodes", "path"):
        param.type = Completed("nodes" if param.name == "nodes" else "pods" if _for_pods(param) else "words")


def _for_pods(param: click.Parameter) -> bool:
    return (param.metavar or "").startswith("POD")


def _keep(ctx: click.Context, param: click.Parameter, value: Any) -> None:
    if value not in (None, ()):
        setattr(ctx.ensure_object(Globals), str(param.name), value)


def _verbosity(ctx: click.Context, param: click.Parameter, value: int | None) -> None:
    if value is not None:
        ctx.ensure_object(Globals).log_level = "debug" if value >= 4 else "info" if value >= 1 else "warning"


def GLOBAL_OPTIONS() -> list[click.Parameter]:
    """The flags of Globals, stored as they are met."""
    option = functools.partial(click.Option, expose_value=False, callback=_keep)
    levels = click.Choice(["debug", "info", "warning", "error"])
    return [
        option(["--kubeconfig"], metavar="FILE", type=click.Path(), help="The kubeconfig to use."),
        option(["--context"], metavar="NAME", type=Completed("contexts"), help="The kubeconfig's context to use."),
        option(["-n", "--namespace"], metavar="NAME", type=Completed("namespaces"), help="The namespace to work in."),
        option(["--request-timeout", "request_timeout_s"], type=Duration(), help="How long one request may take."),
        option(["--cluster"], metavar="NAME", help="The kubeconfig's cluster to use."),
        option(["--user"], metavar="NAME", help="The kubeconfig's user to use."),
        option(["-s", "--server"], metavar="URL", help="The API server: https://HOST:PORT."),
        option(["--token"], metavar="TOKEN", help="A bearer token."),
        option(["--certificate-authority"], metavar="FILE", help="Who signs the server's certificate."),
        option(["--client-certificate"], metavar="FILE", help="Our certificate."),
        option(["--client-key"], metavar="FILE", help="Its key."),
        option(["--tls-server-name"], metavar="NAME", help="The name in the server's certificate."),
        option(["--as", "impersonate"], metavar="USER", help="For whom the calls count."),
        option(["--as-group", "impersonate_groups"], multiple=True, metavar="GROUP", help="A group of that user."),
        option(["--as-uid", "impersonate_uid"], metavar="UID", help="The UID of that user."),
        option(["--log-level"], type=levels, help="What to log to stderr."),
        option(["-v", "--v", "_v"], type=int, callback=_verbosity, metavar="LEVEL", help="As kubectl's: 4 is debug."),
    ]  # fmt: skip


# The value of a flag that was written without one.
BARE = {"--dry-run": "client", "--cascade": "background", "--validate": "strict"}


def plain(command: click.Command, ctx: click.Context, args: list[str]) -> list[str]:
    """Arguments as click reads them; what follows `--` is kept for `after_dashes`."""
    options = [param for param in command.params if isinstance(param, click.Option)]
    flags = {name: param.secondary_opts for param in options if param.is_flag for name in param.opts}
    if "--" in args:
        at = args.index("--")
        args, ctx.meta[COMMAND] = args[:at], args[at + 1 :]
    known = {name for param in options for name in param.opts}
    found = (_plain(argument, flags, known) for argument in args)
    return [argument for argument in found if argument is not None]


def _plain(argument: str, flags: Mapping[str, list[str]], known: set[str]) -> str | None:
    name, equals, value = argument.partition("=")
    if not equals:
        return f"{name}={BARE[name]}" if name in BARE and name in known else argument
    if name not in flags:
        return argument
    if value in _TRUE:
        return name
    if value in _FALSE:
        return flags[name][0] if flags[name] else None
    raise click.UsageError(f'invalid argument "{value}" for "{name}" flag: it is true or false')


class Verb(click.Command):
    """One verb."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        # A verb's own flag hides a global one of its name, as --user of `create rolebinding` does.
        for param in self.params:
            _completed(param)
        own = {name for param in self.params for name in param.opts}
        self.params += [param for param in GLOBAL_OPTIONS() if not own.intersection(param.opts)]

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        return super().parse_args(ctx, plain(self, ctx, args))


def after_dashes(ctx: click.Context) -> list[str]:
    """The words after `--`, or none."""
    found: list[str] = ctx.meta.get(COMMAND, [])
    return found


def flag(*names: str, default: bool = False, help: str = "") -> Callable[[Any], Any]:
    """A boolean flag that also takes `=true` and `=false`."""
    if not default:
        return click.option(*names, is_flag=True, help=help)
    long = next(name for name in names if name.startswith("--"))
    return click.option(*[n for n in names if n != long], f"{long}/--no-{long[2:]}", default=True, help=help)


AsyncVerb = Callable[..., Awaitable[int | None]]


def verb(name: str | None = None, **attributes: Any) -> Callable[[AsyncVerb], click.Command]:
    """Make an async function `(session, **parameters)` a verb. It returns an exit code, or None for 0."""

    def decorate(function: AsyncVerb) -> click.Command:
        @functools.wraps(function)
        def run(*args: Any, **kwargs: Any) -> int | None:
            return run_async(function, click.get_current_context().ensure_object(Globals), args, kwargs)

        return click.command(name, cls=Verb, **attributes)(run)

    return decorate


def run_async(function: AsyncVerb, flags: Globals, args: tuple[Any, ...], kwargs: dict[str, Any]) -> int | None:
    """Open a session, run the verb in it and word its failures."""
    from . import failure
    from .session import Session

    if flags.log_level:
        from raftsman import logs

        logs.setup(flags.log_level)

    async def inside() -> int | None:
        async with Session(flags) as session:
            try:
                code = await function(session, *args, **kwargs)
            except UnknownKind:
                # Perhaps a custom resource's: the server knows, and is asked only then.
                from raftsman import custom

                if not await custom.learn(session.client):
                    raise
                code = await function(session, *args, **kwargs)
            return code or (1 if session.failed else None)

    with failure.worded():
        return asyncio.run(inside())


class Group(click.Group):
    """Verbs of a verb: `rollout status`, `set image`."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        return super().parse_args(ctx, plain(self, ctx, args) if args else args)

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        if args and not args[0].startswith("-") and self.get_command(ctx, args[0]) is None:
            raise click.UsageError(f'unknown command "{args[0]}" for "{ctx.command_path}"', ctx)
        return super().resolve_command(ctx, args)

    def add(self, command: click.Command) -> click.Command:
        """As a decorator: a verb of this verb."""
        self.add_command(command)
        return command


def group(name: str, help: str) -> Group:
    return Group(name, help=help, params=GLOBAL_OPTIONS(), no_args_is_help=True)
