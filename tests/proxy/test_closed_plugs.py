"""No single allowed daemon can close a plug to the others for good, and an operator can reopen a closed plug."""

from pathlib import Path

import pytest
from structlog.testing import capture_logs

from fenced.model.names import PlugId, Token
from fenced.model.power import Power, What
from fenced.ports.devices import CommandRefused, ProxyRefused
from fenced.proxy.calls import Calls
from fenced.proxy.clock import ProxyClock
from fenced.proxy.floors import EPOCH_JUMP_MAX
from fenced.proxy.protocol import Call, WireDevice, WirePermit
from fenced.proxy.state import NOT_AFTER_AHEAD_SECONDS_MAX, Claim, ProxyState
from fenced.proxy.tokens import TokenMemory
from tests.net import free_port
from tests.proxy.bed import Bed, permit_of, send
from tests.proxy.devices import device, driver_for, log
from tests.proxy.test_parts import kill_nothing
from tests.proxy.test_program import AGENT, Program
from tests.proxy.test_program import device as agent_device

NINES = 999_999_999_999_999_999
PLUG = PlugId("pdu 1/7")


def claim(epoch: int, sequence: int = 1, *, plug: PlugId = PLUG, not_after: float = 100.0) -> Claim:
    token = Token(epoch=epoch, sequence=sequence)
    return Claim(store="s", plug_id=plug, token=token, what=What.OFF, not_after=not_after)


@pytest.mark.parametrize(
    ("epoch", "sequence"),
    [(NINES, NINES), (4, NINES), (NINES, 1), (5, NINES), (5 + EPOCH_JUMP_MAX, 1), (10**9, 1), (2**40, 1)],
)
@pytest.mark.parametrize("plug", [PLUG, PlugId("another")])
def test_no_token_closes_a_plug_for_good(epoch: int, sequence: int, plug: PlugId, tmp_path: Path) -> None:
    with ProxyState(tmp_path, machine_boot="boot") as state, state.transaction():
        assert state.claim(claim(4)) is None
        denial = state.claim(claim(epoch, sequence, plug=plug))
        assert denial is not None and denial.is_proxys_own, "the daemon may be right: another proxy may take it"
        assert state.claim(claim(4, 2)) is None
        assert state.claim(claim(4, 2, plug=PlugId("another"))) is None


def test_the_first_token_that_a_proxy_gets_is_bounded(tmp_path: Path) -> None:
    with ProxyState(tmp_path, machine_boot="boot") as state, state.transaction():
        for epoch, sequence in ((NINES, NINES), (1, NINES)):
            assert state.claim(claim(epoch, sequence)) is not None
        assert state.claim(claim(48_000, 118)) is None, "a proxy that is new to an old store"


async def test_a_daemon_that_was_started_often_is_accepted_and_logged(tmp_path: Path) -> None:
    """Its store was restored from a backup, or it restarted in a loop for a week."""
    with capture_logs() as logs, TokenMemory(ProxyState(tmp_path, machine_boot="boot")) as memory:
        assert await memory.claim(claim(4)) is None
        assert await memory.claim(claim(60_000)) is None
        assert await memory.claim(claim(60_001)) is None
    assert [entry["event"] for entry in logs].count("token jumped") == 1


async def test_no_not_after_closes_a_plug_for_longer_than_an_hour(tmp_path: Path) -> None:
    clock = ProxyClock()
    spec = device(tmp_path / "bmc")
    with TokenMemory(ProxyState(tmp_path, machine_boot="boot")) as memory:
        calls = Calls(memory=memory, driver_for=driver_for, agent_processes_max=4, clock=clock)
        for ahead, is_taken in ((1e9, False), (NOT_AFTER_AHEAD_SECONDS_MAX + 60, False), (1800.0, True)):
            permit = WirePermit(token="4-7", boot=clock.life, not_after=clock.now() + ahead)
            call = Call(id="1", store="s", device=WireDevice.of(spec), what=What.OFF, timeout=10.0, permit=permit)
            if is_taken:
                await calls.command(call, permit, spec)
            else:
                with pytest.raises(ProxyRefused, match="not_after"):
                    await calls.command(call, permit, spec)
    assert log(tmp_path / "bmc") == ["off started", "off done"]


