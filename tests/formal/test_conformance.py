"""The program does only what the model allows in simulated seeds; and a forged run is detected.

`tests/golden/test_stories.py` follows the golden stories while it plays them.
"""

import itertools
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest

from fenced.core.durable import records as r
from fenced.model.names import DeviceName
from fenced.model.power import Outcome, Power, What
from tests import golden
from tests.formal.conformance import Monitor, number_of
from tests.formal.traces import fitting_seeds, follow_seed, follow_story
from tests.golden.story import read
from tests.simulation.play import silence_logs

DEVICES = (DeviceName("pdu-a"), DeviceName("pdu-b"))
STORIES = Path(golden.__file__).parent / "stories"
SEEDS = 40
PER_TEST = 10


@pytest.fixture(autouse=True)
def quiet() -> None:
    silence_logs()


@pytest.mark.parametrize("skipped", range(0, SEEDS, PER_TEST))
def test_simulated_runs(skipped: int) -> None:
    seeds = list(itertools.islice(fitting_seeds(1), skipped, skipped + PER_TEST))
    followed = {seed: follow_seed(seed) for seed in seeds}
    assert {seed: it.findings for seed, it in followed.items() if it.findings} == {}
    assert sum(it.taken for it in followed.values()) > 10 * len(seeds)


# -- forged runs ------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Call:
    """One call of a monitor."""

    name: str
    args: tuple[Any, ...]
    named: dict[str, Any]

    def is_record(self, kind: type[r.Record]) -> bool:
        return self.name == "record" and isinstance(self.args[1], kind)


Tape = list[Call]
TOLD = ("sent", "acted", "gone", "switched", "heard_on_bus", "record")


class Taped(Monitor):
    """Records the calls for the host that is fenced in the story."""

    tape: Tape

    def __getattribute__(self, name: str) -> Any:
        found = super().__getattribute__(name)
        if name not in TOLD:
            return found

        def kept(*args: Any, **named: Any) -> Any:
            if self.host == "node-2":
                type(self).tape.append(Call(name, args, named))
            return found(*args, **named)

        return kept


@pytest.fixture(scope="module")
def tape() -> Tape:
    """Return a restart of node-2 as it was really played."""
    silence_logs()
    Taped.tape = []
    assert not follow_story(read(STORIES / "silence_then_fence.txt"), Taped).findings
    return Taped.tape


def played(tape: Tape) -> list[str]:
    monitor = Monitor("node-2", DEVICES, announce_wait_seconds=30.0)
    for call in tape:
        getattr(monitor, call.name)(*call.args, **call.named)
    return monitor.findings


def first(tape: Tape, test: Callable[[Call], bool]) -> int:
    return next(number for number, call in enumerate(tape) if test(call))


def is_command(call: Call, what: What) -> bool:
    return call.is_record(r.StepStarted) and call.args[1].what is what


def sent_before_its_record(tape: Tape) -> Tape:
    sent = first(tape, lambda call: call.name == "sent")
    return [tape[sent], *tape[:sent], *tape[sent + 1 :]]


def one_device_was_never_read_off(tape: Tape) -> Tape:
    def is_reading(call: Call) -> bool:
        ended = call.is_record(r.StepEnded) and call.args[1].outcome is Outcome.OFF
        raced = call.is_record(r.RaceEnded) and call.args[1].power is Power.OFF
        return (ended or raced) and call.args[1].device == DEVICES[1]

    return [call for call in tape if not is_reading(call)]


def fenced_was_not_recorded(tape: Tape) -> Tape:
    return [call for call in tape if not call.is_record(r.HostFenced) and call.name != "heard_on_bus"]


def nobody_was_told(tape: Tape) -> Tape:
    return [call for call in tape if not call.is_record(r.AnnouncementAcknowledged) and call.name != "heard_on_bus"]


def the_bus_knew_before_the_journal(tape: Tape) -> Tape:
    told = first(tape, lambda call: call.name == "heard_on_bus")
    fenced = first(tape, lambda call: call.is_record(r.HostFenced))
    return [*tape[:fenced], tape[told], *tape[fenced:told], *tape[told + 1 :]]


def an_off_is_still_on_its_way(tape: Tape) -> Tape:
    fenced = first(tape, lambda call: call.is_record(r.HostFenced))
    at, record = tape[first(tape, lambda call: is_command(call, What.OFF))].args
    late = replace(record, number=99, token=replace(record.token, sequence=record.token.sequence + 1))
    return [*tape[:fenced], Call("record", (at, late), {}), *tape[fenced:]]


def an_on_never_ended(tape: Tape) -> Tape:
    on = tape[first(tape, lambda call: is_command(call, What.ON))].args[1]
    return [
        call
        for call in tape
        if not (
            call.name in {"acted", "gone"}
            and call.args[:1] == (on.device,)
            and call.args[1] in {on.token, number_of(on.token)}
        )
        and not (call.is_record(r.StepEnded) and (call.args[1].device, call.args[1].number) == (on.device, on.number))
    ]


def two_at_once(tape: Tape) -> Tape:
    started = first(tape, lambda call: call.is_record(r.OperationStarted))
    return [*tape[: started + 1], *tape[started:]]


def a_command_acts_twice(tape: Tape) -> Tape:
    acted = first(tape, lambda call: call.name == "acted")
    return [*tape[: acted + 1], *tape[acted:]]


FORGERIES: dict[Callable[[Tape], Tape], str] = {
    sent_before_its_record: "ARRIVE",
    one_device_was_never_read_off: "both devices",
    fenced_was_not_recorded: "off before on",
    nobody_was_told: "announced before on",
    the_bus_knew_before_the_journal: "outbox",
    an_off_is_still_on_its_way: "settled on",
    an_on_never_ended: "settled end",
    two_at_once: "one operation",
    a_command_acts_twice: "ACT",
}


def test_the_run_itself_is_allowed(tape: Tape) -> None:
    assert played(tape) == []
    assert sum(call.name == "acted" for call in tape) == 4


@pytest.mark.parametrize("forge", FORGERIES, ids=lambda forge: forge.__name__)
def test_a_forged_run_is_found_out(forge: Callable[[Tape], Tape], tape: Tape) -> None:
    findings = played(forge(tape))
    assert findings and FORGERIES[forge] in findings[0].partition(";")[0], findings
