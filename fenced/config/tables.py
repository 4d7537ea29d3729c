"""The tables of the main file: every key with its meaning, unit, limits and default.

These classes, with the gates of `gate_tables`, are the only list of keys. `docs/configuration.md` and
`config/fenced.toml` are generated from them.
"""

from typing import Annotated

from pydantic import Field

from fenced.config.gate_tables import GatesTable
from fenced.config.keys import (
    ALL,
    SHARD_CHARS_MAX,
    Address,
    Choice,
    Count,
    FileName,
    Flag,
    FolderName,
    Listed,
    Name,
    NameOrAll,
    PerRole,
    Seconds,
    SocketName,
    Text,
)
from fenced.config.network_addresses import References
from fenced.config.saving_table import SavingTable
from fenced.config.table import Table

LIVE_REMEDIES = ("alert", "soft_fence", "fence")
REQUEST_ACTIONS = (
    "fence",
    "off",
    "on",
    "restart",
    "cancel",
    "confirm_off",
    "maintenance_on",
    "maintenance_off",
    "wake",
)


class TlsKeys(Table):
    """The three files of a TLS client."""

    ca_file: Annotated[str, FileName("the certificate authority to trust; empty: the system's")] = ""
    cert_file: Annotated[str, FileName("the client certificate")] = ""
    key_file: Annotated[str, FileName("its private key")] = ""


class LoginKeys(TlsKeys):
    """User name and password of a broker. The password is in a file, the environment or a systemd credential."""

    username: Annotated[
        str, Text("account at the broker; give each client its own, because two that share one disconnect each other")
    ] = ""
    password_file: Annotated[str, FileName("file with the password on one line")] = ""
    password_env: Annotated[str, Text("or: the environment variable that holds it")] = ""
    password_credential: Annotated[str, Text("or: the systemd credential that holds it")] = ""


class DaemonTable(Table):
    name: Annotated[str, Name("name of this daemon; default: the machine's host name", can_be_empty=True)] = ""
    site: Annotated[str, Name("the site: second part of every topic")] = "site-1"
    state_dir: Annotated[str, FolderName("where the store and the lock file are")] = "/var/lib/fenced"
    agent_path: Annotated[
        tuple[str, ...], Listed("where to find `fence_*` programs; the first hit wins", item=FolderName(""))
    ] = ("/usr/sbin", "/usr/local/sbin")
    runs_on: Annotated[
        tuple[str, ...],
        Listed(
            "hosts that the daemon's machine is, or depends on, under another name and address, as the hypervisor of "
            "its virtual machine: this daemon never switches them",
            item=Name(""),
        ),
    ] = ()
    domain: Annotated[
        str, Text("failure domain of the daemon's machine, as a proxy's `domain`: its rack, for example")
    ] = ""
    armed: Annotated[bool, Flag("false: decide, record and announce, but never switch power")] = False
    shutdown_grace: Annotated[
        float, Seconds("how long running power steps may take after SIGTERM", least="0s", most="10m")
    ] = 30.0


class BusTable(LoginKeys):
    url: Annotated[
        str, Address("broker: mqtt://, mqtts:// for TLS, or embedded://HOST:PORT for the built-in broker")
    ] = "mqtt://127.0.0.1:1883"
    accept_requests: Annotated[
        tuple[str, ...],
        Listed(
            "actions that the request topic may ask for; confirm_off needs mqtts://",
            item=Choice("", choices=REQUEST_ACTIONS),
        ),
    ] = ()
    request_max_age: Annotated[float, Seconds("refuse requests older than this", least="1s", most="1d")] = 60.0
    announce_wait: Annotated[
        float,
        Seconds("how long the ON of a restart waits for the broker to acknowledge `fenced`", least="0s", most="10m"),
    ] = 10.0


