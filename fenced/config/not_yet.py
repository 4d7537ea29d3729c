"""Keys that are read and not obeyed in this version. Gone when the last of them works.

One rule: a setting that would matter is an error, a default that promises protection is one warning each.
"""

from collections.abc import Mapping
from typing import Any, Final

from fenced.config.mistakes import Mistakes, Where
from fenced.config.tables import GatesTable, MainTables

NOT_YET: Final = "not in this version yet"


def check_main(main: MainTables, where: Where, mistakes: Mistakes) -> None:
    """Keys of the main file."""
    detection, gates = main.detection, main.gates
    if main.remedy.steps != ("power",):
        mistakes.error(where.key("remedy").key("steps"), f'{NOT_YET}: only ["power"]', value=main.remedy.steps)
    if main.saving:
        mistakes.error(where.key("saving"), f"{NOT_YET}: must be empty", value=main.saving)
    if detection.references:
        mistakes.error(where.key("detection").key("references"), NOT_YET, value=detection.references)
    check_remedies(
        {"alive_but_silent": detection.alive_but_silent, "on_report": detection.on_report},
        where.key("detection"),
        mistakes,
    )
    _check_observers(detection.observers, where.key("detection").key("observers"), mistakes)
    _check_gates(gates, where.key("gates"), mistakes)


def check_remedies(said: Mapping[str, Any], where: Where, mistakes: Mistakes) -> None:
    """What a main file, data centre, cluster or host wants done about a living host."""
    for key in ("alive_but_silent", "on_report"):
        if said.get(key) == "soft_fence":
            mistakes.error(where.key(key), f"{NOT_YET}: alert or fence", value="soft_fence", unit="word")


def _check_observers(observers: int, where: Where, mistakes: Mistakes) -> None:
    if observers > 2:
        mistakes.error(where, f"{NOT_YET}: only the daemon itself looks", value=observers, unit="count")
    elif observers > 1:
        mistakes.warning(
            where, f"{NOT_YET}: only the daemon itself looks at a silent host", value=observers, unit="count"
        )


def _check_gates(gates: GatesTable, where: Where, mistakes: Mistakes) -> None:
    default = GatesTable()
    if gates.storm != default.storm:
        mistakes.error(where.key("storm"), f"{NOT_YET}: it can't be set", value=gates.storm.model_dump())
    else:
        mistakes.warning(where.key("storm"), f"{NOT_YET}: storms are held by connectivity and budget alone")
