"""Planted bugs in trial looks: what is said beforehand of who would see a death, and who would see one that is none."""

from typing import Final

from tests.planted.bug import Bug

TRIALS: Final = "tests/core/test_trials.py"
LOOKS: Final = "tests/engine/test_trials.py"
LIVENESS: Final = "tests/host/test_liveness.py"
TOLD: Final = "tests/proxy/test_looks_told.py"
WATCH: Final = "tests/proxy/test_watch.py"
SHORTCOMINGS: Final = "tests/engine/test_shortcomings.py"
WHERE: Final = "core/suspected/trials.py"

TRIAL_BUGS: Final = (
    Bug(
        name="an observer that reaches a living host and no control would count",
        rule="S10",
        file=WHERE,
        old="    why = observing.why_no_silence(fleet, name, replace(look, saw=Saw.SILENT), now)\n",
        new='    why = "" if look.saw is Saw.ALIVE else observing.why_no_silence(fleet, name, look, now)\n',
        killers=(f"{TRIALS}::test_who_reaches_the_host_and_no_control_would_not_count",),
        wider=(TRIALS,),
    ),
    Bug(
        name="an older observer that says nothing of controls would count",
        rule="S10",
        file=WHERE,
        old="        return OLDER\n",
        new='        return ""\n',
        killers=(f"{TRIALS}::test_who_reaches_the_host_and_no_control_would_not_count",),
        wider=(TRIALS,),
    ),
    Bug(
        name="one domain that would see a death is enough",
        rule="S10",
        file="core/heard/trials.py",
        old="        return len(self.able) >= self.needed",
        new="        return len(self.able) >= min(1, self.needed)",
        killers=(f"{TRIALS}::test_one_domain_of_two_is_not_enough",),
        wider=(TRIALS,),
    ),
    Bug(
        name="one lost packet makes a false witness",
        rule="S10",
        file=WHERE,
        old="CERTAIN_SILENCES: Final = 2",
        new="CERTAIN_SILENCES: Final = 1",
        killers=(f"{TRIALS}::test_an_observer_that_sees_a_living_host_silent_twice_is_a_false_witness",),
        wider=(TRIALS,),
    ),
    Bug(
        name="a host that may have died just now makes a false witness",
        rule="S10",
        file=WHERE,
        old="    return sight.boot == sight.trial.boot and lived_at > view.at",
        new="    return sight.boot == sight.trial.boot and lived_at > 0",
        killers=(f"{TRIALS}::test_an_observer_that_sees_a_living_host_silent_twice_is_a_false_witness",),
        wider=(TRIALS,),
    ),
    Bug(
        name="a host that rebooted makes a false witness",
        rule="S10",
        file=WHERE,
        old="    return sight.boot == sight.trial.boot and lived_at > view.at",
        new="    return lived_at > view.at",
        killers=(f"{TRIALS}::test_a_host_that_died_and_came_back_makes_no_false_witness",),
        wider=(TRIALS,),
    ),
    Bug(
        name="two looks in one silence make a false witness",
        rule="S10",
        file=WHERE,
        old="    return next((view for view in same if heard_at > view.at), None)",
        new="    return next(same, None)",
        killers=(f"{TRIALS}::test_two_looks_without_a_beat_between_them_are_one",),
        wider=(TRIALS,),
    ),
    Bug(
        name="a false witness is forgotten with each further look",
        rule="S10",
        file=WHERE,
        old=", was_false=_is_false(work.fleet, work.name, before))",
        new=")",
        killers=(f"{TRIALS}::test_an_observer_that_sees_a_living_host_silent_twice_is_a_false_witness",),
        wider=(TRIALS,),
    ),
    Bug(
        name="a false witness is no reason against arming",
        rule="S10",
        file="core/readiness/values.py",
        old=" Found.FALSE_WITNESS, Found.HELD_BY_OBSERVERS,\n",
        new=" Found.HELD_BY_OBSERVERS,\n",
        killers=(f"{TRIALS}::test_an_observer_that_sees_a_living_host_silent_twice_is_a_false_witness",),
        wider=(TRIALS,),
    ),
    Bug(
        name="what was seen once counts for ever",
        rule="S10",
        file=WHERE,
        old="    if trial is None or now - trial.at > valid_seconds(fleet.inventory):\n",
        new="    if trial is None:\n",
        killers=(f"{TRIALS}::test_what_was_seen_expires_with_its_round_and_with_the_address",),
        wider=(TRIALS,),
    ),
    Bug(
        name="a trial look is a vote",
        rule="S10",
        file=WHERE,
        old="        if alive := tuple(look for look in event.looks if look.saw is Saw.ALIVE):\n"
        "            answered = f\"{alive[0].why or 'it answered'} from {alive[0].observer.name}\"\n",
        new="        if alive := event.looks:\n            answered = None\n",
        killers=(f"{TRIALS}::test_no_gate_opens_by_a_trial_and_a_late_sign_of_life_still_counts",),
        wider=(TRIALS,),
    ),
    Bug(
        name="a sign of life that a trial look sees is lost",
        rule="S10",
        file=WHERE,
        old="            looking.life_asked(work, LifeAsked(host=work.name, answered=answered, looks=alive))\n",
        new="            assert answered and LifeAsked and looking\n",
        killers=(f"{TRIALS}::test_no_gate_opens_by_a_trial_and_a_late_sign_of_life_still_counts",),
        wider=(TRIALS,),
    ),
    Bug(
        name="a silence is looked at again only in the next round",
        rule="S10",
        file="engine/trials.py",
        old="        return min(AGAIN_SECONDS, self._interval_seconds) if is_doubtful else self._interval_seconds",
        new="        return self._interval_seconds",
        killers=(f"{LOOKS}::test_a_false_witness_is_looked_at_again_soon_and_told",),
        wider=(LOOKS,),
    ),
    Bug(
        name="trial looks crowd out the looks at silent hosts",
        rule="S15",
        file="engine/trials.py",
        old="        if not self._has_lease() or len(self._looked_at) >= AT_ONCE_MAX:\n",
        new="        if not self._has_lease():\n",
        killers=(f"{LOOKS}::test_many_hosts_in_a_short_interval_are_never_looked_at_all_at_once",),
        wider=(LOOKS,),
    ),
    Bug(
        name="a daemon that may not act has hosts looked at",
        rule="S13",
        file="engine/trials.py",
        old="        if not self._has_lease() or len(self._looked_at) >= AT_ONCE_MAX:\n",
        new="        if len(self._looked_at) >= AT_ONCE_MAX:\n",
        killers=(f"{LOOKS}::test_nobody_looks_while_the_check_is_off_or_without_the_lease",),
        wider=(LOOKS,),
    ),
    Bug(
        name="no control is reached for beside a host that answers",
        rule="S10",
        file="host/liveness.py",
        old="        return bool(self._answered) and not self._question.needs_control\n",
        new="        return bool(self._answered)\n",
        killers=(f"{LIVENESS}::test_whether_silence_would_count_is_learnt_from_a_host_that_answers",),
        wider=(LIVENESS,),
    ),
    Bug(
        name="a proxy that has not answered since the start is no observer and goes unnamed",
        rule="S10",
        file="ports/proxies.py",
        old="        return self.is_up is False and self.answered_at is None and not self.is_observer",
        new="        return False",
        killers=(
            f"{WATCH}::test_a_proxy_that_has_not_answered_since_the_start_may_be_an_observer_and_is_named",
            f"{SHORTCOMINGS}::test_a_proxy_that_has_not_answered_since_the_start_is_named_also_where_others_are_enough",
        ),
        wider=(WATCH, SHORTCOMINGS),
    ),
    Bug(
        name="a proxy keeps a refused reload to itself",
        rule="S10",
        file="proxy/server.py",
        old="            reload_refused=self._facts.reload_refused(),\n",
        new="",
        killers=(
            f"{TOLD}::test_a_reload_with_a_mistake_in_what_it_looks_at_fails_and_is_told_to_the_daemon[[look]\\n]",
        ),
        wider=(TOLD,),
    ),
)