class StoreTable(TlsKeys):
    url: Annotated[
        str,
        Address(
            "sqlite:///FILE, relative to state_dir, or sqlite:////ABSOLUTE/FILE; or "
            "postgresql://USER@HOST[:PORT][,HOST...]/DATABASE"
        ),
    ] = "sqlite:///fenced.db"
    password_file: Annotated[str, FileName("PostgreSQL: file with the password on one line")] = ""
    password_env: Annotated[str, Text("or: the environment variable that holds it")] = ""
    password_credential: Annotated[str, Text("or: the systemd credential that holds it")] = ""
    pooled: Annotated[bool, Flag("true: the connections go through PgBouncer in transaction mode")] = False
    lease_ttl: Annotated[float, Seconds("how long the right to act lasts without renewal", least="1s", most="10m")] = (
        15.0
    )
    shards: Annotated[
        tuple[str, ...],
        Listed(
            'the shards that this controller may hold, as [[datacenter]] names them; "*" = all',
            item=NameOrAll("", most=SHARD_CHARS_MAX),
            least=1,
        ),
    ] = (ALL,)
    shards_at_most: Annotated[
        int, Count("how many shards this controller holds at most; 0 = its fair share", least=0, most=1000)
    ] = 0
    keep: Annotated[float, Seconds("how long to keep records of ended operations", least="1h", most="36500d")] = (
        400 * 86400.0
    )


class ApiTable(Table):
    listen: Annotated[str, Address("ADDRESS:PORT of REST, events, /metrics, /healthz, /readyz")] = "127.0.0.1:8470"
    advertise: Annotated[
        str, Address("URL of this API to which a standby sends clients; default: listen, where others can reach it")
    ] = ""
    socket: Annotated[
        str,
        SocketName("unix socket of the same API: root is admin, the daemon's group is operator; empty: none"),
    ] = "/run/fenced/api.sock"
    tcp_writes: Annotated[
        bool, Flag("without tokens, TCP may change things, too: every local user can then cut power, and as anyone")
    ] = False
    page: Annotated[bool, Flag("the page for people, at / of the same address")] = True
    tls_cert_file: Annotated[str, FileName("certificate of the API")] = ""
    tls_key_file: Annotated[str, FileName("its private key")] = ""
    tokens_file: Annotated[
        str,
        FileName(
            "lines `role:token` or `ROLE@person:token` (viewer, operator, admin), or `reporter=HOST:token`; required "
            "when not on loopback"
        ),
    ] = ""
    hosts: Annotated[
        tuple[str, ...],
        Listed(
            "names of the API in a Host header, beside loopback names and its address; [] = with tokens any name",
            item=Address(""),
        ),
    ] = ()
    requests_per_second: Annotated[
        int,
        Count(
            "per token, or per source address without one; the same for refused requests per source; above: 429",
            most=100_000,
        ),
    ] = 200


class ViaKeys(Table):
    """The HTTP proxy on the way to a fenced proxy, and its login."""

    via: Annotated[str, Address('http://HOST:PORT of an HTTP proxy to go through (CONNECT); "direct": none')] = ""
    via_username: Annotated[str, Text("user name at the HTTP proxy")] = ""
    via_password_file: Annotated[str, FileName("file with the password on one line")] = ""
    via_password_env: Annotated[str, Text("or: the environment variable that holds it")] = ""
    via_password_credential: Annotated[str, Text("or: the systemd credential that holds it")] = ""


class ProxyClientTable(TlsKeys, ViaKeys):
    """How the daemon reaches proxies; https:// proxies need the three TLS files."""


