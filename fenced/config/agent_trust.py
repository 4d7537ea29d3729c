"""Which fence agents a configuration may trust, and on whose word.

Runs no agent. One rule: an agent runs with the daemon's rights and its OFF is believed, so that whoever can say what
it is can say that a host is off.
"""

from fenced.config.inventory_tables import DeviceTable
from fenced.config.mistakes import Mistakes, Where
from fenced.model.drivers import DriverDescription


def check_word(table: DeviceTable, description: DriverDescription | None, where: Where, mistakes: Mistakes) -> None:
    """An agent that nobody reviewed serves on a person's word alone (S1)."""
    if description is None:
        return
    if description.needs_word and not table.cuts_power:
        mistakes.error(
            where.key("driver"),
            f"is not reviewed: {description.needs_word}; if it does, a person says so with cuts_power = true",
            value=table.driver,
            unit="driver",
        )
    elif table.cuts_power and not description.needs_word:
        mistakes.warning(where.key("cuts_power"), f"is not needed: {description.name} was reviewed, or is ours")
