"""`fenced certs`: a private certificate authority, and certificates for daemons and proxies.

Prints where each file goes; `proxy/certificates` does the work.
"""

import json
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Final, TypeVar

import click

from fenced.proxy.certificates import (
    CA_DAYS,
    DAYS_MAX,
    LEAF_DAYS,
    Pair,
    Shown,
    make_authority,
    make_daemon,
    make_proxy,
    renew,
    show,
)
from fenced.proxy.tls import CertificateError

EXPIRING_DAYS: Final = 30

DIRECTORY = click.argument("directory", metavar="DIR", type=click.Path(path_type=Path, file_okay=False))
FORCE = click.option("--force", "is_forced", is_flag=True, help="Replace files that exist.")
DAYS = click.IntRange(1, DAYS_MAX)

T = TypeVar("T")


@click.group(context_settings={"help_option_names": ["-h", "--help"]})
def command() -> None:
    """Make certificates for the daemon and its proxies, from your own private authority.

    \b
    fenced certs init /etc/fenced/certs
    fenced certs daemon /etc/fenced/certs --name fenced-a
    fenced certs proxy /etc/fenced/certs --name px1 --address px1.example.org --address 10.0.0.5
    fenced certs show /etc/fenced/certs
    fenced certs renew /etc/fenced/certs --name px1

    Make them all on one machine. Copy the authority's certificate (ca.crt) and its own two files to each machine, but
    never the authority's key (ca.key): keep it off the network.
    """


@command.command("init")
@DIRECTORY
@click.option("--days", default=CA_DAYS, show_default=True, type=DAYS, help="How long the authority is valid.")
@FORCE
def init(directory: Path, days: int, is_forced: bool) -> None:
    """Make the authority: DIR/ca.crt and DIR/ca.key.

    \b
    fenced certs init /etc/fenced/certs
    """
    pair = _try(lambda: make_authority(directory, days=days, is_forced=is_forced))
    _print_made(pair)
    click.echo(f"Keep {pair.key_file} secret. Next: fenced certs daemon {directory} --name NAME")


@command.command("daemon")
@DIRECTORY
@click.option("--name", required=True, help="The daemon's name; proxies allow it as CN=NAME.")
@click.option("--days", default=LEAF_DAYS, show_default=True, type=DAYS, help="How long the certificate is valid.")
@FORCE
def daemon(directory: Path, name: str, days: int, is_forced: bool) -> None:
    """Make a daemon's certificate: DIR/NAME.crt and DIR/NAME.key.

    \b
    fenced certs daemon /etc/fenced/certs --name fenced-a
    """
    pair = _try(lambda: make_daemon(directory, name=name, days=days, is_forced=is_forced))
    _print_made(pair)
    _readable_for("fenced", pair)
    click.echo("\nFor the daemon's fenced.toml:\n")
    click.echo("[proxy_client]")
    _setting("ca_file", directory / "ca.crt")
    _setting("cert_file", pair.cert_file)
    _setting("key_file", pair.key_file)
    click.echo(f'\nIn the file of each proxy that it may use:\n\nallow = ["CN={name}"]')


@command.command("proxy")
@DIRECTORY
@click.option("--name", required=True, help="The proxy's name.")
@click.option(
    "--address",
    "addresses",
    multiple=True,
    required=True,
    help="A host name or IP address in the proxy's url. May be repeated.",
)
@click.option("--days", default=LEAF_DAYS, show_default=True, type=DAYS, help="How long the certificate is valid.")
@FORCE
def proxy(directory: Path, name: str, addresses: tuple[str, ...], days: int, is_forced: bool) -> None:
    """Make a proxy's certificate: DIR/NAME.crt and DIR/NAME.key.

    \b
    fenced certs proxy /etc/fenced/certs --name px1 --address px1.example.org --address 10.0.0.5
    """
    pair = _try(lambda: make_proxy(directory, name=name, addresses=addresses, days=days, is_forced=is_forced))
    _print_made(pair)
    _readable_for("fenced-proxy", pair)
    click.echo("\nFor the proxy's proxy.toml:\n")
    click.echo("[proxy]")
    click.echo(f"name = {json.dumps(name)}")
    _setting("tls_cert_file", pair.cert_file)
    _setting("tls_key_file", pair.key_file)
    _setting("client_ca_file", directory / "ca.crt")
    click.echo('allow = ["CN=NAME-OF-THE-DAEMON"]')
    host = f"[{addresses[0]}]" if ":" in addresses[0] else addresses[0]
    click.echo("\nFor the daemon's inventory:\n")
    click.echo(f'[[proxy]]\nname = {json.dumps(name)}\nurl = "https://{host}:8471"')


@command.command("renew")
@DIRECTORY
@click.option("--name", required=True, help="The name of the certificate: DIR/NAME.crt.")
@click.option("--days", default=LEAF_DAYS, show_default=True, type=DAYS, help="How long the certificate is valid.")
def renew_command(directory: Path, name: str, days: int) -> None:
    """Replace a certificate and its key by new ones for the same name, use and addresses.

    \b
    fenced certs renew /etc/fenced/certs --name px1

    Copy both to where they are used: daemon and proxies load them within a minute, on SIGHUP at once. Files renewed in
    place keep their owner, group and mode.
    """
    pair = _try(lambda: renew(directory, name=name, days=days))
    _print_made(pair)
    click.echo(_description(_try(lambda: show(pair.cert_file))[0]))


@command.command("show")
@click.argument("path", metavar="DIR|FILE", type=click.Path(path_type=Path))
def show_command(path: Path) -> None:
    """Show what certificates are for, how long they are valid, and whether the key beside each matches.

    \b
    fenced certs show /etc/fenced/certs
    fenced certs show /etc/fenced/certs/px1.crt
    """
    for shown in _try(lambda: show(path)):
        click.echo(_description(shown))


def _description(shown: Shown) -> str:
    lines = [
        f"{shown.file}",
        f"  name       CN={shown.name}",
        f"  issuer     CN={shown.issuer}",
        f"  for        {', '.join(shown.use) or 'anything'}",
        f"  addresses  {', '.join(shown.addresses) or '-'}",
        f"  valid      {shown.valid_from:%Y-%m-%d} to {shown.valid_until:%Y-%m-%d} ({_age(shown)})",
        f"  key        {({True: 'its own', False: 'NOT ITS OWN', None: 'not here'})[shown.has_key]}",
    ]
    return "\n".join(lines)


def _age(shown: Shown) -> str:
    now = datetime.now(UTC)
    days = (shown.valid_until - now).days
    if now < shown.valid_from:
        return "NOT VALID YET"
    if now > shown.valid_until:
        return "EXPIRED"
    return f"EXPIRES in {days} days" if days < EXPIRING_DAYS else f"{days} days left"


def _try(act: Callable[[], T]) -> T:
    try:
        return act()
    except CertificateError as exc:
        raise click.ClickException(str(exc)) from exc


def _print_made(pair: Pair) -> None:
    click.echo(f"made {pair.cert_file} and {pair.key_file}")


def _readable_for(user: str, pair: Pair) -> None:
    """Print how to give the key, which only root can read at first, to the service's user, and not to its group."""
    click.echo(f"If the service runs as user {user}: chown {user} {pair.key_file.name}; chmod 400 {pair.key_file.name}")


def _setting(name: str, path: Path) -> None:
    click.echo(f"{name} = {json.dumps(str(path.resolve()), ensure_ascii=False)}")
