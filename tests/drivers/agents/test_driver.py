"""The fence-agent driver with well-behaved and misbehaving agents."""

import asyncio
import time
from pathlib import Path
from typing import Any

import pytest

from fenced.drivers.registry import DriverRegistry
from fenced.model.power import Power
from fenced.ports.devices import (
    BadParameters,
    DeviceError,
    DeviceTimedOut,
    DeviceUnreachable,
    LoginRefused,
    NotSupported,
    Started,
)
from tests.drivers.programs import METADATA, is_alive, make_agent, pid_in, spec_of, starts_into
from tests.net import PATIENCE_SECONDS, until

SPEC = spec_of()


async def read(registry: DriverRegistry, timeout_seconds: float = 10.0, **changes: Any) -> Power:
    spec = spec_of(**changes)
    return await registry.driver_for(spec.driver).read(spec, timeout_seconds=timeout_seconds)


@pytest.mark.parametrize(
    ("body", "power"),
    [
        ("echo 'Status: ON'; exit 0", Power.ON),
        ("exit 0", Power.ON),
        ("echo 'Status: OFF'; exit 2", Power.OFF),
        ("echo; echo ' status: off '; exit 2", Power.OFF),
        ("echo 'Status: OFF'; exit 0", Power.UNKNOWN),
        ("echo 'Status: ON'; exit 2", Power.UNKNOWN),
        ("head -c 1000000 /dev/zero | tr '\\0' x; echo; echo 'Status: OFF'; exit 2", Power.OFF),
        ("sleep 300 & echo 'Status: OFF'; exit 2", Power.OFF),
    ],
    ids=["on", "on-silent", "off", "off-blanks", "exit-0-off", "exit-2-on", "a-megabyte", "holds-its-pipes-open"],
)
async def test_a_status_is_read(registry: DriverRegistry, tmp_path: Path, body: str, power: Power) -> None:
    make_agent(tmp_path, body)
    assert await read(registry) is power


@pytest.mark.parametrize(
    ("body", "kind", "text"),
    [
        ("echo 'Usage: fence_made [options]' >&2; exit 2", BadParameters, "without saying `Status: OFF`"),
        ("echo 'the Status: OFF led is broken'; exit 2", DeviceError, "without saying"),
        ("echo 'Status: OFF' >&2; exit 2", DeviceError, "without saying"),
        ("exit 7", DeviceError, "exited 7"),
        ("kill -SEGV $$", DeviceError, "signal 11"),
        ("echo 'Unable to connect/login to fencing device' >&2; exit 1", DeviceUnreachable, "Unable to connect"),
        ("echo 'Failed: Unrecognised action status' >&2; exit 1", NotSupported, "Unrecognised"),
        ("echo 'Failed: You have to set login name' >&2; exit 1", BadParameters, "login name"),
        ("echo 'Connection timed out' >&2; exit 1", DeviceTimedOut, "Connection timed out"),
        ("echo 'HTTP 401 Unauthorized' >&2; exit 1", LoginRefused, "401"),
        ('echo "tried $parameters" >&2; exit 1', DeviceError, "password=\\*\\*\\*"),
    ],
)
async def test_a_failed_status_says_why_and_never_the_password(
    registry: DriverRegistry, tmp_path: Path, body: str, kind: type[DeviceError], text: str
) -> None:
    make_agent(tmp_path, body)
    with pytest.raises(DeviceError, match=text) as failed:
        await read(registry)
    assert type(failed.value) is kind
    assert "hunter2" not in str(failed.value)
    assert failed.value.is_end_known


async def test_an_agent_that_prints_nothing_is_off_by_a_person_s_statement_alone(
    registry: DriverRegistry, tmp_path: Path
) -> None:
    power = tmp_path / "power"
    make_agent(tmp_path, f"exit $(cat {power})")
    power.write_text("0")
    assert await read(registry, off_by_exit_status=True) is Power.ON
    power.write_text("2")
    with pytest.raises(DeviceError):
        await read(registry)
    assert await read(registry, off_by_exit_status=True) is Power.OFF


async def silent_and_seen_on(registry: DriverRegistry, directory: Path, silence: str) -> Path:
    """An agent that answered ON once and now prints this."""
    said = directory / "said"
    make_agent(directory, f". {said}")
    said.write_text("exit 0")
    assert await read(registry, off_by_exit_status=True) is Power.ON
    said.write_text(silence)
    return said


@pytest.mark.parametrize(
    "said",
    [
        "echo 'Usage: fence_made [options]' >&2; exit 2",
        "echo 'Usage: fence_made [options]'; exit 2",
        "echo; exit 2",
        "echo >&2; exit 2",
        "head -c 200000 /dev/zero | tr '\\0' x >&2; exit 2",
    ],
)
async def test_an_agent_that_says_anything_is_not_off_by_its_exit_status(
    registry: DriverRegistry, tmp_path: Path, said: str
) -> None:
    await silent_and_seen_on(registry, tmp_path, said)
    with pytest.raises(DeviceError):
        await read(registry, off_by_exit_status=True)


