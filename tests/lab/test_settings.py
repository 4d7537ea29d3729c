"""The lab's files, read by the programs for which they are written; and programs that end unexpectedly."""

import asyncio
import sys
import tomllib
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import pytest

from fenced.lab import database as lab_database
from fenced.lab import namespaces, programs
from fenced.lab.database import Database
from fenced.lab.errors import LabError
from fenced.lab.ground import Endpoint, PlainGround
from fenced.lab.laboratory import Plan
from fenced.lab.programs import Program, run_short
from fenced.lab.rack import Outlet, Wiring
from fenced.lab.settings import (
    CONTROLLERS,
    DAEMON,
    ControllerPlace,
    HostPlace,
    Layout,
    ProxyPlace,
    daemon_file,
    write,
    write_agent,
)
from fenced.proxy.certificates import make_authority, make_daemon, make_proxy


def place(name: str, port: int) -> ControllerPlace:
    api = Endpoint(address="127.0.0.1", port=port)
    return ControllerPlace(name=name, stem=name, inner=api, api=api)


def database(directory: Path) -> Database:
    """Return a database for files that name it; no server runs."""
    password_file = directory / "store.password"
    password_file.touch(mode=0o600)
    password_file.write_text("secret\n")
    return Database(
        programs=directory, folder=directory / "database", endpoint=Endpoint(address="127.0.0.1", port=5432),
        user=None, password_file=password_file,
    )  # fmt: skip


def layout(
    directory: Path,
    *,
    address: str,
    ports: tuple[int, ...],
    is_standby_separate: bool = False,
    names: Sequence[str] = (DAEMON,),
) -> Layout:
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
        controllers=[place(name, port) for port, name in enumerate(names, 8470)],
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
        is_broker_built_in=len(names) == 1,
        database=database(directory) if len(names) > 1 else None,
    )


@pytest.mark.parametrize(("address", "ports", "is_standby_separate"), [("10.83.0.1", (22,), False), ("", (), True)])
async def test_the_daemon_takes_the_labs_files(
    tmp_path: Path, address: str, ports: tuple[int, ...], is_standby_separate: bool
) -> None:
    lab = layout(tmp_path, address=address, ports=ports, is_standby_separate=is_standby_separate)
    await accepted(lab, tmp_path / "log")
    assert (tmp_path / "password").stat().st_mode & 0o077 == 0


async def accepted(lab: Layout, log: Path) -> None:
    """Write the files, and let each program check its own."""
    write(lab)
    make_authority(lab.certificates)
    make_proxy(lab.certificates, name="px-1", addresses=["127.0.0.1"])
    for controller in lab.controllers:
        make_daemon(lab.certificates, name=controller.name)
        await run_short(["check-config", str(lab.configuration(controller))], log=log)
    await run_short(["proxy", "--check", "-c", str(lab.proxy_configuration("px-1"))], log=log)


async def test_the_daemon_takes_the_files_of_a_lab_that_saves_power(tmp_path: Path) -> None:
    lab = replace(layout(tmp_path, address="10.83.0.1", ports=(22,)), is_saving=True)
    await accepted(lab, tmp_path / "log")
    saving = tomllib.loads(lab.configuration(lab.controllers[0]).read_text())["saving"]
    assert saving["enabled"] is True
    assert "saving" not in tomllib.loads(daemon_file(replace(lab, is_saving=False), lab.controllers[0]))


async def test_two_controllers_share_a_store_and_nothing_else(tmp_path: Path) -> None:
    lab = layout(tmp_path, address="", ports=(), names=CONTROLLERS)
    await accepted(lab, tmp_path / "log")
    first, second = (tomllib.loads(lab.configuration(each).read_text()) for each in lab.controllers)
    assert first["store"] == second["store"]
    assert [table for table in first if first[table] != second[table]] == ["daemon", "api", "proxy_client"]
    assert first["daemon"]["state_dir"] != second["daemon"]["state_dir"]
    allowed = tomllib.loads(lab.proxy_configuration("px-1").read_text())["proxy"]["allow"]
    assert allowed == [f"CN={name}" for name in CONTROLLERS]


def test_an_interpreter_with_a_space_in_its_path_still_runs_the_agent(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    python = tmp_path / "a place with spaces"
    python.symlink_to(sys.executable)
    monkeypatch.setattr(sys, "executable", str(python))
    assert write_agent(tmp_path).read_text().startswith(f"#!/bin/sh\nexec '{python}' -IS ")


@pytest.mark.parametrize(
    ("hosts", "proxies", "controllers"), [(1, 2, 1), (21, 2, 1), (3, 0, 1), (3, 9, 1), (3, 2, 0), (3, 2, 3)]
)
def test_a_plan_has_bounds(hosts: int, proxies: int, controllers: int) -> None:
    with pytest.raises(LabError, match="give"):
        Plan(hosts=hosts, proxies=proxies, controllers=controllers)


@pytest.mark.parametrize(("hosts", "controllers", "said"), [(3, 1, "give 4 or more"), (5, 9, "give 1 or 2")])
def test_a_plan_that_saves_has_more_of_them(hosts: int, controllers: int, said: str) -> None:
    with pytest.raises(LabError, match=said):
        Plan(hosts=hosts, controllers=controllers, is_saving=True)


def test_a_missing_database_is_reported_with_the_package_to_install(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(lab_database, "SERVERS", tmp_path)
    monkeypatch.setattr(namespaces, "SEARCHED", str(tmp_path))
    with pytest.raises(LabError, match="install the Debian package postgresql"):
        Plan(controllers=2)


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
