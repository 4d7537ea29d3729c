"""The rules over what really happened (S1, S3, S5, S20 to S22). `judge` returns each breach as a sentence."""

from collections.abc import Callable, Iterator

from tests.cluster.chassis import Call
from tests.cluster.evidence import SLACK_SECONDS, Evidence
from tests.cluster.wire import Carried

Rule = Callable[[Evidence], Iterator[str]]


def judge(evidence: Evidence) -> list[str]:
    return [f"{rule.__name__}: {breach}" for rule in RULES for breach in rule(evidence)]


def no_old_command_starts_after_the_floor(evidence: Evidence) -> Iterator[str]:
    """A proxy that echoed an epoch starts no command of an older one (S21)."""
    for call, command in evidence.switching():
        if command is None:
            continue
        for floor in evidence.floors:
            if floor.proxy == call.proxy and floor.epoch > command.epoch and call.started > floor.at:
                late = call.started - floor.at
                yield f"{_name(call)} of epoch {command.epoch} started {late:.3f} s after floor {floor.epoch}"


def every_call_has_its_command(evidence: Evidence) -> Iterator[str]:
    """No agent switches anything that no proxy was asked to switch."""
    for call, command in evidence.switching():
        if command is None:
            yield f"{_name(call)} at {call.started:.3f}"


def no_two_offs_of_a_plug_overlap(evidence: Evidence) -> Iterator[str]:
    for first, second in _neighbours(evidence):
        if (first.action, second.action) == ("off", "off") and _overlap(first, second):
            yield f"{_name(first)} and {_name(second)}, {second.started - first.started:.3f} s later"


def no_on_overlaps_an_off(evidence: Evidence) -> Iterator[str]:
    for first, second in _neighbours(evidence):
        if first.action != second.action and _overlap(first, second):
            yield f"{_name(first)} and {_name(second)}, {second.started - first.started:.3f} s later"


def fenced_is_true(evidence: Evidence) -> Iterator[str]:
    """When a fence was journalled, all devices of its host were off (S1)."""
    for host in evidence.plugs:
        for message in _announcements(evidence, host):
            at = message.decided
            if not _was_off(evidence, host, at - SLACK_SECONDS, at + SLACK_SECONDS):
                yield f"{message.body['id']} of {host} is of {at:.3f}, and its devices were not all off then"


def a_living_host_keeps_its_power(evidence: Evidence) -> Iterator[str]:
    for call, _ in evidence.switching():
        host = next(host for host, plugs in evidence.plugs.items() if call.plug in plugs)
        if call.action == "off" and call.acted is not None and evidence.is_alive(host, call.acted):
            yield f"{_name(call)} at {call.acted:.3f}: {host} was alive"


def each_dead_host_is_fenced(evidence: Evidence) -> Iterator[str]:
    """What was decided before a fault ends fenced, or ends and is decided anew."""
    for host in evidence.plugs:
        if evidence.died(host) is not None and not _announcements(evidence, host):
            yield f"{host} died and was never announced"
    for operation in evidence.open_operations:
        yield f"operation {operation} is still open"


def no_announcement_is_lost(evidence: Evidence) -> Iterator[str]:
    """The bus carries every event that is durable (S3)."""
    carried = {message.body["id"] for message in evidence.carried if message.word == "event"}
    for event in evidence.kept:
        if event.id not in carried:
            yield f"{event.kind} of {event.host} ({event.id})"


def no_announcement_is_doubled(evidence: Evidence) -> Iterator[str]:
    """A fence is announced under one id, repeated or not. Another one says what it replaces."""
    for host in evidence.plugs:
        known: dict[str, str] = {}
        for message in _announcements(evidence, host):
            operation = str(message.data.get("operation"))
            if operation in known and "replaces" not in message.data:
                yield f"{operation} of {host}: {known[operation]} and {message.body['id']}"
            known.setdefault(operation, message.body["id"])


RULES: tuple[Rule, ...] = (
    no_old_command_starts_after_the_floor,
    every_call_has_its_command,
    no_two_offs_of_a_plug_overlap,
    no_on_overlaps_an_off,
    fenced_is_true,
    a_living_host_keeps_its_power,
    each_dead_host_is_fenced,
    no_announcement_is_lost,
    no_announcement_is_doubled,
)


def _announcements(evidence: Evidence, host: str) -> list[Carried]:
    """Return the first message of each `fenced` of a host."""
    first: dict[str, Carried] = {}
    for message in evidence.carried:
        if message.word == "event" and message.kind == "host.fenced" and message.body.get("subject") == host:
            first.setdefault(message.body["id"], message)
    return list(first.values())


def _was_off(evidence: Evidence, host: str, since: float, until: float) -> bool:
    """Return whether all of the host's devices were off at one moment between the two."""
    on = set(evidence.plugs[host])
    for change in sorted(evidence.changes, key=lambda change: change.at):
        if change.at > until:
            break
        if not on and change.at >= since:
            return True
        if change.plug in evidence.plugs[host]:
            (on.add if change.power == "on" else on.discard)(change.plug)
    return not on


def _neighbours(evidence: Evidence) -> Iterator[tuple[Call, Call]]:
    """Return every two switching calls of one plug, in the order of their starts."""
    for plugs in evidence.plugs.values():
        for plug in plugs:
            calls = [call for call, _ in evidence.switching() if call.plug == plug]
            calls.sort(key=lambda call: call.started)
            yield from ((first, second) for index, first in enumerate(calls) for second in calls[index + 1 :])


def _overlap(first: Call, second: Call) -> bool:
    return first.ended is None or second.started < first.ended


def _name(call: Call) -> str:
    return f"{call.action} {call.plug} through {call.proxy}"
