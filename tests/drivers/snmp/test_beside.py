"""The objects beside an outlet's state: contradicting, pending, failed, or of a unit that has just started."""

from dataclasses import replace
from typing import Any

import pytest
from pysnmp.proto.api import v2c

from fenced.drivers.snmp.driver import SnmpOutlet
from fenced.drivers.snmp.tables import Oid, oid
from fenced.model.inventory import DeviceSpec
from fenced.model.power import Power
from fenced.ports.devices import DeviceNotReady
from tests.drivers.programs import spec_of, starts_into
from tests.drivers.snmp.pdus import DELL, FAMILIES, SENTRY3, SENTRY4, VERTIV
from tests.drivers.snmp.responder import SYS_UP_TIME, Asked, Behaviour, responder

BY_MODEL = {family.model: family for family in FAMILIES}
DAY_TICKS = 8_640_000


def spec_at(port: int, model: str, **options: Any) -> DeviceSpec:
    given = {"plug": "3", "model": model, **options}
    return spec_of("snmp_outlet", address=f"127.0.0.1:{port}", username="", options=given)


def telling(values: dict[Oid, int], *, ticks: int = DAY_TICKS) -> Behaviour:
    """A unit with these objects and this uptime; the values may change at any time."""

    def behave(asked: Asked) -> list[bytes]:
        told = [
            v2c.TimeTicks(ticks) if each == SYS_UP_TIME else v2c.Integer32(values.get(each, 0)) for each in asked.oids
        ]
        return [asked.answer(*told)]

    return behave


@pytest.mark.parametrize(
    ("model", "column", "on", "off", "neither"),
    [
        # outletControlState: idle, wake, off/on, locked and event are final; the rest is transitional or contradicts.
        ("sentry3", SENTRY3 + ".10.1.1.3", (1, 3, 5, 7, 15), (0, 2, 4, 6, 14), (8, 9, 10, 11, 12, 13, 16, 17)),
        (
            "sentry4",
            SENTRY4 + ".5.1.1.1.1.3",
            (1, 3, 5, 11, 15, 17),
            (2, 4, 10, 14, 16),
            (0, 6, 7, 8, 9, 12, 13, 18, 19),
        ),
        # st4OutletStatus: an outlet that is off may have a low load; lost, tripped or blown gives no state.
        (
            "sentry4",
            SENTRY4 + ".3.1.2.1.1.3",
            (0, 14, 17),
            (0, 14, 15, 19),
            (1, 2, 5, 6, 7, 8, 9, 10, 11, 12, 13, 21, 23),
        ),
        # pduOutletSwitchRelayFailure
        ("vertiv", VERTIV + ".5.3", (2,), (2,), (1,)),
        # rPDUOutletSwitchedStatCmdPnding
        ("dell_rpdu", DELL + ".2.1.5.3", (2,), (2,), (1, 3)),
    ],
)
async def test_a_state_counts_while_the_columns_beside_it_agree(
    model: str, column: str, on: tuple[int, ...], off: tuple[int, ...], neither: tuple[int, ...]
) -> None:
    """OFF is the sensed state while nothing pending or wrong contradicts it (S2)."""
    family = BY_MODEL[model]
    values = {oid(path.format(n=3)): value for path, value in family.quiet.items()}
    state, beside_it, control = oid(family.state.format(n=3)), oid(column), family.control.format(n=3)
    async with responder(telling(values)) as agent:
        for power, value, agreeing in ((Power.ON, family.on, on), (Power.OFF, family.off, off)):
            values[state] = value
            if control:
                values[oid(control)] = family.control_values[power is Power.OFF]
            against = set(on) - set(off) if power is Power.OFF and control == column else set()
            for beside in (*agreeing, *neither, *against):
                values[beside_it] = beside
                wanted = power if beside in agreeing else Power.UNKNOWN
                assert await SnmpOutlet().read(spec_at(agent.port, model), timeout_seconds=5) is wanted, (power, beside)


async def test_what_could_not_be_read_afterwards_is_not_switched() -> None:
    """A unit whose uptime never passes a few seconds."""
    started = starts_into([])
    async with responder(telling({oid(BY_MODEL["raritan"].state.format(n=3)): 7}, ticks=100)) as agent:
        spec = spec_at(agent.port, "raritan", ready_after=30)
        for call in (
            SnmpOutlet().read(spec, timeout_seconds=5),
            SnmpOutlet().set(spec, Power.OFF, timeout_seconds=5, on_started=started),
        ):
            with pytest.raises(DeviceNotReady, match="check_ready = false") as failed:
                await call
            assert not failed.value.may_be_done
        assert agent.sets == []
        trusting = replace(spec, check_ready=False)
        assert await SnmpOutlet().read(trusting, timeout_seconds=5) is Power.ON
        await SnmpOutlet().set(trusting, Power.OFF, timeout_seconds=5, on_started=started)
        assert len(agent.sets) == 1