class DetectionOfOne(Table):
    """The keys of [detection] that can be set per host."""

    heartbeat_interval: Annotated[
        float, Seconds("a heartbeat that names its own `interval` replaces it for that host, up to 4 x this", most="1h")
    ] = 5.0
    missed_heartbeats: Annotated[
        int, Count("a host is silent only after it missed more intervals than this, too", most=1000)
    ] = 3
    grace: Annotated[float, Seconds("how long a host may be silent", most="1d")] = 20.0
    grace_per_workload: Annotated[
        float, Seconds("added to grace for each workload of the host", least="0s", most="1h")
    ] = 0.0
    grace_per_role: Annotated[tuple[tuple[str, float], ...], PerRole("added to grace for each role of the host")] = ()
    grace_max: Annotated[float, Seconds("upper limit of grace with its additions", most="1d")] = 120.0
    boot_grace: Annotated[
        float, Seconds("how long a host may take to be heard after power was restored", least="0s", most="1d")
    ] = 600.0
    release_grace: Annotated[
        float,
        Seconds(
            "grace after a bus outage or a hold by share, storm or isolation, for hosts that were silent through it",
            least="0s",
            most="1d",
        ),
    ] = 600.0
    stopping_max: Annotated[
        float, Seconds("how long a host may be `left` before it is checked again, with an alert", most="7d")
    ] = 600.0
    late_message: Annotated[
        float,
        Seconds(
            "up to this long after a proven OFF a heartbeat of the old boot is late; a later one contradicts the proof",
            least="0s",
            most="1h",
        ),
    ] = 30.0
    watch_interval: Annotated[float, Seconds("how often to read the devices of fenced and failed hosts", most="1d")] = (
        60.0
    )
    probe_timeout: Annotated[float, Seconds("for one probe of a silent host", most="5m")] = 5.0
    probe_ports: Annotated[
        tuple[int, ...],
        Listed("TCP ports to probe on a silent host; [] = none", item=Count("", least=1, most=65535)),
    ] = (22,)
    alive_but_silent: Annotated[
        str,
        Choice(
            "what to do about a host that is silent but answers a probe (soft_fence: not yet)", choices=LIVE_REMEDIES
        ),
    ] = "alert"
    on_report: Annotated[
        str,
        Choice("what to do about a living host that reports `failing` (soft_fence: not yet)", choices=LIVE_REMEDIES),
    ] = "alert"


class DetectionTable(DetectionOfOne):
    startup_quiet: Annotated[
        float, Seconds("fence no host automatically for this long after the process started", least="0s", most="1d")
    ] = 60.0
    bus_settle: Annotated[
        float, Seconds("how long after the bus (re)connected silence starts to count", least="0s", most="1h")
    ] = 10.0
    observers: Annotated[
        int,
        Count("failure domains that must see a silent host as silent; all that there are, where it is fewer", most=100),
    ] = 2
    references: Annotated[
        tuple[tuple[str, str], ...],
        References("addresses, such as a gateway's, of which an observer must reach one to count, or another host"),
    ] = ()


class RaceTable(Table):
    stagger: Annotated[float, Seconds("until the next candidate starts", least="0s", most="1m")] = 0.25
    preference_grace: Annotated[
        float, Seconds("how long a success waits for a better tier that is still running", least="0s", most="1m")
    ] = 0.3
    parallel: Annotated[int, Count("candidates at once, per device", most=100)] = 4
    probe_timeout: Annotated[float, Seconds("for one candidate's probe", most="5m")] = 5.0


class PowerOfOne(Table):
    """The keys of [power] that can be set per host or device."""

    verify_interval: Annotated[float, Seconds("between two reads that verify a state", most="5m")] = 1.0
    verify_timeout: Annotated[
        float, Seconds("within which the state must be read back; starts when the command's call ended", most="1h")
    ] = 30.0
    stable_reads: Annotated[int, Count("equal reads in a row that prove a state", most=100)] = 2
    already_off_hold: Annotated[
        float, Seconds("how long a host that was off before the command must read OFF", least="0s", most="1h")
    ] = 10.0
    attempt_timeout: Annotated[float, Seconds("for one call to a device", most="1h")] = 20.0
    attempts: Annotated[int, Count("of one command on one device", most=100)] = 3
    operation_timeout: Annotated[float, Seconds("for a whole operation until OFF is proven", most="1d")] = 300.0
    restore_timeout: Annotated[float, Seconds("for restoring power", most="1d")] = 600.0
    chassis_boot_timeout: Annotated[
        float, Seconds("how long a BMC may take to answer after it was without power", least="0s", most="1h")
    ] = 180.0
    sessions: Annotated[int, Count("calls at once to one power unit or BMC", most=1000)] = 4


