"""`raftsman up`, `raftsman down`, `raftsman kubeconfig`: a cluster on this machine."""

from __future__ import annotations

import sys
from pathlib import Path

import click
from raftsman.cluster.layout import DEFAULT_DATA_DIR, Layout

_DATA_DIR = click.option(
    "--data-dir",
    type=click.Path(path_type=Path, file_okay=False),
    default=DEFAULT_DATA_DIR,
    envvar="RAFTSMAN_DATA_DIR",
    show_default=True,
    help="Where the cluster keeps its state.",
)


@click.command()
@_DATA_DIR
@click.option("--detach", is_flag=True, help="Run in the background; return when the node is Ready.")
@click.option("--node-name", help="This node's name [default: the host's name].")
@click.option("--node-ip", help="This node's address [default: that of the default route].")
@click.option("--pod-cidr", help="Addresses of pods [default: 10.244.0.0/16].")
@click.option("--service-cidr", help="Addresses of services [default: 10.96.0.0/16].")
@click.option("--secure-port", type=click.IntRange(1, 65535), help="The API's port [default: 6443].")
@click.option("--log-level", type=click.Choice(["debug", "info", "warning", "error"]))
def up(data_dir: Path, detach: bool, **asked: str | int | None) -> None:
    """Bring up a one-node cluster on this machine."""
    from raftsman.cluster import preflight
    from raftsman.cluster import settings as settings_module
    from raftsman.cluster import up as cluster_up

    wanted = cluster_up.Wanted(data_dir=data_dir, **asked)  # type: ignore[arg-type]
    try:
        if not detach:
            cluster_up.run_foreground(wanted, click.echo)
            _stop(Layout.of(data_dir), purge=False)
            return
        layout, settings, took_s = cluster_up.start(wanted, click.echo)
    except (cluster_up.UpError, preflight.PreflightError, settings_module.SettingsError) as error:
        raise click.ClickException(str(error)) from None
    if took_s is None:
        click.echo(f"Node {settings.node_name} is Ready; the cluster ran already.")
    else:
        click.echo(f"Node {settings.node_name} is Ready after {took_s:.1f} s.")
    click.echo(f"Kubeconfig: {layout.kubeconfig()} (also the context `raftsman` in ~/.kube/config)")
    click.echo("Next: raftsman get nodes; raftsman apply -f examples/hello; raftsman get pods -A")


@click.command()
@_DATA_DIR
@click.option("--purge", is_flag=True, help="Remove data and images too.")
def down(data_dir: Path, purge: bool) -> None:
    """Stop the cluster on this machine and remove all that it made, but for its data."""
    _stop(Layout.of(data_dir), purge=purge)


def _stop(layout: Layout, *, purge: bool) -> None:
    from raftsman.cluster import down as cluster_down
    from raftsman.cluster import preflight

    try:
        preflight.check_privileges()
        stopped = cluster_down.stop(layout, click.echo, purge=purge)
    except (cluster_down.DownError, preflight.PreflightError) as error:
        raise click.ClickException(str(error)) from None
    click.echo("Stopped." if stopped else f"No cluster of {layout.data_dir} runs.")
    if purge:
        click.echo(f"Removed {layout.data_dir}.")


@click.command()
@_DATA_DIR
@click.option("--path", "only_path", is_flag=True, help="Print where it is instead of what it says.")
def kubeconfig(data_dir: Path, only_path: bool) -> None:
    """Print the administrator's kubeconfig."""
    path = Layout.of(data_dir).kubeconfig()
    if not path.exists():
        raise click.ClickException(f"There is no cluster in {data_dir}; `raftsman up` makes one.")
    try:
        sys.stdout.write(f"{path}\n" if only_path else path.read_text())
    except PermissionError:
        raise click.ClickException(f"{path} belongs to somebody else; read it with sudo.") from None


COMMANDS = (up, down, kubeconfig)
