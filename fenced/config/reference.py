"""Writes the reference of all keys and the commented default file from the tables.

`docs/configuration.md` and `config/fenced.toml` are exactly this output; a test compares them.
"""

import json
import sys
from collections.abc import Iterator
from typing import Final

from pydantic import BaseModel
from pydantic.fields import FieldInfo

from fenced.beat.fenced_beat import KEYS as BEAT_KEYS
from fenced.config.agent_files import ProxyAgentTable
from fenced.config.inventory_tables import ClusterTable, DatacenterTable, DeviceTable, HostTable, Overrides, ProxyTable
from fenced.config.keys import Check, Tables, written_default
from fenced.config.look_table import LookTable
from fenced.config.stored_credentials import CredentialTable
from fenced.config.tables import LoginKeys, MainTables, PowerOfOne, TlsKeys

DOCUMENT_HEAD: Final = """\
# Configuration

<!-- Written by `python -m fenced.config.reference docs`; a test compares it with the code. Don't edit. -->

`fenced run -c FILE` reads one TOML file and the inventory files that it names (TOML, YAML or JSON, by suffix).
`fenced check-config FILE` prints every mistake in them at once and exits 0 or 78; `--plan HOST` shows the proxies that
would be used for a host, in their order.

- Unknown keys are mistakes. So are contradictions: a device that no proxy can reach, one plug used twice, a chassis
  beside an outlet, a grace shorter than the heartbeat interval, levels that don't fit into the operation.
- A duration is text with units, largest first: `"250ms"`, `"5s"`, `"2m"`, `"1h30m"`, `"400d"`; `"0s"` where zero is
  allowed.
- A relative path starts at the folder of the file that holds it; the path in `[store] url` starts at `state_dir`.
- A secret is never written inline. `password_file` names a file, `password_env` an environment variable,
  `password_credential` a systemd credential (`LoadCredential=`). Each holds one line; a line end after it is ignored.
- Keys marked *not yet* are read, but have no effect in this version: a value other than the default is an error.
- SIGHUP reads everything again and applies all of it or nothing.
"""

PREFERENCES: Final = """\
## Preference lists

`proxies` lists who reaches a device, in order of preference. Each word is a tier, and nothing is added to the list.

| Word | Names |
|---|---|
| `engine` | the daemon's own machine; never for the host it runs on |
| `cluster` | the proxies of the host's cluster |
| `dc` | the proxies of the host's data centre that no earlier word named |
| `other_dc` | the proxies known to be in another data centre |
| `tag:T` | the proxies with that tag |
| a proxy's name | that proxy |
| a host's name, alias, FQDN or IP address | the proxies that run on that host or at that address |

A proxy's place is its own `cluster` or `datacenter`, or else that of the host it runs on. It runs on the host that
`host` names, or else on the one whose name, alias or one of whose addresses is the host of its `url`. A proxy never
serves the host that it runs on, and a machine that is suspect, being fenced, going down or in maintenance is left out.

Within a tier, three things decide the order, the first difference first: proxies that failed last time for this
device come last; then those in a failure domain of the host (their `domain`, or the rack of the host they run on, is
the host's rack, cluster or data centre); then the busier ones. Neighbours in the order are of different domains where
possible. Equal proxies have another order for each device, so that load spreads.
"""

DRIVERS: Final = """\
## Drivers and kinds

The native drivers and their options are in [drivers.md](drivers.md). `fence_NAME` is any program of that name in
`agent_path` with the interface of the ClusterLabs fence agents: [fence-agents.md](fence-agents.md). Its `options` are
passed unchanged, and `address`, `username` and the password get the names of its metadata.

Options are checked against what the driver takes: unknown options, wrong values and missing options are errors. Agents
that can't prove that power is cut (fabric, reservations, kdump, heuristics, without `off` or `status`) are refused. An
agent that is not in the table of reviewed agents needs `cuts_power = true`, with which the operator vouches for it.
Refused are an agent's options `action`, `method`, `delay`, `nodename`, those that change what OFF proves, `plug` and
`port` together, any form of a password, and values with a line end.

A device is by default a `chassis` (the host's own power) if its driver says so: the drivers of BMCs, the agents of
BMCs (`fence_ipmilan`, `fence_idrac`, `fence_ilo*`, `fence_drac*`, `fence_imm`, `fence_redfish`, ...), of blades
(`fence_bladecenter`, `fence_hpblade`, ...) and of virtual machines and clouds (`fence_virsh`, `fence_xvm`,
`fence_vmware*`, `fence_aws`, ...). Otherwise it is an `outlet`. A virtual machine's power is the machine's own, as a
BMC's is, and not one feed of several.

`secrets = { snmp_priv_passwd_file = "secrets/pdu" }` gives secrets besides the password, under the driver's or agent's
names, from the same three sources. With `credential = "at-proxy:NAME"` the proxy keeps user name, password and secrets
under that name; the daemon's own machine (`engine`) keeps none.

Drivers that can read `identity` compare it before an OFF; if no chassis driver of the host can, it is an error.
`settle` is both how long a command can still act after its call ended, and how long a device that was out of reach or
has just started counts as unknown once it answers again. Without `settle` the first is 0 s, and the second is the
driver's value (agents of BMCs 60 s, of outlets 10 s).
"""

_HEADINGS: Final = {
    "daemon": "the daemon itself",
    "bus": "the broker",
    "store": "the journal",
    "api": "REST, events, the page, metrics",
    "proxy_client": "how the daemon reaches proxies",
    "detection": "when a host needs fencing",
    "race": "how a proxy is chosen",
    "power": "how power is switched and proven",
    "remedy": "what to do about a suspect host",
    "gates": "what must hold before an automatic fence",
    "check": "reading every path regularly",
    "saving": "idle hosts sleep until they are needed; [[cluster]] saving overrides any key",
    "saving.waking": "how many hosts may be on their way up at once",
    "defaults": "what a datacenter, cluster or host may override, with the per-host keys of [power] and [detection]",
    "inventory": "where the hosts are",
}


