"""Planted bugs in a process that serves several shards: who hears what, who takes what, and what a reload changes."""

from typing import Final

from tests.planted.bug import Bug

SWITCH: Final = "tests/bus/test_switch.py"
SHARING: Final = "tests/engine/test_sharing.py"
UNITS: Final = "tests/engine/test_units.py"

UNIT_BUGS: Final = (
    Bug(
        name="every shard's engine hears every host",
        rule="S20",
        file="bus/switch.py",
        old="        if isinstance(event, CONNECTION):\n",
        new="        if True:\n",
        killers=(f"{SWITCH}::test_each_engine_hears_its_own_hosts_and_all_hear_of_the_connection",),
    ),
    Bug(
        name="messages of hosts that a reload brought go to no engine",
        rule="S20",
        file="app/places.py",
        old="        if inventory is not self._known:\n",
        new="        if not self._shards:\n",
        killers=("tests/engine/test_places.py::test_a_reload_brings_hosts_and_takes_them_away",),
    ),
    Bug(
        name="a new life of a shard's engine does not see what the bus shows of its hosts",
        rule="S22",
        file="bus/switch.py",
        old="        for event in self._kept.values():\n            deliver(event)\n",
        new="",
        killers=(f"{SWITCH}::test_a_new_life_hears_what_it_would_hear_over_a_connection_of_its_own",),
    ),
    Bug(
        name="states of before a connection was lost are told to a new life",
        rule="S22",
        file="bus/switch.py",
        old="                self._kept.clear()\n",
        new="",
        killers=(f"{SWITCH}::test_a_new_life_hears_what_it_would_hear_over_a_connection_of_its_own",),
    ),
    Bug(
        name="a new life of a shard's engine counts an old connection as settled",
        rule="S11",
        file="bus/switch.py",
        old="            deliver(replace(self._connected, at=self._clock.now()))\n",
        new="            deliver(self._connected)\n",
        killers=(f"{SWITCH}::test_a_new_life_hears_what_it_would_hear_over_a_connection_of_its_own",),
    ),
    Bug(
        name="a shard is given to a controller that does not take it",
        rule="S20",
        file="engine/sharing.py",
        old="if takes is None or shard in takes]",
        new="]",
        killers=(f"{SHARING}::test_nobody_gives_to_one_that_does_not_take_it",),
    ),
    Bug(
        name="a shard goes round between two controllers",
        rule="S20",
        file="engine/sharing.py",
        old="        if len(other.shards) + 2 > len(held) and",
        new="        if len(other.shards) + 1 > len(held) and",
        killers=(f"{SHARING}::test_gifts_end_with_fair_shares",),
    ),
    Bug(
        name="a controller takes shards above its bound",
        rule="S20",
        file="engine/standby.py",
        old="        if patience == math.inf:\n            return None\n",
        new="        patience = min(patience, 0.0)\n",
        killers=(f"{UNITS}::test_a_full_controller_takes_no_shard",),
    ),
    Bug(
        name="the doubt about one shard's records holds another shard",
        rule="S22",
        file="engine/giving_over.py",
        old="                if reason.startswith(went_back) and",
        new="                if WENT_BACK in reason and",
        killers=(f"{UNITS}::test_a_doubt_about_another_shards_records_holds_nothing_here",),
    ),
    Bug(
        name="a trial of a new inventory takes it",
        rule="S18",
        file="core/fleet_decisions.py",
        old='    if event.is_trial:\n        return Accepted(operation=OperationId(""))\n',
        new="",
        killers=(f"{UNITS}::test_a_trial_of_a_new_inventory_changes_nothing",),
    ),
    Bug(
        name="a trial of a new inventory is taken by a standby",
        rule="S18",
        file="core/following.py",
        old="        case e.InventoryRead(is_trial=True):\n            pass\n",
        new="",
        killers=(f"{UNITS}::test_a_trial_of_a_new_inventory_changes_nothing",),
    ),
    Bug(
        name="the clock of all shards leaps to the records of one",
        rule="S10",
        file="app/unit.py",
        old="    if seconds > AHEAD_SECONDS_MAX:\n",
        new="    if False:\n",
        killers=(f"{UNITS}::test_the_clock_of_all_shards_never_leaps_to_the_records_of_one",),
    ),
    Bug(
        name="a controller whose standby shard is unfit says that it is fit",
        rule="S20",
        file="engine/giving_over.py",
        old="(*self.unfit_marked(), *self._beside.unfit())",
        new="self._beside.unfit()",
        killers=(f"{UNITS}::test_the_report_is_of_all_shards",),
    ),
)
