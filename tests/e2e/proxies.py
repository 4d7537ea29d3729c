"""Proxies as processes, with certificates of `fenced certs`."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from tests.e2e.configuration import DAEMON, Table, text
from tests.e2e.programs import FENCED, Program, run_short
from tests.net import until_listening


async def make_certificates(directory: Path, *names: str) -> Path:
    """Make an authority, the daemon's certificate and those of these proxies."""
    await _certs("init", str(directory))
    await _certs("daemon", str(directory), "--name", DAEMON)
    for name in names:
        await _certs("proxy", str(directory), "--name", name, "--address", "127.0.0.1")
    return directory


def client_table(certificates: Path) -> Table:
    """Return the daemon's `[proxy_client]`."""
    return {
        "ca_file": str(certificates / "ca.crt"),
        "cert_file": str(certificates / f"{DAEMON}.crt"),
        "key_file": str(certificates / f"{DAEMON}.key"),
    }


@asynccontextmanager
async def proxy(
    name: str, port: int, *, certificates: Path, folder: Path, agents: Path, look: Table | None = None
) -> AsyncIterator[Program]:
    """Run `fenced proxy` on loopback during the block; it listens. `look`: its `[look]`; None: it is no observer."""
    file = folder / f"{name}.toml"
    file.write_text(
        text(
            {
                "proxy": {
                    "name": name,
                    "listen": f"127.0.0.1:{port}",
                    "state_dir": str(folder / f"{name}.state"),
                    "tls_cert_file": str(certificates / f"{name}.crt"),
                    "tls_key_file": str(certificates / f"{name}.key"),
                    "client_ca_file": str(certificates / "ca.crt"),
                    "allow": [f"CN={DAEMON}"],
                    "agent_path": [str(agents)],
                },
                **({} if look is None else {"look": look}),
            }
        )
    )
    program = Program([*FENCED, "proxy", "-c", str(file)], log=folder / f"{name}.log")
    await program.start()
    try:
        await until_listening(port)
        yield program
    finally:
        await program.end()


async def _certs(*arguments: str) -> None:
    ended = await run_short([*FENCED, "certs", *arguments])
    assert ended.status == 0, ended.err
