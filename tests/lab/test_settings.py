"""The lab's files, read by the programs for which they are written; and programs that end unexpectedly."""

import asyncio
import sys
from pathlib import Path

import pytest

from fenced.lab import programs
from fenced.lab.errors import LabError
from fenced.lab.ground import Endpoint, PlainGround
from fenced.lab.laboratory import Plan
from fenced.lab.programs import Program, run_short
from fenced.lab.rack import Outlet, Wiring
from fenced.lab.settings import HostPlace, Layout, ProxyPlace, write, write_agent
from fenced.proxy.certificates import make_authority, make_daemon, make_proxy


def layout(directory: Path, *, address: str, ports: tuple[int, ...], is_standby_separate: bool = False) -> Layout:
    wirings = [
        Wiring(
            host=f"node-{number}",
            outlets=(Outlet(unit="pdu-a", number=number), Outlet(unit="pdu-b", number=number)),
            is_standby_separate=is_standby_separate,
        )
        for number in (1, 2)
    ]
    return Layout(
        directory=directory,
        broker=Endpoint(address="127.0.0.1", port=1883),
        api=Endpoint(address="127.0.0.1", port=8470),
        units={"pdu-a": Endpoint(address="127.0.1.1", port=2300), "pdu-b": Endpoint(address="127.0.1.2", port=2300)},
        hosts=[
            HostPlace(
                wiring=wiring, address=address and f"{address}{n}", bmc=Endpoint(address=f"127.0.2.{n}", port=8000)
            )
            for n, wiring in enumerate(wirings, 1)
        ],
        proxies=[ProxyPlace(name="px-1", endpoint=Endpoint(address="127.0.3.1", port=8471))],
        black_hole=Endpoint(address="127.0.3.254", port=9),
        probe_ports=ports,
    )


@pytest.mark.parametrize(("address", "ports", "is_standby_separate"), [("10.83.0.1", (22,), False), ("", (), True)])
async def test_the_daemon_takes_the_labs_files(
    tmp_path: Path, address: str, ports: tuple[int, ...], is_standby_separate: bool
) -> None:
    place = layout(tmp_path, address=address, ports=ports, is_standby_separate=is_standby_separate)
    write(place)
    make_authority(place.certificates)
    make_daemon(place.certificates, name="fenced-lab")
    make_proxy(place.certificates, name="px-1", addresses=["127.0.0.1"])
    log = tmp_path / "log"
    await run_short(["check-config", str(place.configuration)], log=log)
    await run_short(["proxy", "--check", "-c", str(place.proxy_configuration("px-1"))], log=log)
    assert (tmp_path / "password").stat().st_mode & 0o077 == 0


def test_an_interpreter_with_a_space_in_its_path_still_runs_the_agent(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    python = tmp_path / "a place with spaces"
    python.symlink_to(sys.executable)
    monkeypatch.setattr(sys, "executable", str(python))
    assert write_agent(tmp_path).read_text().startswith(f"#!/bin/sh\nexec '{python}' -IS ")


@pytest.mark.parametrize(("hosts", "proxies"), [(1, 2), (21, 2), (3, 0), (3, 9)])
def test_a_plan_has_bounds(hosts: int, proxies: int) -> None:
    with pytest.raises(LabError, match="give"):
        Plan(hosts=hosts, proxies=proxies)


async def test_a_program_that_ends_by_itself_is_quoted(tmp_path: Path) -> None:
    program = await Program.start(PlainGround(), "certs", ["certs", "--no-such-option"], log=tmp_path / "log")
    with pytest.raises(LabError, match=r"(?s)ended by itself with exit status 2.*No such option"):
        await asyncio.wait_for(program.watch(), 20)
    await program.end()


async def test_a_short_program_that_fails_is_quoted(tmp_path: Path) -> None:
    with pytest.raises(LabError, match=r"(?s)certs init.*failed with exit status 2"):
        await run_short(["certs", "init", "--no-such-option"], log=tmp_path / "log")


async def test_a_program_is_ended(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(programs, "RUN", "import time; time.sleep(600)")
    program = await Program.start(PlainGround(), "run", ["run"], log=tmp_path / "log")
    await asyncio.wait_for(program.end(), 5)
    with pytest.raises(LabError, match="ended by itself"):
        await program.watch()