async def test_a_far_not_after_stored_by_an_earlier_version_closes_it_for_an_hour(tmp_path: Path) -> None:
    now = ProxyClock().now()
    with TokenMemory(ProxyState(tmp_path, machine_boot="boot")) as memory:
        await memory.claim(claim(4, not_after=now + 1e9))
    with TokenMemory(ProxyState(tmp_path, machine_boot="boot")) as memory:
        clock = ProxyClock()
        calls = Calls(memory=memory, driver_for=driver_for, agent_processes_max=4, clock=clock)
        await calls.settle_survivors(kill_nothing)
        permit = WirePermit(token="4-7", boot=clock.life, not_after=clock.now() + 20)
        spec = device(tmp_path / "bmc")
        wire = WireDevice.of(spec).model_copy(update={"plug_id": PLUG})
        call = Call(id="1", store="s", device=wire, what=What.OFF, timeout=10.0, permit=permit)
        with pytest.raises(CommandRefused, match=r"may still act on the plug for 3[56]\d\d\.\d s"):
            await calls.command(call, permit, spec)


async def test_a_call_full_of_nines_leaves_the_plug_open_to_its_daemon(bed: Bed, tmp_path: Path) -> None:
    spec = device(tmp_path / "bmc")
    with pytest.raises(ProxyRefused):
        await bed.set(spec, Power.OFF, permit_of(token=Token(epoch=NINES, sequence=NINES)))
    await bed.set(spec, Power.OFF)
    assert log(tmp_path / "bmc") == ["off started", "off done"]


# -- an operator reopens a plug ---------------------------------------------------------------------------------------


@pytest.fixture
def program(certificates: Path, tmp_path: Path) -> Program:
    (tmp_path / "fence_file").write_text(AGENT, encoding="utf-8")
    (tmp_path / "fence_file").chmod(0o755)
    program = Program(directory=tmp_path, certificates=certificates, port=free_port())
    program.write()
    return program


async def test_a_plug_is_forgotten_while_the_agent_is_stopped(program: Program, tmp_path: Path) -> None:
    spec = agent_device(tmp_path / "pdu")
    high, low = Token(epoch=900_000, sequence=1), Token(epoch=4, sequence=1)
    async with program.running(), program.caller() as caller:
        await send(caller, spec, Power.OFF, permit_of(token=high))
        with pytest.raises(CommandRefused, match="--forget-plug"):
            await send(caller, spec, Power.ON, permit_of(token=low))
        beside = program.run("--forget-plug", spec.plug_id)
        assert beside.exit_code != 0 and "another proxy agent" in beside.output and "stop it first" in beside.output
    told = program.run("--forget-plug", spec.plug_id)
    assert (told.exit_code, told.output) == (
        0, f"{spec.plug_id}: token 900000-1 was the highest; any token is accepted next\n",
    )  # fmt: skip
    async with program.running(), program.caller() as caller:
        await send(caller, spec, Power.ON, permit_of(token=low))
        with pytest.raises(CommandRefused, match="highest seen"):
            await send(caller, spec, Power.OFF, permit_of(token=low))
    assert (tmp_path / "pdu" / "power").read_text() == "on"


def test_an_unknown_plug_is_reported_with_the_known_ones(program: Program, tmp_path: Path) -> None:
    with ProxyState(tmp_path / "state", machine_boot="boot") as state, state.transaction():
        state.claim(claim(4))
    result = program.run("--forget-plug", "pdu 1/8")
    assert result.exit_code != 0 and "no plug 'pdu 1/8' is known" in result.output and PLUG in result.output
    with ProxyState(tmp_path / "state", machine_boot="boot") as state:
        assert state.highest(PLUG) == Token(epoch=4, sequence=1)


def test_what_may_still_act_keeps_a_forgotten_plug_closed(program: Program, tmp_path: Path) -> None:
    clock = ProxyClock()
    with ProxyState(tmp_path / "state", machine_boot=clock.machine_boot) as state, state.transaction():
        state.claim(claim(4, not_after=clock.now() + 1e9))
        state.claim(claim(4, plug=PlugId("other"), not_after=clock.now() + 600))
    for plug, most in ((PLUG, NOT_AFTER_AHEAD_SECONDS_MAX), (PlugId("other"), 600)):
        output = program.run("--forget-plug", plug).output
        assert "may still act" in output
        seconds = int(output.rpartition(" for ")[2].split()[0])
        assert most - 60 < seconds <= most
        assert "no token was the highest" in program.run("--forget-plug", plug).output, "it may be said twice"


def test_a_forgotten_plug_takes_a_jump_of_its_daemon(tmp_path: Path) -> None:
    """No jump is too far after --forget-plug."""
    with ProxyState(tmp_path, machine_boot="boot") as state, state.transaction():
        state.claim(claim(4))
        state.claim(claim(4, plug=PlugId("other")))
        far = claim(4 + 2 * EPOCH_JUMP_MAX)
        assert state.claim(far) is not None
        assert state.forget_plug(PLUG, now=0.0) is not None
        assert state.highest(PLUG) is None
        assert state.claim(far) is None
