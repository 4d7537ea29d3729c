"""Edits of the inventory's files by an operator while a daemon is down. They take effect at the next start of a daemon.

Knows the files and the truth, not the daemon. An edit changes only what is written down: a plug without a device in the
inventory still feeds its host.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace

from fenced.model.inventory import Device, Host, Inventory
from fenced.model.names import DeviceName, HostName
from fenced.model.power import Kind
from tests.world.machines import Machine


@dataclass(slots=True, kw_only=True)
class Files:
    """`known`: every host as last written; `left_out`: hosts that the files lack now.

    `changed` is called for each edit that takes effect. `digest` names the content of what is read; "": it has no name.
    """

    known: Inventory
    machines: Mapping[HostName, Machine]
    now: Callable[[], float]
    changed: Callable[[Inventory], None] = lambda inventory: None
    digest: Callable[[Inventory], str] = lambda inventory: ""
    left_out: set[HostName] = field(default_factory=set)
    _removed: dict[tuple[HostName, DeviceName], Device] = field(default_factory=dict)
    _waiting: list[Callable[[], None]] = field(default_factory=list)

    def read(self) -> Inventory:
        """Return what a daemon reads that starts now."""
        waiting, self._waiting = self._waiting, []
        for edit in waiting:
            edit()
        if waiting:
            self.changed(self.known)
        hosts = {name: host for name, host in self.known.hosts.items() if name not in self.left_out}
        proxies = {
            name: replace(proxy, machine=None) if proxy.machine in self.left_out else proxy
            for name, proxy in self.known.proxies.items()
        }
        read = replace(self.known, hosts=hosts, proxies=proxies) if self.left_out else self.known
        return replace(read, digest=found) if (found := self.digest(read)) else read

    def edit(self, host: HostName, words: list[str]) -> bool:
        """Carry out an edit; return False if there is no such edit."""
        match words:
            case ["leaves", "out"]:
                self._waiting.append(lambda: self.left_out.add(host))
            case ["comes", "back"]:
                self._waiting.append(lambda: self.left_out.discard(host))
            case ["forgets", device]:
                self._waiting.append(lambda: self._forget(host, DeviceName(device)))
            case ["remembers", device]:
                self._waiting.append(lambda: self._remember(host, DeviceName(device)))
            case ["renames", device, name]:
                self._waiting.append(lambda: self._rename(host, DeviceName(device), DeviceName(name)))
            case ["swaps", device, other]:
                self._waiting.append(lambda: self._swap(host, DeviceName(device), DeviceName(other)))
            case ["puts", device, "on", "level", level]:
                self._waiting.append(lambda: self._put(host, DeviceName(device), int(level)))
            case ["saves", "power"]:
                self._waiting.append(lambda: self._save(is_on=True))
            case ["saves", "no", "power"]:
                self._waiting.append(lambda: self._save(is_on=False))
            case _:
                return False
        return True

    def _save(self, *, is_on: bool) -> None:
        """Enable power saving or not: for all hosts, which are of one cluster in a world."""
        hosts = dict(self.known.hosts)
        for name, host in hosts.items():
            saving = replace(host.settings.saving, is_enabled=is_on)
            hosts[name] = replace(host, settings=replace(host.settings, saving=saving))
        self.known = replace(self.known, hosts=hosts)

    def _forget(self, host: HostName, device: DeviceName) -> None:
        """Remove a device, unless it is the host's last one."""
        configured = self._device(host, device)
        if configured is not None and len(self.known.hosts[host].devices) > 1:
            self._removed[host, device] = configured
            self._write(host, *(it for it in self.known.hosts[host].devices if it.name != device))
            self.machines[host].plugs[device].is_forgotten = True

    def _remember(self, host: HostName, device: DeviceName) -> None:
        if (configured := self._removed.pop((host, device), None)) is not None:
            self._write(host, *self.known.hosts[host].devices, configured)
            self.machines[host].plugs[device].is_forgotten = False

    def _rename(self, host: HostName, device: DeviceName, name: DeviceName) -> None:
        configured, machine = self._device(host, device), self.machines[host]
        if configured is None or name in machine.plugs:
            return
        devices = self.known.hosts[host].devices
        self._write(host, *(replace(it, name=name) if it is configured else it for it in devices))
        plug = machine.former[device] = machine.plugs.pop(device)
        plug.device, machine.plugs[name] = name, plug

    def _swap(self, host: HostName, device: DeviceName, other: DeviceName) -> None:
        """Exchange the plugs of two devices of the same kind; one of them may be forgotten."""
        one, plugs = self._device(host, device), self.machines[host].plugs
        second = self._device(host, other) or self._removed.get((host, other))
        if one is None or second is None or one is second or one.kind is not second.kind:
            return
        new = {device: replace(one, spec=second.spec), other: replace(second, spec=one.spec)}
        self._write(host, *(new.get(it.name, it) for it in self.known.hosts[host].devices))
        if (host, other) in self._removed:
            self._removed[host, other] = new[other]
        a, b = plugs[device], plugs[other]
        plugs[device], plugs[other], a.device, b.device = b, a, other, device
        a.is_forgotten, b.is_forgotten = b.is_forgotten, a.is_forgotten

    def _put(self, host: HostName, device: DeviceName, level: int) -> None:
        devices = self.known.hosts[host].devices
        self._write(host, *(replace(it, level=level) if it.name == device else it for it in devices))

    def _device(self, host: HostName, name: DeviceName) -> Device | None:
        return next((it for it in self.known.hosts[host].devices if it.name == name), None)

    def _write(self, host: HostName, *devices: Device) -> None:
        changed: Host = replace(self.known.hosts[host], devices=devices)
        self.known = replace(self.known, hosts={**self.known.hosts, host: changed})
        self.machines[host].edited_at = self.now()
        self.machines[host].is_split = len({it.level for it in devices if it.kind is Kind.OUTLET}) > 1
