"""Floors on a proxy's disk and in its calls: what they refuse, and what an answer to a raised one reports (S21)."""

import asyncio
import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from fenced.model.inventory import DeviceSpec
from fenced.model.names import PlugId, Token
from fenced.model.power import Power, What
from fenced.ports.devices import CommandRefused, OnStarted, ProxyRefused, Started
from fenced.proxy.calls import Calls
from fenced.proxy.clock import ProxyClock
from fenced.proxy.floors import EPOCH_JUMP_MAX, FLOORS_MAX, Floor, Raised
from fenced.proxy.protocol import UNDER_WAY_MAX, Call, FloorAnswer, RaiseFloor, WireDevice, WirePermit
from fenced.proxy.schema import SCHEMA_VERSION
from fenced.proxy.state import Claim, Denial, ProxyState, StateError
from fenced.proxy.tokens import TokenMemory
from tests.net import until
from tests.proxy.devices import FileDriver, device, log, note

PLUG = PlugId("pdu 1/7")
OLD_STORE = Path(__file__).parent / "states" / "1.sql"
OLD_STORE_ID = "5f0c2f0e-8a0b-4c1a-9d55-2f1c6d1b7a01"


def claim(
    epoch: int, sequence: int = 1, *, plug: str = PLUG, store: str = "s", shard: str = "main", holder: str = ""
) -> Claim:
    return Claim(
        store=store, shard=shard, holder=holder, plug_id=PlugId(plug), token=Token(epoch=epoch, sequence=sequence),
        what=What.OFF, not_after=100.0,
    )  # fmt: skip


def raise_floor(
    state: ProxyState, epoch: int, holder: str = "a", *, store: str = "s", shard: str = "main", is_first: bool = True
) -> Raised:
    with state.transaction():
        return state.raise_floor(store, shard, epoch, holder, is_first=is_first, now=0.0, acting_max=10)


def claimed(state: ProxyState, claim: Claim) -> Denial | None:
    with state.transaction():
        return state.claim(claim)


@contextmanager
def opened(directory: Path) -> Iterator[ProxyState]:
    with ProxyState(directory, machine_boot="boot") as state:
        yield state


# -- on disk ----------------------------------------------------------------------------------------------------------


def test_a_command_below_the_floor_is_refused_for_every_plug_also_after_a_restart(tmp_path: Path) -> None:
    with opened(tmp_path) as state:
        assert raise_floor(state, 5).floor == Floor(store="s", shard="main", epoch=5, holder="a", since=4)
    with opened(tmp_path) as state:
        denial = claimed(state, claim(4, holder="b"))
        assert denial is not None and not denial.is_proxys_own, "every other proxy would refuse it, too"
        assert "took over at epoch 5" in denial.why and "--forget-plug 'pdu 1/7'" in denial.why
        assert claimed(state, claim(5, plug="another", holder="a")) is None


def test_a_claim_raises_the_floor_and_a_refused_one_does_not(tmp_path: Path) -> None:
    with opened(tmp_path) as state:
        assert claimed(state, claim(5, holder="a")) is None
        assert state.floors["s", "main"] == Floor(store="s", shard="main", epoch=5, holder="a", since=5)
        assert claimed(state, claim(5, holder="a")) is not None, "not above the highest of its plug"
        assert claimed(state, claim(6 + EPOCH_JUMP_MAX, 1, holder="a")) is not None
        assert state.floors["s", "main"].epoch == 5
        denial = claimed(state, claim(4, plug="another"))
        assert denial is not None and "epoch 4 is over" in denial.why
        assert claimed(state, claim(6, holder="b")) is None
        assert state.floors["s", "main"] == Floor(store="s", shard="main", epoch=6, holder="b", since=5)


def test_an_equal_epoch_belongs_to_one_holder(tmp_path: Path) -> None:
    with opened(tmp_path) as state:
        raise_floor(state, 5, "a")
        denial = claimed(state, claim(5, holder="b"))
        assert denial is not None and "another controller holds epoch 5" in denial.why and not denial.is_proxys_own
        refused = raise_floor(state, 5, "b")
        assert refused.why and refused.floor is not None and refused.floor.holder == "a"
        assert claimed(state, claim(5, 1, holder="")) is None, "an older daemon names no holder"
        assert claimed(state, claim(5, 2, holder="a")) is None
        assert state.floors["s", "main"].holder == "a"


def test_the_first_holder_that_is_named_has_the_epoch(tmp_path: Path) -> None:
    with opened(tmp_path) as state:
        assert claimed(state, claim(5, 1)) is None
        assert claimed(state, claim(5, 2, holder="a")) is None
        assert claimed(state, claim(5, 3, holder="b")) is not None
        assert claimed(state, claim(6, 1)) is None
        assert state.floors["s", "main"].holder == "", "the holder of epoch 5 is not the one of epoch 6"


