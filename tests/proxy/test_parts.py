"""The proxy agent's parts in isolation: its database, its slots and the protocol."""

import asyncio
import sqlite3
from collections.abc import Sequence
from dataclasses import fields
from pathlib import Path

import pytest

from fenced.model.inventory import DeviceSpec, Secret, Tls
from fenced.model.names import PlugId, Token, UnitId
from fenced.model.power import What
from fenced.ports.devices import CommandRefused, Started
from fenced.proxy.calls import Calls
from fenced.proxy.clock import ProxyClock
from fenced.proxy.protocol import Call, WireDevice, WirePermit
from fenced.proxy.slots import Rank, Slots, Ticket
from fenced.proxy.state import Claim, ProxyState, StateError
from fenced.proxy.tokens import TokenMemory
from tests.proxy.devices import device, driver_for, log

# -- the wire ---------------------------------------------------------------------------------------------------------


def test_all_that_a_device_says_travels_to_a_proxy() -> None:
    """No field has its default here, so that a field that is lost on the way is noticed."""
    spec = DeviceSpec(
        driver="redfish", plug_id=PlugId("p"), unit_id=UnitId("u"), address="https://bmc", username="fence",
        password=Secret("pass-1"), options={"system": "1", "check_manager": False, "n": 7}, nodename="node-1",
        off_by_exit_status=True, sessions=2, secrets=(("kg", Secret("kg-1")),), credential="bmc", identity="4c",
        cuts_power=True, check_ready=False, tls=Tls.LEGACY,
    )  # fmt: skip
    plain = DeviceSpec(driver="", plug_id=PlugId(""), unit_id=UnitId(""))
    assert not [field.name for field in fields(spec) if getattr(spec, field.name) == getattr(plain, field.name)]
    assert WireDevice.model_validate_json(WireDevice.of(spec).model_dump_json()).spec() == spec


# -- state and token memory -------------------------------------------------------------------------------------------


def claim(sequence: int, *, plug: str = "p", store: str = "s", not_after: float = 100.0) -> Claim:
    token = Token(epoch=4, sequence=sequence)
    return Claim(store=store, plug_id=PlugId(plug), token=token, what=What.OFF, not_after=not_after)


async def test_accepted_tokens_are_known_after_a_restart_of_the_agent(tmp_path: Path) -> None:
    with TokenMemory(ProxyState(tmp_path, machine_boot="boot")) as memory:
        assert await memory.store() is None
        assert await memory.claim(claim(1)) is None
        assert await memory.claim(claim(2, plug="q", not_after=50.0)) is None
        assert await memory.claim(claim(3, plug="r")) is None
        await memory.started(PlugId("p"), Token(epoch=4, sequence=1), Started(pid=42, pid_started="then"))
        await memory.ended(PlugId("r"), Token(epoch=4, sequence=3))
    with TokenMemory(ProxyState(tmp_path, machine_boot="boot")) as memory:
        assert await memory.store() == "s"
        denial = await memory.claim(claim(1))
        assert denial is not None and not denial.is_proxys_own
        assert denial.why.startswith("token 4-1 is not above 4-1, the highest seen for this plug")
        found = {command.plug_id: command for command in await memory.unfinished(now=60.0)}
        assert found[PlugId("p")].started == Started(pid=42, pid_started="then")
        assert found[PlugId("q")].started is None
        assert set(found) == {"p", "q"}
        assert [command.plug_id for command in await memory.unfinished(now=60.0)] == ["p"]
    with TokenMemory(ProxyState(tmp_path, machine_boot="another boot")) as memory:
        assert await memory.unfinished(now=60.0) == []
        assert await memory.claim(claim(1)) is not None


async def test_many_claims_at_once_are_all_kept(tmp_path: Path) -> None:
    with TokenMemory(ProxyState(tmp_path, machine_boot="boot")) as memory:
        plugs = [f"plug {number}" for number in range(1000)]
        assert set(await asyncio.gather(*(memory.claim(claim(1, plug=plug)) for plug in plugs))) == {None}
        whys = await asyncio.gather(*(memory.claim(claim(1, plug=plug)) for plug in plugs))
        assert None not in whys


async def test_of_equal_tokens_at_once_one_is_accepted(tmp_path: Path) -> None:
    with TokenMemory(ProxyState(tmp_path, machine_boot="boot")) as memory:
        whys = await asyncio.gather(*(memory.claim(claim(7)) for _ in range(20)))
        assert whys.count(None) == 1


