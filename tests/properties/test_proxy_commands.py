"""The proxy agent's memory and rules under random histories: old and new daemons, kills, reboots, a disk that fails.

The real calls run over the real state on a disk. For each plug the model keeps the highest accepted token, and which
commands may still act. No command starts under a token below an accepted one, or so late that it could act after its
`not_after`, or beside one of an earlier run. A command that nothing forbids is carried out.
"""

import asyncio
import shutil
import sqlite3
import tempfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, precondition, rule

from fenced.model.inventory import DeviceSpec
from fenced.model.names import PlugId, Token, UnitId
from fenced.model.power import Power, What
from fenced.ports.devices import DeviceError, DeviceTimedOut, OnStarted, Started
from fenced.proxy.calls import SHARE_NEEDED, Calls
from fenced.proxy.protocol import Call, WireDevice, WirePermit
from fenced.proxy.state import Claim, Denial, ProxyState
from tests.properties.profiles import histories
from tests.properties.running import Running
from tests.world.proxies import WorldMemory, WorldProxyClock

PLUGS = ("p", "q")
TIMEOUT_SECONDS = 10.0
HANGS_SECONDS = 10_000.0
TINY_SECONDS = 1e-3


class FailingState(ProxyState):
    """The real state. `is_failing`: the disk accepts a transaction's writes but not its commit."""

    is_failing = False

    @contextmanager
    def transaction(self) -> Iterator[None]:
        with super().transaction():
            yield
            if self.is_failing:
                raise sqlite3.OperationalError("disk I/O error")


class NotingMemory(WorldMemory):
    """Reports each accepted token to the machine."""

    def __init__(self, state: ProxyState, taken: Callable[[Claim], None]) -> None:
        super().__init__(lambda: state)
        self._taken = taken

    async def claim(self, claim: Claim) -> Denial | None:
        why = await super().claim(claim)
        if why is None:
            self._taken(claim)
        return why


@dataclass(eq=False, slots=True, kw_only=True)
class Sent:
    """A command that a daemon sent. `life`: the agent's run that received it; `is_over`: it is known to act no more;
    `is_killed`: its program was killed, but what that had sent may still act."""

    plug: str
    token: Token
    store: str
    not_after: float
    settle: float
    arrived: float
    seconds: float
    is_failing: bool
    life: int
    has_started: bool = False
    is_over: bool = False
    is_killed: bool = False
    why: DeviceError | None = None


