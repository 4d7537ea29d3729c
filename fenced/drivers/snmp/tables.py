"""The outlet tables of vendors' public MIBs: objects, states and commands, as data.

A value that is not listed as on or off is neither (S2). Only immediate on and off commands are listed: no reboot (S7),
no delayed command, none for all outlets at once.
Sources: the vendors' MIBs (PowerNet-MIB, PDU-MIB and PDU2-MIB, EATON-EPDU-MIB, CPS-MIB, DellrPDU-MIB, Sentry3-MIB,
Sentry4-MIB, VERTIV-V5-MIB), Network UPS Tools' snmp-ups tables and the fence agents for APC and Eaton.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final

from fenced.model.power import Power

Oid = tuple[int, ...]

AUTO: Final = "auto"
CUSTOM: Final = "custom"


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """The objects of one outlet. `quiet`: objects and their values while nothing is scheduled and nothing is wrong.
    `off_with`: objects and their values while it is off. A unit may lack these objects."""

    name: str
    state: Oid
    quiet: tuple[tuple[Oid, tuple[int, ...]], ...]
    off_with: tuple[tuple[Oid, tuple[int, ...]], ...]
    commands: tuple[tuple[Power, Oid, int], ...]

    def command(self, power: Power) -> tuple[Oid, int]:
        """Return the object and the value for immediate ON or OFF."""
        return next((oid, value) for commanded, oid, value in self.commands if commanded is power)


@dataclass(frozen=True, slots=True, kw_only=True)
class OutletTable:
    """One family of units. Columns are dotted; `{plug}` is the outlet's index, which is appended where it is missing.

    `identities`: prefixes of sysObjectID. `first`: default indices before the outlet's (unit of a chain, feed); empty =
    the outlet has one index alone. `offset`: index minus the number on the housing.
    """

    name: str
    about: str
    state: str
    on: int
    off: int
    set_on: tuple[str, int]
    set_off: tuple[str, int]
    quiet: tuple[tuple[str, tuple[int, ...]], ...] = ()
    off_with: tuple[tuple[str, tuple[int, ...]], ...] = ()
    identities: tuple[str, ...] = ()
    first: tuple[int, ...] = ()
    offset: int = 0

    def power(self, value: int) -> Power:
        """Return the meaning of a state value."""
        return {self.on: Power.ON, self.off: Power.OFF}.get(value, Power.UNKNOWN)

    def place(self, outlet: "Outlet") -> Place:
        """Locate an outlet. Raises ValueError with the reason if this table can't have it."""
        number = outlet.number + self.offset
        if number < 0:
            raise ValueError(f"outlet {outlet} has no index: {outlet.number} with an offset of {self.offset}")
        if outlet.chain and self.name != CUSTOM:
            self._check_chain(outlet)
        index = dotted((*(outlet.chain or self.first), number))
        return Place(
            name=str(outlet),
            state=_at(self.state, index),
            quiet=tuple((_at(column, index), values) for column, values in self.quiet),
            off_with=tuple((_at(column, index), values) for column, values in self.off_with),
            commands=(
                (Power.ON, _at(self.set_on[0], index), self.set_on[1]),
                (Power.OFF, _at(self.set_off[0], index), self.set_off[1]),
            ),
        )

    def _check_chain(self, outlet: "Outlet") -> None:
        if not self.first:
            raise ValueError(f"{self.name} has no unit numbers: write {outlet.number} instead of {outlet}")
        if len(outlet.chain) != len(self.first):
            wanted = ":".join((*map(str, self.first), str(outlet.number)))
            raise ValueError(f"{outlet} is not an outlet of {self.name}: write {outlet.number}, or in full {wanted}")
        if outlet.chain == self.first:
            raise ValueError(
                f"{dotted(outlet.chain)} is the default: write {outlet.number} instead of {outlet}, so that each "
                "outlet has one spelling"
            )


@dataclass(frozen=True, slots=True, kw_only=True)
class Outlet:
    """One outlet as written: `7`, `2:7` for outlet 7 of unit 2 of a chain, `2:1:7` with feeds."""

    number: int
    chain: tuple[int, ...] = ()

    def __str__(self) -> str:
        return ":".join(map(str, (*self.chain, self.number)))


