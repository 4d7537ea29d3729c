"""Planted bugs of several controllers: who acts, what a successor assumes, and what outlives a store that went back."""

from typing import Final

from tests.planted.bug import Bug

STANDBY: Final = "tests/engine/test_standby.py"
HURRYING: Final = "tests/engine/test_hurrying.py"
TAKEOVER: Final = "tests/engine/test_takeover.py"
WENT_BACK: Final = "tests/engine/test_store_went_back.py"
STRUCK: Final = "tests/simulation/test_controllers.py"
TAKEN: Final = "tests/simulation/test_takeovers.py"


def struck(trouble: str) -> str:
    """Return the name of the test of that trouble."""
    return f"{STRUCK}::test_trouble_at_a_moment_of_a_fence[{trouble}]"


CONTROLLER_BUGS: Final = (
    Bug(
        name="the lease counts from the answer of its renewal",
        rule="S20",
        file="engine/lease.py",
        old="        self._deliver(e.LeaseRenewed(until=self.until, format",
        new="        self.until += self._clock.now() - began\n"
        "        self._deliver(e.LeaseRenewed(until=self.until, format",
        killers=(f"{TAKEN}::test_a_lease_counts_from_before_its_renewal",),
    ),
    Bug(
        name="the reactor decides as a standby",
        rule="S20",
        file="engine/reactor.py",
        old="        if self.fleet.is_standby:\n            self._hear(asked)\n            return\n",
        new="",
        killers=(f"{STANDBY}::test_a_standby_follows_hears_and_decides_nothing",),
    ),
    Bug(
        name="a standby that is told that another one stops waits for its next look",
        rule="S20",
        file="engine/standby.py",
        old="        self._hurried.set()\n",
        new="",
        killers=(f"{HURRYING}::test_a_standby_looks_at_once_when_another_controller_says_something",),
    ),
    Bug(
        name="whoever writes to the bus can make a standby look at the store all the time",
        rule="S20",
        file="engine/standby.py",
        old="            await asyncio.sleep(HURRIED_LOOK_SECONDS)\n",
        new="            await nudged(self._hurried, seconds=HURRIED_LOOK_SECONDS)\n",
        killers=(f"{HURRYING}::test_a_standby_that_is_told_again_and_again_looks_no_more_than_ten_times_a_second",),
    ),
    Bug(
        name="a controller that hands over says that it is a standby of the epoch that it gave up",
        rule="S20",
        file="engine/batch.py",
        old='default=0 if state == "standby" else fleet.epoch)',
        new="default=fleet.epoch)",
        killers=(f"{STANDBY}::test_a_hand_over_takes_less_than_a_second_from_the_release",),
    ),
    Bug(
        name="a daemon that stops gives its lease up under a command",
        rule="S21",
        file="engine/giving_over.py",
        old="if not self._fleet.is_standby and not self._effects.commands_in_flight:",
        new="if not self._fleet.is_standby:",
        killers=(f"{HURRYING}::test_a_command_under_way_keeps_the_lease_until_it_is_killed",),
    ),
    Bug(
        name="a daemon that stops leaves its lease to others first, and waits for it at its next start",
        rule="S20",
        file="engine/giving_over.py",
        old='await self._let_go("the daemon stops", to="", is_for_others=False)',
        new='await self._let_go("the daemon stops", to="", is_for_others=True)',
        killers=(f"{HURRYING}::test_a_daemon_that_stops_gives_its_lease_up_before_it_is_taken_down",),
    ),
    Bug(
        name="a standby says that it is active",
        rule="S20",
        file="engine/engine.py",
        old='                self.effects.spawn(self.outbox.say("standby"), "say standby")\n',
        new='                self.effects.spawn(self.outbox.say("active"), "say standby")\n',
        killers=(struck("is killed"),),
    ),
    Bug(
        name="a standby keeps no beats",
        rule="S11",
        file="core/following.py",
        old="            hearing.overhear(fleet, event)\n",
        new="            pass\n",
        killers=(f"{STANDBY}::test_a_standby_takes_over_within_the_lease_without_a_quiet_time",),
    ),
    Bug(
        name="a beat that ended a fence at the active controller is not heard by a standby",
        rule="S10",
        file="core/following.py",
        old="            fleet.see(entry.host, heard_at=now, heard_ear=fleet.own.ear.now(now))\n",
        new="            pass\n",
        killers=(
            f"{STANDBY}::test_a_host_whose_beat_ended_its_fence_at_the_active_controller_counts_as_heard_at_the_standby",
        ),
    ),
    Bug(
        name="a successor decides without the newest records",
        rule="S3",
        file="engine/standby.py",
        old="            self._fold(taken.rest)\n",
        new="            pass\n",
        killers=(f"{TAKEN}::test_a_successor_folds_what_its_last_look_had_not",),
    ),
    Bug(
        name="a successor counts a predecessor's command as ended",
        rule="S21",
        file="engine/takeover.py",
        old="self._standby.outlast(moved_seconds, has_ended=self._has_ended) if not taken.is_own else {}",
        new="{}",
        killers=(f"{TAKEN}::test_a_command_is_waited_out_as_a_length",),
    ),
    Bug(
        name="a successor takes a predecessor's moment for its own",
        rule="S21",
        file="engine/standby.py",
        old="                end = at + seconds + moved_seconds\n",
        new="                end = command.not_after\n",
        killers=(f"{TAKEN}::test_a_command_is_waited_out_as_a_length",),
    ),
    Bug(
        name="a successor decides before the proxies refuse older epochs",
        rule="S21",
        file="engine/takeover.py",
        old="            epoch = await self._raise_floors(taken)\n",
        new="            self._spawn(self._tell_proxies(taken.epoch, taken.holder), 'raise floors')\n",
        killers=(f"{TAKEOVER}::test_the_first_decision_is_above_every_epoch_that_a_proxy_knows",),
    ),
    Bug(
        name="an epoch that a proxy knows to be old is used",
        rule="S22",
        file="engine/takeover.py",
        old="        while (known := await self._tell_proxies(epoch, holder)) > epoch:\n",
        new="        while (known := await self._tell_proxies(epoch, holder)) > epoch + 10**6:\n",
        killers=(f"{TAKEOVER}::test_the_first_decision_is_above_every_epoch_that_a_proxy_knows",),
    ),
    Bug(
        name="commands that the store lost are not waited out",
        rule="S22",
        file="engine/takeover.py",
        old="        await asyncio.sleep(seconds)\n        await self._journal.end_doubt()\n",
        new="        await self._journal.end_doubt()\n",
        killers=(f"{STANDBY}::test_after_a_store_went_back_nothing_is_decided_until_no_lost_command_can_act",),
    ),
    Bug(
        name="words that the store lost are not said again",
        rule="S22",
        file="core/taking.py",
        old="        _say_again(work, event.words)\n",
        new="        pass\n",
        killers=(f"{WENT_BACK}::test_a_disarming_that_the_store_lost_at_once_is_set_again",),
    ),
    Bug(
        name="a life that the store ended keeps no words",
        rule="S22",
        file="engine/engine.py",
        old="            await self.controllers.keep_words()  # the store may have lost the newest of them\n",
        new="",
        killers=(f"{WENT_BACK}::test_a_disarming_that_the_store_lost_at_once_is_set_again",),
    ),
    Bug(
        name="a standby writes an older store's words over those that it kept",
        rule="S22",
        file="engine/engine.py",
        old="        lost = self.takeover.words if self.fleet.is_standby else None\n",
        new="        lost = None\n",
        killers=(f"{WENT_BACK}::test_words_outlive_a_life_that_only_stood_by",),
    ),
    Bug(
        name="a standby doubts a store that an operator has released",
        rule="S22",
        file="core/following.py",
        old='            fleet.own = replace(fleet.own, store_doubt="", is_store_older=False)\n',
        new="            pass\n",
        killers=(f"{WENT_BACK}::test_a_standby_repeats_neither_doubt_nor_words_once_an_operator_released_the_store",),
    ),
    Bug(
        name="requests that came while nobody decided are lost",
        rule="S21",
        file="engine/takeover.py",
        old="            self.requests.append(event)\n",
        new="            pass\n",
        killers=(f"{STANDBY}::test_the_successor_obeys_a_request_that_came_while_nobody_decided",),
    ),
    Bug(
        name="a kept confirm_off is believed without reading the devices",
        rule="S1",
        file="engine/engine.py",
        old="        for event in self._kept.give(since=oldest):\n            self.take(event)\n",
        new="        for event in self._kept.give(since=oldest):\n            self.reactor.deliver(event)\n",
        killers=(f"{STANDBY}::test_the_successor_reads_the_devices_before_it_believes_a_request_that_confirms_an_off",),
    ),
    Bug(
        name="control is handed over while commands are under way",
        rule="S21",
        file="engine/giving_over.py",
        old='        await self.stop_acting()\n        await self._let_go("handed over"',
        new='        await self._let_go("handed over"',
        killers=(f"{TAKEN}::test_control_is_handed_over_at_a_safe_point",),
    ),
    Bug(
        name="an unfit controller takes the lease as soon as a fit one",
        rule="S20",
        file="engine/giving_over.py",
        old="        return unfit_seconds + self._beside.patience()\n",
        new="        return self._beside.patience()\n",
        killers=(f"{TAKEN}::test_a_fit_controller_takes_the_lease_before_an_unfit_one",),
    ),
    Bug(
        name="a successor's clock falls behind the records",
        rule="S5",
        file="engine/takeover.py",
        old="        moved = await self._around.advance(max(known)) if known else 0.0\n",
        new="        moved = 0.0\n",
        killers=(f"{TAKEN}::test_a_successor_goes_on_in_the_time_of_the_records",),
    ),
    Bug(
        name="the next check waits for a stretched grace that has ended",
        rule="S11",
        file="core/suspected/silence.py",
        old="        due = max(until, due - fleet.stretched_seconds(name, now))\n",
        new="        pass\n",
        killers=("tests/core/test_detector.py::test_the_check_does_not_wait_for_a_stretched_grace_that_has_ended",),
    ),
    Bug(
        name="a command that only a proxy knows is not waited out",
        rule="S21",
        file="engine/takeover.py",
        old="        elif (seconds := self._unknown_seconds()) > 0.0:\n",
        new="        elif (seconds := self._unknown_seconds()) > 1e9:\n",
        killers=(f"{TAKEOVER}::test_a_command_that_only_a_proxy_knows_is_waited_out",),
    ),
    Bug(
        name="nobody hears what another controller saw of a lost past",
        rule="S22",
        file="engine/giving_over.py",
        old="        self._hear_doubts()\n",
        new="",
        killers=(f"{TAKEOVER}::test_what_only_a_standby_saw_of_a_lost_past_holds_the_active_controller",),
    ),
    Bug(
        name="a request with a key is obeyed twice",
        rule="interface",
        file="core/fleet_decisions.py",
        old="    answered = fleet.state.answered(key)\n",
        new="    answered = fleet.state.answered(key + content)\n",
        killers=("tests/core/test_requests.py::test_a_request_with_a_key_is_obeyed_once_and_answered_alike",),
    ),
)
