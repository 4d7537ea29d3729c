"""The file of `fenced proxy`: its keys, and the configuration that it gets. `fenced beat` reads its file itself.

As for the daemon's file, one run reports every mistake, and a file with a mistake gives no configuration.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, TypeVar

from pydantic import Field

from fenced.config import places
from fenced.config.agent_path import why_unsafe
from fenced.config.common_names import common_names
from fenced.config.configuration import ProxyConfiguration
from fenced.config.keys import (
    NAME_PATTERN,
    Address,
    Count,
    FileName,
    Flag,
    FolderName,
    Listed,
    Name,
    Tables,
    Text,
)
from fenced.config.look_table import look_rules
from fenced.config.mistakes import Mistake, Mistakes, Where, whole
from fenced.config.own_machine import OwnMachine
from fenced.config.read import read_toml
from fenced.config.secret_sources import SecretReader
from fenced.config.stored_credentials import stored_credentials
from fenced.config.table import Table
from fenced.config.tables import DaemonTable, PowerTable
from fenced.config.validate import parse
from fenced.model.addresses import is_loopback

TableType = TypeVar("TableType", bound=Table)


class ProxyAgentTable(Table):
    name: Annotated[str, Name("name of this proxy; default: the machine's host name", can_be_empty=True)] = ""
    listen: Annotated[str, Address("ADDRESS:PORT")] = "0.0.0.0:8471"
    state_dir: Annotated[str, FolderName("where it keeps the highest token of each plug")] = "/var/lib/fenced-proxy"
    tls_cert_file: Annotated[str, FileName("certificate; only a proxy on loopback can do without the TLS keys")] = ""
    tls_key_file: Annotated[str, FileName("its private key")] = ""
    client_ca_file: Annotated[str, FileName("the certificate authority of the daemons")] = ""
    allow: Annotated[tuple[str, ...], Listed("daemons that may call, as CN=fenced-a", item=Text(""))] = ()
    agent_path: Annotated[
        tuple[str, ...], Listed("where to find `fence_*` programs; the first hit wins", item=FolderName(""))
    ] = DaemonTable().agent_path
    agent_processes: Annotated[int, Count("`fence_*` programs at once", most=10_000)] = PowerTable().agent_processes
    warm_agents: Annotated[
        bool, Flag("fork Python agents from an interpreter that is kept ready; read only at start")
    ] = PowerTable().warm_agents
    options: Annotated[
        tuple[str, ...],
        Listed(
            "options that calls may set although they name a program or file of this machine, or the way to one: "
            "ssh_options, ipmitool_path",
            item=Name(""),
        ),
    ] = ()
    file_dirs: Annotated[
        tuple[str, ...],
        Listed("folders whose files calls may name, for example as ca_file or identity_file", item=FolderName("")),
    ] = ()


class ProxyTables(Table):
    """The proxy agent's file."""

    proxy: ProxyAgentTable = Field(default_factory=ProxyAgentTable)
    look: Annotated[
        dict[str, object], Tables("what daemons may have this proxy look at; without it, nothing", is_list=False)
    ] = Field(default_factory=dict)
    credentials: Annotated[dict[str, object], Tables("stored logins: [credentials.NAME]", is_list=False)] = Field(
        default_factory=dict
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class LoadedProxy:
    """`configuration` is None when there are errors."""

    configuration: ProxyConfiguration | None
    errors: tuple[Mistake, ...]
    warnings: tuple[Mistake, ...]


def load_proxy(
    path: Path, *, own_machine: OwnMachine, environ: Mapping[str, str], is_outside_unit: bool = False
) -> LoadedProxy:
    """Read the proxy agent's file. Raises nothing, whatever it contains, and if it is missing.

    `is_outside_unit`: check only, where systemd gives no credentials.
    """
    mistakes = Mistakes()
    secrets = SecretReader(environ, mistakes, is_outside_unit=is_outside_unit)
    configuration = whole(path, mistakes, lambda: _proxy(path, own_machine, secrets, mistakes))
    return LoadedProxy(
        configuration=None if mistakes.errors else configuration,
        errors=tuple(mistakes.errors),
        warnings=tuple(mistakes.warnings),
    )


def _tables(model: type[TableType], path: Path, mistakes: Mistakes) -> TableType | None:
    raw = read_toml(path, mistakes)
    return None if raw is None else parse(model, raw, Where(str(path)), mistakes).table


def _proxy(path: Path, own: OwnMachine, secrets: SecretReader, mistakes: Mistakes) -> ProxyConfiguration | None:
    tables = _tables(ProxyTables, path, mistakes)
    if tables is None:
        return None
    table, where, base = tables.proxy, Where(str(path)).key("proxy"), path.parent
    credentials = stored_credentials(tables.credentials, Where(str(path)).key("credentials"), base, secrets, mistakes)
    is_looking = "look" in tables.model_fields_set
    look = look_rules(tables.look, Where(str(path)).key("look"), mistakes) if is_looking else None
    host, port = places.listen(table.listen, where.key("listen"), mistakes)
    cert, key = places.key_pair(
        ("tls_cert_file", table.tls_cert_file), ("tls_key_file", table.tls_key_file), base, where, secrets, mistakes
    )
    secrets.tell_open()
    authority = places.authority(table.client_ca_file, base, where.key("client_ca_file"), mistakes)
    agent_path = places.folders(table.agent_path, base, where.key("agent_path"), mistakes)
    unsafe = why_unsafe(agent_path)
    if unsafe:
        mistakes.warning(where.key("agent_path"), unsafe, value=[str(path) for path in agent_path], unit="list")
    is_tls = cert is not None or authority is not None
    if is_tls or not is_loopback(host):
        _check_tls(table, where, mistakes)
    return ProxyConfiguration(
        name=_named(table.name, own.hostname, where.key("name"), mistakes),
        host=host,
        port=port,
        state_dir=places.folder(table.state_dir, base, where.key("state_dir"), mistakes),
        tls_cert_file=cert,
        tls_key_file=key,
        client_ca_file=authority,
        allow=common_names(table.allow, where.key("allow"), mistakes),
        agent_path=agent_path,
        agent_processes=table.agent_processes,
        has_warm_agents=table.warm_agents,
        credentials=credentials,
        options=frozenset(table.options),
        file_dirs=places.folders(table.file_dirs, base, where.key("file_dirs"), mistakes),
        look=look,
    )


def _check_tls(table: ProxyAgentTable, where: Where, mistakes: Mistakes) -> None:
    """Off loopback, or once one TLS key is given, all of them are required, and `allow` must name a daemon."""
    for name in ("tls_cert_file", "client_ca_file"):
        if not getattr(table, name):
            mistakes.error(
                where.key(name), "is missing: without TLS the proxy may only listen on loopback", unit="file"
            )
    if not table.tls_key_file and not table.tls_cert_file:
        mistakes.error(
            where.key("tls_key_file"), "is missing: without TLS the proxy may only listen on loopback", unit="file"
        )
    if not table.allow:
        mistakes.error(
            where.key("allow"), 'is empty, so no daemon could call; for example ["CN=fenced-a"]', unit="list"
        )


def _named(given: str, hostname: str, where: Where, mistakes: Mistakes) -> str:
    name = given or hostname
    if NAME_PATTERN.fullmatch(name) is None:
        mistakes.error(where, "the machine's host name is not a valid name: set one here", value=name, unit="name")
    return name