_RPDU: Final = "1.3.6.1.4.1.318.1.1.12.3"
_RPDU2: Final = "1.3.6.1.4.1.318.1.1.26.9.2"
_SPDU: Final = "1.3.6.1.4.1.318.1.1.4.4.2.1"
_PX: Final = "1.3.6.1.4.1.13742.4.1.2.2.1"
_PX2: Final = "1.3.6.1.4.1.13742.6.4.1.2.1"
_EATON: Final = "1.3.6.1.4.1.534.6.6.7.6.6.1"
_EATON_G1: Final = "1.3.6.1.4.1.534.6.6.6.1.2.2.1"
_CPS: Final = "1.3.6.1.4.1.3808.1.1.3.3"
_CPS2: Final = "1.3.6.1.4.1.3808.1.1.6.6.1"
_DELL: Final = "1.3.6.1.4.1.674.10903.200.2.200.130.1"
_SENTRY3: Final = "1.3.6.1.4.1.1718.3.2.3.1"
_SENTRY4: Final = "1.3.6.1.4.1.1718.4.1.8"
_VERTIV: Final = "1.3.6.1.4.1.21239.5.2.3.5.1"
_APC_UNITS: Final = ("1.3.6.1.4.1.318.1.3.4",)
_CPS_UNITS: Final = ("1.3.6.1.4.1.3808.1.1.3", "1.3.6.1.4.1.3808.1.1.6")

TABLES: Final[tuple[OutletTable, ...]] = (
    OutletTable(
        # The state column has off 1 and on 2, but the commands are on 1 and off 2.
        name="apc_rpdu2",
        about="APC rack PDU 2 (AP84xx, AP86xx, AP88xx, AP89xx and later)",
        state=f"{_RPDU2}.3.1.5", on=2, off=1,
        set_on=(f"{_RPDU2}.4.1.5", 1), set_off=(f"{_RPDU2}.4.1.5", 2),
        quiet=((f"{_RPDU2}.3.1.6", (2,)),),
        identities=_APC_UNITS,
    ),
    OutletTable(
        name="apc",
        about="APC switched rack PDU (AP78xx, AP79xx); later ones have it too",
        state=f"{_RPDU}.5.1.1.4", on=1, off=2,
        set_on=(f"{_RPDU}.3.1.1.4", 1), set_off=(f"{_RPDU}.3.1.1.4", 2),
        quiet=((f"{_RPDU}.5.1.1.5", (2,)),),
        identities=_APC_UNITS,
    ),
    OutletTable(
        name="apc_masterswitch",
        about="APC MasterSwitch",
        state=f"{_SPDU}.3", on=1, off=2,
        set_on=(f"{_SPDU}.3", 1), set_off=(f"{_SPDU}.3", 2),
        quiet=((f"{_SPDU}.2", (2,)),),
        identities=_APC_UNITS,
    ),
    OutletTable(
        # A sensor reports the state: on 7, off 8. The commands are off 0, on 1 (cycle 2 is never sent).
        name="raritan",
        about="Raritan PX2, PX3 and later",
        state=f"{_PX2}.3", on=7, off=8,
        set_on=(f"{_PX2}.2", 1), set_off=(f"{_PX2}.2", 0),
        identities=("1.3.6.1.4.1.13742.6",),
        first=(1,),
    ),
    OutletTable(
        name="raritan_px1",
        about="Raritan PX, first generation",
        state=f"{_PX}.3", on=1, off=0,
        set_on=(f"{_PX}.3", 1), set_off=(f"{_PX}.3", 0),
        identities=("1.3.6.1.4.1.13742.4", "1.3.6.1.4.1.13742.1"),
    ),
    OutletTable(
        # 2 and 3 are pendingOff and pendingOn. Setting a command object starts a delay in seconds (0 = now); reading it
        # returns the seconds left, -1 if nothing is scheduled.
        name="eaton",
        about="Eaton ePDU G2, G3 and later",
        state=f"{_EATON}.2", on=1, off=0,
        set_on=(f"{_EATON}.4", 0), set_off=(f"{_EATON}.3", 0),
        quiet=((f"{_EATON}.3", (-1,)), (f"{_EATON}.4", (-1,)), (f"{_EATON}.5", (-1,))),
        identities=("1.3.6.1.4.1.534.6.6.7",),
        first=(0,),
    ),
    OutletTable(
        name="eaton_managed",
        about="Eaton Powerware managed ePDU (first generation)",
        state=f"{_EATON_G1}.3", on=1, off=0,
        set_on=(f"{_EATON_G1}.3", 1), set_off=(f"{_EATON_G1}.3", 0),
        identities=("1.3.6.1.4.1.534.6.6.6",),
        offset=-1,
    ),
    OutletTable(
        name="cyberpower_epdu2",
        about="CyberPower rack PDU by the ePDU2 tables (also chains)",
        state=f"{_CPS2}.4.1.5", on=1, off=2,
        set_on=(f"{_CPS2}.5.1.5", 1), set_off=(f"{_CPS2}.5.1.5", 2),
        quiet=((f"{_CPS2}.4.1.6", (2,)),),
        identities=_CPS_UNITS,
    ),
    OutletTable(
        name="cyberpower",
        about="CyberPower switched rack PDU",
        state=f"{_CPS}.5.1.1.4", on=1, off=2,
        set_on=(f"{_CPS}.3.1.1.4", 1), set_off=(f"{_CPS}.3.1.1.4", 2),
        quiet=((f"{_CPS}.5.1.1.5", (2,)),),
        identities=_CPS_UNITS,
    ),
    OutletTable(
        # Like APC's rPDU2, except that the state has on 1 and off 2.
        name="dell_rpdu",
        about="Dell rack PDU",
        state=f"{_DELL}.2.1.4", on=1, off=2,
        set_on=(f"{_DELL}.4.1.4", 1), set_off=(f"{_DELL}.4.1.4", 2),
        quiet=((f"{_DELL}.2.1.5", (2,)),),
        identities=("1.3.6.1.4.1.674.10903.200",),
    ),
    OutletTable(
        # The unit senses the state if it can; waiting, an error and a blown fuse are neither on nor off. The control
        # state has more values: idle, wake, off/on, locked and event are final; pending, reboot, shutdown and minimum
        # times are transitional.
        name="sentry3",
        about="Server Technology Sentry, third generation (CW, CDU)",
        state=f"{_SENTRY3}.5", on=1, off=0,
        set_on=(f"{_SENTRY3}.11", 1), set_off=(f"{_SENTRY3}.11", 2),
        quiet=((f"{_SENTRY3}.10", (0, 1, 2, 3, 4, 5, 6, 7, 14, 15)),),
        off_with=((f"{_SENTRY3}.10", (0, 2, 4, 6, 14)),),
        identities=("1.3.6.1.4.1.1718.3",),
        first=(1, 1),
    ),
    OutletTable(
        # With a status of lost, no communication, error, tripped breaker or blown fuse the state is not the outlet's.
        # An outlet that is off may have the status of a low load. Control states are those of Sentry3 with other
        # numbers.
        name="sentry4",
        about="Server Technology PRO1 and PRO2",
        state=f"{_SENTRY4}.3.1.1", on=1, off=2,
        set_on=(f"{_SENTRY4}.5.1.2", 1), set_off=(f"{_SENTRY4}.5.1.2", 2),
        quiet=(
            (f"{_SENTRY4}.3.1.2", (0, 14, 15, 16, 17, 18, 19, 20)),
            (f"{_SENTRY4}.5.1.1", (1, 2, 3, 4, 5, 10, 11, 14, 15, 16, 17)),
        ),
        off_with=((f"{_SENTRY4}.5.1.1", (2, 4, 10, 14, 16)),),
        identities=("1.3.6.1.4.1.1718.4",),
        first=(1, 1),
    ),
    OutletTable(
        # The control object always reads 8, none. With a failed relay (1) the state may be wrong.
        name="vertiv",
        about="Vertiv and Geist rack PDU",
        state=f"{_VERTIV}.4", on=1, off=2,
        set_on=(f"{_VERTIV}.6", 2), set_off=(f"{_VERTIV}.6", 4),
        quiet=((f"{_VERTIV}.5", (2,)), (f"{_VERTIV}.7", (0,))),
        identities=("1.3.6.1.4.1.21239",),
    ),
)  # fmt: skip
"""In the order in which `auto` tries a vendor's tables: the newest first."""

