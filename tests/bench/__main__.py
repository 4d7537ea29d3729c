"""`python -m tests.bench [ROW...] [--json FILE]`: measure and print; exit with 0 unless a row breaks."""

import argparse
import asyncio
import os
import platform
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

from tests.bench.report import Report, as_json
from tests.bench.row import Row
from tests.bench.rows import ROWS
from tests.e2e.programs import IS_COLD
from tests.needs import missing, packages_for, why_no_namespaces


async def run_row(row: Row) -> Report:
    """Run a row. One that can't run here is skipped; one that raises or takes too long is broken; the others go on."""
    report = Report(name=row.name, title=row.title)
    absent = missing(row.needs)
    if absent:
        report.skipped = f"needs {', '.join(absent)} (Debian: {' '.join(packages_for(absent))})"
        return report
    report.skipped = (why_no_namespaces() or "") if row.has_namespace else ""
    if report.skipped:
        return report
    IS_COLD.set(True)
    began = time.monotonic()
    with tempfile.TemporaryDirectory(prefix=f"fenced-bench-{row.name}-") as folder:
        try:
            async with asyncio.timeout(row.bound_seconds):
                await row.measure(Path(folder), report)
        except Exception as exc:
            report.broken = f"{type(exc).__name__}: {exc}"
    report.seconds = time.monotonic() - began
    return report


def main(arguments: Sequence[str] | None = None) -> int:
    """Return the exit status."""
    parser = argparse.ArgumentParser(prog="python -m tests.bench", description=__doc__)
    parser.add_argument("rows", nargs="*", metavar="ROW", help=", ".join(row.name for row in ROWS))
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the findings there as well")
    given = parser.parse_args(arguments)
    unknown = sorted(set(given.rows) - {row.name for row in ROWS})
    if unknown:
        parser.error(f"no such row: {', '.join(unknown)}")
    reports = []
    for row in ROWS:
        if not given.rows or row.name in given.rows:
            reports.append(asyncio.run(run_row(row)))
            print(reports[-1].text(), flush=True)
    lines = [line for report in reports for line in report.lines]
    verdicts = [line.verdict for line in lines]
    print(f"{verdicts.count('PASS')} PASS, {verdicts.count('MISS')} MISS, on {os.cpu_count()} processors")
    if given.json is not None:
        given.json.write_text(as_json(reports, python=platform.python_version(), processors=os.cpu_count()))
    return 1 if any(report.broken for report in reports) else 0


if __name__ == "__main__":
    sys.exit(main())
