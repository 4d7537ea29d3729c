"""The operator's reference of every key, and the commented default file: both written from the tables, never by hand.

Knows no value that anybody configured. One rule: `docs/configuration.md` and `config/fenced.toml` are exactly what
this writes; a test compares them.
"""

import sys
from collections.abc import Iterator
from typing import Final

from pydantic import BaseModel
from pydantic.fields import FieldInfo

from fenced.config.agent_files import BeatTable, ProxyAgentTable
from fenced.config.inventory_tables import ClusterTable, DatacenterTable, DeviceTable, HostTable, Overrides, ProxyTable
from fenced.config.keys import Check, Tables, written_default
from fenced.config.stored_credentials import CredentialTable
from fenced.config.tables import LoginKeys, MainTables, PowerOfOne, TlsKeys

DOCUMENT_HEAD: Final = """\
# Configuration

<!-- Written by `python -m fenced.config.reference docs`; a test compares it with the code. Don't edit. -->

`fenced run -c FILE` reads one TOML file and the inventory files that it names (TOML, YAML or JSON, by suffix).
`fenced check-config FILE` prints every mistake in them at once and exits 0 or 78; `--plan HOST` shows who would be
asked about a host, in which order.

- Unknown keys are mistakes. So are contradictions: a device that nobody can reach, one plug used twice, a chassis
  beside an outlet, a grace shorter than the heartbeat interval, levels that don't fit into the operation.
- A duration is text with units, largest first: `"250ms"`, `"5s"`, `"2m"`, `"1h30m"`, `"400d"`; `"0s"` where it may
  be none.
- Relative paths are relative to the file they stand in. `state_dir` is the base of `[store] url`.
- A secret is never written inline. `password_file` names a file, `password_env` an environment variable,
  `password_credential` a systemd credential (`LoadCredential=`). The last line end is cut, the rest is one line.
- Keys marked *not yet* are read, but their function is not in this version: another value than the default is an
  error, and a default that promises protection is a warning at each start.
- SIGHUP reads everything again, whole or not at all.
"""

PREFERENCES: Final = """\
## Preference lists

`proxies` says who reaches a device, in this order: each word is a tier, and the list is exact.

| Word | Names |
|---|---|
| `engine` | the daemon's own machine; never for the host it runs on |
| `cluster` | the proxies of the host's cluster |
| `dc` | the proxies of the host's data centre, without what an earlier word named |
| `other_dc` | the proxies known to be in another data centre |
| `tag:T` | the proxies with that tag |
| a proxy's name | that proxy |
| a host's name, alias, FQDN or IP address | the proxies that run on that host or at that address |

A proxy's place is its own `cluster` or `datacenter`, else that of the host it runs on. It runs on the host that `host`
names, else on the one whose name, address or alias is the host of its `url`. A proxy never reaches the host that it
runs on, and a machine that is suspect itself, being fenced, going down or in maintenance is left out.

Within a word, those that failed last for this device come last, then those in a failure domain of the host (their
`domain`, or the rack of the host they run on, is the host's rack, cluster or data centre), then the busier; neighbours
are of different domains where there are any. Equals are in an order of each device's own, so that load spreads.
"""

DRIVERS: Final = """\
## Drivers and kinds

The drivers of our own and their options are in [drivers.md](drivers.md). `fence_NAME` is any program of that name along
`agent_path` with the interface of the ClusterLabs fence agents: [fence-agents.md](fence-agents.md). Its `options` are
passed as they are, and `address`, `username` and the password become what its metadata calls them.

Options are checked against what the driver takes: an unknown one, a value that can't be, and one that is missing are
errors. Agents that can't prove that power is cut (fabric, reservations, kdump, heuristics, without `off` or `status`)
are refused, and one that is not in the table of reviewed agents serves only where its device says `cuts_power = true`,
a person's word. The agents' options `action`, `method`, `delay`, `nodename`, those that change what OFF proves, both of
`plug` and `port`, any form of a password, and values with a line end are refused.

A device is a `chassis` (the host's own power) by default where its driver says so: the drivers of BMCs, the agents of
BMCs (`fence_ipmilan`, `fence_idrac`, `fence_ilo*`, `fence_drac*`, `fence_imm`, `fence_redfish`, ...), of blades
(`fence_bladecenter`, `fence_hpblade`, ...) and of virtual machines and clouds (`fence_virsh`, `fence_xvm`,
`fence_vmware*`, `fence_aws`, ...); else an `outlet`. A virtual machine's power is not a feed beside others but the
machine's own, as a BMC's is.

`secrets = { snmp_priv_passwd_file = "secrets/pdu" }` gives secrets besides the password, by the driver's or agent's
name for them, from the same three sources. `credential = "at-proxy:NAME"` says that the proxy keeps user name, password
and secrets under that name; the daemon's own machine (`engine`) keeps none.

`identity` is compared by the drivers that can read it, before an OFF; where no chassis driver of the host can, it is an
error. `settle`, where it is said, is both how long a command can still act after its call ended, and how long a device
that was out of reach or has just started counts as unknown once it answers again. Where it is not said, the first is
none and the second is what the driver says (agents of BMCs 60 s, of outlets 10 s).
"""

