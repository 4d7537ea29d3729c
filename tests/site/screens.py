"""Takes the pictures of terminals in docs/pictures: a real lab is recorded once, then its answers are rendered.

`record` runs `fenced lab`, kills a host, waits until it was fenced and is back, and stores what the API answers then
(docs/pictures/lab.json). `pictures` prints these answers as `fencectl` does, with its own code, and draws the lines as
SVG. So a test can draw them again at any time and see whether a picture still shows what the program prints.
"""

import io
import json
import re
import subprocess
import sys
import time
import urllib.request
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, Final

from rich.console import Console
from rich.terminal_theme import TerminalTheme
from rich.text import Text

from fenced.cli.fencectl.overview import judged
from fenced.cli.fencectl.text import explanation, hosts
from fenced.cli.waterfall import render
from tests.house.tree import ROOT

Json = dict[str, Any]
PICTURES: Final = ROOT / "docs/pictures"
RECORDING: Final = "lab.json"
PATIENCE_SECONDS: Final = 240.0
KILLED, IN_MAINTENANCE, SWITCHED_OFF = "node-2", "node-3", "node-4"
COLUMNS: Final = 116
PROMPT: Final = "$ "
THEME: Final = TerminalTheme(
    (27, 33, 39), (214, 222, 228), [(27, 33, 39)] * 8, [(230, 236, 240)] * 8
)  # colours of the text are given as RGB
STYLES: Final = (
    (re.compile(r"^\$ .*"), "bold #8ad4ff"),
    (re.compile(r"\b(?:healthy|open|OK|won|done)\b"), "#8fd19e"),
    (re.compile(r"\b(?:fenced|maintenance|WARNING|warning|timed_out|failed)\b"), "#ffd479"),
    (re.compile(r"\bCLOSED\b|\bCRITICAL\b"), "bold #ff8f8f"),
    (re.compile(r"^[A-Z]{2,}(?:  +[A-Z]+)+$"), "bold"),
)
FORMAT: Final = """\
<svg class="rich-terminal" viewBox="0 0 {width} {height}" xmlns="http://www.w3.org/2000/svg" role="img">
<style>
.{unique_id}-matrix {{ font-family: ui-monospace, "DejaVu Sans Mono", Menlo, Consolas, monospace;
  font-size: {char_height}px; line-height: {line_height}px; font-variant-east-asian: full-width }}
{styles}
</style>
<defs>
<clipPath id="{unique_id}-clip-terminal">
<rect x="0" y="0" width="{terminal_width}" height="{terminal_height}" />
</clipPath>
{lines}
</defs>
{chrome}
<g transform="translate({terminal_x}, {terminal_y})" clip-path="url(#{unique_id}-clip-terminal)">
{backgrounds}
<g class="{unique_id}-matrix">
{matrix}
</g>
</g>
</svg>
"""
"""Rich's own format loads a font from another machine."""


def take() -> list[Path]:
    """Record a lab and draw its pictures; return them. Takes a minute or two."""
    PICTURES.mkdir(exist_ok=True)
    text = json.dumps(record(), indent=1, ensure_ascii=False)
    (PICTURES / RECORDING).write_text(text + "\n", encoding="utf-8")
    return redrawn()


def redrawn() -> list[Path]:
    """Draw again what was recorded."""
    drawn = pictures(recorded())
    for name, text in drawn.items():
        (PICTURES / name).write_text(text, encoding="utf-8")
    return [PICTURES / name for name in drawn]


def recorded() -> Json:
    """Return the answers of the API that the pictures show, by name."""
    found: Json = json.loads((PICTURES / RECORDING).read_text(encoding="utf-8"))
    return found


def pictures(recording: Mapping[str, Any]) -> dict[str, str]:
    """Return file name -> SVG."""
    return {f"fencectl-{name}.svg": picture(name, lines) for name, lines in screens(recording).items()}


