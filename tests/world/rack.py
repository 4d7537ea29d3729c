"""Describe a small fleet in a few words, and build the inventory and the matching machines with plugs from it.

`devices` are written `NAME:LEVEL`; a name that starts with `bmc` is a chassis, all others are outlets. Settings are
given by their path in the model: `gates.budget_hosts`, `power.attempts`, `detection.grace_seconds`, `race.parallel`,
`daemon.site`.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, fields, replace
from typing import Any

from fenced.model.inventory import Device, DeviceSpec, Host, Inventory, Proxy
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
from fenced.model.power import Action, Kind
from fenced.model.settings import (
    DaemonSettings,
    DetectionSettings,
    HostSettings,
    PowerSettings,
    Reference,
    SavingSettings,
)
from tests.world.machines import Machine, Plug

CLUSTER, DATACENTER = ClusterName("c1"), DatacenterName("dc1")

Setting = float | int | str | bool | Action | tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Rack:
    """A small fleet: one cluster, every host with the same devices. `other_daemons`: besides `fenced-a`.

    By name of a host or proxy: `places` ("c2/dc2", if it is elsewhere), `names` (aliases of a host; the address of a
    proxy), `racks`, `labels` ("feed=a"); by proxy: `machines` (the host on which it runs) and `tags`. `boot_seconds`:
    from power to the first heartbeat; `is_standby_separate`: a chassis keeps its power when the host's outlets are off.
    `vouched`: devices with `cuts_power` set by the user. `observers`: proxies whose files let them look at hosts;
    `domains`: of proxies; `addresses`: of hosts on further networks ("storage=10.1.0.1"); `references`: addresses that
    always answer ("10.0.0.254", "storage=10.1.0.254").
    """

    hosts: tuple[str, ...] = ("node-1", "node-2", "node-3", "node-4")
    devices: tuple[str, ...] = ("pdu-a:1", "pdu-b:1")
    proxies: tuple[str, ...] = ()
    reach: tuple[str, ...] = ("engine",)
    settings: Mapping[str, Setting] = field(default_factory=dict)
    is_standby_separate: bool = True
    boot_seconds: float = 40.0
    settle_seconds: float = 0.0
    settle_after_return_seconds: float = 0.0
    own_machine: str = ""
    protected: tuple[str, ...] = ()
    drills: tuple[str, ...] = ()
    other_daemons: tuple[str, ...] = ()
    places: Mapping[str, str] = field(default_factory=dict)
    machines: Mapping[str, str] = field(default_factory=dict)
    tags: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    names: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    racks: Mapping[str, str] = field(default_factory=dict)
    labels: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    vouched: tuple[str, ...] = ()
    observers: tuple[str, ...] = ()
    domains: Mapping[str, str] = field(default_factory=dict)
    addresses: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    references: tuple[str, ...] = ()


def inventory(rack: Rack) -> Inventory:
    """Return the rack as configured."""
    daemon = _settings(DaemonSettings(name="fenced-a", is_armed_by_file=True), rack, "daemon")
    gates = _settings(replace(daemon.gates, storm_domains=()), rack, "gates")  # most racks are for single failures
    daemon = replace(daemon, gates=gates, race=_settings(daemon.race, rack, "race"))
    daemon = replace(daemon, check=_settings(daemon.check, rack, "check"), references=references(rack))
    detection = _settings(DetectionSettings(), rack, "detection")
    power = _settings(PowerSettings(), rack, "power")
    saving = _settings(SavingSettings(), rack, "saving")
    settings = _settings(HostSettings(detection=detection, power=power, saving=saving), rack, "host")
    hosts = {HostName(name): _host(rack, name, number, settings) for number, name in enumerate(rack.hosts, start=1)}
    proxies = {ProxyName(name): _proxy(rack, name, hosts) for name in rack.proxies}
    places = dict([(CLUSTER, DATACENTER), *(_place(rack, name) for name in rack.places)])
    return Inventory(
        hosts=hosts,
        proxies=proxies,
        clusters=places,
        datacenters=dict.fromkeys(sorted({*places.values()}), MAIN_SHARD),
        daemon=daemon,
    )


def references(rack: Rack) -> tuple[Reference, ...]:
    """Return the references of a rack."""
    words = (word.rpartition("=") for word in rack.references)
    return tuple(Reference(network=network, address=address) for network, _, address in words)


def _place(rack: Rack, name: str) -> tuple[ClusterName, DatacenterName]:
    cluster, _, datacenter = rack.places.get(name, f"{CLUSTER}/{DATACENTER}").partition("/")
    return ClusterName(cluster), DatacenterName(datacenter)


def _proxy(rack: Rack, name: str, hosts: Mapping[HostName, Host]) -> Proxy:
    """Return a proxy; one on a machine of the inventory has that machine's address."""
    machine = HostName(rack.machines[name]) if name in rack.machines else None
    cluster, datacenter = _place(rack, name)
    return Proxy(
        name=ProxyName(name),
        url=f"https://{name}:8471",
        address=hosts[machine].address if machine is not None else rack.names.get(name, (name,))[0],
        cluster=None if machine is not None else cluster,
        datacenter=None if machine is not None else datacenter,
        machine=machine,
        tags=rack.tags.get(name, ()),
        domain=rack.domains.get(name, ""),
    )