_HEADINGS: Final = {
    "daemon": "the daemon itself",
    "bus": "the broker",
    "store": "the journal",
    "api": "REST, events, metrics",
    "proxy_client": "how the daemon speaks to proxies",
    "detection": "how a host is found to need fencing",
    "race": "how a proxy is found",
    "power": "how power is switched and proven",
    "remedy": "what is done about a suspect host",
    "gates": "what must hold before an automatic fence",
    "check": "reading every path now and then",
    "saving": "reserved",
    "defaults": "what a datacenter, cluster or host may override, with any key of [power] and [detection] of one host",
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
        _section("[[proxy]]", ProxyTable, "a machine that runs the proxy agent, host or not"),
        _section("[[host]]", HostTable, _OVERRIDES, without=Overrides),
        _section(
            "[[host.device]]",
            DeviceTable,
            "besides: any key of [power] but agent_processes and warm_agents",
            without=PowerOfOne,
        ),
    ]
    parts += [PREFERENCES, DRIVERS, "## Other files\n"]
    parts.append(_section("[proxy]", ProxyAgentTable, "of `fenced proxy`"))
    parts.append(_section("[credentials.NAME]", CredentialTable, "of `fenced proxy`: kept there, docs/proxies.md"))
    parts.append(_section("[beat]", BeatTable, "of `fenced beat`"))
    return "\n".join(parts)


_OVERRIDES: Final = "besides: any key of [defaults], [power] and [detection] that speaks of one host"


def example() -> str:
    """`config/fenced.toml`: every key at its default."""
    lines = [
        "# The daemon's configuration: every key, at its default. Check it with: fenced check-config FILE",
        "# Written by `python -m fenced.config.reference toml`; docs/configuration.md explains the keys.",
    ]
    for name, model, about in _tables(MainTables):
        lines += ["", f"[{name}]" + (f"  # {about}" if about else "")]
        for key, field in _keys(model):
            lines += _commented(f"{key} = {_default(field)}", _said(field))
    return "\n".join(lines) + "\n"


def _tables(model: type[BaseModel], above: str = "") -> Iterator[tuple[str, type[BaseModel], str]]:
    """All tables below, in the order of the file; their tables follow them."""
    for name, field in model.model_fields.items():
        table = field.annotation
        if isinstance(table, type) and issubclass(table, BaseModel):
            path = f"{above}.{name}" if above else name
            yield path, table, _HEADINGS.get(path, "")
            yield from _tables(table, path)
        elif isinstance(_check(field), Tables):
            yield name, BaseModel, _HEADINGS.get(name, "")


def _keys(model: type[BaseModel]) -> Iterator[tuple[str, FieldInfo]]:
    """In the order of the class; the files and the login of a connection come after what it is to."""
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
        lines += ["| Key | Default | Unit | Allowed | Meaning |", "|---|---|---|---|---|", *rows, ""]
    return "\n".join(lines)


def _row(key: str, field: FieldInfo) -> str:
    check = _check(field)
    if check is None:
        raise AssertionError(f"{key} has no check")
    default = "required" if field.is_required() else f"`{_default(field)}`"
    cells = (f"`{key}`", default, check.unit, check.allowed(), check.about)
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
    # The pattern of names would hide what the line is about.
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
