"""Planted bugs in what the daemon's own illness does to a grace."""

from typing import Final

from tests.planted.bug import Bug, story

OWN: Final = "tests/core/test_own_health.py"
GRACE: Final = "core/heard/grace.py"

OWN_HEALTH_BUGS: Final = (
    Bug(
        name="ill health shortens a grace",
        rule="S11",
        file=GRACE,
        old="    return max(min(stretch, host.settings.detection.grace_max_seconds - plain), 0.0)",
        new="    return min(stretch, host.settings.detection.grace_max_seconds - plain)",
        killers=(f"{OWN}::test_it_never_shortens_a_grace[5.0]",),
    ),
    Bug(
        name="a daemon that is slow for ever never fences",
        rule="S14",
        file=GRACE,
        old="    return max(min(stretch, host.settings.detection.grace_max_seconds - plain), 0.0)",
        new="    return max(stretch, 0.0)",
        killers=(
            f"{OWN}::test_what_is_measured_stretches_the_grace_up_to_grace_max[1000000.0-1000000.0-120.0]",
            story("a_daemon_that_is_slow_for_ever_still_fences"),
        ),
    ),
    Bug(
        name="an illness never ends",
        rule="S14",
        file="core/heard/own_health.py",
        old="    return sum(ill.seconds for ill in ills if now < ill.until)",
        new="    return sum(ill.seconds for ill in ills)",
        killers=(f"{OWN}::test_it_ends_by_itself",),
    ),
    Bug(
        name="beats that are read late stretch nothing",
        rule="S11",
        file="core/fleet_decisions.py",
        old="    return replace(own, ills=own_health.replaced(own.ills, what, signs, event.at))",
        new="    return replace(own, ills=own_health.replaced(own.ills, what, signs[:1], event.at))",
        killers=(f"{OWN}::test_it_is_told_in_the_record_and_in_explain", story("a_daemon_that_reads_late_is_patient")),
    ),
    Bug(
        name="many late hosts are no illness of ours",
        rule="S11",
        file="core/decide.py",
        old="            for look in (storms.look, closed_gates.look, listening.look, late_hosts.look, policy.look):\n",
        new="            for look in (storms.look, closed_gates.look, listening.look, policy.look):\n",
        killers=(f"{OWN}::test_many_hosts_that_are_late_at_once_stretch_the_grace",),
    ),
)