def _settings(of: Any, rack: Rack, group: str) -> Any:
    """Return the dataclass with the rack's settings of that group. Raises AssertionError for an unknown name."""
    prefix = f"{group}."
    changes = {name.removeprefix(prefix): value for name, value in rack.settings.items() if name.startswith(prefix)}
    known = {item.name for item in fields(of)}
    assert changes.keys() <= known, f"no such settings: {sorted(changes.keys() - known)}"
    return replace(of, **changes)


def _host(rack: Rack, name: str, number: int, settings: HostSettings) -> Host:
    cluster, datacenter = _place(rack, name)
    return Host(
        name=HostName(name),
        cluster=cluster,
        datacenter=datacenter,
        address=f"10.0.0.{number}",
        addresses=tuple(sorted(_label(word) for word in rack.addresses.get(name, ()))),
        aliases=rack.names.get(name, ()),
        rack=rack.racks.get(name, ""),
        labels=tuple(sorted(_label(word) for word in rack.labels.get(name, ()))),
        is_own_machine=name == rack.own_machine,
        is_protected=name in rack.protected,
        is_drill=name in rack.drills,
        devices=tuple(_device(rack, name, word, settings.power) for word in rack.devices),
        settings=settings,
    )


def _label(word: str) -> tuple[str, str]:
    key, _, value = word.partition("=")
    return key, value


def _device(rack: Rack, host: str, word: str, power: PowerSettings) -> Device:
    name, _, level = word.partition(":")
    kind = Kind.CHASSIS if name.startswith("bmc") else Kind.OUTLET
    unit = f"{host}/{name}" if kind is Kind.CHASSIS else name
    return Device(
        name=DeviceName(name),
        kind=kind,
        level=int(level),
        spec=DeviceSpec(
            driver="fence_world",
            plug_id=PlugId(f"{host}/{name}"),
            unit_id=UnitId(unit),
            sessions=4,
            cuts_power=name in rack.vouched,
        ),
        proxies=rack.reach,
        power=power,
        settle_seconds=rack.settle_seconds,
        settle_after_return_seconds=rack.settle_after_return_seconds,
    )


def machines(fleet: Inventory, tell: Callable[[Machine, str], None], rack: Rack) -> dict[HostName, Machine]:
    """Return machines that match the inventory and the rack, all running."""
    found: dict[HostName, Machine] = {}
    for name, host in fleet.hosts.items():
        machine = Machine(
            name=name,
            address=host.address,
            addresses=dict(host.addresses),
            tell=tell,
            boot_seconds=rack.boot_seconds,
            interval=host.settings.detection.heartbeat_interval_seconds,
        )
        for device in host.devices:
            machine.plugs[device.name] = Plug(
                device=device.name,
                plug_id=device.spec.plug_id,
                kind=device.kind,
                machine=machine,
                is_fed_by_outlets=not rack.is_standby_separate and device.kind is Kind.CHASSIS,
            )
        found[name] = machine
    return found
