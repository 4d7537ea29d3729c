"""Pages of `fencectl` on a terminal: tables that fit it, colours that mean something, a live screen."""

import asyncio
import contextlib
import os
import pty
import re
import signal
from collections import deque
from collections.abc import AsyncIterator

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fenced.cli.fencectl.screen import has_colours, layout
from fenced.cli.fencectl.tables import table
from fenced.cli.fencectl.watching import EVENTS_KEPT, Seen, view
from tests.api.conftest import Api
from tests.api.ctl import PROGRAM, ctl, environment, on_terminal
from tests.net import until

COLOUR = re.compile(r"\x1b\[[0-9;]*m")
GREEN = "\x1b[32m"
PROSE = "the switch of the rack does not answer, and neither does its neighbour"
WORDS = st.lists(st.text(alphabet="abcxyz-.", min_size=1, max_size=18), max_size=12).map(" ".join)


def shown(run_out: str) -> list[str]:
    """Return the lines without colours."""
    return COLOUR.sub("", run_out).splitlines()


# -- tables -----------------------------------------------------------------------------------------------------------


@given(rows=st.lists(st.tuples(WORDS, WORDS, WORDS), min_size=1, max_size=6), width=st.integers(40, 120))
def test_a_table_fits_and_loses_no_word(rows: list[tuple[str, str, str]], width: int) -> None:
    lines = [*layout(table(("HOST", "STATE", "WHY"), rows), width=width, is_coloured=False)]
    assert all(len(line) <= width for line in lines)
    told = sorted(word for line in lines for word in line.split() if word not in {"HOST", "STATE", "WHY"})
    assert told == sorted(word for row in rows for cell in row for word in cell.split())


def test_a_name_is_never_broken_and_prose_gives_way() -> None:
    rows = [("node-1.compute.example.org", "2027-01-15 08:00:00Z", PROSE)]
    lines = [*layout(table(("HOST", "SINCE", "WHY"), rows), width=80, is_coloured=False)]
    assert all(len(line) <= 80 for line in lines)
    assert lines[1].startswith("node-1.compute.example.org  2027-01-15 08:00:00Z  the switch")
    assert lines[2].startswith(" " * 50)


def test_a_table_that_cannot_be_read_becomes_one_block_for_each_row() -> None:
    rows = [("node-1.compute.example.org", "2027-01-15 08:00:00Z", PROSE), ("node-2", "-", "")]
    lines = [*layout(table(("HOST", "SINCE", "WHY"), rows), width=50, is_coloured=False)]
    assert lines[:3] == [
        "HOST   node-1.compute.example.org",
        "SINCE  2027-01-15 08:00:00Z",
        "WHY    the switch of the rack does not answer, and",
    ]
    assert lines[-3:] == ["", "HOST   node-2", "SINCE  -"]


def test_a_long_line_is_broken_at_words_and_indented() -> None:
    lines = [*layout(["  " + PROSE], width=40, is_coloured=False)]
    assert all(len(line) <= 40 for line in lines)
    assert lines[0].startswith("  the switch")
    assert all(line.startswith("      ") for line in lines[1:])
    assert " ".join(" ".join(lines).split()) == PROSE


# -- colours ----------------------------------------------------------------------------------------------------------


async def test_states_have_colours_on_a_terminal_only(api: Api) -> None:
    run = await on_terminal(api.url, "hosts")
    assert f"{GREEN}healthy" in run.out
    assert "\x1b" not in (await ctl(api.url, "hosts")).out
    plain = (await on_terminal(api.url, "hosts", NO_COLOR="1")).out
    assert "\x1b" not in plain
    assert shown(run.out) == plain.splitlines()


@pytest.mark.parametrize(
    ("environ", "wanted"),
    [({}, True), ({"NO_COLOR": "1"}, False), ({"NO_COLOR": ""}, True), ({"TERM": "dumb"}, False)],
)
def test_who_wants_no_colour_gets_none(environ: dict[str, str], wanted: bool) -> None:
    assert has_colours(environ) is wanted


def test_only_a_column_of_words_has_colours() -> None:
    rows = [("failed", "failed", "failed")]
    (_, line) = layout(table(("HOST", "STATE", "REASON"), rows), width=80, is_coloured=True)
    host, state, reason = line.split()
    assert (host, COLOUR.sub("", state), COLOUR.sub("", reason)) == ("failed", "failed", "failed")
    assert state.startswith("\x1b[31m")
    assert line.endswith("\x1b[0m  failed")


