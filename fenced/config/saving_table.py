"""The table [saving], which a cluster may override key by key, `waking` in part as well."""

from dataclasses import dataclass
from typing import Annotated

from pydantic import Field, GetCoreSchemaHandler
from pydantic_core import CoreSchema, core_schema

from fenced.config.keys import TABLE, Check, Choice, Count, Flag, Listed, Name, Percent, Seconds, refuse
from fenced.config.table import Table

SOFT_OFF = ("device", "reporter")


class WakingTable(Table):
    """How many hosts may be on their way up at once."""

    cluster: Annotated[int, Count("hosts of one cluster that are woken at once", most=10_000)] = 4
    rack: Annotated[int, Count("of one rack", most=10_000)] = 2
    fleet: Annotated[int, Count("of the whole fleet", most=10_000)] = 20


class SavingTable(Table):
    enabled: Annotated[
        bool, Flag("true: put idle hosts to sleep, and wake them when they are asked for; false wakes all")
    ] = False
    reserve: Annotated[int, Count("idle hosts of a cluster that stay on", least=0)] = 1
    min_on: Annotated[int, Count("hosts of a cluster that stay on, idle or not", least=0)] = 3
    asleep_at_most: Annotated[float, Percent("of a cluster's hosts")] = 50.0
    idle_for: Annotated[
        float, Seconds("how long a host must have been idle; starts anew at a start and a takeover", most="30d")
    ] = 1800.0
    awake_for: Annotated[
        float, Seconds("how long a host stays on after it was woken, before it may sleep again", least="0s", most="30d")
    ] = 1800.0
    pause: Annotated[float, Seconds("between two hosts put to sleep in one cluster", least="0s", most="1d")] = 60.0
    veto: Annotated[
        float,
        Seconds("how long the sleep of a host is announced before the command; work and silence end it", most="1h"),
    ] = 30.0
    soft_off: Annotated[
        str,
        Choice(
            "who asks the host to shut down: its chassis device, if the driver can, or its `fenced beat`",
            choices=SOFT_OFF,
        ),
    ] = "device"
    soft_timeout: Annotated[
        float, Seconds("how long a host may take to shut down; its power is never cut for it", most="1d")
    ] = 600.0
    retry_after: Annotated[
        float, Seconds("after a host did not shut down, before it is asked again", least="0s", most="30d")
    ] = 21600.0
    proven_on: Annotated[
        float,
        Seconds(
            'only a host that this daemon switched on within this time may sleep; "0s" = not asked for',
            least="0s",
            most="36500d",
        ),
    ] = 90 * 86400.0
    consent: Annotated[
        tuple[str, ...],
        Listed("sources of evidence that must all say `idle` before a host may sleep", item=Name("")),
    ] = ()
    watch: Annotated[float, Seconds("how often to read the devices of sleepers", most="1d")] = 600.0
    waking: WakingTable = Field(default_factory=WakingTable)


@dataclass(frozen=True, slots=True)
class PartOfSaving(Check):
    """A table with some keys of [saving]; its model checks them."""

    unit = "table of keys"

    def allowed(self) -> str:
        return "as {enabled = true, reserve = 2, waking = {rack = 1}}"

    def check(self, value: object) -> object:
        if not isinstance(value, TABLE):
            raise refuse("must be a table with keys of [saving], as { enabled = true }")
        return value

    def __get_pydantic_core_schema__(self, source: object, handler: GetCoreSchemaHandler) -> CoreSchema:
        return core_schema.no_info_before_validator_function(self.check, handler(source))


@dataclass(frozen=True, slots=True)
class MaySleep(Flag):
    """The key of one host, which has another form than that of a cluster."""

    def check(self, value: object) -> bool:
        if not isinstance(value, bool):
            raise refuse("must be true or false, without quotes: a host has no [saving] of its own, only its cluster")
        return value
