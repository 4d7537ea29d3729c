"""Reads and switches the outlets of a unit by its table. `driver` imports it, and with it pysnmp, on the first call.

`exchange` carries the values. A device is OFF only if the state object of every outlet holds the table's OFF as an
INTEGER and nothing is scheduled (S2). One outlet that is ON feeds the host.
"""

import asyncio
from collections.abc import Iterable, Mapping
from typing import Final

from fenced.drivers.snmp.exchange import Account, Engines, Exchange, boottime, exchange
from fenced.drivers.snmp.messages import VERSION_1, VERSION_2C, Value, ValueKind
from fenced.drivers.snmp.options import Credentials, Settings, bad, silence
from fenced.drivers.snmp.tables import Oid, Outlet, OutletTable, Place, candidates, dotted
from fenced.drivers.snmp.users import User, hashed
from fenced.model.power import Power
from fenced.ports.devices import DeviceError, DeviceNotReady, DeviceTimedOut, NotSupported

ACCOUNTS_MAX: Final = 10_000
TABLES_MAX: Final = 100_000
TICKS_A_SECOND: Final = 100
ASK_AGAIN_SECONDS: Final = 0.3
SHOWN_PARTS_MAX: Final = 32
"""Limit for showing a unit's sysObjectID; vendors' have fewer parts."""
SYS_OBJECT_ID: Final = (1, 3, 6, 1, 2, 1, 1, 2, 0)
SYS_UP_TIME: Final = (1, 3, 6, 1, 2, 1, 1, 3, 0)


class Units:
    """All units of a process. Remembers what is slow to find (keys, engines, tables), but no power state."""

    def __init__(self) -> None:
        self._accounts: dict[Credentials, Account] = {}
        self._engines: Engines = {}
        self._tables: dict[tuple[str, int, tuple[Outlet, ...]], OutletTable] = {}

    async def read(self, settings: Settings) -> Power:
        """Return the combined power of all outlets. Raises DeviceError; the caller sets the deadline."""
        async with exchange(settings.host, settings.port, self._account(settings), self._engines) as talk:
            table = await self._table(settings, talk)
            places = settings.places(table)
            values = await self._values(settings, talk, places, (SYS_UP_TIME, *_objects(places)))
            _check_up_time(settings, values[SYS_UP_TIME])
            return together(_power(table, place, values) for place in places)

    async def set(self, settings: Settings, power: Power, *, deadline: float) -> None:
        """Command each outlet once, even if another one's command failed. Raises DeviceError.

        It reads the states first. That proves route, login and outlets before anything is switched, and that a later
        read can prove the result.
        """
        async with exchange(settings.host, settings.port, self._account(settings), self._engines) as talk:
            try:
                async with asyncio.timeout(deadline - boottime()):
                    table = await self._table(settings, talk)
                    places = settings.places(table)
                    states = tuple(place.state for place in places)
                    values = await self._values(settings, talk, places, (SYS_UP_TIME, *states))
                    _check_up_time(settings, values[SYS_UP_TIME])
            except TimeoutError as exc:
                raise _silent(settings, may_be_done=False) from exc
            failures: list[DeviceError] = []
            for index, place in enumerate(places):
                share = (deadline - boottime()) / (len(places) - index)
                try:
                    async with asyncio.timeout(share):
                        await talk.set(*place.command(power), deadline=deadline)
                except TimeoutError:
                    failures.append(_silent(settings, may_be_done=True))
                except DeviceError as exc:
                    failures.append(exc)
            if failures:
                raise _failed(failures, len(places))

    def _account(self, settings: Settings) -> Account:
        credentials = settings.credentials
        account = self._accounts.get(credentials)
        if account is None:
            if len(self._accounts) >= ACCOUNTS_MAX:
                self._accounts.clear()
            account = self._accounts[credentials] = _account_of(credentials)
        return account

    async def _table(self, settings: Settings, talk: Exchange) -> OutletTable:
        """Return the configured table, else the newest of the vendor's tables that has the outlets."""
        if settings.table is not None:
            return settings.table
        table = self._tables.get(_unit(settings))
        if table is None:
            table = await _found(settings, talk)
            if len(self._tables) >= TABLES_MAX:
                self._tables.clear()
            self._tables[_unit(settings)] = table
        return table

    async def _values(
        self, settings: Settings, talk: Exchange, places: Iterable[Place], wanted: tuple[Oid, ...]
    ) -> Mapping[Oid, Value]:
        """Return the objects' values; no state is MISSING. Raises DeviceError.

        Try twice: while an agent's subagent restarts (net-snmp's does after a command), the outlets are briefly
        missing. If they stay missing, another unit may have the address now, so drop the remembered table.
        """
        values = await talk.get(wanted)
        if _missing(places, values):
            await asyncio.sleep(ASK_AGAIN_SECONDS)
            values = await talk.get(wanted)
        if missing := _missing(places, values):
            self._tables.pop(_unit(settings), None)
            names = ", ".join(place.name for place in missing)
            raise bad(f"{settings} has no outlet {names}: there is nothing at {dotted(missing[0].state)}")
        return values