async def test_the_level_of_the_overview_has_a_colour(api: Api) -> None:
    run = await on_terminal(api.url, "status")
    assert run.code == 1
    assert "\x1b[33mWARNING" in run.out
    assert run.out.count("\x1b[33mwarning") >= 1


@pytest.mark.parametrize("is_coloured", [True, False])
@pytest.mark.parametrize("width", [30, 100])
def test_no_control_character_of_others_reaches_the_terminal(is_coloured: bool, width: int) -> None:
    evil = "node\x1b]0;title\x07\x9b2J\r\n"
    lines = layout([evil, *table(("HOST", "STATE", "WHY"), [(evil, evil, PROSE + evil)])], width=width,
                   is_coloured=is_coloured)  # fmt: skip
    told = COLOUR.sub("", "".join(lines))
    assert told.isprintable()


# -- watch ------------------------------------------------------------------------------------------------------------


def event(number: int) -> dict[str, object]:
    return {"time": "2027-01-15T08:00:00Z", "subject": f"node-{number}", "type": "io.fenced.host.fenced", "data": {}}


@pytest.mark.parametrize("height", [3, 10, 24, 60])
def test_the_screen_is_no_higher_and_no_wider_than_the_terminal(height: int) -> None:
    seen = Seen(fleet=["WARNING: " + PROSE * 3, *(f"  warning   {PROSE}" for _ in range(40))])
    seen.events = deque(map(event, range(EVENTS_KEPT)), maxlen=EVENTS_KEPT)
    lines = [*view(seen, width=72, height=height, now=0.0, is_coloured=False)]
    assert len(lines) <= height
    assert all(len(line) <= 72 for line in lines)
    if height >= 10:
        assert f"node-{EVENTS_KEPT - 1} " in lines[-1]


def test_the_screen_says_that_what_it_shows_is_old() -> None:
    seen = Seen(fleet=["OK: all is well; 4 hosts"], fault="can't reach http://a: is the daemon running?", looked=3600.0)
    lines = [*view(seen, width=100, height=24, now=3720.0, is_coloured=False)]
    assert lines[0].startswith("01:02:00Z  NO ANSWER: can't reach http://a")
    assert lines[1] == "what follows is of 01:00:00Z"
    assert "OK: all is well; 4 hosts" in lines


@contextlib.asynccontextmanager
async def watching(api: Api, *words: str) -> AsyncIterator[bytearray]:
    """Run `fencectl watch` on a terminal until the block ends; yield what the terminal got. Ctrl-C ends it well."""
    master, slave = pty.openpty()
    process = await asyncio.create_subprocess_exec(
        *PROGRAM, "--url", api.url, "watch", *words, stdin=slave, stdout=slave, stderr=slave, env=environment(),
        preexec_fn=_heed_ctrl_c,
    )  # fmt: skip
    os.close(slave)
    seen = bytearray()

    def read() -> None:
        try:
            seen.extend(os.read(master, 65536))
        except OSError:
            loop.remove_reader(master)

    loop = asyncio.get_running_loop()
    loop.add_reader(master, read)
    try:
        await until(lambda: api.control.watchers == 1)
        yield seen
        process.send_signal(signal.SIGINT)
        async with asyncio.timeout(60):
            assert await process.wait() == 0
    finally:
        loop.remove_reader(master)
        os.close(master)
        if process.returncode is None:
            process.kill()
            await process.wait()
    assert b"Traceback" not in seen


def _heed_ctrl_c() -> None:
    """Handle SIGINT even if the test runs as a background job, whose children inherit that it is ignored."""
    signal.signal(signal.SIGINT, signal.SIG_DFL)


async def test_watch_is_a_live_screen_on_a_terminal(api: Api) -> None:
    async with watching(api) as seen:
        await until(lambda: b"4 hosts" in seen)
        assert b"no event yet" in seen
        api.control.emit("fenced", "node-1")
        await until(lambda: b"host.fenced" in seen)


async def test_watch_prints_lines_on_a_terminal_when_asked(api: Api) -> None:
    async with watching(api, "--lines") as seen:
        api.control.emit("fenced", "node-1")
        await until(lambda: b"host.fenced" in seen)
        assert b"4 hosts" not in seen
