"""Turns a batch of decisions into one transaction: records, snapshots, operations, and messages for the bus."""

import json
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field

from fenced import __version__
from fenced.bus.topics import Topics
from fenced.core.allowed import limits
from fenced.core.decide import Decision
from fenced.core.durable import records as r
from fenced.core.durable.fleet_state import FleetState
from fenced.core.durable.standing import is_unrecovered
from fenced.core.durable.state import HostState, Operation
from fenced.core.fleet import Fleet
from fenced.core.heard.others import Room, tightest
from fenced.core.said.announce import Announcement, state_message
from fenced.engine.beside import Beside, HeldHere
from fenced.model.inventory import Inventory
from fenced.model.moments import Moment, Wall, as_steady, rfc3339
from fenced.model.names import DeviceName, HostName
from fenced.ports.journal import Batch, OutboxMessage


@dataclass(slots=True)
class Collected:
    """A batch on its way to the journal. `before`: each changed host as it was at the start of the batch. `words`: the
    numbers of the words that it folds. `room`, `unrecovered`: as at `Batch`."""

    entries: list[r.Entry] = field(default_factory=list)
    told: list[Announcement] = field(default_factory=list)
    ended: list[Operation] = field(default_factory=list)
    before: dict[HostName, HostState] = field(default_factory=dict)
    after: dict[HostName, HostState] = field(default_factory=dict)
    fleet: FleetState | None = None
    outbox: list[OutboxMessage] = field(default_factory=list)
    room: Room | None = None
    unrecovered: int | None = None
    words: frozenset[int] = frozenset()


def collect(
    decisions: Sequence[Decision], fleet: Fleet, controller: str, now: float, wall: Wall = as_steady,
    *, is_first: bool = False,
) -> Collected:  # fmt: skip
    """Collect everything that a batch makes durable, in order. `wall` converts moments to wall time. `is_first`: no
    batch of this life is durable yet."""
    collected = Collected()
    if not any(decision.entries for decision in decisions):
        return collected
    for decision in decisions:
        collected.entries += decision.entries
        collected.told += decision.told
        collected.ended += decision.ended
    collected.before = fleet.changed()
    collected.after = {name: fleet.known(name) for name in collected.before}
    collected.fleet = fleet.state if fleet.is_fleet_changed else None
    collected.room = tightest([decision.room for decision in decisions if decision.room is not None])
    if is_first or _is_away_changed(collected, now):
        collected.unrecovered = limits.away(fleet, now)
    site = fleet.inventory.daemon.site
    source = f"/fenced/{site}/{fleet.inventory.daemon.name}"
    for name, state in collected.after.items():
        devices = device_names(fleet.inventory, name)
        if _is_told_anew(collected.before[name], state, controller, devices):
            collected.outbox.append(
                state_outbox(state, controller, site, f"{fleet.next_token()}", wall, devices=devices)
            )
    for announcement in collected.told:
        collected.outbox.append(_event(announcement, site, source, f"{fleet.next_token()}", wall))
    return collected


def batch_of(collected: Collected) -> Batch:
    """Return the transaction. A host in an operation is restored from its records; others get a snapshot."""
    started = [entry.record.operation for entry in collected.entries if isinstance(entry.record, r.OperationStarted)]
    return Batch(
        entries=collected.entries,
        snapshots=[state for state in collected.after.values() if state.operation is None and state.reading is None],
        fleet=collected.fleet,
        operations=[*started, *collected.ended],
        outbox=collected.outbox,
        room=collected.room,
        unrecovered=collected.unrecovered,
        words=collected.words,
    )


def _is_away_changed(collected: Collected, now: float) -> bool:
    """Return whether a host is not back any more, or is back again, since the last batch. What only time changes is
    counted with the next of them."""

    def is_away(state: HostState) -> bool:
        return not state.is_removed and is_unrecovered(state, now)

    return any(is_away(before) != is_away(collected.after[name]) for name, before in collected.before.items())


def device_names(inventory: Inventory, name: HostName) -> frozenset[DeviceName]:
    """Return the devices that a host has in this inventory."""
    host = inventory.hosts.get(name)
    return frozenset() if host is None else frozenset(device.name for device in host.devices)


def state_payload(
    state: HostState, controller: str, wall: Wall = as_steady, *, devices: Collection[DeviceName] | None = None,
    rev: str = "",
) -> bytes:  # fmt: skip
    """Return the retained state message of one host. `devices`: those that it has now; None: show all."""
    return _json(state_message(state, controller, devices=devices, rev=rev), wall)


def controller_payload(fleet: Fleet, state: str, wall: Wall, *, beside: Beside) -> bytes:
    """Return the retained message about this controller: `active`, `standby` or `offline`.

    A standby of one shard is active while it holds another one.
    """
    daemon, since = fleet.inventory.daemon, rfc3339(wall(fleet.started))
    held = [] if state == "offline" else list(beside.held())
    if state == "active":
        held.append(HeldHere(shard=beside.shard, epoch=fleet.epoch, since=fleet.started))
    held.sort(key=lambda one: one.shard)
    message = {
        "name": daemon.name,
        "state": "active" if held else state,
        "armed": fleet.is_armed_durably,
        "epoch": max((one.epoch for one in held), default=0 if state == "standby" else fleet.epoch),
        "since": since,
        "shards": [{"shard": one.shard, "epoch": one.epoch, "since": rfc3339(wall(one.since))} for one in held],
        "address": daemon.address,
        "version": __version__,
    }
    return json.dumps(message).encode()


def _json(message: Mapping[str, object], wall: Wall) -> bytes:
    """Encode as JSON, with moments as RFC 3339 times."""

    def told(value: object) -> str:
        if isinstance(value, Moment):
            return rfc3339(wall(value.at))
        raise TypeError(f"{type(value).__name__} is no JSON")

    return json.dumps(message, separators=(",", ":"), default=told).encode()


def _is_told_anew(before: HostState, after: HostState, controller: str, devices: Collection[DeviceName]) -> bool:
    if after.is_removed:
        return not before.is_removed
    was, now = (state_message(state, controller, devices=devices) for state in (before, after))
    return before.is_removed or was != now


def state_outbox(
    state: HostState, controller: str, site: str, message_id: str, wall: Wall, *, devices: Collection[DeviceName]
) -> OutboxMessage:
    """Return a host's retained state message. For a removed host it is empty, which clears the topic at the broker."""
    return OutboxMessage(
        id=message_id,
        host=state.name,
        topic=Topics(site=site).state(state.name),
        payload=b"" if state.is_removed else state_payload(state, controller, wall, devices=devices, rev=message_id),
        is_retained=True,
    )


def _event(announcement: Announcement, site: str, source: str, message_id: str, wall: Wall) -> OutboxMessage:
    """Return a CloudEvent 1.0 in structured JSON. Its id stays the same when it is repeated."""
    event: dict[str, object] = {
        "specversion": "1.0",
        "id": message_id,
        "source": source,
        "type": announcement.type,
        "time": Moment(announcement.at),
        "datacontenttype": "application/json",
    }
    if announcement.host is not None:
        event["subject"] = str(announcement.host)
    event["data"] = {**announcement.data, "rev": message_id}
    return OutboxMessage(
        id=message_id,
        host=announcement.host,
        topic=Topics(site=site).event(announcement.host),
        payload=_json(event, wall),
        is_retained=False,
        operation=announcement.acknowledge,
    )
