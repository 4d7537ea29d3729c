"""Planted bugs in requests to wake hosts, and in what people are told of sleepers."""

from typing import Final

from tests.planted.bug import Bug

REQUESTS: Final = "tests/core/test_wake_requests.py"
BUS: Final = "tests/bus/test_wake_requests.py"
API: Final = "tests/api/test_saving.py"
CTL: Final = "tests/api/test_saving_fencectl.py"
SHARDS: Final = "tests/api/test_shards.py"
BARS: Final = "tests/core/test_saving_bars.py"
FIGURES: Final = "tests/telemetry/test_saving.py"

WAKE_BUGS: Final = (
    Bug(
        name="a request to wake that comes again wakes further hosts",
        rule="S24",
        file="core/fleet_decisions.py",
        old="    if (before := work.fleet.state.answered(event.id)) is not None:\n        _reply(work, event, host,",
        new='    if (before := work.fleet.state.answered("")) is not None:\n        _reply(work, event, host,',
        killers=(f"{REQUESTS}::test_the_same_id_gets_its_first_answer_and_wakes_nobody_else",),
    ),
    Bug(
        name="a request to wake goes to the first of several shards",
        rule="S24",
        file="bus/switch.py",
        old="            return self._shard_of_cluster(event.cluster) or min(self._lines, default=None)\n",
        new="            return min(self._lines, default=None)\n",
        killers=(f"{BUS}::test_of_several_shards_that_of_the_cluster_gets_it",),
    ),
    Bug(
        name="a wake is asked of a shard that another controller holds",
        rule="S24",
        file="engine/many_shards.py",
        old="        control = self._of_cluster(cluster)\n        await control.refuse_at_standby()\n",
        new="        control = self._of_cluster(cluster)\n",
        killers=(f"{SHARDS}::test_a_wake_goes_to_the_shard_that_has_the_cluster",),
    ),
    Bug(
        name="a viewer wakes hosts",
        rule="S24",
        file="api/routes.py",
        old='        name="wake",\n        handle=saving.wake,\n        role=Role.OPERATOR,\n',
        new='        name="wake",\n        handle=saving.wake,\n        role=Role.VIEWER,\n',
        killers=(f"{API}::test_roles_are_as_for_other_actions",),
    ),
    Bug(
        name="the answer to a wake hides how many are short",
        rule="S24",
        file="engine/control.py",
        old="hosts=answer.hosts, short=answer.short",
        new="hosts=answer.hosts",
        killers=("tests/engine/test_saving.py::test_a_host_is_put_to_sleep_and_woken_by_a_person",),
    ),
    Bug(
        name="fencectl takes a sleeper that failed for one that is awake",
        rule="S24",
        file="cli/fencectl/wait.py",
        old='        failed = {host for host, one in left.items() if one["state"] not in WAKING} | unwanted\n'
        '        return {"failed": sorted(failed)}',
        new='        failed = {host for host, one in left.items() if one["state"] not in WAKING} | unwanted\n'
        '        return {"failed": []}',
        killers=(f"{CTL}::test_a_host_that_does_not_come_is_a_failure",),
    ),
    Bug(
        name="the hours of a sleep that ended are forgotten",
        rule="S24",
        file="core/durable/sleep_state.py",
        old="        return self.slept_seconds + (",
        new="        return (",
        killers=(f"{FIGURES}::test_the_time_of_sleeps_is_kept_when_they_end",),
    ),
    Bug(
        name="a BMC that may be another host's is asked to shut down",
        rule="S24",
        file="core/idle/fit.py",
        old="    if foreign := shared(fleet, name, now):\n",
        new="    if False and (foreign := shared(fleet, name, now)):\n",
        killers=(
            f"{BARS}::test_nobody_whose_bmc_may_be_another_hosts_is_asked_to_shut_down",
            f"{BARS}::test_a_bmc_that_turns_out_to_be_shared_during_the_veto_ends_the_sleep",
        ),
    ),
    Bug(
        name="the machine of the store is put to sleep",
        rule="S24",
        file="core/idle/fit.py",
        old="    if host.is_beside_store:\n",
        new="    if False:\n",
        killers=(f"{BARS}::test_its_place_keeps_it_awake_and_the_next_one_sleeps[keys2-own_machine]",),
    ),
    Bug(
        name="a machine in a rack counts nowhere when hosts come up",
        rule="S24",
        file="core/saving/policy.py",
        old="        and in_rack < settings.waking_rack\n",
        new="        and True\n",
        killers=(f"{BARS}::test_few_of_a_rack_come_up_at_once",),
    ),
    Bug(
        name="a spare waits for the next look at the gates",
        rule="S24",
        file="core/saving/policy.py",
        old="    if work.state.state in counts.LOST and before.state not in counts.LOST:\n",
        new="    if False:\n",
        killers=(f"{BARS}::test_a_spare_comes_up_while_the_other_one_is_being_fenced",),
    ),
    Bug(
        name="a wanted sleeper that is our own machine is switched",
        rule="S18",
        file="core/saving/policy.py",
        old=" and not fleet.host(name).is_own_machine\n    return is_wanted",
        new="\n    return is_wanted",
        killers=(f"{BARS}::test_a_wanted_sleeper_that_becomes_our_own_machine_is_not_switched",),
    ),
)
