"""`fenced run`: the daemon. Logs every mistake of the configuration, or runs until SIGTERM.

With `--check` it prints the mistakes instead. A start has no other output than the log, so that the journal of a
service shows warnings and the reason of a failure with their fields.
"""

import asyncio
import os
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Final

import click
import structlog

from fenced.app.own_machine import own_machine
from fenced.cli.asking import driver_catalogue
from fenced.cli.check_config import mistake_lines
from fenced.config.configuration import Configuration
from fenced.config.load import Loaded, load
from fenced.host import memory
from fenced.host.limits import forbid_core_dumps
from fenced.model.groups import leaf

EXIT_CONFIGURATION: Final = 78
EXIT_FAILED: Final = 1
EXIT_TAKEN_OVER: Final = 75

log = structlog.get_logger("fenced")


@click.command(context_settings={"help_option_names": ["-h", "--help"]})
@click.option(
    "-c", "--config", "file", required=True, type=click.Path(path_type=Path, dir_okay=False), help="The daemon's file."
)
@click.option("--check", is_flag=True, help="Check the configuration and exit.")
@click.option("--loop", type=click.Choice(["uvloop", "asyncio"]), default="uvloop", show_default=True)
@click.option(
    "--log-level", type=click.Choice(["debug", "info", "warning", "error"]), default="info", show_default=True
)
def command(file: Path, check: bool, loop: str, log_level: str) -> None:
    """Run the daemon.

    \b
    fenced run -c /etc/fenced/fenced.toml
    fenced run -c /etc/fenced/fenced.toml --check

    SIGHUP reads the configuration again and applies all of it or nothing. SIGTERM lets running power steps reach a
    safe point. Exit status: 0 stopped, 1 failed, 75 another controller took over, 78 a mistake in the configuration,
    another daemon holds the state directory, or the store needs a newer program.
    """
    from fenced.telemetry.logs import configure

    forbid_core_dumps()
    if not check:
        configure(log_level)

    def read() -> Loaded:
        return load(
            file,
            own_machine=own_machine(),
            environ=os.environ,
            catalogue=driver_catalogue(),
            is_outside_unit=check,
        )

    loaded = read()
    if check:
        _print(loaded, file)
    else:
        _log(loaded)
    if loaded.configuration is None:
        sys.exit(EXIT_CONFIGURATION)
    if not check:
        sys.exit(_run(loaded.configuration, read, loop))


def _print(loaded: Loaded, file: Path) -> None:
    if loaded.errors or loaded.warnings:
        for line in mistake_lines(loaded):
            click.echo(line, err=True)
    if loaded.configuration is not None:
        click.echo(f"{file}: no mistakes")


def _log(loaded: Loaded) -> None:
    """Log what a reload would log."""
    for warning in loaded.warnings:
        log.warning("configuration_warning", warning=str(warning))
    for error in loaded.errors:
        log.error("configuration_mistake", mistake=str(error))


def _run(configuration: Configuration, read: Callable[[], Loaded], loop: str) -> int:
    """Return the exit status. Imports the daemon only now, so that the help and the check are fast."""
    memory.set_aside()  # the inventory
    import uvloop

    from fenced.api.listening import ApiError
    from fenced.api.server import ApiFilesError
    from fenced.app.daemon import run_daemon
    from fenced.app.reload import Reloader
    from fenced.ports.bus import BusError
    from fenced.ports.journal import EpochLost, StoreError, StoreHeld, StoreMoved, StoreTooNew
    from fenced.proxy.tls import CertificateError

    factory = uvloop.new_event_loop if loop == "uvloop" else asyncio.new_event_loop
    try:
        with asyncio.Runner(loop_factory=factory) as runner:
            runner.run(run_daemon(configuration, Reloader(configuration, read)))
    except (StoreHeld, StoreMoved, StoreTooNew, ApiFilesError, CertificateError) as exc:
        return _failed(exc, EXIT_CONFIGURATION)
    except (StoreError, BusError, ApiError) as exc:
        return _failed(exc, EXIT_FAILED)
    except BaseExceptionGroup as group:
        ours, others = group.split(StoreError)
        if ours is None or others is not None:
            raise
        first = leaf(ours)
        if isinstance(first, (StoreHeld, StoreTooNew)):  # a living controller has this name, or a format is newer
            return _failed(first, EXIT_CONFIGURATION)
        return _failed(first, EXIT_TAKEN_OVER if isinstance(first, EpochLost) else EXIT_FAILED)
    return 0


def _failed(exc: BaseException, status: int) -> int:
    log.error("failed", reason=str(exc), exit_status=status)
    return status