async def test_an_agent_that_contradicts_its_exit_status_is_unknown(registry: DriverRegistry, tmp_path: Path) -> None:
    await silent_and_seen_on(registry, tmp_path, "echo 'Status: ON'; exit 2")
    assert await read(registry, off_by_exit_status=True) is Power.UNKNOWN


@pytest.mark.parametrize(
    "changes",
    [{"options": {"plug": "8"}}, {"address": "192.0.2.2"}, {"username": "other"}, {"password": None}],
    ids=["plug", "address", "user", "password"],
)
async def test_an_agent_that_prints_nothing_is_off_only_after_the_same_call_answered_on(
    registry: DriverRegistry, tmp_path: Path, changes: dict[str, Any]
) -> None:
    """An agent that fails without output never answered ON. A way is one plug with exactly these parameters."""
    said = await silent_and_seen_on(registry, tmp_path, "exit 2")
    assert await read(registry, off_by_exit_status=True, **changes) is Power.UNKNOWN
    assert await read(registry, off_by_exit_status=True) is Power.OFF
    said.write_text("exit 0")
    assert await read(registry, off_by_exit_status=True, **changes) is Power.ON
    said.write_text("exit 2")
    assert await read(registry, off_by_exit_status=True, **changes) is Power.OFF


async def test_a_changed_agent_has_to_answer_on_once_more(registry: DriverRegistry, tmp_path: Path) -> None:
    await silent_and_seen_on(registry, tmp_path, "exit 2")
    assert await read(registry, off_by_exit_status=True) is Power.OFF
    make_agent(tmp_path, "exit 2")
    assert await read(registry, off_by_exit_status=True) is Power.UNKNOWN


async def test_an_unreviewed_agent_runs_only_with_a_persons_consent(registry: DriverRegistry, tmp_path: Path) -> None:
    path = make_agent(tmp_path, "echo 'Status: OFF'; exit 2")
    driver = registry.driver_for("fence_made")
    for call in (
        read(registry, cuts_power=False),
        driver.set(spec_of(cuts_power=False), Power.OFF, timeout_seconds=10, on_started=starts_into([])),
    ):
        with pytest.raises(BadParameters, match="not reviewed") as failed:
            await call
        assert not failed.value.may_be_done
    assert not Path(f"{path}.stdin").exists()
    assert not Path(f"{path}.asked").exists()
    assert await read(registry, cuts_power=True) is Power.OFF


@pytest.mark.parametrize("is_link", [True, False], ids=["link", "by its own word"])
async def test_cuts_power_does_not_help_an_agent_that_cuts_no_power(
    registry: DriverRegistry, tmp_path: Path, is_link: bool
) -> None:
    """Under any name: that of a link, or another name than the one in its metadata."""
    metadata = METADATA if is_link else METADATA.replace("fence_made", "fence_scsi")
    path = make_agent(tmp_path, "echo 'Status: OFF'; exit 2", name="fence_mine", metadata=metadata)
    if is_link:
        path.rename(tmp_path / "program")
        (tmp_path / "fence_sbd").symlink_to("program")
        path.symlink_to(tmp_path / "fence_sbd")
    with pytest.raises(BadParameters, match="does not cut power"):
        await read(registry, driver="fence_mine", cuts_power=True)


async def test_a_reviewed_name_is_no_review_of_another_agent_behind_it(
    registry: DriverRegistry, tmp_path: Path
) -> None:
    make_agent(tmp_path, "echo 'Status: ON'; exit 0", name="fence_ipmilan", metadata=METADATA)
    with pytest.raises(BadParameters, match="also called fence_made"):
        await read(registry, driver="fence_ipmilan", cuts_power=False)
    assert await read(registry, driver="fence_ipmilan", cuts_power=True) is Power.ON
    own = METADATA.replace("fence_made", "fence_apc")
    make_agent(tmp_path, "echo 'Status: ON'; exit 0", name="fence_apc", metadata=own)
    assert await read(registry, driver="fence_apc", cuts_power=False) is Power.ON


async def test_parameters_go_to_standard_input_and_nowhere_else(registry: DriverRegistry, tmp_path: Path) -> None:
    seen = "tr '\\0' '\\n' < /proc/$$/cmdline | grep -q hunter2 || env | grep -q hunter2"
    path = make_agent(tmp_path, f"{seen} && exit 0; echo 'Status: OFF'; exit 2")
    assert await read(registry) is Power.OFF
    written = Path(f"{path}.stdin").read_text().splitlines()
    assert written[0] == "action=status"
    assert "password=hunter2&co" in written


async def test_a_command_waits_for_its_start_to_be_durable(registry: DriverRegistry, tmp_path: Path) -> None:
    path = make_agent(tmp_path, "exit 0")
    seen: list[Started] = []
    driver = registry.driver_for("fence_made")
    await driver.set(SPEC, Power.OFF, timeout_seconds=10, on_started=starts_into(seen))
    assert len(seen) == 1
    assert "action=off" in Path(f"{path}.stdin").read_text()
    Path(f"{path}.stdin").unlink()

    async def full(_started: Started) -> None:
        raise OSError("no space left")

    with pytest.raises(OSError, match="no space"):
        await driver.set(SPEC, Power.OFF, timeout_seconds=10, on_started=full)
    assert not Path(f"{path}.stdin").exists()


