"""Planted bugs in announcing: the outbox, its lanes, its share of the store, and the keeper of the lease."""

from typing import Final

from tests.planted.bug import Bug

OUTBOX: Final = "tests/engine/test_outbox.py"
LANES: Final = "tests/engine/test_outbox_lanes.py"
STORE: Final = "tests/journal/test_contract.py"

OUTBOX_BUGS: Final = (
    Bug(
        name="a message counts as delivered before the broker took it",
        rule="S3",
        file="engine/outbox.py",
        old="        error = await publishing\n        taken = [first] if error is None else []\n",
        new="        error = None\n        asyncio.ensure_future(publishing)\n        taken = [first]\n",
        killers=(f"{OUTBOX}::test_a_lost_acknowledgement_repeats_the_same_message",),
    ),
    Bug(
        name="a host's later message overtakes the one that was refused",
        rule="S3",
        file="engine/outbox.py",
        old="            error = error or failure\n",
        new="            error = failure\n",
        killers=(f"{OUTBOX}::test_a_message_that_the_broker_took_behind_one_that_it_refused_is_sent_again",),
    ),
    Bug(
        name="a refusal of the broker is an acknowledgement",
        rule="S3",
        file="engine/outbox.py",
        old="            return exc\n        finally:\n",
        new="            return None if type(exc).__name__ == 'BusRefused' else exc\n        finally:\n",
        killers=(f"{OUTBOX}::test_what_is_refused_is_repeated_until_it_is_acknowledged",),
    ),
    Bug(
        name="one host's refused message holds up every other host's",
        rule="S15",
        file="engine/outbox.py",
        old="        if not self._may_send() or room <= 0:\n",
        new="        if not self._may_send() or room <= 0 or self.stuck:\n",
        killers=(f"{LANES}::test_a_backlog_that_is_refused_delays_no_other_host",),
    ),
    Bug(
        name="one host's backlog fills the outbox",
        rule="S15",
        file="journal/statements.py",
        old="        ORDER BY row_number() OVER (PARTITION BY heads.lane ORDER BY outbox.sequence), "
        "outbox.sequence LIMIT :limit",
        new="        ORDER BY outbox.sequence LIMIT :limit",
        killers=(f"{STORE}::test_the_outbox_returns_a_share_for_every_host",),
    ),
    Bug(
        name="the outbox waits behind those who look at the store",
        rule="S15",
        file="journal/queries.py",
        old='        return await self._read("outbox", work, Reader.ANNOUNCER)',
        new='        return await self._look("outbox", work)',
        killers=("tests/journal/test_files.py::test_reads_for_people_delay_neither_outbox_nor_lease_nor_checkpoint",),
    ),
    Bug(
        name="a want of descriptors ends the keeper of the lease",
        rule="S15",
        file="engine/lease.py",
        old="            except (StoreError, OSError) as exc:",
        new="            except (StoreError, TimeoutError) as exc:",
        killers=("tests/engine/test_lease.py::test_a_want_of_descriptors_ends_no_keeper",),
    ),
    Bug(
        name="a state that the broker refused counts as announced again",
        rule="S3",
        file="engine/outbox.py",
        old="        self._note(name, error, is_any_taken=error is None)\n        if error is None:\n",
        new="        self._note(name, error, is_any_taken=error is None)\n        if True:\n",
        killers=(f"{LANES}::test_a_state_that_is_refused_is_published_again_within_the_same_connection",),
    ),
    Bug(
        name="a host that the broker hangs up on is tried at each connection",
        rule="S15",
        file="engine/lanes.py",
        old="        return self._hung_up_at + pause\n",
        new="        return self._hung_up_at\n",
        killers=(f"{LANES}::test_a_broker_that_hangs_up_on_one_host_stops_neither_hearing_nor_other_hosts",),
    ),
    Bug(
        name="the retained state keeps the power of a device that a reload dropped",
        rule="S3",
        file="engine/outbox.py",
        old="                self._untold.at_once((name,))\n",
        new="                self._untold.drop(name)\n",
        killers=(f"{OUTBOX}::test_a_reload_that_drops_a_device_drops_its_power_from_the_retained_state",),
    ),
    Bug(
        name="announcements go out without the lease",
        rule="S10",
        file="engine/outbox.py",
        old="        return self._bus.is_connected and self._holds_lease()",
        new="        return self._bus.is_connected",
        killers=(f"{OUTBOX}::test_without_the_lease_nothing_is_published",),
    ),
)