def test_adopting_a_store_forgets_the_tokens_of_the_other(tmp_path: Path) -> None:
    with ProxyState(tmp_path, machine_boot="boot") as state:
        agent_id = state.agent_id()
        with state.transaction():
            assert state.claim(claim(9)) is None
            denial = state.claim(claim(1, store="t"))
            assert denial is not None and "obeys store 's'" in denial.why
            state.adopt("t")
            assert state.claim(claim(1, store="t")) is None
            state.adopt("t")
            assert state.claim(claim(1, store="t")) is not None
    with ProxyState(tmp_path, machine_boot="boot") as state:
        assert state.agent_id() == agent_id


async def test_a_token_of_an_adopted_store_ends_no_command_of_the_store_before(tmp_path: Path) -> None:
    """Both stores count from one, and commands of the first may still act."""
    with TokenMemory(ProxyState(tmp_path, machine_boot="boot")) as memory:
        await memory.claim(claim(1))
    with ProxyState(tmp_path, machine_boot="boot") as state, state.transaction():
        state.adopt("t")
    with TokenMemory(ProxyState(tmp_path, machine_boot="boot")) as memory:
        assert await memory.claim(claim(1, store="t", not_after=50.0)) is None
        await memory.ended(PlugId("p"), Token(epoch=4, sequence=1))
        assert [command.not_after for command in await memory.unfinished(now=0.0)] == [100.0]


async def test_damage_refuses_and_leaves_nothing_behind(tmp_path: Path) -> None:
    with TokenMemory(ProxyState(tmp_path, machine_boot="boot")) as memory:
        assert await memory.claim(claim(1)) is None
        with sqlite3.connect(tmp_path / "proxy.db") as other:
            other.execute("ALTER TABLE command RENAME TO lost")
        other.close()
        with pytest.raises(StateError, match=r"proxy\.db: can't be written"):
            await memory.claim(claim(2))
        with sqlite3.connect(tmp_path / "proxy.db") as other:
            other.execute("ALTER TABLE lost RENAME TO command")
        other.close()
        assert await memory.claim(claim(2)) is None
    with pytest.raises(StateError, match="stopping"):
        await memory.claim(claim(3))


def test_a_state_file_that_cannot_be_used_is_refused_with_a_reason(tmp_path: Path) -> None:
    with (
        ProxyState(tmp_path / "held", machine_boot="boot"),
        pytest.raises(StateError, match=r"another proxy agent \(process \d+\)"),
    ):
        ProxyState(tmp_path / "held", machine_boot="boot")
    (tmp_path / "damaged").mkdir()
    (tmp_path / "damaged" / "proxy.db").write_bytes(b"not a database, and long enough to be looked at" * 100)
    with pytest.raises(StateError, match="damaged"):
        ProxyState(tmp_path / "damaged", machine_boot="boot")
    ProxyState(tmp_path / "newer", machine_boot="boot").close()
    with sqlite3.connect(tmp_path / "newer" / "proxy.db") as other:
        other.execute("PRAGMA user_version = 99")
    other.close()
    with pytest.raises(StateError, match="written by a newer fenced"):
        ProxyState(tmp_path / "newer", machine_boot="boot")
    (tmp_path / "file").write_text("")
    with pytest.raises(StateError, match="can't be opened"):
        ProxyState(tmp_path / "file", machine_boot="boot")


# -- calls after a restart --------------------------------------------------------------------------------------------


async def test_a_plug_is_closed_until_the_not_after_of_an_earlier_life(tmp_path: Path) -> None:
    clock = ProxyClock()
    closed_until = clock.now() + 1.0
    spec = device(tmp_path / "bmc")
    with TokenMemory(ProxyState(tmp_path, machine_boot="boot")) as memory:
        await memory.claim(claim(1, plug=spec.plug_id, not_after=closed_until))
    with TokenMemory(ProxyState(tmp_path, machine_boot="boot")) as memory:
        calls = Calls(memory=memory, driver_for=driver_for, agent_processes_max=4, clock=clock)
        assert await calls.settle_survivors(kill_nothing) == 1
        for sequence, timeout in ((2, 0.2), (3, 10.0)):
            permit = WirePermit(token=f"4-{sequence}", boot=clock.life, not_after=clock.now() + timeout)
            call = Call(id="1", store="s", device=WireDevice.of(spec), what=What.OFF, timeout=timeout, permit=permit)
            if timeout < 1.0:
                with pytest.raises(CommandRefused, match="restart may still act"):
                    await calls.command(call, permit, call.device.spec())
                assert clock.now() < closed_until
            else:
                await calls.command(call, permit, call.device.spec())
                assert clock.now() > closed_until
        assert [command.token.sequence for command in await memory.unfinished(now=clock.now())] == [1]
        assert await memory.unfinished(now=clock.now()) == []
    assert log(tmp_path / "bmc") == ["off started", "off done"]