class Commands(RuleBasedStateMachine):
    """`accepted`: the highest token of each plug; `sent`: all commands in this boot of the machine."""

    @initialize()
    def begin(self) -> None:
        self.directory = Path(tempfile.mkdtemp(prefix="proxy-state-", dir=_quick_directory()))
        self.running = Running()
        self.life, self.boot, self.booted_at = 0, 0, 0.0
        self.store, self.obeyed = "s1", ""
        self.accepted: dict[str, Token] = {}
        self.sent: list[Sent] = []
        self.sequence = 0
        self.tasks: list[asyncio.Task[None]] = []
        self.start()

    def start(self) -> None:
        """Start the agent again."""
        self.life += 1
        self.clock = WorldProxyClock(life=f"life-{self.life}", machine_boot=f"boot-{self.boot}", show=self.show)
        self.state = FailingState(self.directory, machine_boot=self.clock.machine_boot)
        memory = NotingMemory(self.state, self._taken)
        self.calls = Calls(memory=memory, driver_for=lambda name: Driver(self), agent_processes_max=4, clock=self.clock)
        self.running.do(self.calls.settle_survivors(self._kill))

    def show(self) -> float:
        """Return the proxy's clock: seconds since its machine's boot."""
        return 100.0 + self.running.now() - self.booted_at

    async def _kill(self, survivors: Sequence[Started]) -> None:
        left = {at for at, it in enumerate(self.sent) if it.has_started and not it.is_over and not it.is_killed}
        found = {started.pid for started in survivors}
        assert left <= found, "a program of an earlier life is left running"
        assert found <= set(range(len(self.sent))), "a program of an earlier boot is looked for"
        for number in found:
            self.sent[number].is_killed = True

    # -- checked as it happens ----------------------------------------------------------------------------------------

    def _taken(self, claim: Claim) -> None:
        plug = str(claim.plug_id)
        assert claim.store == (self.obeyed or claim.store), "a token of another store"
        assert plug not in self.accepted or claim.token > self.accepted[plug], "a token that does not rise"
        self.obeyed, self.accepted[plug] = claim.store, claim.token

    def starts(self, sent: Sent, seconds: float) -> None:
        """The driver must act within so many seconds."""
        now = self.show()
        assert not self.state.is_failing or sent.token == self.accepted.get(sent.plug), "what was not kept is done"
        assert sent.token == self.accepted[sent.plug], f"{sent.token} after {self.accepted[sent.plug]} was accepted"
        assert now + seconds <= sent.not_after - sent.settle + TINY_SECONDS, "it may act after its not_after"
        assert now <= sent.arrived + SHARE_NEEDED * TIMEOUT_SECONDS + TINY_SECONDS, "it was started too late"
        for other in self.sent:
            if other.plug == sent.plug and other is not sent and other.has_started and not other.is_over:
                assert other.life == sent.life or other.not_after <= now, "one of an earlier life may still act"
        running = [it for it in self.sent if it.plug == sent.plug and it.life == self.life and it.seconds < 0]
        assert not running, "two commands for one plug at once"
        sent.has_started = True

    # -- what happens -------------------------------------------------------------------------------------------------

    @rule(
        wishes=st.lists(st.tuples(st.sampled_from(PLUGS), st.sampled_from((0, 0, 0, 1, 2))), min_size=1, max_size=3),
        store=st.sampled_from(("", "", "", "s2")),
        seconds=st.sampled_from((0.1, 0.1, 3.0, 12.0, HANGS_SECONDS)), is_failing=st.booleans(),
        ahead=st.sampled_from((30.0, 30.0, 12.0, 7.0, 2.0)), settle=st.sampled_from((0.0, 4.0)),
        what=st.sampled_from((What.OFF, What.ON, What.SOFT_OFF)), is_of_now=st.sampled_from((True, True, True, False)),
    )  # fmt: skip
    def daemons_send(
        self, wishes: list[tuple[str, int]], store: str, seconds: float, is_failing: bool, ahead: float, settle: float,
        what: What, is_of_now: bool,
    ) -> None:  # fmt: skip
        """(plug, how far below the newest token), one after the other.

        `seconds`: the device's duration; `ahead`: until the `not_after`; `is_of_now`: the daemon read the clock during
        this run of the agent.
        """
        for plug, behind in wishes:
            self.sequence += 1
            token = Token(epoch=1, sequence=max(1, self.sequence - behind))
            self._send(
                Sent(
                    plug=plug, token=token, store=store or self.store, not_after=self.show() + ahead, settle=settle,
                    arrived=self.show(), seconds=seconds, is_failing=is_failing, life=self.life,
                ),
                what, self.clock.life if is_of_now else f"life-{self.life - 1}",
            )  # fmt: skip

    def _send_one(self, plug: str, what: What, seconds: float) -> Sent:
        """Send a valid command. `seconds`: the device's duration."""
        self.sequence += 1
        sent = Sent(
            plug=plug, token=Token(epoch=1, sequence=self.sequence), store=self.obeyed or self.store, settle=0.0,
            not_after=self.show() + 20.0, arrived=self.show(), seconds=seconds, is_failing=False, life=self.life,
        )  # fmt: skip
        self._send(sent, what, self.clock.life)
        return sent

    def _send(self, sent: Sent, what: What, life: str) -> None:
        self.sent.append(sent)
        spec = DeviceSpec(
            driver="world", plug_id=PlugId(sent.plug), unit_id=UnitId(sent.plug),
            options={"number": len(self.sent) - 1},
        )  # fmt: skip
        permit = WirePermit(token=str(sent.token), boot=life, not_after=sent.not_after, settle=sent.settle)
        call = Call(
            id="1", store=sent.store, device=WireDevice.of(spec), what=what, timeout=TIMEOUT_SECONDS, permit=permit
        )
        calls = self.calls

        async def act() -> None:
            try:
                await calls.command(call, permit, spec)
            except DeviceError as exc:
                sent.why = exc
            else:
                assert sent.has_started, "done, and never sent"
            assert life == self.clock.life or not sent.has_started, "a command of an earlier life"

        self.tasks.append(self.running.begin(act()))
        self.running.go()

    @rule(seconds=st.sampled_from((0.5, 3.0, 8.0, 30.0)))
    def time_passes(self, seconds: float) -> None:
        self.running.go(seconds)

    @rule(is_failing=st.booleans())
    def disk_fails_or_works(self, is_failing: bool) -> None:
        self.state.is_failing = is_failing

    @rule(plug=st.sampled_from(("", *PLUGS)), seconds=st.sampled_from((0.001, 0.001, 5.0, 40.0)))
    def agent_is_killed_and_starts(self, plug: str, seconds: float) -> None:
        """Usually in the middle of a command for that plug; its programs go on without it."""
        if plug:
            self._send_one(plug, What.OFF, HANGS_SECONDS)
        self._killed()
        self.running.go(seconds)
        self.start()
        if plug:
            self._send_one(plug, What.ON, 0.1)

    @rule(plug=st.sampled_from(("", *PLUGS)))
    def machine_reboots(self, plug: str) -> None:
        """Nothing from before acts any more, and the clock starts again."""
        if plug:
            self._send_one(plug, What.OFF, HANGS_SECONDS)
        self._killed()
        self.sent.clear()
        self.boot, self.booted_at = self.boot + 1, self.running.now()
        self.start()

    def _killed(self) -> None:
        self.running.end(*self.tasks)
        self.tasks = []
        self.state.close()

    @precondition(lambda self: self.obeyed)
    @rule()
    def person_adopts_another_store(self) -> None:
        """While the agent does not run."""
        self._killed()
        self.store = self.obeyed = "s2" if self.obeyed == "s1" else "s1"
        with ProxyState(self.directory, machine_boot=self.clock.machine_boot) as state, state.transaction():
            state.adopt(self.store)
        self.accepted.clear()
        self.sequence = 0
        self.start()

    # -- what must result ---------------------------------------------------------------------------------------------

    def teardown(self) -> None:
        if not hasattr(self, "state"):
            return
        try:
            if not self.running.is_broken:
                self._obeys()
        finally:
            self.state.close()
            self.running.close()
            shutil.rmtree(self.directory)

    def _obeys(self) -> None:
        """Once nothing from before can act, the agent carries out what a daemon of its store sends."""
        self.disk_fails_or_works(is_failing=False)
        self.running.go(60.0)
        for plug in PLUGS:
            sent = self._send_one(plug, What.OFF, 0.1)
            self.running.go(1.0)
            assert sent.has_started and sent.why is None, f"refused for no reason: {sent.why}"


