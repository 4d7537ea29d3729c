"""Planted bugs in how a start handles old records, an edited inventory and another store."""

from typing import Final

from tests.planted.bug import Bug

EDITED: Final = "tests/core/test_edited_inventory.py"
ASIDE: Final = "tests/core/test_put_aside.py"
BACK: Final = "tests/core/test_hosts_that_come_back.py"
RELOADS: Final = "tests/properties/test_reloads.py"
FAULTS: Final = "tests/journal/test_faults.py"
START: Final = "tests/engine/test_start.py"
TRANSACTION: Final = "tests/core/test_transaction.py"

RECORD_BUGS: Final = (
    Bug(
        name="an operation goes on with other devices than it began with",
        rule="S1",
        file="core/operation/recovery.py",
        old="    elif changed:\n        _resume_edited(work, changed)",
        new="    elif changed and False:\n        _resume_edited(work, changed)",
        killers=(f"{EDITED}::test_a_forgotten_feed_is_read_before_the_host_is_announced",),
    ),
    Bug(
        name="the plug is not compared after a restart",
        rule="S1",
        file="core/operation/edited.py",
        old="    was = {run.device: (run.plug_id, run.level, run.kind, run.identity) for run in operation.devices}\n"
        "    return _differing(was, _bases(host))",
        new="    return tuple({run.device for run in operation.devices} ^ {it.name for it in host.devices})",
        killers=(f"{EDITED}::test_no_on_goes_to_an_outlet_that_was_never_switched_off",),
        wider=(EDITED, RELOADS),
    ),
    Bug(
        name="a debt is the device's, whatever outlet it is on",
        rule="S9",
        file="core/operation/edited.py",
        old="    return debt.plug_id == configured or _is_same_outlet(debt.plug_id, configured)",
        new="    return True",
        killers=(f"{EDITED}::test_no_on_goes_to_an_outlet_that_was_never_switched_off",),
        wider=(EDITED, RELOADS),
    ),
    Bug(
        name="a debt of a device that is gone is forgotten",
        rule="S9",
        file="core/durable/evolve_owed.py",
        old="    return replace(state, owed=record.owed, orphans=record.orphans, owed_plugs=kept)",
        new="    return replace(state, owed=record.owed, owed_plugs=kept)",
        killers=(f"{EDITED}::test_a_person_who_had_the_host_in_hand_ends_the_debt_of_a_device_that_is_gone",),
        wider=(EDITED, RELOADS),
    ),
    Bug(
        name="a feed that was added to the level of a proof does not speak",
        rule="S17",
        file="core/durable/operation_state.py",
        old=" or device.name in self.devices or device.level == self.level",
        new=" or device.name in self.devices",
        killers=(f"{EDITED}::test_what_was_announced_without_a_forgotten_feed_is_taken_back_once_it_reads_on",),
    ),
    Bug(
        name="rounds of the watch before and after a reload count together",
        rule="S1",
        file="core/fleet_decisions.py",
        old="            fleet.see(name, watch_offs=NOTHING, watch_lit=NOTHING, devices_since=work.now)",
        new="            fleet.see(name, devices_since=work.now)",
        killers=(f"{EDITED}::test_rounds_of_the_watch_on_both_sides_of_a_reload_prove_nothing_together",),
    ),
    Bug(
        name="what could not be read of a host is overlooked",
        rule="S13",
        file="core/operation/recovery.py",
        old="    fault = work.fleet.faults.get(work.name)\n    if fault is not None:",
        new="    fault = work.fleet.faults.get(work.name)\n    if fault is not None and False:",
        killers=(f"{ASIDE}::test_a_host_that_cannot_be_taken_up_is_put_aside_and_all_others_go_on",),
    ),
    Bug(
        name="a record that can't be folded keeps the daemon from starting",
        rule="S13",
        file="engine/replaying.py",
        old="    except Exception as exc:  # border of the store",
        new="    except ZeroDivisionError as exc:  # border of the store",
        killers=(f"{START}::test_a_record_that_cannot_be_folded_puts_its_host_aside",),
    ),
    Bug(
        name="a host that was put aside is still fenced",
        rule="S13",
        file="core/allowed/of_host.py",
        old="    if state.record_fault:\n",
        new="    if state.record_fault and False:\n",
        killers=(f"{ASIDE}::test_a_host_that_cannot_be_taken_up_is_put_aside_and_all_others_go_on",),
    ),
    Bug(
        name="the store gate fails open",
        rule="S19",
        file="core/allowed/of_daemon.py",
        old="    if fleet.state.store_hold:\n",
        new="    if fleet.state.store_hold and False:\n",
        killers=("tests/core/test_gates.py::test_another_store_than_before_holds_all_until_a_person_releases_it",),
    ),
    Bug(
        name="a store that vanished is a first start",
        rule="S19",
        file="journal/database.py",
        old="            if kept is not None and kept not in",
        new="            if kept is None and kept not in",
        killers=(f"{FAULTS}::test_a_lost_store_is_expected_until_another_is_accepted",),
        wider=(FAULTS,),
    ),
    Bug(
        name="the watch proves off what an on may still light",
        rule="S5",
        file="core/suspected/watch.py",
        old="    if is_alive or work.state.acting_ons(event.started):",
        new="    if is_alive:",
        killers=(f"{BACK}::test_the_watch_proves_nothing_while_an_on_of_before_may_still_act",),
    ),
    Bug(
        name="a refused batch leaves what it saw of a host",
        rule="S3",
        file="core/fleet.py",
        old="        for sight, values in self._seen.values():\n            put_back(sight, values)\n",
        new="",
        killers=(f"{TRANSACTION}::test_a_round_of_the_watch_counts_once_however_often_it_is_refused",),
    ),
    Bug(
        name="a refused batch leaves what it read of a path",
        rule="S3",
        file="core/fleet.py",
        old="        return (self.hosts, self.gone, self.sights, self.checks, self.claims)",
        new="        return (self.hosts, self.gone, self.sights, self.claims)",
        killers=(f"{TRANSACTION}::test_a_path_that_failed_counts_once_however_often_it_is_refused",),
    ),
    Bug(
        name="a refused batch forgets the beat that it heard",
        rule="S11",
        file="core/heard/sight.py",
        old='    {"heard_at", "heard_ear", "spoke_at", "spoke_ear", "evidence", "longest_silence"',
        new='    {"longest_silence"',
        killers=(
            f"{TRANSACTION}::test_a_beat_stays_heard_though_its_record_was_refused",
            f"{TRANSACTION}::test_evidence_of_life_stays",
        ),
    ),
    Bug(
        name="a lost lease waits for its decision",
        rule="S10",
        file="engine/reactor.py",
        old="        return not self._losses and not self._is_given_up and self.fleet.holds_lease(self._clock.now())",
        new="        return not self._is_given_up and self.fleet.holds_lease(self._clock.now())",
        killers=("tests/engine/test_reactor.py::test_a_lost_lease_kills_ons_although_the_store_takes_nothing",),
    ),
    Bug(
        name="an off that joins a waiting on is lost",
        rule="S4",
        file="core/durable/evolve_operation.py",
        old="FIRST_PHASE[record.action] if has_not_begun else operation.phase",
        new="operation.phase",
        killers=(
            "tests/core/test_second_requests.py::test_an_off_that_joins_an_on_which_waits_is_carried_out[Action.OFF]",
        ),
    ),
)
