"""Checks which fence agents a configuration may trust: reviewed or vouched for, in files that no other user can write.

An agent runs with the daemon's rights and its OFF is believed. A user who can replace it can fake an OFF.
"""

from collections.abc import Iterator

from fenced.config.agent_path import why_unsafe
from fenced.config.build import BuiltHost
from fenced.config.checks.draft import Draft
from fenced.config.checks.finding import Finding, error, warning


def reviewed(draft: Draft, built: BuiltHost) -> Iterator[Finding]:
    """An unreviewed agent needs the operator's word that it cuts power (S1)."""
    for device in built.devices:
        table, where, description = device.entry.table, device.entry.where, device.description
        if description is None:
            continue
        if description.needs_word and not table.cuts_power:
            yield error(
                where.key("driver"),
                f"is not reviewed: {description.needs_word}; if you know that it does, set cuts_power = true",
                value=table.driver,
                unit="driver",
                rests_on=(where.key("cuts_power"),),
            )
        elif table.cuts_power and not description.needs_word:
            yield warning(where.key("cuts_power"), f"is not needed: {description.name} is reviewed or native")


def agent_path(draft: Draft) -> Iterator[Finding]:
    """One warning for all directories and agents that users other than their owner and root can replace."""
    directories = draft.configuration.agent_path
    why = why_unsafe(directories)
    if why:
        where = draft.where.key("daemon").key("agent_path")
        yield warning(where, why, value=[str(path) for path in directories], unit="list")
