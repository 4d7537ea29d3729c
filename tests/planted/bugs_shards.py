"""Planted bugs in what a request to several shards reaches, what it says, and what a reader of events misses."""

from typing import Final

from tests.planted.bug import Bug

MANY: Final = "tests/engine/test_many_shards.py"
MERGED: Final = "tests/engine/test_merging.py"
CLIENT: Final = "tests/api/test_shards_fencectl.py"
RESUMED: Final = f"{MERGED}::test_a_reader_gets_each_event_once_and_in_order_from_any_point_also_elsewhere"

SHARD_BUGS: Final = (
    Bug(
        name="a key that is used again names the pause of another request",
        rule="S19",
        file="engine/many_shards.py",
        old='        one._request = f"{key} {content}"\n',
        new="        one._request = key\n",
        killers=("tests/engine/test_many_shards.py::test_a_pause_that_comes_twice_with_one_key_has_one_id",),
    ),
    Bug(
        name="a disarm stops at the first shard that fails",
        rule="S19",
        file="engine/many_shards.py",
        old="        await self._restrict(lambda control: control.disarm(by=by, reason=reason))\n",
        new="        await self._loosen([*self._shards], lambda control: control.disarm(by=by, reason=reason))\n",
        killers=(f"{MANY}::test_a_disarm_reaches_every_shard_that_can_obey",),
    ),
    Bug(
        name="a disarm that one of two shards did not obey is answered as done",
        rule="S19",
        file="engine/many_shards.py",
        old="        if failed:\n            raise _failure(done, failed)\n",
        new="        if not done:\n            raise _failure(done, failed)\n",
        killers=(f"{MANY}::test_a_disarm_reaches_every_shard_that_can_obey",),
    ),
    Bug(
        name="a shard is armed although another one can't be",
        rule="S19",
        file="engine/many_shards.py",
        old="        for shard in shards if not failed else ():\n",
        new="        for shard in [one for one in shards if one not in failed]:\n",
        killers=(f"{MANY}::test_nothing_is_armed_if_another_controller_holds_a_shard",),
    ),
    Bug(
        name="a pause is taken by the first shard alone",
        rule="S12",
        file="engine/many_shards.py",
        old="        answers = await asyncio.gather(*map(ask, self._shards.values()), return_exceptions=True)\n",
        new="        answers = await asyncio.gather(ask(self._first), return_exceptions=True)\n"
        "        answers += answers * (len(self._shards) - 1)\n",
        killers=(f"{MANY}::test_a_pause_has_one_id_in_all_shards_and_ends_in_all",),
    ),
    Bug(
        name="a pause of all shards may select nobody",
        rule="S12",
        file="engine/many_shards.py",
        old="        if why := selection.why_none(match, self.inventory.hosts.values()):\n",
        new="        if why := selection.why_none(match, None):\n",
        killers=(f"{MANY}::test_a_pause_of_nobody_is_refused_everywhere",),
    ),
    Bug(
        name="a pause with a given id may be no expression",
        rule="S12",
        file="core/fleet_decisions.py",
        old="    if why := selection.why_none(match, None if is_everywhere else fleet.inventory.hosts.values()):\n",
        new="    if not is_everywhere and (why := selection.why_none(match, fleet.inventory.hosts.values())):\n",
        killers=(f"{MANY}::test_a_real_shard_takes_a_pause_of_all_and_numbers_its_events",),
    ),
    Bug(
        name="the fleet is shown as armed if one shard is",
        rule="interface",
        file="engine/merging.py",
        old="        is_armed=all(view.is_armed for view in parts),\n",
        new="        is_armed=any(view.is_armed for view in parts),\n",
        killers=(f"{MANY}::test_the_fleet_is_armed_and_ready_only_if_every_shard_is",),
    ),
    Bug(
        name="a controller that holds one shard changes hosts of another",
        rule="S20",
        file="engine/many_shards.py",
        old="        if shard in self._shards:\n"
        "            await self._shards[shard].refuse_at_standby()\n"
        "            return\n",
        new="",
        killers=(f"{MANY}::test_a_host_of_another_holders_shard_is_refused_with_its_address",),
    ),
    Bug(
        name="the active controller of any shard is named",
        rule="S20",
        file="engine/controllers.py",
        old="view.is_alive and self._shard in view.holds",
        new="view.is_alive and view.shards",
        killers=("tests/engine/test_many_shards.py::test_a_shard_names_its_own_holder",),
    ),
    Bug(
        name="an event moves the reader in its own shard alone",
        rule="interface",
        file="engine/merging.py",
        old="                position = position.moved(found.happened.position)\n",
        new="                position = found.happened.position\n",
        killers=(RESUMED,),
    ),
    Bug(
        name="a shard that the last id does not name begins with all its events",
        rule="interface",
        file="engine/many_shards.py",
        old="            begin = begin.moved(named.only(shard) or await control.newest())\n",
        new="            begin = begin.moved(named.only(shard) or Position(numbers={shard: 0}))\n",
        killers=(f"{MERGED}::test_a_shard_that_the_position_does_not_name_begins_now_and_an_unknown_one_is_ignored",),
    ),
    Bug(
        name="a busy shard keeps the events of the others waiting",
        rule="interface",
        file="engine/merging.py",
        old="            await waiting.taken.wait()\n",
        new="            await asyncio.sleep(0 if waiting.taken.is_set() else 1e-9)\n",
        killers=(f"{MERGED}::test_no_more_is_read_than_a_slow_reader_takes",),
    ),
    Bug(
        name="fencectl arms further shards after one that refused",
        rule="S19",
        file="cli/fencectl/controllers.py",
        old="                if is_loosening:\n                    break\n",
        new="",
        killers=(f"{CLIENT}::test_a_refusal_of_one_shard_is_a_refusal",),
    ),
    Bug(
        name="fencectl takes an arm of some shards for one of all",
        rule="S19",
        file="cli/fencectl/controllers.py",
        old="        if faults:\n            raise _summed",
        new="        if not answers:\n            raise _summed",
        killers=(f"{CLIENT}::test_a_refusal_of_one_shard_is_a_refusal",),
    ),
)
