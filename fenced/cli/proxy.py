"""`fenced proxy`: run the proxy agent; show or change the store whose tokens it obeys; forget the tokens of a plug.

Reports every mistake of its file first: the agent in its log, the other commands as text.
"""

import asyncio
import difflib
import os
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Final

import click
import structlog

from fenced.app.own_machine import own_machine
from fenced.config.agent_files import LoadedProxy, load_proxy
from fenced.config.configuration import ProxyConfiguration
from fenced.config.mistakes import Mistake
from fenced.host.limits import forbid_core_dumps
from fenced.model.names import PlugId
from fenced.proxy.state import ProxyState, StateError

EXIT_CONFIGURATION: Final = 78
EXIT_FAILED: Final = 1
NEAR_MAX: Final = 5

log = structlog.get_logger("fenced.proxy")


@click.command(context_settings={"help_option_names": ["-h", "--help"]})
@click.option(
    "-c", "--config", "file", required=True, type=click.Path(path_type=Path, dir_okay=False), help="The agent's file."
)
@click.option("--check", is_flag=True, help="Check the file and exit.")
@click.option("--show-store", is_flag=True, help="Print the id of the store whose tokens the agent obeys, and exit.")
@click.option(
    "--adopt-store",
    metavar="ID",
    help="Obey the tokens of this store from now on; works while the agent runs. Use it only if the daemon's store was "
    "replaced by a new one and the old one is gone for good: the agent refuses commands of the old one afterwards.",
)
@click.option(
    "--forget-plug",
    metavar="PLUG",
    help="Accept any token next for this plug, named as in the refusal. Use it only while the agent is stopped, and "
    "only if the highest token it has seen is not from one of your daemons.",
)
@click.option("--loop", type=click.Choice(["uvloop", "asyncio"]), default="uvloop", show_default=True)
@click.option(
    "--log-level", type=click.Choice(["debug", "info", "warning", "error"]), default="info", show_default=True
)
def command(
    file: Path,
    check: bool,
    show_store: bool,
    adopt_store: str | None,
    forget_plug: str | None,
    loop: str,
    log_level: str,
) -> None:
    """Serve a daemon: switch and read power devices from a machine that can reach them.

    \b
    fenced proxy -c /etc/fenced-proxy/proxy.toml
    fenced proxy -c /etc/fenced-proxy/proxy.toml --adopt-store 5f0c...

    SIGHUP reads the file again: allowed daemons, certificates, stored credentials, allowed options and folders.
    To make certificates: fenced certs --help
    """
    from fenced.telemetry.logs import configure

    forbid_core_dumps()
    is_agent = not check and not show_store and adopt_store is None and forget_plug is None
    if is_agent:
        configure(log_level)
    configuration = _load(file, is_agent=is_agent)
    if is_agent:
        sys.exit(_run(configuration, lambda: _read(file), loop))
    elif check:
        click.echo(f"{file}: no mistakes")
    elif adopt_store is not None or show_store:
        _store(configuration, adopt_store)
    elif forget_plug is not None:
        _forget(configuration, PlugId(forget_plug))


def _load(file: Path, *, is_agent: bool) -> ProxyConfiguration:
    loaded = _read(file, is_outside_unit=not is_agent)
    (_log if is_agent else _print)(loaded)
    if loaded.configuration is None:
        sys.exit(EXIT_CONFIGURATION)
    return loaded.configuration


def _print(loaded: LoadedProxy) -> None:
    for warning in loaded.warnings:
        click.echo(f"warning: {_line(warning)}", err=True)
    for error in loaded.errors:
        click.echo(_line(error), err=True)
    if loaded.configuration is None:
        click.echo(f"{len(loaded.errors)} errors", err=True)


def _log(loaded: LoadedProxy) -> None:
    """Log what a reload would log."""
    for warning in loaded.warnings:
        log.warning("configuration warning", warning=str(warning))
    for error in loaded.errors:
        log.error("configuration mistake", mistake=str(error))


def _read(file: Path, *, is_outside_unit: bool = False) -> LoadedProxy:
    return load_proxy(file, own_machine=own_machine(), environ=os.environ, is_outside_unit=is_outside_unit)


def _line(mistake: Mistake) -> str:
    value = f" = {mistake.value}" if mistake.value else ""
    unit = f" ({mistake.unit})" if mistake.unit else ""
    return f"{mistake.file}: {mistake.path}{value}{unit}: {mistake.reason}"


def _store(configuration: ProxyConfiguration, adopt: str | None) -> None:
    """Show or change the store whose tokens are obeyed. A running agent reads it at the next power command."""
    from fenced.proxy.clock import machine_boot_id

    try:
        with ProxyState(configuration.state_dir, machine_boot=machine_boot_id(), is_owner=False) as state:
            if adopt is not None:
                with state.transaction():
                    state.adopt(adopt)
            click.echo(state.store() or "none yet: the first power command decides")
    except StateError as exc:
        raise click.ClickException(str(exc)) from exc


def _forget(configuration: ProxyConfiguration, plug_id: PlugId) -> None:
    """Hold the agent's lock: a running agent might execute an earlier command afterwards."""
    from fenced.proxy.clock import ProxyClock

    clock = ProxyClock()
    try:
        with ProxyState(configuration.state_dir, machine_boot=clock.machine_boot) as state:
            with state.transaction():
                forgotten = state.forget_plug(plug_id, now=clock.now())
            plugs = [] if forgotten is not None else state.plugs()
    except StateError as exc:
        raise click.ClickException(str(exc)) from exc
    if forgotten is None:
        near = difflib.get_close_matches(plug_id, plugs, n=NEAR_MAX, cutoff=0.0)
        known = "".join(f"\n  {plug}" for plug in near)
        raise click.ClickException(f"no plug {plug_id!r} is known; the nearest of {len(plugs)} are:{known or ' none'}")
    was = f"token {forgotten.highest}" if forgotten.highest is not None else "no token"
    click.echo(f"{plug_id}: {was} was the highest; any token is accepted next")
    if forgotten.not_after is not None:
        left = forgotten.not_after - clock.now()
        click.echo(f"a command for it may still act: the agent refuses new ones for {left:.0f} s")


def _run(configuration: ProxyConfiguration, read: Callable[[], LoadedProxy], loop: str) -> int:
    """Return the exit status. Imports the agent only now, so that the help is fast."""
    import uvloop

    from fenced.app.proxy_agent import run_proxy
    from fenced.proxy.listener import ListenError
    from fenced.proxy.tls import CertificateError

    factory = uvloop.new_event_loop if loop == "uvloop" else asyncio.new_event_loop
    try:
        with asyncio.Runner(loop_factory=factory) as runner:
            runner.run(run_proxy(configuration, read))
    except (StateError, CertificateError) as exc:
        return _failed(exc, EXIT_CONFIGURATION)
    except ListenError as exc:
        return _failed(exc, EXIT_FAILED)
    return 0


def _failed(exc: BaseException, status: int) -> int:
    log.error("failed", reason=str(exc), exit_status=status)
    return status
