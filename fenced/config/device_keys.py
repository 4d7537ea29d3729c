"""Keys of a device that loosen what we ask of it: what is told of each, and where it means nothing.

Knows what drivers say of themselves, none by name. One rule: what makes us believe more, or hide less, is never silent.
"""

from fenced.config.inventory_tables import DeviceTable
from fenced.config.mistakes import Mistakes, Where
from fenced.model.drivers import DriverDescription


def check(table: DeviceTable, description: DriverDescription | None, where: Where, mistakes: Mistakes) -> None:
    """Warnings alone: a person said so."""
    if description is None:
        return
    if not table.check_ready:
        mistakes.warning(
            where.key("check_ready"),
            "the device is believed though it says that it has just started, when some read OFF of a host that runs: only "
            "for one that always says so"
            if description.can_tell_ready
            else f"has no effect: {description.name} does not look whether a device is ready",
        )