@pytest.mark.parametrize(
    ("body", "may_be_done"), [("exit 1", True), ("exit 2", True), ("echo 'Status: OFF'; exit 2", True)]
)
async def test_a_command_that_failed_may_have_been_done(
    registry: DriverRegistry, tmp_path: Path, body: str, may_be_done: bool
) -> None:
    make_agent(tmp_path, body)
    with pytest.raises(DeviceError) as failed:
        await registry.driver_for("fence_made").set(SPEC, Power.OFF, timeout_seconds=10, on_started=starts_into([]))
    assert failed.value.may_be_done is may_be_done
    assert failed.value.is_end_known


async def test_at_the_deadline_a_command_and_all_that_it_started_are_dead(
    registry: DriverRegistry, tmp_path: Path
) -> None:
    written = tmp_path / "pid"
    make_agent(tmp_path, f"(setsid env -i /bin/sh -c 'echo $$ > {written}; sleep 300' &); trap '' TERM; sleep 300")
    await registry.agents.metadata("fence_made")
    began = time.monotonic()
    with pytest.raises(DeviceTimedOut) as failed:
        await registry.driver_for("fence_made").set(SPEC, Power.OFF, timeout_seconds=0.5, on_started=starts_into([]))
    assert time.monotonic() - began < 0.5 + PATIENCE_SECONDS, "it sleeps for minutes"
    assert failed.value.may_be_done
    assert failed.value.is_end_known
    left = pid_in(written)
    assert left is not None
    assert not is_alive(left)


@pytest.mark.parametrize("metadata", ["", "no metadata here", "<html/>"])
async def test_an_agent_without_usable_metadata_is_used_under_standard_names(
    registry: DriverRegistry, tmp_path: Path, metadata: str
) -> None:
    path = make_agent(tmp_path, "exit 0", metadata=metadata)
    assert await read(registry) is Power.ON
    assert "ip=192.0.2.1" in Path(f"{path}.stdin").read_text()


async def test_an_agent_that_hangs_on_metadata_still_gets_half_of_the_time(
    registry: DriverRegistry, tmp_path: Path
) -> None:
    path = tmp_path / "fence_made"
    path.write_text("#!/bin/sh\ngrep -q action=metadata && exec sleep 300\nexit 0\n")
    path.chmod(0o755)
    async with asyncio.TaskGroup() as tasks:
        reads = [tasks.create_task(read(registry, 2.0), name=f"read {number}") for number in range(3)]
    assert [task.result() for task in reads] == [Power.ON] * 3


async def test_an_agent_without_the_action_is_not_started(registry: DriverRegistry, tmp_path: Path) -> None:
    metadata = "<resource-agent><parameters><parameter name='ip'/></parameters><actions><action name='off'/></actions>"
    path = make_agent(tmp_path, "exit 0", metadata=metadata + "</resource-agent>")
    with pytest.raises(NotSupported, match="no action `status`") as failed:
        await read(registry)
    assert failed.value.may_be_done is False
    assert not Path(f"{path}.stdin").exists()


async def test_the_first_file_along_the_path_is_the_agent(registry: DriverRegistry, tmp_path: Path) -> None:
    make_agent(tmp_path, "exit 0", name="fence_dummy")
    assert await read(registry, driver="fence_dummy") is Power.ON
    (tmp_path / "fence_dummy").chmod(0o644)
    with pytest.raises(BadParameters, match="not an executable file"):
        await read(registry, driver="fence_dummy")


@pytest.mark.parametrize("name", ["fence_../bin/sh", "fence_", "fence_no_such_agent", "fence_a b"])
async def test_what_is_no_installed_agent_is_refused(registry: DriverRegistry, name: str) -> None:
    with pytest.raises(BadParameters) as failed:
        await read(registry, driver=name)
    assert failed.value.may_be_done is False


@pytest.mark.parametrize("name", ["idrac", "sh", ""])
async def test_an_unknown_driver_is_refused(registry: DriverRegistry, name: str) -> None:
    with pytest.raises(BadParameters, match="no driver"):
        registry.driver_for(name)


async def test_a_cancelled_command_leaves_nothing_running(registry: DriverRegistry, tmp_path: Path) -> None:
    written = tmp_path / "pid"
    make_agent(tmp_path, f"echo $$ > {written}; sleep 300")
    driver = registry.driver_for("fence_made")
    seen: list[Started] = []
    async with asyncio.TaskGroup() as tasks:
        running = tasks.create_task(
            driver.set(SPEC, Power.OFF, timeout_seconds=60, on_started=starts_into(seen)), name="set"
        )
        await until(lambda: pid_in(written) is not None)
        running.cancel()
        with pytest.raises(asyncio.CancelledError):
            await running
    assert not is_alive(seen[0].pid)