def test_each_shard_has_a_floor_of_its_own(tmp_path: Path) -> None:
    with opened(tmp_path) as state:
        raise_floor(state, 9, shard="east")
        assert claimed(state, claim(4, shard="west")) is None
        assert claimed(state, claim(4, plug="another", shard="east")) is not None
        assert {shard: floor.epoch for (_, shard), floor in state.floors.items()} == {"east": 9, "west": 4}


def test_a_floor_of_an_unknown_store_is_kept_and_adopts_nothing(tmp_path: Path) -> None:
    with opened(tmp_path) as state:
        assert raise_floor(state, 9, store="t").why == ""
        assert state.store() is None
        assert claimed(state, claim(4)) is None, "the first command adopts its store"
        assert state.store() == "s"
        assert "--adopt-store t" in raise_floor(state, 10, store="t").why
        assert state.floors["t", "main"].epoch == 9


def test_a_raise_repeated_is_an_echo_and_a_lower_one_is_none(tmp_path: Path) -> None:
    with opened(tmp_path) as state:
        first = raise_floor(state, 5)
        assert raise_floor(state, 5, is_first=False) == first
        late = raise_floor(state, 4, "b")
        assert late.why and late.floor == first.floor and late.acting == ()


def test_a_reboot_during_a_command_leaves_its_end_unproven(tmp_path: Path) -> None:
    with opened(tmp_path) as state:
        for shard in ("east", "west"):
            raise_floor(state, 5, shard=shard)
        claimed(state, claim(5, shard="east", holder="a"))
    for _ in range(2):
        with ProxyState(tmp_path, machine_boot="another boot") as state:
            with state.transaction():
                assert state.unfinished() == []
            assert {shard: floor.since for (_, shard), floor in state.floors.items()} == {"east": 5, "west": 4}


def test_no_floor_closes_a_proxy_for_good(tmp_path: Path) -> None:
    with opened(tmp_path) as state:
        claimed(state, claim(4))
        for epoch in (10**9 + 1, 5 + EPOCH_JUMP_MAX):
            assert raise_floor(state, epoch).why
        assert claimed(state, claim(4, 2)) is None
        assert raise_floor(state, 4 + EPOCH_JUMP_MAX).why == ""
        assert raise_floor(state, 6 + 2 * EPOCH_JUMP_MAX).why, "it counts from the floor, too"


def test_a_floor_from_before_the_first_command_bounds_the_first_token(tmp_path: Path) -> None:
    with opened(tmp_path) as state:
        raise_floor(state, 5)
        denial = claimed(state, claim(6 + EPOCH_JUMP_MAX))
        assert denial is not None and denial.is_proxys_own


def test_forgetting_a_plug_lowers_the_floor_that_its_token_raised(tmp_path: Path) -> None:
    with opened(tmp_path) as state:
        claimed(state, claim(4, plug="another", holder="a"))
        claimed(state, claim(900_000, holder="stranger"))
        assert claimed(state, claim(4, 2, plug="another", holder="a")) is not None
        with state.transaction():
            assert state.forget_plug(PLUG, now=0.0) is not None
        assert claimed(state, claim(3, plug="third")) is not None, "what the other plugs saw still counts"
        assert claimed(state, claim(4, 2, plug="another", holder="a")) is None
        assert claimed(state, claim(4, 3, holder="a")) is None


def test_floors_are_bounded_and_those_of_the_store_stay(tmp_path: Path) -> None:
    with opened(tmp_path) as state:
        for number in range(FLOORS_MAX):
            assert raise_floor(state, 4, store=f"s{number}").why == ""
        assert "its maximum" in raise_floor(state, 4, store="one more").why
        denial = claimed(state, claim(4, store="yet another"))
        assert denial is not None and denial.is_proxys_own and state.store() is None
        assert claimed(state, claim(4, store="s7")) is None
        assert raise_floor(state, 5, store="s7", shard="east").why == "", "floors of other stores make room"
        assert {store for store, _ in state.floors} == {"s7"}


def test_a_floor_that_the_disk_refused_is_not_kept_in_memory(tmp_path: Path) -> None:
    class Failing(ProxyState):
        @contextmanager
        def transaction(self) -> Iterator[None]:
            with super().transaction():
                yield
                raise sqlite3.OperationalError("disk I/O error")

    with opened(tmp_path) as state:
        raise_floor(state, 5)
    with Failing(tmp_path, machine_boot="boot") as failing:
        with pytest.raises(StateError, match="can't be written"):
            raise_floor(failing, 6)
        assert failing.floors["s", "main"].epoch == 5
    with opened(tmp_path) as state:
        assert state.floors["s", "main"].epoch == 5