def screens(recording: Mapping[str, Any]) -> dict[str, list[str]]:
    """Return what each command prints for what was recorded, below the command itself."""
    items = recording["hosts"]["items"]
    operation = recording["operation"]
    explained = [*recording["explain"]["summary"], "", *explanation(recording["explain"])]
    gates = explained[: explained.index("known:") - 1]
    printed = {
        "hosts": ("fencectl hosts", hosts(items)),
        "status": ("fencectl status", judged(recording["readyz"], items)[1]),
        "operation": (f"fencectl operation {operation['id']}", render(operation)),
        "explain": (
            f"fencectl explain {IN_MAINTENANCE} --all",
            [*gates, "", f"... and {len(explained) - len(gates)} more lines"],
        ),
    }
    return {name: [PROMPT + command, *lines] for name, (command, lines) in printed.items()}


def picture(name: str, lines: Iterable[str]) -> str:
    """Draw lines of a terminal. The same lines give the same bytes."""
    console = Console(record=True, width=COLUMNS, file=io.StringIO(), color_system="truecolor", legacy_windows=False)
    for line in lines:
        text = Text(line, no_wrap=True, overflow="crop")
        for pattern, style in STYLES:
            text.highlight_regex(pattern, style)
        console.print(text, soft_wrap=True)
    svg = console.export_svg(title="", theme=THEME, code_format=FORMAT, unique_id=f"fencectl-{name}")
    return "\n".join(line.rstrip() for line in svg.splitlines() if line.strip()) + "\n"


# -- the lab ----------------------------------------------------------------------------------------------------------


def record() -> Json:
    """Return the answers of the API once one host was killed and is back, one rests, and one was switched off."""
    with _lab() as (url, typed):

        def state(name: str) -> str:
            return str(_get(url, f"hosts/{name}")["state"])

        names = ("node-1", KILLED, IN_MAINTENANCE, SWITCHED_OFF)
        _until(lambda: all(state(name) == "healthy" for name in names), "all hosts are healthy")
        typed(f"kill {KILLED}")
        _until(lambda: bool(_restarts(url)), f"{KILLED} was restarted")
        _until(lambda: state(KILLED) == "healthy", f"{KILLED} is back")
        _fencectl(url, "maintenance", IN_MAINTENANCE, "on", "--reason", "new memory", "--until", "2h")
        _fencectl(url, "off", SWITCHED_OFF, "--force", "--reason", "moves to another rack", "--wait")
        return {
            "hosts": _get(url, "hosts"),
            "operation": _get(url, f"operations/{_restarts(url)[0]['id']}"),
            "explain": _get(url, f"hosts/{IN_MAINTENANCE}/explain"),
            "readyz": _get(url, ""),
        }


@contextmanager
def _lab() -> Iterator[tuple[str, Callable[[str], None]]]:
    """Run a lab of four hosts; yield its address and what types into its console."""
    with TemporaryDirectory() as folder:
        command = [sys.executable, "-c", "from fenced.cli.main import main; main()", "lab"]
        options = ["--hosts", "4", "--proxies", "2", "--state-dir", f"{folder}/lab"]
        with subprocess.Popen(
            [*command, *options], stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
        ) as process:
            assert process.stdin is not None and process.stdout is not None
            said = ""
            try:
                for line in process.stdout:
                    said += line
                    if line.startswith("here: "):
                        break
                found = re.search(r"FENCED_URL=(\S+)", said)
                assert found is not None, said
                stdin = process.stdin
                yield found[1], lambda line: print(line, file=stdin, flush=True)
            finally:
                process.terminate()


def _get(url: str, path: str) -> Json:
    address = f"{url}/api/v1/{path}" if path else f"{url}/readyz"
    with urllib.request.urlopen(address, timeout=10) as answer:
        found: Json = json.load(answer)
        return found


def _restarts(url: str) -> list[Json]:
    done = _get(url, f"operations?host={KILLED}&state=done")["items"]
    return [operation for operation in done if operation["action"] == "restart"]


def _fencectl(url: str, *arguments: str) -> None:
    command = [sys.executable, "-m", "fenced.cli.fencectl", "--url", url, *arguments]
    subprocess.run(command, check=True, timeout=PATIENCE_SECONDS, stdout=subprocess.DEVNULL)


def _until(is_so: Callable[[], bool], what: str) -> None:
    end = time.monotonic() + PATIENCE_SECONDS
    while not is_so():
        if time.monotonic() > end:
            raise TimeoutError(f"the lab: not seen in {PATIENCE_SECONDS:.0f} s: {what}")
        time.sleep(0.5)
