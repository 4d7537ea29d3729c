"""The fleet as configured: data centres, clusters, hosts, their devices, proxies.

Values only; `fenced.config` builds them.
"""

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field, replace
from enum import Enum
from typing import Final

from fenced.model.addresses import is_loopback, names_nobody
from fenced.model.names import (
    MAIN_SHARD,
    ClusterName,
    DatacenterName,
    DeviceName,
    HostName,
    PlugId,
    ProxyName,
    UnitId,
)
from fenced.model.power import Kind
from fenced.model.settings import DaemonSettings, HostSettings, PowerSettings

CALLS_MAX: Final = 64
"""Concurrent calls to one proxy, unless configured otherwise."""


class Tls(Enum):
    """Which TLS versions a device may use."""

    DEFAULT = "default"
    LEGACY = "legacy"


class Secret:
    """A secret that no repr, log, journal or traceback shows. Call `reveal` only where it is sent to its device."""

    __slots__ = ("_value",)

    def __init__(self, value: str) -> None:
        self._value = value

    def reveal(self) -> str:
        return self._value

    def __repr__(self) -> str:
        return "Secret(***)"

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Secret) and other._value == self._value

    def __hash__(self) -> int:
        return hash(self._value)


@dataclass(frozen=True, slots=True, kw_only=True)
class DeviceSpec:
    """What a driver must know to reach one plug; also what is sent to a proxy. `options` belong to the driver or agent.

    `nodename` is the host's name: an agent that needs a plug gets it where no plug is configured. `secrets`: secrets
    other than the password, by the driver's or agent's name for them. `credential`: the name of a credential that the
    proxy stores; user name, password and secrets are empty then. `identity`: the machine that the device must belong to
    (system UUID, GUID or serial); empty: not checked. `cuts_power`: the user states that this driver's OFF cuts the
    host's power, which an unreviewed agent needs. `check_ready`: a device that reports that it has just started or is
    not ready is neither believed nor switched; set it to False for a device that always reports this. `tls`: LEGACY
    allows versions and ciphers that are no longer safe.
    """

    driver: str
    plug_id: PlugId
    unit_id: UnitId
    address: str = ""
    username: str = ""
    password: Secret | None = None
    options: Mapping[str, str | int | float | bool] = field(default_factory=dict)
    nodename: str = ""
    off_by_exit_status: bool = False
    sessions: int = 4
    secrets: tuple[tuple[str, Secret], ...] = ()
    credential: str = ""
    identity: str = ""
    cuts_power: bool = False
    check_ready: bool = True
    tls: Tls = Tls.DEFAULT

    def secret(self, name: str) -> str:
        """Return the further secret of that name; "" if there is none."""
        return next((secret.reveal() for given, secret in self.secrets if given == name), "")

    @property
    def all_secrets(self) -> tuple[str, ...]:
        """All secrets, to be masked in every text."""
        password = () if self.password is None else (self.password.reveal(),)
        return (*password, *(secret.reveal() for _, secret in self.secrets))


@dataclass(frozen=True, slots=True, kw_only=True)
class Device:
    """One configured power device of a host. `proxies`: the device's preference list or the inherited one, never empty.

    `settle_seconds`: how long a command may still act after its call ended (S5). `settle_after_return_seconds`: how
    long a device counts as UNKNOWN after it was unreachable, rebooted or not ready.
    """

    name: DeviceName
    kind: Kind
    level: int
    spec: DeviceSpec
    proxies: tuple[str, ...]
    power: PowerSettings = field(default_factory=PowerSettings)
    settle_seconds: float = 0.0
    settle_after_return_seconds: float = 0.0
    is_standby_separate: bool = False
    identity: str = ""


PLACES: Final = ("cluster", "datacenter", "rack")
"""Keys of `Host.value_of` that every host may have; all others are labels."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Host:
    """One host. `devices` in the order of the file; `levels` are derived from them, in rising order.

    `is_beside_broker`: the MQTT broker runs on this host, so its heartbeats reach the broker without the network.
    `is_beside_store`: a server of the PostgreSQL store runs on this host.
    `addresses`: pairs of network and address beside `address`, sorted. `labels`: pairs of key and value, sorted.
    `is_drill`: a spare host that may be fenced for a drill. `may_sleep`: saving may switch it off (S24).
    `is_own_by_word`: the daemon's machine because `daemon.runs_on` names it, not because a name or an address matches.
    """

    name: HostName
    cluster: ClusterName
    datacenter: DatacenterName
    address: str = ""
    addresses: tuple[tuple[str, str], ...] = ()
    aliases: tuple[str, ...] = ()
    rack: str = ""
    labels: tuple[tuple[str, str], ...] = ()
    roles: tuple[str, ...] = ()
    is_protected: bool = False
    is_drill: bool = False
    may_sleep: bool = True
    is_own_machine: bool = False
    is_own_by_word: bool = False
    is_beside_broker: bool = False
    is_beside_store: bool = False
    identity: str = ""
    devices: tuple[Device, ...] = ()
    settings: HostSettings = field(default_factory=HostSettings)

    @property
    def networks(self) -> tuple[tuple[str, str], ...]:
        """Pairs of network and address, with `address` as that of the network ""."""
        return (("", self.address), *self.addresses) if self.address else self.addresses

    def value_of(self, key: str) -> str:
        """Return its cluster, data centre, rack or the label of that key; "" if it has none."""
        match key:
            case "cluster":
                return str(self.cluster)
            case "datacenter":
                return str(self.datacenter)
            case "rack":
                return self.rack
            case _:
                return dict(self.labels).get(key, "")

    @property
    def can_witness(self) -> bool:
        """Whether its beats show that the network is up. Beats that need no network to reach the daemon or the broker
        don't."""
        return not self.is_own_machine and not self.is_beside_broker and not is_loopback(self.address)

    @property
    def own_words(self) -> str:
        """Why the host counts as the daemon's machine, to follow "it is". Only for a host that does."""
        if self.is_own_by_word:
            return "what the daemon's machine runs on or depends on (daemon.runs_on)"
        return "the machine that the daemon runs on"

    @property
    def levels(self) -> tuple[int, ...]:
        return tuple(sorted({device.level for device in self.devices}))

    def device(self, name: DeviceName) -> Device:
        """Return the device of that name. Raises KeyError if the host has none (any more)."""
        for device in self.devices:
            if device.name == name:
                return device
        raise KeyError(name)

    def vouched(self, names: Collection[DeviceName]) -> tuple[DeviceName, ...]:
        """Return those of the named devices for which the user set `cuts_power`."""
        return tuple(device.name for device in self.devices if device.name in names and device.spec.cuts_power)

    @property
    def names(self) -> frozenset[str]:
        """Name, addresses and aliases, as far as they identify exactly this machine: loopback addresses are left
        out."""
        given = {str(self.name), self.address, *self.aliases, *(address for _, address in self.addresses)}
        return frozenset(name for name in given if name and not names_nobody(name))