def test_a_floor_whose_commit_failed_is_not_in_force(tmp_path: Path) -> None:
    with opened(tmp_path) as state:
        raise_floor(state, 5)
    state = ProxyState(tmp_path, machine_boot="boot")
    reader = sqlite3.connect(tmp_path / "proxy.db", isolation_level=None)
    try:
        state._connection.execute("PRAGMA journal_mode = DELETE")
        state._connection.execute("PRAGMA busy_timeout = 0")
        reader.execute("BEGIN")
        reader.execute("SELECT * FROM floor").fetchall()
        with pytest.raises(StateError, match="locked"):
            raise_floor(state, 6)
        assert state.floors["s", "main"].epoch == 5
    finally:
        reader.close()
        state.close()


# -- a database of schema 1 -------------------------------------------------------------------------------------------


def old_state(directory: Path) -> Path:
    directory.mkdir(exist_ok=True)
    path = directory / "proxy.db"
    with sqlite3.connect(path) as connection:
        connection.executescript(OLD_STORE.read_text(encoding="utf-8"))
    connection.close()
    return path


def schema_of(path: Path) -> int:
    connection = sqlite3.connect(path)
    try:
        return int(connection.execute("PRAGMA user_version").fetchone()[0])
    finally:
        connection.close()


def test_a_database_of_schema_1_is_migrated_with_all_that_it_knows(tmp_path: Path) -> None:
    path = old_state(tmp_path)
    with opened(tmp_path) as state:
        assert schema_of(path) == SCHEMA_VERSION
        assert state.agent_id() == "proxy-5d081108c69a412aa271b734c219339e"
        assert state.floors == {}, "a far too high token of one plug must not close the others"
        assert state.highest(PlugId("pdu-a 1")) == Token(epoch=4, sequence=7)
        assert {command.plug_id: command.started for command in state.unfinished()} == {
            "pdu-a 1": Started(pid=42, pid_started="then"), "pdu-a 2": None, "pdu-z 1": None,
        }  # fmt: skip
        raised = raise_floor(state, 6, store=OLD_STORE_ID)
        assert {(it.plug_id, str(it.token)) for it in raised.acting} == {("pdu-a 1", "4-7"), ("pdu-a 2", "5-1")}
        assert raised.floor is not None and raised.floor.since == 5
    with opened(tmp_path) as state:
        assert state.floors[OLD_STORE_ID, "main"].epoch == 6


def test_a_command_beside_an_older_agent_leaves_its_schema_alone(tmp_path: Path) -> None:
    path = old_state(tmp_path)
    with ProxyState(tmp_path, machine_boot="boot", is_owner=False) as beside:
        assert beside.store() == OLD_STORE_ID
        with beside.transaction():
            beside.adopt("new-store")
    assert schema_of(path) == 1
    with opened(tmp_path) as state:
        assert state.store() == "new-store" and schema_of(path) == SCHEMA_VERSION


# -- calls ------------------------------------------------------------------------------------------------------------


class HeldDriver(FileDriver):
    """Waits for the test before it reports its process and before it acts."""

    def __init__(self) -> None:
        self.may_report, self.may_act = asyncio.Event(), asyncio.Event()
        self.may_report.set()

    async def set(self, spec: DeviceSpec, power: Power, *, timeout_seconds: float, on_started: OnStarted) -> None:
        note(Path(spec.address), "process started")
        await self.may_report.wait()
        await on_started(Started(pid=4242, pid_started="then"))
        note(Path(spec.address), f"{power.value} started")
        await self.may_act.wait()
        note(Path(spec.address), f"{power.value} done")


class Site:
    """The calls of an agent over a real state, without HTTP."""

    def __init__(self, memory: TokenMemory, driver: FileDriver) -> None:
        self.clock, self.memory = ProxyClock(), memory
        self.calls = Calls(memory=memory, driver_for=lambda _: driver, agent_processes_max=4, clock=self.clock)

    async def off(self, spec: DeviceSpec, token: str, *, shard: str = "main", holder: str = "a") -> None:
        permit = WirePermit(token=token, boot=self.clock.life, not_after=self.clock.now() + 60)
        call = Call(
            id=token, store="s", device=WireDevice.of(spec), what=What.OFF, timeout=20.0, permit=permit, shard=shard,
            holder=holder,
        )  # fmt: skip
        await self.calls.command(call, permit, spec)

    async def raise_floor(self, epoch: int, holder: str = "b", *, shard: str = "main") -> FloorAnswer:
        wanted = RaiseFloor(store="s", shard=shard, epoch=epoch, holder=holder, is_first=True)
        return await self.calls.raise_floor(wanted)