class PowerTable(PowerOfOne):
    agent_processes: Annotated[int, Count("`fence_*` programs at once in the whole daemon", most=10_000)] = 32
    warm_agents: Annotated[
        bool, Flag("fork Python agents from an interpreter that is kept ready; read only at start")
    ] = True


class SoftFenceTable(Table):
    command: Annotated[str, Text("command to run on the host over SSH (not yet)")] = "systemctl restart fenced-beat"
    user: Annotated[str, Text("SSH user (not yet)")] = "root"
    key_file: Annotated[str, FileName("SSH key (not yet)")] = ""
    known_hosts_file: Annotated[str, FileName("SSH host keys (not yet)")] = ""
    timeout: Annotated[float, Seconds("for the whole step (not yet)", most="1h")] = 60.0


class KdumpTable(Table):
    listen: Annotated[str, Address("where crash kernels report (not yet)")] = "0.0.0.0:7410"
    wait: Annotated[float, Seconds("for the first message (not yet)", most="1h")] = 30.0
    finished_after: Annotated[float, Seconds("silence that ends a dump (not yet)", most="1h")] = 30.0
    max: Annotated[float, Seconds("the longest dump (not yet)", most="1d")] = 1800.0


class RemedyTable(Table):
    steps: Annotated[
        tuple[str, ...],
        Listed(
            "what to try, in order; only `power` in this version",
            item=Choice("", choices=("soft_fence", "kdump", "power")),
            least=1,
        ),
    ] = ("power",)
    soft_fence: SoftFenceTable = Field(default_factory=SoftFenceTable)
    kdump: KdumpTable = Field(default_factory=KdumpTable)


class CheckTable(Table):
    interval: Annotated[
        float, Seconds('read every (host, device, proxy) path once per interval; "0s" = off', least="0s", most="30d")
    ] = 0.0
    per_unit_pause: Annotated[float, Seconds("between two of these reads of one unit", least="0s", most="1h")] = 5.0


class DefaultsTable(Table):
    """What a data centre, cluster or host may override, with the per-host keys of [power] and [detection]."""

    proxies: Annotated[
        tuple[str, ...], Listed("which proxies reach the devices, in order of preference", item=Address(""), least=1)
    ] = ("cluster", "dc", "engine")
    fence_action: Annotated[str, Choice("what an automatic fence does", choices=("restart", "off"))] = "restart"
    automatic: Annotated[bool, Flag("false: never fenced automatically")] = True


class InventoryTable(Table):
    files: Annotated[
        tuple[str, ...],
        Listed("files or patterns, TOML, YAML or JSON; relative to the file that names them", item=FileName("")),
    ] = ("inventory/*.toml",)


class MainTables(Table):
    """The main file. It may hold [[datacenter]], [[cluster]], [[proxy]] and [[host]] as well."""

    daemon: DaemonTable = Field(default_factory=DaemonTable)
    bus: BusTable = Field(default_factory=BusTable)
    store: StoreTable = Field(default_factory=StoreTable)
    api: ApiTable = Field(default_factory=ApiTable)
    proxy_client: ProxyClientTable = Field(default_factory=ProxyClientTable)
    detection: DetectionTable = Field(default_factory=DetectionTable)
    race: RaceTable = Field(default_factory=RaceTable)
    power: PowerTable = Field(default_factory=PowerTable)
    remedy: RemedyTable = Field(default_factory=RemedyTable)
    gates: GatesTable = Field(default_factory=GatesTable)
    check: CheckTable = Field(default_factory=CheckTable)
    saving: SavingTable = Field(default_factory=SavingTable)
    defaults: DefaultsTable = Field(default_factory=DefaultsTable)
    inventory: InventoryTable = Field(default_factory=InventoryTable)
