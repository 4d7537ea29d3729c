"""The commands that a user types while the lab runs: break hosts, put faults into devices, show the state.

They act on the rack, the hosts and the faults: fenced must detect what happens here. A controller is only killed and
started, where there are several. Every command answers with at least one line.
"""

import time
from collections.abc import Callable, Mapping
from typing import Final

from fenced.lab.bmc import fault_key
from fenced.lab.controllers import Controllers
from fenced.lab.errors import LabError
from fenced.lab.faults import Fault, FaultKind, Faults
from fenced.lab.hosts import Hosts
from fenced.lab.rack import Rack

HELP: Final = """\
hosts                    power, process and faults of every host
kill HOST                its kernel panics: processes dead, network silent, power still on
freeze HOST              it is paused like a virtual machine; `thaw HOST` lets it go on
unplug HOST              its network cable is pulled; `plug HOST` puts it back
press HOST               its power button: it shuts down, and its chassis switches off
power HOST [on|off]      switch its outlets by hand, past fenced; by default off, then on
stuck DEVICE HOST        the outlet (pdu-a, pdu-b) or bmc accepts commands and stays ON
lying DEVICE HOST        it reads OFF and stays ON
slow DEVICE HOST         it answers 3 s late
dead DEVICE HOST         it never answers
heal DEVICE HOST         it works again
help                     show this list
quit                     end the lab"""
SAVING_HELP: Final = """\
work HOST N              so many workloads run on it, until it loses its power; 0: it is idle"""
WORKLOADS_MAX: Final = 1000
CONTROLLERS_HELP: Final = """\
kill CONTROLLER          kill -9; `start CONTROLLER` lets it come back
controllers              which controllers run; `fencectl controllers` says who acts"""


class Console:
    """Carries out one typed line at a time."""

    def __init__(
        self, rack: Rack, hosts: Hosts, faults: Faults, controllers: Controllers, *, is_saving: bool = False
    ) -> None:
        """`is_saving`: its hosts report how many workloads they have."""
        self._rack = rack
        self._hosts = hosts
        self._faults = faults
        self._is_saving = is_saving
        self._controllers = controllers if len(controllers) > 1 else Controllers([])
        self._blows: Mapping[str, Callable[[str], str]] = {
            "kill": self._kill,
            "freeze": self._freeze,
            "thaw": self._thaw,
            "unplug": self._unplug,
            "plug": self._plug,
            "press": self._press,
        }

    def obey(self, line: str) -> list[str]:
        """Return the answer. Raises LabError if the command can't be carried out. The caller handles `quit`."""
        match line.split():
            case []:
                return []
            case ["help"]:
                return self._help()
            case ["controllers"] if len(self._controllers):
                return [f"{each.name} {'runs' if each.is_wanted else 'is dead'}" for each in self._controllers]
            case ["kill", name] if name in self._controllers:
                self._controllers[name].kill()
                return [f"{name}: killed; `start {name}` lets it come back"]
            case ["start", name] if len(self._controllers):
                self._controllers[name].revive()
                return [f"{name}: starts"]
            case ["hosts"]:
                return [self._shown(name) for name in self._hosts.names]
            case [word, host] if word in self._blows:
                return [self._blows[word](self._known(host))]
            case ["work", host, count] if self._is_saving and count.isdecimal():
                return [self._work(self._known(host), int(count))]
            case ["power", host]:
                return [self._power(self._known(host), is_on=False), self._power(host, is_on=True)]
            case ["power", host, "on" | "off" as word]:
                return [self._power(self._known(host), is_on=word == "on")]
            case ["heal", device, host]:
                return [self._fault(device, self._known(host), None)]
            case ["stuck" | "lying" | "slow" | "dead" as word, device, host]:
                return [self._fault(device, self._known(host), FaultKind(word))]
            case _:
                raise LabError(f"not a command: {line.strip()[:80]!r}; type help for the commands")

    def _help(self) -> list[str]:
        controllers = CONTROLLERS_HELP.splitlines() if len(self._controllers) else []
        saving = SAVING_HELP.splitlines() if self._is_saving else []
        return [*controllers, *saving, *HELP.splitlines()]

    def _known(self, host: str) -> str:
        if host not in self._hosts:
            raise LabError(f"there is no host {host[:80]!r}; the hosts are {', '.join(self._hosts.names)}")
        return host

    def _kill(self, host: str) -> str:
        self._hosts[host].cut()
        return f"{host}: dead, its power is still on"

    def _freeze(self, host: str) -> str:
        self._hosts[host].freeze(is_frozen=True)
        return f"{host}: frozen"

    def _thaw(self, host: str) -> str:
        self._hosts[host].freeze(is_frozen=False)
        return f"{host}: running again"

    def _unplug(self, host: str) -> str:
        self._hosts[host].unplug(is_unplugged=True)
        return f"{host}: its cable is pulled, it still runs"

    def _plug(self, host: str) -> str:
        self._hosts[host].unplug(is_unplugged=False)
        return f"{host}: its cable is plugged in"

    def _press(self, host: str) -> str:
        self._rack.ask_down(host)
        return f"{host}: its power button was pressed"

    def _work(self, host: str, count: int) -> str:
        self._hosts[host].give_work(min(count, WORKLOADS_MAX))
        return f"{host}: {min(count, WORKLOADS_MAX)} workloads run on it"

    def _power(self, host: str, *, is_on: bool) -> str:
        for outlet in self._rack.wiring(host).outlets:
            self._rack.set_outlet(outlet, is_on=is_on, now=time.monotonic())
        return f"{host}: both outlets {'ON' if is_on else 'OFF'}"

    def _fault(self, device: str, host: str, kind: FaultKind | None) -> str:
        self._faults.set(self._key(device, host), None if kind is None else Fault(kind=kind))
        return f"{host}: {device} is {'healthy' if kind is None else kind.value}"

    def _key(self, device: str, host: str) -> str:
        if device == "bmc":
            return fault_key(host)
        for outlet in self._rack.wiring(host).outlets:
            if outlet.unit == device:
                return str(outlet)
        units = ", ".join(outlet.unit for outlet in self._rack.wiring(host).outlets)
        raise LabError(f"{host} has no device {device[:80]!r}; its devices are {units}, bmc")

    def _shown(self, name: str) -> str:
        outlets = ", ".join(
            f"{outlet.unit} {'ON' if self._rack.is_outlet_on(outlet) else 'OFF'}"
            for outlet in self._rack.wiring(name).outlets
        )
        power = "on" if self._rack.has_power(name) else "off"
        host = self._hosts[name]
        runs = f"runs, boot {host.boot}" if host.is_running else "no process"
        keys = {fault_key(name), *(str(outlet) for outlet in self._rack.wiring(name).outlets)}
        faults = [f"{key} {fault.kind.value}" for key, fault in self._faults if key in keys]
        return f"{name:<8} power {power} ({outlets}); {runs}" + (f"; {', '.join(faults)}" if faults else "")
