"""Every counterpart that the contract suite runs on: devices and agents of others, and the emulators of the lab.

One rule: a driver is listed here with each kind of device that can be had on this machine; `COUNTERPARTS` is that list.
"""

import asyncio
import json
import socket
import ssl
import threading
import time
import urllib.request
from collections.abc import Callable, Coroutine, Iterator
from concurrent.futures import Future
from contextlib import AsyncExitStack, contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Final

from fenced.lab.bmc import Bmc, BmcSettings, system_uuid
from fenced.lab.faults import Faults
from fenced.lab.outlets import PowerUnit
from fenced.lab.rack import Outlet, Rack, Wiring
from fenced.lab.settings import write_agent
from fenced.model.inventory import DeviceSpec, Secret
from fenced.model.power import Power
from fenced.ports.devices import DeviceError, LoginRefused
from tests.drivers.bed import Bed, Counterpart, black_hole
from tests.drivers.counterparts import PASSWORD, SYSTEM, USERNAME, ipmi_sim, sushy, udp_port
from tests.drivers.programs import spec_of
from tests.net import free_port

WRONG: Final = Secret("wr0ng-pw")
HOST: Final = "node-1"
CHANGED_SECONDS: Final = 20.0
CALM_SECONDS: Final = 0.5
"""Longer than a reset that an emulated BMC of the lab still has under way."""

Options = dict[str, str | int | float | bool]


def until_true(condition: Callable[[], bool], *, seconds: float = CHANGED_SECONDS, what: str) -> None:
    """Wait for a device of others. Raises AssertionError."""
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, f"did not come about within {seconds:g} s: {what}"
        time.sleep(0.05)


# -- a file, through Debian's dummy agent ------------------------------------------------------------------------------


@contextmanager
def dummy(directory: Path) -> Iterator[Bed]:
    state = directory / "state"

    def turn(power: Power) -> None:
        state.write_text(power.value)  # without a line end

    turn(Power.ON)
    spec = spec_of(
        "fence_dummy", address="", username="", password=None, options={"type": "file", "status_file": str(state)}
    )
    yield Bed(spec=spec, truth=lambda: Power(state.read_text().strip()), turn=turn)


# -- ipmi_sim ----------------------------------------------------------------------------------------------------------


@contextmanager
def ipmi_bed(directory: Path, spec: DeviceSpec, *, port: int, **more: Any) -> Iterator[Bed]:
    """`spec` on an ipmi_sim at a port; its chassis' power is a file."""
    is_on = directory / "on"

    def turn(power: Power) -> None:
        is_on.touch() if power is Power.ON else is_on.unlink(missing_ok=True)

    with ipmi_sim(directory, port):
        yield Bed(
            spec=spec, truth=lambda: Power.ON if is_on.exists() else Power.OFF, turn=turn,
            refused=replace(spec, password=WRONG), **more,
        )  # fmt: skip


@contextmanager
def agent_on_ipmi(directory: Path) -> Iterator[Bed]:
    port = udp_port()
    options: Options = {"lanplus": True, "cipher": 3, "ipport": port, "power_wait": 0}
    spec = spec_of("fence_ipmilan", address="127.0.0.1", username=USERNAME, password=Secret(PASSWORD), options=options)
    nowhere = replace(spec, options={**options, "ipport": udp_port()})
    with black_hole(socket.SOCK_DGRAM) as hole:
        silent = replace(spec, options={**options, "ipport": hole})
        # ipmitool says the same of a wrong password and of a BMC that is not there.
        with ipmi_bed(directory, spec, port=port, refusals=(DeviceError,), nowhere=nowhere, silent=silent) as bed:
            yield bed


# -- sushy-emulator ----------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True, kw_only=True)
class SushyClient:
    """A look at sushy's system past our driver."""

    port: int
    certificate: Path

    def truth(self) -> Power:
        return Power.ON if self._ask(None)["PowerState"] == "On" else Power.OFF

    def turn(self, power: Power) -> None:
        self._ask({"ResetType": "On" if power is Power.ON else "ForceOff"})
        until_true(lambda: self.truth() is power, what=f"sushy is {power.value}")

    def is_up(self) -> bool:
        try:
            return bool(self._ask(None))
        except OSError:
            return False

    def _ask(self, command: dict[str, str] | None) -> dict[str, Any]:
        path = f"/redfish/v1/Systems/{SYSTEM}" + ("" if command is None else "/Actions/ComputerSystem.Reset")
        passwords = urllib.request.HTTPPasswordMgrWithDefaultRealm()
        url = f"https://127.0.0.1:{self.port}{path}"
        passwords.add_password(None, url, USERNAME, PASSWORD)
        opener = urllib.request.build_opener(
            urllib.request.HTTPBasicAuthHandler(passwords),
            urllib.request.HTTPSHandler(context=ssl.create_default_context(cafile=str(self.certificate))),
        )
        body = None if command is None else json.dumps(command).encode()
        request = urllib.request.Request(url, data=body, headers={"Content-Type": "application/json"})
        with opener.open(request, timeout=10) as answer:
            found = json.loads(answer.read() or b"{}")
            assert isinstance(found, dict)
            return found


