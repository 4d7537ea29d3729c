"""`python -m tests.simulation.figures [--write]`: false fences per million host-hours, with and without each gate.

Plays ordinary days (`ordinary` says what they are), once with all gates and once without each of them, and makes a
table for docs/gates.md. One process, so that it takes one core. The same seeds give the same table.
"""

import math
import textwrap
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final

import click

from fenced.core.allowed.catalogue import GATES
from tests.bench.report import percentile
from tests.house.tree import ROOT
from tests.simulation.ordinary import HOST_HOURS, RATES
from tests.simulation.ordinary_play import Day, played
from tests.simulation.play import silence_logs

PAGE: Final = ROOT / "docs" / "gates.md"
BEGIN: Final = "<!-- Written by `python -m tests.simulation.figures --write`; a test plays some seeds. -->\n\n"
END: Final = "\n<!-- End of the figures. -->"
ALL: Final = "all gates"
SEEDS: Final = 1000
SEEDS_WITHOUT: Final = 200
MILLION: Final = 1e6
NEVER_CLOSED: Final = frozenset({
    "armed", "store", "own_machine", "automatic", "record", "maintenance", "paused", "protected", "known", "devices",
    "quiet", "woken",
})  # fmt: skip
"""Gates of a person's word, of the configuration, or of drills: no ordinary day closes them."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Figure:
    """What became of the same days. `name`: the gate that was open."""

    name: str
    days: Sequence[Day]

    def false(self, *, is_asked: bool) -> int:
        return sum(len(day.false) for day in self.days if day.is_asked is is_asked)

    def hours(self, *, is_asked: bool) -> float:
        return HOST_HOURS * sum(day.is_asked is is_asked for day in self.days)

    def row(self) -> str:
        """Return its row of the table."""
        fenced = [seconds for day in self.days for seconds in day.fenced]
        dead = sum(day.dead for day in self.days)
        times = f"{percentile(fenced, 50):.0f} / {percentile(fenced, 95):.0f} s" if fenced else ""
        cells = (
            self.name if self.name == ALL else f"`{self.name}` open",
            *(told(self.false(is_asked=it), self.hours(is_asked=it)) for it in (True, False)),
            *(told(sum(map(count, self.days)), HOST_HOURS * len(self.days)) for count in (_cut_off, _idle)),
            f"{len(fenced)} of {dead}", times,
        )  # fmt: skip
        return f"| {' | '.join(cells)} |\n"


def _cut_off(day: Day) -> int:
    return len(day.cut_off)


def _idle(day: Day) -> int:
    return len(day.booting)


def told(count: int, hours: float) -> str:
    """Return a count as a rate per million hours, with what 95 % of confidence leaves open."""
    if count == 0:
        return f"0 (below {3 / hours * MILLION:.1f})" if hours else "0"
    least, most = max(count - 1.96 * math.sqrt(count), 0.0), count + 1.96 * math.sqrt(count) + 1.92
    return f"{count / hours * MILLION:.0f} ({least / hours * MILLION:.0f} to {most / hours * MILLION:.0f})"


def measured(seeds: int, without: int, tell: Callable[[str], None] = lambda text: None) -> list[Figure]:
    """Play so many seeds with all gates, and so many without each."""
    found = []
    for gate in (None, *(name for name in GATES if name not in NEVER_CLOSED)):
        days = [played(seed, gate) for seed in range(seeds if gate is None else without)]
        found.append(Figure(name=gate or ALL, days=days))
        tell(found[-1].row().strip())
        for day in days if gate is None else ():
            if (day.false and day.is_asked) or day.cut_off or day.problems:
                tell(f"  seed {day.seed}: {'; '.join(day.kinds)}: false {day.false}, cut off {day.cut_off}, "
                     f"{'; '.join(day.problems)}")  # fmt: skip
    return found


def text(figures: Sequence[Figure]) -> str:
    """Return what stands between the marks of the page."""
    whole, without = figures[0], figures[1]
    hours = HOST_HOURS * len(whole.days)
    head = (
        f"Seeds 0 to {len(whole.days) - 1} with all gates ({hours / MILLION:.2f} million host-hours), 0 to "
        f"{len(without.days) - 1} without each ({HOST_HOURS * len(without.days) / MILLION:.2f} million).\n\n"
        "| Gates | False, hosts answer probes | False, they answer none | Worked, cut off | Paused or booting | "
        "Dead fenced | p50 / p95 |\n|---|---|---|---|---|---|---|\n"
    )
    rates = "".join(f"| {it.what} | {_times(it.a_host, it.a_rack, it.a_fleet)} |\n" for it in RATES)
    names = ", ".join(f"`{name}`" for name in GATES if name in NEVER_CLOSED)
    unopened = textwrap.fill(f"Not opened, because no ordinary day closes them: {names}.", 120)
    tail = f"\n{unopened}\n\n| Incident | Times a year |\n|---|---|\n"
    return head + "".join(figure.row() for figure in figures) + tail + rates


def _times(a_host: float, a_rack: float, a_fleet: float) -> str:
    named = ((a_host, "host"), (a_rack, "rack"), (a_fleet, "fleet"))
    return ", ".join(f"{value:.2g} a {what}" for value, what in named if value)


@click.command()
@click.option("--seeds", default=SEEDS, show_default=True, help="With all gates.")
@click.option("--without", default=SEEDS_WITHOUT, show_default=True, help="Without each.")
@click.option("--write", is_flag=True, help="Write the table into docs/gates.md.")
def main(seeds: int, without: int, *, write: bool) -> None:
    """Measure, and print or write the table."""
    silence_logs()
    new = text(measured(seeds, without, click.echo))
    page = PAGE.read_text(encoding="utf-8")
    if write:
        head, tail = page[: page.index(BEGIN) + len(BEGIN)], page[page.index(END) :]
        PAGE.write_text(head + new + tail, encoding="utf-8")
    else:
        click.echo(new)


if __name__ == "__main__":
    main()
