"""Planted bugs of those who look at silent hosts, and of their votes."""

from typing import Final

from tests.planted.bug import Bug, story

WHO: Final = "tests/core/test_observers.py"
VOTES: Final = "tests/core/test_votes.py"
VOTE: Final = "core/allowed/observing.py"
CHOICE: Final = "core/reach/observers.py"
CONTROLS: Final = "core/reach/controls.py"

OBSERVER_BUGS: Final = (
    Bug(
        name="an observer that knows nothing counts as one that sees silence",
        rule="S10",
        file=VOTE,
        old="    if look.saw is not Saw.SILENT:\n",
        new="    if look.saw is Saw.ALIVE:\n",
        killers=(f"{VOTES}::test_unknown_is_not_silent[Saw.UNKNOWN]",),
    ),
    Bug(
        name="silence counts without a control",
        rule="S10",
        file=VOTE,
        old='    if look.control in {"", look.target} or look.control in member.observer.own:\n',
        new="    if False:\n",
        killers=(f"{VOTES}::test_silence_without_a_control_is_unknown", story("the_daemon_reaches_no_control")),
        seeds=(7004, 7066),
    ),
    Bug(
        name="an observer's own machine is its control",
        rule="S10",
        file=VOTE,
        old=" or look.control in member.observer.own:\n",
        new=":\n",
        killers=(f"{WHO}::test_machines_of_observers_are_the_last_controls_and_never_their_own",),
    ),
    Bug(
        name="the suspect's own domain votes",
        rule="S10",
        file=CHOICE,
        old="    voteless = empty | near if is_any_far else empty\n",
        new="    voteless = empty\n",
        killers=(
            f"{VOTES}::test_the_suspects_own_domain_has_no_vote_if_there_is_another",
            story("an_observer_in_the_suspects_rack_has_no_vote"),
        ),
    ),
    Bug(
        name="a label of the suspect is no domain of it",
        rule="S10",
        file=CHOICE,
        old="*(value for _, value in host.labels)} - ",
        new="} - ",
        killers=(f"{VOTES}::test_rack_cluster_data_centre_and_labels_are_domains_of_the_suspect[feed-a]",),
    ),
    Bug(
        name="an observer in the suspect's domain is not asked, so its sign of life is not seen",
        rule="S10",
        file=CHOICE,
        old="    looking = able + sorted(domain for domain in near if domain not in able)\n",
        new="    looking = able\n",
        killers=(
            f"{VOTES}::test_an_observer_in_the_suspects_domain_sees_life_nevertheless",
            story("an_observer_in_the_suspects_rack_sees_life"),
        ),
    ),
    Bug(
        name="two observers of one domain count twice",
        rule="S10",
        file=VOTE,
        old="        return len(self.silent) >= self.panel.needed\n",
        new="        return sum(map(len, self.silent.values())) >= self.panel.needed\n",
        killers=(
            f"{VOTES}::test_two_observers_of_one_domain_are_one_vote",
            story("two_observers_of_one_rack_are_one_vote"),
        ),
        seeds=(7066,),
    ),
    Bug(
        name="one domain is enough, however many are wanted",
        rule="S10",
        file=CHOICE,
        old="    needed = max(1, min(wanted, len(found.by_domain) - len(voteless)))\n",
        new="    needed = 1\n",
        killers=(
            f"{VOTES}::test_unknown_is_not_silent[None]",
            story("an_observer_that_does_not_answer_is_missing"),
        ),
    ),
    Bug(
        name="a domain whose observers can't look is absent, not missing",
        rule="S10",
        file=CHOICE,
        old="min(wanted, len(found.by_domain) - len(voteless))",
        new="min(wanted, len(found.able))",
        killers=(f"{WHO}::test_a_proxy_that_cannot_be_used_is_missing",),
    ),
    Bug(
        name="an answer counts for ever",
        rule="S10",
        file=VOTE,
        old="    return now - look.at <= FRESH_TIMEOUTS",
        new="    return now - look.at <= 1e9 * FRESH_TIMEOUTS",
        killers=(f"{VOTES}::test_an_answer_older_than_two_timeouts_is_unknown_and_asked_for_again",),
    ),
    Bug(
        name="an answer that is too old before an OFF is not asked for again",
        rule="S10",
        file="core/operation/asking.py",
        old="    return work.now < max(counts_until, life.at + EVALUATED_SECONDS)\n",
        new="    return True\n",
        killers=(
            f"{VOTES}::test_what_is_too_old_before_the_first_off_is_asked_again",
            story("observers_look_again_before_the_off"),
        ),
    ),
    Bug(
        name="observers who disagree fence",
        rule="S10",
        file="core/allowed/of_life.py",
        old="    if life.answered is None and not found.alive:\n",
        new="    if life.answered is None or found.silent:\n",
        killers=(
            f"{VOTES}::test_one_sign_of_life_closes_and_who_disagrees_is_told",
            story("an_observer_reaches_a_silent_host"),
        ),
    ),
    Bug(
        name="an observer that answers no more takes its sign of life with it",
        rule="S10",
        file="core/suspected/looking.py",
        old="    looks = (*event.looks, *_still_alive(work, event))\n",
        new="    looks = event.looks\n",
        killers=(f"{VOTES}::test_a_sign_of_life_counts_as_long_as_any_answer_does",),
    ),
    Bug(
        name="a domain in which one observer reaches the host sees it silent",
        rule="S10",
        file=VOTE,
        old="if domain in asked.voting and domain not in living and why_unknown(",
        new="if domain in asked.voting and why_unknown(",
        killers=(f"{VOTES}::test_one_observer_of_a_domain_that_reaches_it_outvotes_the_other",),
    ),
    Bug(
        name="observers are not looked at before an operation",
        rule="S10",
        file="core/allowed/gates.py",
        old="        observers(fleet, name, now),\n        live_evidence(fleet, name, now),\n"
        "        connectivity(fleet, fleet.host(name).cluster, now, suspect=name),\n"
        "        storm(fleet, name, now),\n        budget_for",
        new="        live_evidence(fleet, name, now),\n"
        "        connectivity(fleet, fleet.host(name).cluster, now, suspect=name),\n"
        "        storm(fleet, name, now),\n        budget_for",
        killers=(story("an_observer_without_a_control_is_missing"), story("a_lone_host_has_no_control")),
    ),
    Bug(
        name="observers are not looked at again before the first OFF of a level",
        rule="S10",
        file="core/allowed/gates.py",
        old="        observers(fleet, name, now),\n        live_evidence(fleet, name, now, is_life_only=is_off_sent),\n"
        "        connectivity(fleet, fleet.host(name).cluster, now, suspect=name),\n"
        "        storm(fleet, name, now),\n    )\n",
        new="        live_evidence(fleet, name, now, is_life_only=is_off_sent),\n"
        "        connectivity(fleet, fleet.host(name).cluster, now, suspect=name),\n"
        "        storm(fleet, name, now),\n    )\n",
        killers=(
            f"{VOTES}::test_observers_are_judged_again_before_the_first_off",
            story("observers_lose_their_control_before_the_off"),
        ),
    ),
    Bug(
        name="the suspect's own proxy observes",
        rule="S10",
        file=VOTE,
        old="    if member is None or name in member.machines:\n"
        '        return "is no observer of it"\n'
        "    if member.why_missing:\n",
        new='    if member is None:\n        return "is no observer of it"\n    if False:\n',
        killers=(f"{WHO}::test_an_answer_of_the_suspects_own_proxy_does_not_count",),
    ),
    Bug(
        name="the suspect's own proxy is missing",
        rule="S10",
        file=CHOICE,
        old="    own = {member.observer.name for member in beside}\n",
        new="    own: set[ProxyName] = set()\n",
        killers=(f"{WHO}::test_where_the_suspects_own_proxy_is_the_only_other_one_the_daemon_decides_alone",),
    ),
    Bug(
        name="an observer whose machine is suspect is believed",
        rule="S10",
        file=CHOICE,
        old='why_missing=why_barred(proxy) or "")',
        new='why_missing="")',
        killers=(f"{WHO}::test_an_observer_whose_machine_is_suspect_is_missing_and_one_that_is_away_is_absent",),
    ),
    Bug(
        name="an address that a reload took away counts",
        rule="S10",
        file=VOTE,
        old="    if (look.network, look.target) not in host.networks:\n",
        new="    if False:\n",
        killers=(f"{VOTES}::test_an_address_that_a_reload_took_away_proves_nothing",),
    ),
    Bug(
        name="a silent host is a control",
        rule="S10",
        file=VOTE,
        old="    return is_healthy and fleet.sights[name].heard_at is not None and not fleet.is_overdue(name, now)\n",
        new="    return True\n",
        killers=(
            f"{WHO}::test_controls_are_of_other_racks_and_never_the_suspect_the_daemons_machine_or_a_silent_host",
        ),
    ),
    Bug(
        name="the daemon's machine is a control",
        rule="S10",
        file=CONTROLS,
        old="        for network, address in host.networks if host.can_witness else ():\n",
        new="        for network, address in host.networks:\n",
        killers=(
            f"{WHO}::test_controls_are_of_other_racks_and_never_the_suspect_the_daemons_machine_or_a_silent_host",
        ),
    ),
    Bug(
        name="an observer of the pair's own cluster stands for a host that is heard",
        rule="S10",
        file=VOTE,
        old="        if not domain or domain in near or why_unknown(fleet, name, look, now):\n",
        new="        if why_unknown(fleet, name, look, now):\n",
        killers=(f"{VOTES}::test_an_observer_of_an_unknown_domain_or_of_the_pairs_own_does_not[c1]",),
    ),
    Bug(
        name="an observer that reaches neither of a pair stands for a host that is heard",
        rule="S10",
        file=VOTE,
        old="if is_same and beside.saw is Saw.ALIVE and not beside.is_by_agent and is_fresh(",
        new="if is_same and bool(",
        killers=(
            f"{VOTES}::test_an_observer_that_reaches_neither_does_not",
            story("a_pair_whose_switch_dies"),
        ),
    ),
    Bug(
        name="an observer that reached the other of a pair over another network stands for a host that is heard",
        rule="S10",
        file=VOTE,
        old="(beside.observer.name, beside.network) == (look.observer.name, look.network)",
        new="beside.observer.name == look.observer.name",
        killers=(f"{VOTES}::test_an_observer_that_reached_the_other_over_another_network_does_not",),
    ),
    Bug(
        name="nobody could look, and that counts as an answer of the host",
        rule="S10",
        file="engine/looking.py",
        old='if look.observer.name != ENGINE else "")\n    return None\n',
        new='if look.observer.name != ENGINE else "")\n    return found[0][0].why\n',
        killers=(
            story("nobody_can_look_where_alive_but_silent_is_fence"),
            "tests/engine/test_looking.py::test_if_nobody_could_look_the_host_was_not_asked",
        ),
    ),
    Bug(
        name="a loopback address is a control of another machine",
        rule="S10",
        file="host/liveness.py",
        old="        if (is_loop and not is_lab) or (not is_loop and is_this_machine(where)):\n",
        new="        if not is_loop and is_this_machine(where):\n",
        killers=("tests/host/test_liveness.py::test_a_loopback_address_is_no_control_of_another_machine",),
    ),
)