@contextmanager
def sushy_running(directory: Path) -> Iterator[SushyClient]:
    port = free_port()
    with sushy(directory, port) as certificate:
        client = SushyClient(port=port, certificate=certificate)
        until_true(client.is_up, what="sushy-emulator answers")
        yield client


@contextmanager
def redfish_on_sushy(directory: Path) -> Iterator[Bed]:
    with sushy_running(directory) as client, black_hole(socket.SOCK_STREAM) as hole:
        spec = spec_of(
            "redfish", address=f"https://127.0.0.1:{client.port}", username=USERNAME, password=Secret(PASSWORD),
            options={"ca_file": str(client.certificate)},
        )  # fmt: skip
        yield Bed(
            spec=spec, truth=client.truth, turn=client.turn,
            refused=replace(spec, password=WRONG),
            nowhere=replace(spec, address=f"https://127.0.0.1:{free_port()}"),
            silent=replace(spec, address=f"https://127.0.0.1:{hole}"),
            mistaken=(
                replace(spec, options={**spec.options, "system": "no-such-system"}),
                replace(spec, options={**spec.options, "sytem": "1"}),
            ),
            identities=(SYSTEM,),
        )  # fmt: skip


@contextmanager
def agent_on_sushy(directory: Path) -> Iterator[Bed]:
    with sushy_running(directory) as client, black_hole(socket.SOCK_STREAM) as hole:
        options: Options = {"ipport": client.port, "ssl_insecure": True, "systems_uri": f"/redfish/v1/Systems/{SYSTEM}"}
        spec = spec_of(
            "fence_redfish", address="127.0.0.1", username=USERNAME, password=Secret(PASSWORD), options=options
        )
        yield Bed(
            spec=spec, truth=client.truth, turn=client.turn,
            refused=replace(spec, password=WRONG), refusals=(DeviceError,),  # it says "Unable to get PowerState"
            nowhere=replace(spec, options={**options, "ipport": free_port()}), silences=(DeviceError,),
            silent=replace(spec, options={**options, "ipport": hole}),
        )  # fmt: skip


# -- the lab's own emulators -------------------------------------------------------------------------------------------


@dataclass(slots=True)
class LabRack:
    """A rack of one host with a BMC and two outlets, served by a loop in a thread of its own."""

    directory: Path
    bmc_port: int = 0
    unit_ports: dict[str, int] = field(default_factory=dict)
    rack: Rack = field(init=False)
    _loop: asyncio.AbstractEventLoop = field(default_factory=asyncio.new_event_loop)

    def __post_init__(self) -> None:
        outlets = (Outlet(unit="pdu-a", number=1), Outlet(unit="pdu-b", number=1))
        wiring = Wiring(host=HOST, outlets=outlets, is_standby_separate=True)
        self.rack = Rack([wiring], changed=lambda host, has_power: None, bmc_boot_seconds=0.1)

    @contextmanager
    def serving(self) -> Iterator[None]:
        thread = threading.Thread(target=self._loop.run_forever, name="lab rack", daemon=True)
        thread.start()
        stop, up = asyncio.Event(), threading.Event()
        running = self._submit(self._serve(stop, up))
        assert up.wait(10), "the lab's emulators listen"
        try:
            yield
        finally:
            self._loop.call_soon_threadsafe(stop.set)
            running.result(10)
            self._loop.call_soon_threadsafe(self._loop.stop)
            thread.join()
            self._loop.close()

    def truth(self) -> Power:
        return Power.ON if self.do(lambda: self.rack.has_power(HOST)) else Power.OFF

    def turn(self, power: Power) -> None:
        """By the button, until no reset that was asked for earlier turns it back."""
        calm_since = time.monotonic()
        while time.monotonic() - calm_since < CALM_SECONDS:
            if self.truth() is not power:
                self.do(lambda: self.rack.set_chassis(HOST, is_on=power is Power.ON))
                calm_since = time.monotonic()
            time.sleep(0.02)

    def do(self, work: Callable[[], Any]) -> Any:
        """Something in the loop of the emulators."""

        async def done() -> Any:
            return work()

        return self._submit(done()).result(10)

    def _submit(self, work: Coroutine[Any, Any, Any]) -> "Future[Any]":
        return asyncio.run_coroutine_threadsafe(work, self._loop)

    async def _serve(self, stop: asyncio.Event, up: threading.Event) -> None:
        faults = Faults()
        settings = BmcSettings(username=USERNAME, password=Secret(PASSWORD), delay_seconds=0.2)
        async with asyncio.TaskGroup() as tasks, AsyncExitStack() as stack:
            bmc = Bmc(self.rack, host=HOST, settings=settings, faults=faults, tasks=tasks)
            listener = socket.create_server(("127.0.0.1", 0))
            self.bmc_port = listener.getsockname()[1]
            await stack.enter_async_context(bmc.serving(listener))
            for name in ("pdu-a", "pdu-b"):
                unit = PowerUnit(self.rack, unit=name, username=USERNAME, password=Secret(PASSWORD), faults=faults)
                listener = socket.create_server(("127.0.0.1", 0))
                self.unit_ports[name] = listener.getsockname()[1]
                await stack.enter_async_context(unit.serving(listener))
            up.set()
            await stop.wait()