MODELS: Final = (AUTO, *sorted(table.name for table in TABLES), CUSTOM)


def table_of(model: str) -> OutletTable:
    """Return the table of that name, one of MODELS."""
    return next(table for table in TABLES if table.name == model)


def candidates(identity: Oid) -> tuple[OutletTable, ...]:
    """Return the tables that a unit with that sysObjectID may have, the newest first."""
    return tuple(table for table in TABLES if any(_begins(identity, prefix) for prefix in table.identities))


def oid(text: str) -> Oid:
    """Parse a dotted object identifier. Raises ValueError."""
    parts = text.removeprefix(".").split(".")
    if not 2 <= len(parts) <= 128 or not all(part.isascii() and part.isdigit() and len(part) <= 10 for part in parts):
        raise ValueError(f"{text!r} is not an object identifier like 1.3.6.1.2.1")
    numbers = tuple(int(part) for part in parts)
    if numbers[0] > 2 or (numbers[0] < 2 and numbers[1] > 39) or max(numbers) > 0xFFFFFFFF:
        raise ValueError(f"{text!r} is not an object identifier: a number is too large")
    return numbers


def dotted(numbers: Iterable[int]) -> str:
    """Return an object identifier as text."""
    return ".".join(map(str, numbers))


def _at(column: str, index: str) -> Oid:
    return oid(column.replace("{plug}", index) if "{plug}" in column else f"{column}.{index}")


def _begins(identity: Oid, prefix: str) -> bool:
    numbers = oid(prefix)
    return identity[: len(numbers)] == numbers