@dataclass(frozen=True, slots=True, kw_only=True)
class Via:
    """An HTTP proxy on the way to a fenced proxy (CONNECT, RFC 9110 9.3.6). It carries TLS and can't read it."""

    url: str
    username: str = ""
    password: Secret | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Proxy:
    """A machine that runs the proxy agent. `machine`: the inventory host it runs on, by `host =`, address
    or alias (S18).

    `also_on`: other hosts to which the name in its URL resolves; it never serves them either. `calls`: how many
    concurrent calls the daemon makes to it. `via`: the HTTP proxy between the daemon and it.
    """

    name: ProxyName
    url: str
    address: str
    cluster: ClusterName | None = None
    datacenter: DatacenterName | None = None
    machine: HostName | None = None
    also_on: tuple[HostName, ...] = ()
    domain: str = ""
    tags: tuple[str, ...] = ()
    calls: int = CALLS_MAX
    via: Via | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Inventory:
    """The configuration of the fleet, or of one shard of it, by exact name.

    `clusters`: the data centre of each, or "". `datacenters`: the shard of each. `machines`: hosts of other shards on
    which proxies run; nothing is decided about them. `fleet_size`: the hosts of the whole; 0: this is the whole.
    `digest`: names the content of the whole; "": no file made it.
    """

    hosts: Mapping[HostName, Host] = field(default_factory=dict)
    proxies: Mapping[ProxyName, Proxy] = field(default_factory=dict)
    clusters: Mapping[ClusterName, DatacenterName] = field(default_factory=dict)
    datacenters: Mapping[DatacenterName, str] = field(default_factory=dict)
    daemon: DaemonSettings = field(default_factory=lambda: DaemonSettings(name="fenced"))
    machines: Mapping[HostName, Host] = field(default_factory=dict)
    digest: str = field(default="", compare=False)
    fleet_size: int = 0

    @property
    def shards(self) -> tuple[str, ...]:
        """The shards that a data centre names or a host is in, sorted; never empty. Looks at every host."""
        named = {*self.datacenters.values(), *map(self.shard_of, self.hosts.values())}
        return tuple(sorted(named)) or (MAIN_SHARD,)

    @property
    def size(self) -> int:
        """How many hosts the whole configuration has."""
        return self.fleet_size or len(self.hosts)

    def shard_of(self, host: Host) -> str:
        """Return the shard in which the host is decided: that of its data centre."""
        return self.datacenters.get(host.datacenter, MAIN_SHARD)

    def of_shard(self, shard: str) -> "Inventory":
        """Return the inventory with the hosts of this shard alone; with all of them, itself.

        Proxies serve every shard, so they stay, and with them what places them: clusters, data centres, `machines`.
        """
        hosts = {name: host for name, host in self.hosts.items() if self.shard_of(host) == shard}
        if len(hosts) == len(self.hosts):
            return self
        return replace(self, hosts=hosts, machines=self._machines_beside(hosts), fleet_size=self.size)

    def calls_max(self, name: ProxyName) -> int:
        """Return how many simultaneous calls the daemon may make to a proxy."""
        proxy = self.proxies.get(name)
        return proxy.calls if proxy is not None else CALLS_MAX

    def machine_of(self, proxy: Proxy) -> Host | None:
        """Return the host on which the proxy runs, of whichever shard; None: no host of the inventory."""
        if proxy.machine is None:
            return None
        return self.hosts.get(proxy.machine) or self.machines.get(proxy.machine)

    def _machines_beside(self, hosts: Mapping[HostName, Host]) -> dict[HostName, Host]:
        """Return the machines of proxies that are not among these hosts."""
        machines = filter(None, map(self.machine_of, self.proxies.values()))
        return {machine.name: machine for machine in machines if machine.name not in hosts}
