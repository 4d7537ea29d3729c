"""Planted bugs in what other systems' evidence means, and for how long."""

from typing import Final

from tests.planted.bug import Bug, story

EVIDENCE: Final = "tests/core/test_evidence.py"
OF_LIFE: Final = "core/allowed/of_life.py"
VALUES: Final = "core/heard/evidence.py"

EVIDENCE_BUGS: Final = (
    Bug(
        name="a source that says not alive counts as death",
        rule="S10",
        file="core/suspected/evidence.py",
        old="    kind = evidence.evidence_kind\n",
        new="    kind = evidence.evidence_kind\n    if not evidence.is_alive:\n"
        "        from fenced.core.suspected.looking import suspect\n"
        "        from fenced.model.power import Cause\n"
        '        suspect(work, Cause.REPORT, "said to be dead")\n',
        killers=(
            f"{EVIDENCE}::test_not_alive_says_nothing_about_death[storage_lease]",
            story("a_source_that_says_dead_proves_nothing"),
        ),
    ),
    Bug(
        name="one source takes back what another one said",
        rule="S10",
        file=VALUES,
        old="    kept.pop(key, None)\n",
        new="    kept = {it: said for it, said in kept.items() if it[1] != key[1]}\n",
        killers=(f"{EVIDENCE}::test_not_alive_says_nothing_about_death[storage_lease]",),
        seeds=(9116,),
    ),
    Bug(
        name="evidence holds after its ttl",
        rule="S14",
        file=VALUES,
        old="        said = Statement(until=evidence.received + evidence.ttl_seconds, at=evidence.received)",
        new="        said = Statement(until=evidence.received + 3 * evidence.ttl_seconds, at=evidence.received)",
        killers=(
            f"{EVIDENCE}::test_it_holds_until_its_ttl_is_over_and_no_longer[storage_lease]",
            story("a_storage_lease_holds_until_its_ttl"),
            story("a_source_dies_and_its_word_ends"),
        ),
        seeds=(9040, 9116),
    ),
    Bug(
        name="maintenance of another system does not hold",
        rule="S10",
        file=OF_LIFE,
        old="        if kind in kinds and left > 0.0 and not (is_life_only and kind in NO_LIFE):",
        new="        if kind in kinds and left > 0.0 and kind not in {MAINTENANCE}:",
        killers=(
            f"{EVIDENCE}::test_it_holds_until_its_ttl_is_over_and_no_longer[maintenance]",
            story("maintenance_in_another_system_holds_a_fence"),
        ),
        seeds=(9116,),
    ),
    Bug(
        name="maintenance of another system stops a fence in the middle",
        rule="S19",
        file="core/operation/proving.py",
        old=" is_off_sent=operation.is_off_sent\n",
        new=" is_off_sent=False\n",
        killers=(f"{EVIDENCE}::test_maintenance_after_an_off_holds_no_further_level",),
    ),
    Bug(
        name="a host shuts down for ever",
        rule="S14",
        file=OF_LIFE,
        old="    return max(min(until - now, most), 0.0)",
        new="    return max(until - now, 0.0)",
        killers=(
            f"{EVIDENCE}::test_however_often_it_is_said_it_explains_no_silence_beyond_stopping_max",
            story("who_says_for_ever_that_a_host_shuts_down"),
        ),
    ),
    Bug(
        name="a host that came back still shuts down",
        rule="S14",
        file="core/heard/sight.py",
        old='            SET["evidence"](sight, without_shutdown(sight.evidence))',
        new="            pass",
        killers=(
            f"{EVIDENCE}::test_a_new_run_ends_it",
            story("a_host_that_came_back_from_its_shutdown_dies"),
        ),
    ),
    Bug(
        name="a host that shuts down is suspected",
        rule="S10",
        file="core/suspected/silence.py",
        old="    return max(due, release_until(work), now + of_life.shutdown_seconds(fleet, name, now))",
        new="    return max(due, release_until(work))",
        killers=(
            f"{EVIDENCE}::test_a_host_that_shuts_down_is_not_suspected_until_the_ttl_is_over",
            story("a_host_that_its_bmc_sees_shut_down"),
        ),
        seeds=(9368,),
    ),
    Bug(
        name="a kind that nobody configured holds a fence",
        rule="S14",
        file=OF_LIFE,
        old="        if kind in kinds and left > 0.0 and not",
        new="        if left > 0.0 and not",
        killers=(
            f"{EVIDENCE}::test_a_kind_that_is_not_configured_is_kept_and_shown_and_holds_nothing[drained]",
            story("a_drained_host_is_fenced_like_any_other"),
        ),
        seeds=(9012, 9040),
    ),
    Bug(
        name="a refused batch forgets evidence",
        rule="S10",
        file="core/heard/sight.py",
        old='"spoke_at", "spoke_ear", "evidence", ',
        new='"spoke_at", "spoke_ear", ',
        killers=(f"{EVIDENCE}::test_a_refused_batch_forgets_no_evidence[maintenance]",),
    ),
    Bug(
        name="nobody is told that a source fell silent",
        rule="S10",
        file=VALUES,
        old="            if it.messages >= REGULAR_MESSAGES and it.until <= now",
        new="            if it.messages > REGULAR_MESSAGES and it.until <= now",
        killers=(f"{EVIDENCE}::test_a_source_that_fell_silent_is_told_once_what_it_said_has_ended",),
    ),
)
