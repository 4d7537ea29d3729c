"""Beds over UDP: BMCs with IPMI, and power units with SNMP.

The tests' own BMC (tests/drivers/ipmi/bmc.py) is for cipher suite 17, which no packaged BMC supports; ipmi/test_real.py
checks it with ipmitool and FreeIPMI.
"""

import asyncio
import socket
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any, Final

from fenced.model.inventory import DeviceSpec, Secret
from fenced.model.power import Power
from fenced.ports.devices import DeviceError, DeviceTimedOut, DeviceUnreachable
from tests.drivers.bed import WRONG, Bed, Options, black_hole
from tests.drivers.counterparts import PASSWORD, USERNAME, ipmi_sim, process, udp_port
from tests.drivers.ipmi.bmc import Bmc, serving
from tests.drivers.programs import spec_of
from tests.drivers.snmp.pdus import COMMUNITY, FAMILIES, Family, snmpd

SIM_GUID: Final = "a1234567-89ab-cdef-a123-456789abcdef"
BY_MODEL: Final = {family.model: family for family in FAMILIES}


def lines_of(file: Path) -> int:
    return len(file.read_text().splitlines()) if file.exists() else 0


def ipmi_spec(port: int, **options: str | int) -> DeviceSpec:
    return spec_of(
        "ipmi", address=f"127.0.0.1:{port}", username=USERNAME, password=Secret(PASSWORD), options=dict(options)
    )


def ipmi_mistakes(spec: DeviceSpec) -> tuple[DeviceSpec, ...]:
    return (replace(spec, options={"cipher": 0}), replace(spec, options={"chipher": 3}))


@contextmanager
def ipmi_bed(directory: Path, spec: DeviceSpec, *, port: int, **more: Any) -> Iterator[Bed]:
    """Yield the bed of `spec` with an ipmi_sim on a port."""
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
        # ipmitool reports a wrong password and a missing BMC alike.
        with ipmi_bed(directory, spec, port=port, refusals=(DeviceError,), nowhere=nowhere, silent=silent) as bed:
            yield bed


@contextmanager
def ipmi_on_sim(directory: Path) -> Iterator[Bed]:
    port = udp_port()
    spec = ipmi_spec(port)
    with black_hole(socket.SOCK_DGRAM) as hole:
        more: dict[str, Any] = {
            "nowhere": ipmi_spec(udp_port()), "silent": ipmi_spec(hole), "identities": (SIM_GUID,),
            "asked": lambda: lines_of(directory / "asked"),
        }  # fmt: skip
        with ipmi_bed(directory, spec, port=port, mistaken=ipmi_mistakes(spec), **more) as bed:
            yield bed


@contextmanager
def ipmi_on_pyghmi(directory: Path) -> Iterator[Bed]:
    port, is_on = udp_port(), directory / "on"
    is_on.touch()

    def turn(power: Power) -> None:
        is_on.touch() if power is Power.ON else is_on.unlink(missing_ok=True)

    program = str(Path(__file__).parent / "ipmi" / "pyghmi_bmc.py")
    spec = ipmi_spec(port)
    with process(sys.executable, program, str(port), USERNAME, PASSWORD, str(is_on), cwd=directory):
        yield Bed(
            spec=spec, truth=lambda: Power.ON if is_on.exists() else Power.OFF, turn=turn,
            refused=replace(spec, password=WRONG), mistaken=ipmi_mistakes(spec),
            asked=lambda: lines_of(directory / "asked"),
        )  # fmt: skip


@contextmanager
def ipmi_suite_17(directory: Path) -> Iterator[Bed]:
    """The BMC runs in a loop in a thread."""
    bmc, loop = Bmc(username=USERNAME, password=PASSWORD, suites=(17,)), asyncio.new_event_loop()
    up, stop = threading.Event(), asyncio.Event()

    async def serve() -> None:
        async with serving(bmc):
            up.set()
            await stop.wait()

    thread = threading.Thread(target=lambda: loop.run_until_complete(serve()), name="BMC", daemon=True)
    thread.start()
    assert up.wait(10)

    def turn(power: Power) -> None:
        bmc.is_on = power is Power.ON

    spec = ipmi_spec(bmc.port)
    try:
        yield Bed(
            spec=spec, truth=lambda: Power.ON if bmc.is_on else Power.OFF, turn=turn,
            refused=replace(spec, password=WRONG), mistaken=ipmi_mistakes(spec), identities=(bmc.guid.hex(),),
            asked=lambda: bmc.commands.count(b"\x05"),
        )  # fmt: skip
    finally:
        loop.call_soon_threadsafe(stop.set)
        thread.join()
        loop.close()


@contextmanager
def _outlets(directory: Path, family: Family, *, user: str) -> Iterator[Bed]:
    """Outlet 3 of a vendor's unit; `user` "": with the community."""
    with snmpd(directory, udp_port(), (family,)) as unit, black_hole(socket.SOCK_DGRAM) as hole:
        spec = unit.user_spec(user, model=family.model) if user else unit.spec(model=family.model)
        state = family.state.format(n=3)

        def turn(power: Power) -> None:
            unit.put(state, family.on if power is Power.ON else family.off)

        yield Bed(
            spec=spec, turn=turn,
            truth=lambda: {family.on: Power.ON, family.off: Power.OFF}.get(unit.held(state), Power.UNKNOWN),
            refused=replace(spec, password=Secret("wr0ng-passphrase")) if user else None,
            nowhere=replace(spec, address=f"127.0.0.1:{udp_port()}"),
            silent=replace(spec, address=f"127.0.0.1:{hole}"), silences=(DeviceTimedOut, DeviceUnreachable),
            mistaken=(
                replace(spec, options={**spec.options, "plug": "left"}),
                replace(spec, options={**spec.options, "modle": "apc"}),
            ),
        )  # fmt: skip


@contextmanager
def apc_by_community(directory: Path) -> Iterator[Bed]:
    with _outlets(directory, BY_MODEL["apc"], user="") as bed:
        yield bed


@contextmanager
def raritan_by_user(directory: Path) -> Iterator[Bed]:
    with _outlets(directory, BY_MODEL["raritan"], user="sha256-aes") as bed:
        yield bed


@contextmanager
def eaton_by_user(directory: Path) -> Iterator[Bed]:
    with _outlets(directory, BY_MODEL["eaton"], user="sha") as bed:
        yield bed


@contextmanager
def agent_on_apc(directory: Path) -> Iterator[Bed]:
    """Debian's agent on the same unit; it also gets no answer with a wrong community."""
    with apc_by_community(directory) as bed:
        assert bed.nowhere is not None and bed.silent is not None

        def by_agent(spec: DeviceSpec) -> DeviceSpec:
            port = int(spec.address.rpartition(":")[2])
            options: Options = {"ipport": port, "plug": "3", "community": COMMUNITY, "power_wait": 0}
            return spec_of("fence_apc_snmp", address="127.0.0.1", username="", password=None, options=options)

        yield replace(
            bed, spec=by_agent(bed.spec), nowhere=by_agent(bed.nowhere), silent=by_agent(bed.silent), mistaken=(),
            silences=(DeviceError,),
        )  # fmt: skip