def document() -> str:
    """`docs/configuration.md`."""
    parts = [DOCUMENT_HEAD, "## The daemon's file\n"]
    parts += [_section(f"[{name}]", model, about) for name, model, about in _tables(MainTables)]
    parts.append("## Inventory files\n")
    parts += [
        _section("[[datacenter]]", DatacenterTable, _OVERRIDES, without=Overrides),
        _section("[[cluster]]", ClusterTable, _OVERRIDES, without=Overrides),
        _section(
            "[[proxy]]", ProxyTable, "a machine that runs the proxy agent, whether it is a host of the inventory or not"
        ),
        _section("[[host]]", HostTable, _OVERRIDES, without=Overrides),
        _section(
            "[[host.device]]",
            DeviceTable,
            "also: any key of [power] but agent_processes and warm_agents",
            without=PowerOfOne,
        ),
    ]
    parts += [PREFERENCES, DRIVERS, "## Other files\n"]
    parts.append(_section("[proxy]", ProxyAgentTable, "of `fenced proxy`"))
    parts.append(_section("[look]", LookTable, "of `fenced proxy`: what it looks at for daemons, docs/proxies.md"))
    parts.append(
        _section(
            "[credentials.NAME]", CredentialTable, "of `fenced proxy`: the logins that the proxy keeps, docs/proxies.md"
        )
    )
    parts.append(_beat())
    return "\n".join(parts)


_HEAD: Final = ("| Key | Default | Unit | Allowed | Meaning |", "|---|---|---|---|---|")
_OVERRIDES: Final = "also: any key of [defaults], and the per-host keys of [power] and [detection]"


def example() -> str:
    """`config/fenced.toml`: every key at its default."""
    lines = [
        "# The daemon's configuration: every key with its default. Check it with: fenced check-config FILE",
        "# Written by `python -m fenced.config.reference toml`; docs/configuration.md explains the keys.",
    ]
    for name, model, about in _tables(MainTables):
        lines += ["", f"[{name}]" + (f"  # {about}" if about else "")]
        for key, field in _keys(model):
            lines += _commented(f"{key} = {_default(field)}", _said(field))
    return "\n".join(lines) + "\n"


def _tables(model: type[BaseModel], above: str = "") -> Iterator[tuple[str, type[BaseModel], str]]:
    """Yield all tables in the order of the file, each before its own tables."""
    for name, field in model.model_fields.items():
        table = field.annotation
        if isinstance(table, type) and issubclass(table, BaseModel):
            path = f"{above}.{name}" if above else name
            yield path, table, _HEADINGS.get(path, "")
            yield from _tables(table, path)


def _keys(model: type[BaseModel]) -> Iterator[tuple[str, FieldInfo]]:
    """Yield keys in the order of the class, but TLS files and login after the connection that they are for."""
    inherited = LoginKeys.model_fields if issubclass(model, TlsKeys) else {}
    fields = sorted(model.model_fields.items(), key=lambda item: item[0] in inherited)
    for key, field in fields:
        check = _check(field)
        if check is not None and not (isinstance(check, Tables) and check.is_list):
            yield key, field


def _section(title: str, model: type[BaseModel], about: str, *, without: type[BaseModel] | None = None) -> str:
    left_out = without.model_fields if without is not None else {}
    rows = [_row(key, field) for key, field in _keys(model) if key not in left_out]
    lines = [f"### `{title}`", ""]
    if about:
        lines += [about[0].upper() + about[1:] + ".", ""]
    if rows:
        lines += [*_HEAD, *rows, ""]
    return "\n".join(lines)


def _beat() -> str:
    """The keys of the file that is a program of its own."""
    rows = [
        _cells(f"`{key}`", f"`{json.dumps(default)}`", unit, allowed, about)
        for key, default, unit, allowed, about in BEAT_KEYS
    ]
    about = (
        "Of `fenced beat`. The file is TOML with this one table, each text in one pair of quotes and each value on its "
        "line."
    )
    return "\n".join(["### `[beat]`", "", about, "", *_HEAD, *rows, ""])


def _row(key: str, field: FieldInfo) -> str:
    check = _check(field)
    if check is None:
        raise AssertionError(f"{key} has no check")
    default = "required" if field.is_required() else f"`{_default(field)}`"
    return _cells(f"`{key}`", default, check.unit, check.allowed(), check.about)


def _cells(*cells: str) -> str:
    return "| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |"


def _commented(setting: str, about: str) -> Iterator[str]:
    if len(setting) + len(about) <= 110:
        yield f"{setting.ljust(36)} # {about}"
    else:
        yield f"# {about}"
        yield setting


def _said(field: FieldInfo) -> str:
    check = _check(field)
    if check is None:
        return ""
    allowed = check.allowed()
    # The pattern of names would drown the meaning.
    return (
        f"{check.about} ({allowed})" if allowed and "`" not in allowed and "not yet" not in check.about else check.about
    )


def _default(field: FieldInfo) -> str:
    check = _check(field)
    value = field.get_default(call_default_factory=True)
    return written_default(check, value) if check is not None else ""


def _check(field: FieldInfo) -> Check | None:
    return next((item for item in field.metadata if isinstance(item, Check)), None)


if __name__ == "__main__":
    sys.stdout.write(document() if sys.argv[1:] == ["docs"] else example())