@contextmanager
def redfish_on_lab(directory: Path) -> Iterator[Bed]:
    lab = LabRack(directory)
    with lab.serving(), black_hole(socket.SOCK_STREAM) as hole:
        spec = spec_of(
            "redfish", address=f"http://127.0.0.1:{lab.bmc_port}", username=USERNAME, password=Secret(PASSWORD)
        )
        yield Bed(
            spec=spec,
            truth=lab.truth,
            turn=lab.turn,
            refused=replace(spec, password=WRONG),
            nowhere=replace(spec, address=f"http://127.0.0.1:{free_port()}"),
            silent=replace(spec, address=f"http://127.0.0.1:{hole}"),
            mistaken=(replace(spec, options={"system": "no-such-system"}),),
            identities=(system_uuid(HOST),),
        )  # fmt: skip


def outlet_of(lab: LabRack, spec: DeviceSpec, **more: Any) -> Bed:
    """The first outlet of the lab's first unit."""
    outlet = Outlet(unit="pdu-a", number=1)

    def turn(power: Power) -> None:
        lab.do(lambda: lab.rack.set_outlet(outlet, is_on=power is Power.ON, now=time.monotonic()))

    return Bed(
        spec=spec,
        truth=lambda: Power.ON if lab.do(lambda: lab.rack.is_outlet_on(outlet)) else Power.OFF,
        turn=turn,
        **more,
    )


@contextmanager
def agent_on_lab_outlet(directory: Path) -> Iterator[Bed]:
    lab = LabRack(directory)
    agent = write_agent(directory)
    with lab.serving(), black_hole(socket.SOCK_STREAM) as hole:
        options: Options = {"ipport": lab.unit_ports["pdu-a"], "plug": "1"}
        spec = spec_of(
            "fence_lab_outlet", address="127.0.0.1", username=USERNAME, password=Secret(PASSWORD), options=options
        )
        yield outlet_of(
            lab, spec,
            refused=replace(spec, password=WRONG), refusals=(LoginRefused, DeviceError),
            nowhere=replace(spec, options={**options, "ipport": free_port()}), silences=(DeviceError,),
            silent=replace(spec, options={**options, "ipport": hole}),
            agent_path=(agent.parent,),
        )  # fmt: skip


AN_AGENTS: Final = frozenset({"identities", "mistaken"})
"""Agents read no identity, and their options are checked against their metadata when the configuration is read."""

COUNTERPARTS: Final = (
    Counterpart(
        name="fence_dummy", make=dummy, programs=("fence_dummy",), lacks=AN_AGENTS | {"refused", "nowhere", "silent"}
    ),
    Counterpart(
        name="fence_ipmilan-ipmi_sim", make=agent_on_ipmi, programs=("fence_ipmilan", "ipmi_sim", "ipmitool"),
        lacks=AN_AGENTS,
    ),
    Counterpart(name="redfish-sushy", make=redfish_on_sushy),
    Counterpart(name="fence_redfish-sushy", make=agent_on_sushy, programs=("fence_redfish",), lacks=AN_AGENTS),
    Counterpart(name="redfish-lab", make=redfish_on_lab),
    Counterpart(name="fence_lab_outlet-lab", make=agent_on_lab_outlet, lacks=AN_AGENTS),
)  # fmt: skip