class Driver:
    """ports.devices.Driver: the command says what it does."""

    def __init__(self, machine: Commands) -> None:
        self._machine = machine

    async def read(self, spec: DeviceSpec, *, timeout_seconds: float) -> Power:
        raise AssertionError("nobody reads here")

    async def set(self, spec: DeviceSpec, power: Power, *, timeout_seconds: float, on_started: OnStarted) -> None:
        await self._command(spec, timeout_seconds, on_started)

    async def soft_off(self, spec: DeviceSpec, *, timeout_seconds: float, on_started: OnStarted) -> None:
        await self._command(spec, timeout_seconds, on_started)

    async def _command(self, spec: DeviceSpec, timeout_seconds: float, on_started: OnStarted) -> None:
        number = int(spec.options["number"])
        sent = self._machine.sent[number]
        await on_started(Started(pid=number, pid_started="then"))
        self._machine.starts(sent, timeout_seconds)
        seconds, sent.seconds = sent.seconds, -1.0
        try:
            await asyncio.sleep(min(seconds, timeout_seconds))
        finally:
            sent.seconds = seconds
        if seconds > timeout_seconds:
            raise DeviceTimedOut("no answer", is_end_known=False)
        sent.is_over = True
        if sent.is_failing:
            raise DeviceError("it says no", may_be_done=False)

    async def close(self) -> None:
        pass


def _quick_directory() -> str | None:
    """Return a memory file system if there is one: this test does not examine whether disks keep their contents."""
    return "/dev/shm" if Path("/dev/shm").is_dir() else None


TestCommands = Commands.TestCase
TestCommands.settings = histories(25, 30)