def together(powers: Iterable[Power]) -> Power:
    """Return ON if any outlet is ON, since it feeds the host; OFF only if all are OFF; else UNKNOWN."""
    found = set(powers)
    if Power.ON in found:
        return Power.ON
    return Power.OFF if found == {Power.OFF} else Power.UNKNOWN


def _unit(settings: Settings) -> tuple[str, int, tuple[Outlet, ...]]:
    return settings.host, settings.port, settings.outlets


async def _found(settings: Settings, talk: Exchange) -> OutletTable:
    identity = (await talk.get((SYS_OBJECT_ID,)))[SYS_OBJECT_ID]
    tables = candidates(identity.oid)
    if not tables:
        told = dotted(identity.oid[:SHOWN_PARTS_MAX]) or "nothing"
        raise NotSupported(
            f"{settings} reports {told} as its sysObjectID, which is not a known unit; set options.model",
            may_be_done=False,
        )
    for table in tables:
        places = settings.places(table)
        values = await talk.get(tuple(place.state for place in places))
        if all(values[place.state].kind is ValueKind.INTEGER for place in places):
            return table
    names = ", ".join(str(outlet) for outlet in settings.outlets)
    tried = ", ".join(table.name for table in tables)
    raise bad(f"{settings} has no outlet {names} in any known table of its vendor ({tried}); correct plug or set model")


def _objects(places: Iterable[Place]) -> tuple[Oid, ...]:
    said = ((place.state, *(oid for oid, _ in (*place.quiet, *place.off_with))) for place in places)
    return tuple(dict.fromkeys(oid for objects in said for oid in objects))


def _missing(places: Iterable[Place], values: Mapping[Oid, Value]) -> list[Place]:
    return [place for place in places if values[place.state].kind is ValueKind.MISSING]


def _power(table: OutletTable, place: Place, values: Mapping[Oid, Value]) -> Power:
    state = values[place.state]
    power = table.power(state.number) if state.kind is ValueKind.INTEGER else Power.UNKNOWN
    with_it = (*place.quiet, *place.off_with) if power is Power.OFF else place.quiet
    return power if all(_is_one_of(values[oid], expected) for oid, expected in with_it) else Power.UNKNOWN


def _is_one_of(value: Value, expected: tuple[int, ...]) -> bool:
    """Return whether a value fits. An agent may lack the object."""
    return value.kind is ValueKind.MISSING or (value.kind is ValueKind.INTEGER and value.number in expected)


def _check_up_time(settings: Settings, value: Value) -> None:
    """Raise DeviceNotReady for a unit that has just started and may still switch on outlets. Wraps after 497 days."""
    seconds = value.number / TICKS_A_SECOND
    if value.kind is ValueKind.TICKS and seconds < settings.ready_after_seconds:
        raise DeviceNotReady(
            f"{settings} started {seconds:.0f} s ago; its outlets count after {settings.ready_after_seconds:g} s "
            "(ready_after; if it always says so, set check_ready = false at the device)",
            may_be_done=False,
        )


def _account_of(credentials: Credentials) -> Account:
    if credentials.version != "3":
        version = VERSION_1 if credentials.version == "1" else VERSION_2C
        return Account(version=version, community=credentials.community)
    digest = credentials.digest
    user = User(
        name=credentials.user,
        context=credentials.context,
        digest=digest,
        cipher=credentials.cipher,
        signing=hashed(digest, credentials.signing) if credentials.signing else b"",
        encrypting=hashed(digest, credentials.encrypting) if credentials.encrypting else b"",
    )
    return Account(user=user)


def _silent(settings: Settings, *, may_be_done: bool) -> DeviceTimedOut:
    """Return the timeout error. A slow agent may act on the command later, so its end is not known."""
    text = f"{settings} did not answer the command in time, read what it did"
    return DeviceTimedOut(
        text if may_be_done else silence(settings), may_be_done=may_be_done, is_end_known=not may_be_done
    )


def _failed(failures: list[DeviceError], outlets: int) -> DeviceError:
    """Combine errors: of the first one's kind; may be done if any outlet may have been switched."""
    texts = "; ".join(dict.fromkeys(str(failure) for failure in failures))
    part = f"{len(failures)} of {outlets} outlets: " if outlets > 1 else ""
    is_part = len(failures) < outlets
    return type(failures[0])(
        part + texts,
        may_be_done=is_part or any(failure.may_be_done for failure in failures),
        is_end_known=all(failure.is_end_known for failure in failures),
    )