def highest(directory: Path, plug_id: PlugId) -> Token | None:
    with ProxyState(directory, machine_boot="any", is_owner=False) as beside:
        return beside.highest(plug_id)


@pytest.fixture
def memory(tmp_path: Path) -> Iterator[TokenMemory]:
    with TokenMemory(ProxyState(tmp_path / "state", machine_boot="boot")) as opened:
        yield opened


async def test_a_command_that_waits_for_its_plug_is_compared_again(memory: TokenMemory, tmp_path: Path) -> None:
    driver, spec = HeldDriver(), device(tmp_path / "bmc")
    site = Site(memory, driver)
    first = asyncio.ensure_future(site.off(spec, "4-1"))
    await until(lambda: log(tmp_path / "bmc") == ["process started", "off started"])
    waiting = asyncio.ensure_future(site.off(spec, "4-2"))
    await until(lambda: highest(tmp_path / "state", spec.plug_id) == Token(epoch=4, sequence=2))
    echo = await site.raise_floor(5)
    assert echo.is_raised and echo.is_whole
    assert {it.token for it in echo.under_way} == {"4-1", "4-2"} and {it.plug for it in echo.under_way} == {
        spec.plug_id
    }
    assert all(50 < it.not_after_seconds <= 60 for it in echo.under_way)
    driver.may_act.set()
    await first
    with pytest.raises(CommandRefused, match=r"took over at epoch 5.*while the command waited") as refused:
        await waiting
    assert not isinstance(refused.value, ProxyRefused) and not refused.value.may_be_done
    assert log(tmp_path / "bmc") == ["process started", "off started", "off done"]
    assert (await site.raise_floor(5)).under_way == (), "both have ended"


async def test_an_agent_gets_no_parameters_once_the_floor_rose(memory: TokenMemory, tmp_path: Path) -> None:
    driver, spec = HeldDriver(), device(tmp_path / "bmc")
    driver.may_report.clear()
    site = Site(memory, driver)
    command = asyncio.ensure_future(site.off(spec, "4-1"))
    await until(lambda: log(tmp_path / "bmc") == ["process started"])
    assert (await site.raise_floor(5)).is_raised
    driver.may_report.set()
    with pytest.raises(CommandRefused, match="took over at epoch 5"):
        await command
    assert log(tmp_path / "bmc") == ["process started"]


async def test_a_floor_of_another_shard_stops_no_command(memory: TokenMemory, tmp_path: Path) -> None:
    driver, spec = HeldDriver(), device(tmp_path / "bmc")
    driver.may_report.clear()
    site = Site(memory, driver)
    command = asyncio.ensure_future(site.off(spec, "4-1", shard="east"))
    await until(lambda: log(tmp_path / "bmc") == ["process started"])
    assert (await site.raise_floor(5, shard="west")).under_way == ()
    driver.may_report.set()
    driver.may_act.set()
    await command
    assert log(tmp_path / "bmc")[-1] == "off done"


async def test_an_answer_says_whether_the_floor_was_raised(memory: TokenMemory) -> None:
    site = Site(memory, FileDriver())
    assert (await site.raise_floor(5, "b")).is_raised
    for epoch, holder in ((4, "a"), (5, "a")):
        answer = await site.raise_floor(epoch, holder)
        assert (answer.is_raised, answer.is_whole, answer.epoch, answer.holder) == (False, False, 5, "b")
        assert answer.why


async def test_more_commands_than_fit_are_reported_as_not_all(memory: TokenMemory, tmp_path: Path) -> None:
    site, spec = Site(memory, FileDriver()), device(tmp_path / "bmc")
    now = site.clock.now()
    for length, count in ((900, UNDER_WAY_MAX // 4), (10, UNDER_WAY_MAX)):
        claims = [
            Claim(
                store="s", shard=f"shard-{length}", plug_id=PlugId(f"{number:04}".ljust(length, "é")),
                token=Token(epoch=4, sequence=1), what=What.OFF, not_after=now + 60 + number,
            )
            for number in range(count)
        ]  # fmt: skip
        assert set(await asyncio.gather(*(memory.claim(it) for it in claims))) == {None}
    long, short = await site.raise_floor(5, shard="shard-900"), await site.raise_floor(5, shard="shard-10")
    assert not long.is_whole and 10 < len(long.under_way) < UNDER_WAY_MAX // 4
    assert len(long.model_dump_json().encode()) < 64 * 1024
    assert short.is_whole and len(short.under_way) == UNDER_WAY_MAX
    assert len(short.model_dump_json().encode()) < 64 * 1024
    assert log(Path(spec.address)) == []
