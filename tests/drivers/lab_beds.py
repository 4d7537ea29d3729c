"""Beds of the lab's emulators: a BMC with Redfish, and an outlet with its fence agent, in a loop in a thread."""

import asyncio
import socket
import threading
import time
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
from tests.drivers.bed import WRONG, Bed, Options, black_hole
from tests.drivers.counterparts import PASSWORD, USERNAME
from tests.drivers.programs import spec_of
from tests.net import free_port

HOST: Final = "node-1"
CALM_SECONDS: Final = 0.5
"""Longer than any pending reset of an emulated BMC."""


@dataclass(slots=True)
class LabRack:
    """A rack of one host with a BMC and two outlets, served by a loop in a thread."""

    directory: Path
    bmc_port: int = 0
    unit_ports: dict[str, int] = field(default_factory=dict)
    pressed: list[str] = field(default_factory=list)
    rack: Rack = field(init=False)
    _loop: asyncio.AbstractEventLoop = field(default_factory=asyncio.new_event_loop)

    def __post_init__(self) -> None:
        outlets = (Outlet(unit="pdu-a", number=1), Outlet(unit="pdu-b", number=1))
        wiring = Wiring(host=HOST, outlets=outlets, is_standby_separate=True)
        self.rack = Rack(
            [wiring], changed=lambda host, has_power: None, asked=self.pressed.append, bmc_boot_seconds=0.1
        )

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
        """Press the button until no earlier reset reverts it."""
        calm_since = time.monotonic()
        while time.monotonic() - calm_since < CALM_SECONDS:
            if self.truth() is not power:
                self.do(lambda: self.rack.set_chassis(HOST, is_on=power is Power.ON))
                calm_since = time.monotonic()
            time.sleep(0.02)

    def do(self, work: Callable[[], Any]) -> Any:
        """Run something in the emulators' loop."""

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
            asked=lambda: len(lab.pressed),
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
