"""Planted bugs around fence agents: which may serve, what their options may contain, and when they report OFF."""

from typing import Final

from tests.planted.bug import Bug

AGENT: Final = "tests/drivers/agents/test_driver.py"

AGENT_BUGS: Final = (
    Bug(
        name="exit status 2 alone is off",
        rule="S2",
        file="drivers/agents/driver.py",
        old="        if STATUS_OFF.search(finished.stdout.whole_lines) is not None:",
        new="        if not says_on:",
        killers=(f"{AGENT}::test_an_agent_that_prints_nothing_is_off_by_a_person_s_statement_alone",),
        wider=(AGENT,),
    ),
    Bug(
        name="a usage error is off by its exit status",
        rule="S2",
        file="drivers/agents/driver.py",
        old="        if is_off_by_exit_status and finished.stdout.is_empty and finished.stderr.is_empty:",
        new="        if is_off_by_exit_status:",
        killers=(f"{AGENT}::test_an_agent_that_says_anything_is_not_off_by_its_exit_status",),
        wider=(AGENT,),
    ),
    Bug(
        name="silence is off by a way that never answered on",
        rule="S2",
        file="drivers/agents/driver.py",
        old="            return Power.OFF if was_seen_on else Power.UNKNOWN",
        new="            return Power.OFF",
        killers=(f"{AGENT}::test_an_agent_that_prints_nothing_is_off_only_after_the_same_call_answered_on",),
        wider=(AGENT,),
    ),
    Bug(
        name="an unreviewed agent runs without an operator's consent",
        rule="S1",
        file="drivers/agents/driver.py",
        old="    if judgement.standing is Standing.NOT_REVIEWED and not spec.cuts_power:",
        new="    if False:",
        killers=(f"{AGENT}::test_an_unreviewed_agent_runs_only_with_a_persons_consent",),
        wider=(AGENT,),
    ),
    Bug(
        name="a person's word vouches for what cuts no power",
        rule="S1",
        file="drivers/agents/driver.py",
        old="    if judgement.standing is Standing.REFUSED:",
        new="    if judgement.standing is Standing.REFUSED and not spec.cuts_power:",
        killers=(f"{AGENT}::test_cuts_power_does_not_help_an_agent_that_cuts_no_power",),
        wider=(AGENT,),
    ),
    Bug(
        name="an agent is what its name says, whatever is behind it",
        rule="S1",
        file="drivers/agents/reviews.py",
        old="    others = (called.strip() for called in (*metadata.programs, metadata.name))",
        new="    others = (called.strip() for called in ())",
        killers=(
            "tests/drivers/test_catalogue.py::test_an_agent_is_judged_by_all_of_its_names",
            f"{AGENT}::test_a_reviewed_name_is_no_review_of_another_agent_behind_it",
        ),
        wider=(AGENT,),
    ),
    Bug(
        name="a configuration accepts an unreviewed agent",
        rule="S1",
        file="config/checks/agent_trust.py",
        old="        if description.needs_word and not table.cuts_power:",
        new="        if False:",
        killers=("tests/config/test_mistakes.py::test_a_mistake_has_place_value_and_reason[nobody reviewed it]",),
        wider=("tests/config/test_mistakes.py",),
    ),
    Bug(
        name="an option that breaks what off proves is passed on as a secret",
        rule="S1",
        file="drivers/agents/parameters.py",
        old="    _check_proof(spec, name, secret.reveal(), metadata)\n",
        new="",
        killers=(
            "tests/drivers/agents/test_parameters.py::test_what_changes_what_off_proves_is_refused_under_each_of_its_names",
        ),
        wider=("tests/drivers/agents/test_parameters.py",),
    ),
    Bug(
        name="options are known by one of their spellings",
        rule="S1",
        file="model/drivers.py",
        old='rules.get(name.replace("-", "_").lower(), ())',
        new="rules.get(name, ())",
        killers=(
            "tests/drivers/test_catalogue.py::test_what_an_option_does_to_what_off_proves",
            "tests/drivers/agents/test_parameters.py::test_what_changes_what_off_proves_is_refused_under_each_of_its_names",
        ),
        wider=("tests/drivers/agents/test_parameters.py",),
    ),
    Bug(
        name="what a person said to be false is left out although the agent has it on",
        rule="S1",
        file="drivers/agents/parameters.py",
        old='    return "1" if flag else "0" if is_yes(parameter.default) else None\n',
        new='    return "1" if flag else None\n',
        killers=("tests/drivers/agents/test_parameters.py::test_true_and_false_are_passed_as_the_agent_takes_them",),
        wider=("tests/drivers/agents/test_parameters.py",),
    ),
    Bug(
        name="an agent that contradicts itself is off",
        rule="S2",
        file="drivers/agents/driver.py",
        old="        if says_on:\n            return Power.UNKNOWN\n",
        new="",
        killers=(f"{AGENT}::test_a_status_is_read",),
        wider=(AGENT,),
    ),
)