async def kill_nothing(processes: Sequence[Started]) -> None:
    """No process was recorded."""
    assert list(processes) == []


# -- slots ------------------------------------------------------------------------------------------------------------


class Queue:
    """Takes slots in tasks of the test's group, and records the order of turns."""

    def __init__(self, slots: Slots, tasks: asyncio.TaskGroup) -> None:
        self.slots = slots
        self.tasks = tasks
        self.turns: list[str] = []
        self.tickets: dict[str, Ticket] = {}

    def take(self, name: str, rank: Rank, *, plug: str = "", unit: str = "", sessions: int = 99) -> asyncio.Task[None]:
        async def wait() -> None:
            ticket = await self.slots.take(
                rank=rank, plug_id=PlugId(plug or name), unit_id=UnitId(unit or name), sessions=sessions
            )
            self.turns.append(name)
            self.tickets[name] = ticket

        return self.tasks.create_task(wait(), name=name)

    async def give_back(self, name: str) -> None:
        self.slots.give_back(self.tickets.pop(name))
        await settle()


async def settle() -> None:
    """Run the loop until every task waits."""
    for _ in range(5):
        await asyncio.sleep(0)


async def test_off_goes_before_on_before_reads() -> None:
    async with asyncio.TaskGroup() as tasks:
        queue = Queue(Slots(slots_max=1), tasks)
        for name, rank in (("first", Rank.READ), ("read", Rank.READ), ("on", Rank.ON), ("off", Rank.OFF)):
            queue.take(name, rank)
            await settle()
        for name in ("first", "off", "on", "read"):
            assert queue.turns[-1] == name
            await queue.give_back(name)


async def test_a_unit_gets_no_more_than_its_sessions_and_delays_no_other_unit() -> None:
    async with asyncio.TaskGroup() as tasks:
        queue = Queue(Slots(slots_max=4), tasks)
        for name in ("a1", "a2", "a3"):
            queue.take(name, Rank.OFF, unit="a", sessions=2)
        queue.take("b", Rank.READ, unit="b", sessions=2)
        await settle()
        assert queue.turns == ["a1", "a2", "b"]
        await queue.give_back("b")
        assert queue.turns == ["a1", "a2", "b"]
        await queue.give_back("a1")
        assert queue.turns == ["a1", "a2", "b", "a3"]


async def test_failing_plugs_hold_half_of_the_slots_and_each_one() -> None:
    async with asyncio.TaskGroup() as tasks:
        slots = Slots(slots_max=4)
        queue = Queue(slots, tasks)
        for plug in ("x", "y", "z"):
            slots.note(PlugId(plug), is_failing=True)
        for name, plug in (("x1", "x"), ("x2", "x"), ("y", "y"), ("z", "z"), ("good", "good")):
            queue.take(name, Rank.OFF, plug=plug)
        await settle()
        assert queue.turns == ["x1", "y", "good"]
        slots.note(PlugId("x"), is_failing=False)
        await queue.give_back("x1")
        assert queue.turns == ["x1", "y", "good", "x2", "z"]


async def test_a_cancelled_waiter_keeps_no_slot() -> None:
    async with asyncio.TaskGroup() as tasks:
        queue = Queue(Slots(slots_max=1), tasks)
        queue.take("first", Rank.READ)
        gone = queue.take("gone", Rank.OFF)
        late = queue.take("late", Rank.OFF)
        queue.take("next", Rank.READ)
        await settle()
        gone.cancel()
        queue.slots.give_back(queue.tickets.pop("first"))
        late.cancel()  # at the moment of its turn
        await settle()
        assert queue.turns == ["first", "next"]
        await queue.give_back("next")
        queue.take("last", Rank.READ)
        await settle()
        assert queue.turns[-1] == "last"
