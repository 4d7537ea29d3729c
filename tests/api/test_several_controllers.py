"""fencectl with several controllers: who gets a request, whom it follows, and what it says if none accepts it."""

import asyncio
import contextlib
import json
import re
import signal
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path
from typing import Final

import pytest

from fenced.cli.fencectl.client import NotSent, Standby, Unreachable
from fenced.cli.fencectl.controllers import ADDRESSES_MAX, Controllers, addresses
from fenced.cli.fencectl.following import why_not_followed
from fenced.model.power import OperationState
from tests.api.certificates import make_certificate
from tests.api.conftest import TOKENS
from tests.api.ctl import PROGRAM, ctl, environment
from tests.api.installation import Installation, call, controllers, disarm, installation, node
from tests.fakes.control import FakeControl
from tests.fakes.controllers import controller
from tests.net import free_port, until

KEY: Final = re.compile(rb"Idempotency-Key: (\S+)")
A, B = "https://fenced-a.example:8470", "https://fenced-b.example:8470"


@pytest.fixture
async def two() -> AsyncIterator[Installation]:
    async with installation() as made:
        yield made


@contextlib.asynccontextmanager
async def wire(answer: bytes | None) -> AsyncIterator[tuple[str, list[bytes]]]:
    """Answer each connection with these bytes (None: never), and keep what came. Yields the URL."""
    came: list[bytes] = []

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        came.append(b"")
        with contextlib.suppress(asyncio.IncompleteReadError):
            came[-1] = await reader.readuntil(b"\r\n\r\n")
        if answer is None:
            with contextlib.suppress(ConnectionError):
                await reader.read()
        else:
            writer.write(answer)
            await writer.drain()
        writer.close()

    async with await asyncio.start_server(serve, "127.0.0.1", 0) as server:
        yield f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}", came


def refusing(active: object) -> bytes:
    """Return the answer of a standby that names `active`."""
    body = json.dumps({"status": 503, "rule": "standby", "detail": "a standby", "active": active}).encode()
    return b"HTTP/1.1 503 x\r\nConnection: close\r\nContent-Length: %d\r\n\r\n%s" % (len(body), body)


# -- who gets a request -----------------------------------------------------------------------------------------------


async def test_a_change_goes_to_the_controller_that_acts_and_further_ones_too(two: Installation) -> None:
    run = await ctl(two.both, "pause", "--reason", "switch", "--match", "cluster=c1")
    assert run.code == 0, run
    assert (len(two.a.control.pauses), two.b.control.pauses) == (1, [])
    assert two.b.changes == [("/api/v1/pauses", 503)]
    only_b = await ctl(two.b.url, "disarm", "--reason", "test")
    assert only_b.code == 0, only_b
    assert not two.a.control.is_armed


async def test_it_remembers_which_one_acts(two: Installation) -> None:
    def twice(client: Controllers) -> None:
        disarm(client)
        disarm(client)
        assert client.url == two.a.url
        assert client.get("fleet")["name"] == "fenced-a"

    await call(controllers(two.b.url, two.a.url), twice)
    assert two.b.changes == [("/api/v1/fleet/disarm", 503)]


async def test_a_read_goes_to_the_next_one_if_the_first_is_away(two: Installation) -> None:
    away = f"http://127.0.0.1:{free_port()}"
    run = await ctl(f"{away},{two.b.url}", "--json", "hosts")
    assert (run.code, len(run.json["items"])) == (0, 4)
    assert two.a.answers == []
    run = await ctl(f"{away},{two.b.url}", "arm", "--yes")
    assert run.code == 0
    assert two.a.control.calls[-1][0] == "arm"


async def test_one_that_accepts_connections_and_never_answers_stops_nothing(two: Installation) -> None:
    """A frozen machine: the kernel accepts for it. The change must not be what finds that out."""
    async with wire(None) as (frozen, came):
        client = controllers(frozen, two.a.url)
        for opened in client.listed[:1]:
            opened._timeout_seconds = 0.2
        await call(client, disarm)
    assert [line.split(b" ")[0] for line in came] == [b"GET"]
    assert not two.a.control.is_armed


async def test_a_change_without_an_answer_is_sent_to_another(two: Installation) -> None:
    ready = json.dumps({"ready": True, "daemon": {}}).encode()
    answer = b"HTTP/1.1 200 x\r\nContent-Length: %d\r\n\r\n%s" % (len(ready), ready)
    async with wire(answer) as (url, came):  # it closes the connection in which the change comes
        await call(controllers(url, two.a.url), disarm)
    assert len(came) <= 2
    assert not two.a.control.is_armed and len(set(two.a.control.keys)) == 1


async def test_a_change_that_is_repeated_keeps_its_key(two: Installation) -> None:
    body = json.dumps({"ready": True, "daemon": {}, "status": 503, "detail": "in the middle of a takeover"}).encode()
    answer = b"HTTP/1.1 503 x\r\nConnection: close\r\nContent-Length: %d\r\n\r\n%s" % (len(body), body)
    async with wire(answer) as (one, came), wire(answer) as (other, came_there):
        client = controllers(one, other)
        for _ in range(2):
            with pytest.raises(Unreachable):
                await call(client, disarm)
    keys = [[found[1] for head in heads if (found := KEY.search(head))] for heads in (came, came_there)]
    assert keys[0] == keys[1] and len(set(keys[0])) == 2, "one key for each request, at both addresses"


async def test_all_reasons_are_named_if_no_controller_accepts(two: Installation) -> None:
    two.a.control.follow(None)
    two.b.control.follow(None)
    away = f"http://127.0.0.1:{free_port()}"
    run = await ctl(f"{away},{two.both}", "disarm", "--reason", "test")
    assert run.code == 4
    for said in (away, two.a.url, two.b.url, "Connection refused", "standby"):
        assert said in run.err
    run = await ctl(f"{away},http://127.0.0.1:{free_port()}", "hosts")
    assert (run.code, run.err.count("Connection refused")) == (4, 2)
    assert run.err.startswith("no controller answers: ")


# -- whom it follows --------------------------------------------------------------------------------------------------


async def test_it_follows_once(two: Installation) -> None:
    """Two that each name the other: a takeover under way, or a lie."""
    two.a.control.follow(two.b.url)
    client = controllers(two.b.url)
    with pytest.raises(Unreachable, match="only once"):
        await call(client, disarm)
    assert (len(two.a.changes), len(two.b.changes)) == (1, 1)


async def test_a_token_is_not_sent_from_https_to_http(tmp_path: Path) -> None:
    certificate = make_certificate(tmp_path)
    async with wire(b"") as (url, came), node(FakeControl(), tokens=TOKENS, certificate=certificate) as b:
        b.control.follow(url)
        for listed in ([b.url], [b.url, "https://127.0.0.1:1"]):
            with pytest.raises(Unreachable, match="never goes from https to http"):
                await call(controllers(*listed, token="all-3", ca_file=certificate[0]), disarm)
    assert came == []


async def test_it_follows_to_an_address_that_the_users_authority_signed(tmp_path: Path) -> None:
    certificate = make_certificate(tmp_path)
    async with installation(tokens=TOKENS, certificate=certificate) as made:
        await call(controllers(made.b.url, token="all-3", ca_file=certificate[0]), disarm)
        assert not made.a.control.is_armed
        (tmp_path / "other").mkdir()
        other = make_certificate(tmp_path / "other")
        async with node(FakeControl(), tokens=TOKENS, certificate=other) as forged:
            made.b.control.follow(forged.url)
            with pytest.raises(Unreachable, match="certificate"):
                await call(controllers(made.b.url, token="all-3", ca_file=certificate[0]), disarm)
        assert forged.answers == []


@pytest.mark.parametrize(
    "active", [7, ["http://x"], "unix:/run/fenced/api.sock", "file:///etc/passwd", "", None, "x" * 9999]
)
async def test_nonsense_is_not_followed(active: object) -> None:
    async with wire(refusing(active)) as (url, came):
        with pytest.raises(Unreachable):
            await call(controllers(url), disarm)
    assert len(came) == 1


FOLLOWED: dict[str, tuple[str, str, tuple[str, ...], bool, str]] = {
    "the user's authority": (B, A, (B,), True, ""),
    "any authority": (B, A, (B,), False, "--ca-file"),
    "listed": (B, A, (B, A), False, ""),
    "listed in another spelling": (B, A + "/", (B, "https://FENCED-A.example:8470"), False, ""),
    "another port": (B, A, (B, "https://fenced-a.example"), False, "--ca-file"),
    "https to http": (B, "http://fenced-a.example:8470", (B,), True, "https to http"),
    "https to http on loopback": (B, "http://127.0.0.1:8470", (B, "http://127.0.0.1:8470"), True, "https to http"),
    "http": ("http://b.example:8470", A, ("http://b.example:8470",), True, "forged"),
    "http to http": ("http://b:1", "http://a:1", ("http://b:1",), True, "forged"),
    "http, listed": ("http://b:1", "http://a:1", ("http://b:1", "http://a:1"), False, ""),
    "loopback": ("http://127.0.0.1:8470", A, ("http://127.0.0.1:8470",), True, ""),
    "loopback, any authority": ("http://127.0.0.1:8470", A, ("http://127.0.0.1:8470",), False, "--ca-file"),
    "loopback to loopback": ("http://127.0.0.1:1", "http://127.0.0.1:2", ("http://127.0.0.1:1",), False, ""),
    "loopback to a name like one": ("http://[::1]:1", "http://127.0.0.1.x.org", ("http://[::1]:1",), True, "encrypted"),
    "socket": ("unix:/run/api.sock", A, ("unix:/run/api.sock",), True, ""),
    "socket to http": ("unix:/run/api.sock", "http://a.example:8470", ("unix:/run/api.sock",), True, "not encrypted"),
    "to a socket": (B, "unix:/run/fenced/api.sock", (B,), True, "https://HOST"),
    "a login": (B, "https://user:secret@fenced-a.example", (B,), True, "login"),
}


@pytest.mark.parametrize(("source", "target", "listed", "has_ca_file", "why"), FOLLOWED.values(), ids=FOLLOWED.keys())
def test_whom_it_follows(source: str, target: str, listed: tuple[str, ...], has_ca_file: bool, why: str) -> None:
    found = why_not_followed(target, source, listed, has_ca_file=has_ca_file)
    assert (why in found) if why else found == ""


@pytest.mark.parametrize(
    ("text", "found"),
    [
        (A, (A,)),
        (f"{A},{B}", (A, B)),
        (f" {A}/ , {B},{A},", (A, B)),
        (f"unix:/run/a,b.sock,{A}", ("unix:/run/a,b.sock", A)),
        (f"http://127.0.0.1:8470,{A}", ("http://127.0.0.1:8470", A)),
        ("http://a:1,http://b:1", ("http://a:1", "http://b:1")),
        ("", None),
        (",", None),
        ("http://a,b", None),
        (f"{A},http://b.example:8470", None),  # a token that is safe with one would go to the other in clear
        (",".join(f"http://h{number}" for number in range(ADDRESSES_MAX + 1)), None),
    ],
)
def test_addresses(text: str, found: tuple[str, ...] | None) -> None:
    if found is None:
        with pytest.raises(ValueError, match="--url"):
            addresses(text)
    else:
        assert addresses(text) == found


async def test_addresses_of_the_environment_and_mistakes_in_them(two: Installation) -> None:
    words = [*PROGRAM, "hosts"]
    process = await asyncio.create_subprocess_exec(
        *words, env=environment(FENCED_URL=two.both), stdout=asyncio.subprocess.PIPE
    )
    out, _ = await process.communicate()
    assert (process.returncode, out.count(b"node-")) == (0, 4)
    mixed = await ctl(f"{A},http://b.example:8470", "hosts")
    assert (mixed.code, "use https for all" in mixed.err) == (2, True)


def test_the_standbys_refusal_is_no_connection_error() -> None:
    assert issubclass(Standby, Unreachable) and issubclass(NotSent, Unreachable)
    assert not issubclass(Standby, NotSent)


# -- what goes on at the other ----------------------------------------------------------------------------------------


async def test_a_wait_goes_on_at_the_other_which_may_learn_of_the_operation_later(two: Installation) -> None:
    async with asyncio.TaskGroup() as group:
        waiting = group.create_task(ctl(two.both, "off", "node-2", "--wait"))
        await until(lambda: len(two.a.control.all_operations) == 2)
        await until(lambda: ("/api/v1/operations/{operation}", 200) in two.a.answers)
        running = two.a.control.all_operations[-1]
        await two.a.stop.aclose()
        await until(lambda: ("/api/v1/operations/{operation}", 404) in two.b.answers)
        two.b.control.all_operations.append(running)
        await until(lambda: ("/api/v1/operations/{operation}", 200) in two.b.answers)
        two.b.control.finish(running.id, OperationState.DONE)
    run = waiting.result()
    assert run.code == 0, run
    assert run.out.splitlines()[-1].startswith("node-2 is fenced")


async def test_watch_goes_on_at_the_other_after_the_last_event(two: Installation) -> None:
    two.b.control.events = two.a.control.events  # both read one store
    process = await asyncio.create_subprocess_exec(
        *PROGRAM, "--url", f"{two.a.url},{two.b.url}", "watch",
        stdout=asyncio.subprocess.PIPE, env=environment(),
    )  # fmt: skip
    try:
        assert process.stdout is not None
        await until(lambda: two.a.control.watchers == 1)
        two.a.control.emit("suspected", "node-1")
        async with asyncio.timeout(60):
            first = (await process.stdout.readline()).split()
            await two.a.stop.aclose()
            two.b.control.emit("fenced", "node-1")  # before anybody watches there
            two.b.control.emit("restoring", "node-1")
            await until(lambda: two.b.control.watchers == 1)
            two.b.control.emit("restored", "node-1")  # ends the test at once where the others are missing
            lines = [first]
            while lines[-1][2] != b"host.restored":
                lines.append((await process.stdout.readline()).split())
        seen = [line[2] for line in lines]
        assert seen == [b"host.suspected", b"host.fenced", b"host.restoring", b"host.restored"]
    finally:
        process.send_signal(signal.SIGKILL)
        await process.wait()


# -- the commands -----------------------------------------------------------------------------------------------------


async def test_controllers_lists_them(two: Installation) -> None:
    views = two.b.control.controller_views
    views[1] = controller("fenced-b", unfit=("the bus is not connected", "config_differs"), lag=3, is_self=True)
    run = await ctl(two.b.url, "controllers")
    assert run.code == 0, run
    head, first, second = (line.split() for line in run.out.splitlines())
    assert head == ["NAME", "STATE", "FIT", "SHARDS", "ADDRESS", "VERSION", "HEARD", "LAG", "REMARKS"]
    assert first[:5] == ["fenced-a", "active", "yes", "main", "(epoch"]
    assert two.a.url in first
    assert second[:4] == ["fenced-b", "standby", "no", "-"]
    assert second[8:] == ["3", "the", "bus", "is", "not", "connected;", "config_differs"]
    items = (await ctl(two.b.url, "--json", "controllers")).json["items"]
    assert [(item["name"], item["state"], item["lag"]) for item in items] == [
        ("fenced-a", "active", 0), ("fenced-b", "standby", 3),
    ]  # fmt: skip


async def test_hand_over_waits_until_the_other_holds_it(two: Installation) -> None:
    begun = await ctl(two.both, "hand-over", "--reason", "upgrade")
    assert (begun.code, begun.out) == (0, "main: hand-over to any fit controller has begun\n")
    async with asyncio.TaskGroup() as group:
        waiting = group.create_task(ctl(two.both, "hand-over", "--to", "fenced-b", "--reason", "upgrade", "--wait"))
        await until(lambda: len(two.a.control.calls) == 2)
        two.take_over()
    run = waiting.result()
    assert (run.code, run.out) == (0, "main: fenced-b holds it, epoch 8\n")
    assert two.a.control.calls[1][:3] == ("hand_over", "main", "fenced-b")


async def test_hand_over_that_nobody_took_fails_and_one_that_can_not_be_is_refused(two: Installation) -> None:
    async with asyncio.TaskGroup() as group:
        waiting = group.create_task(ctl(two.a.url, "hand-over", "--reason", "upgrade", "--wait-for", "60s"))
        await until(lambda: len(two.a.control.calls) == 1)
        two.a.control.controller_views[0] = controller("fenced-a", epoch=8, address=two.a.url, is_self=True)
    run = waiting.result()
    assert (run.code, "took main back" in run.err) == (1, True)
    late = await ctl(two.a.url, "hand-over", "--reason", "upgrade", "--wait-for", "300ms")
    assert late.code == 124
    two.a.control.controller_views = two.a.control.controller_views[:1]
    alone = await ctl(two.a.url, "hand-over", "--reason", "upgrade")
    assert (alone.code, "refused (alone)" in alone.err) == (3, True)
    assert (await ctl(two.a.url, "hand-over")).code == 2


# -- for monitoring ---------------------------------------------------------------------------------------------------


def calm(two: Installation) -> None:
    """Leave one host without a fault, so that the levels come from the controllers."""
    for each in (two.a.control, two.b.control):
        each.states = {name: state for name, state in each.states.items() if name == "node-1"}
        each.warnings = ()


async def test_status_of_two_controllers(two: Installation) -> None:
    calm(two)
    fresh = [replace(view, heard=4e9) for view in two.a.control.controller_views]
    two.a.control.controller_views = two.b.control.controller_views = fresh
    for url in (two.both, two.b.url):  # a standby's address alone will do
        run = await ctl(url, "status")
        assert (run.code, run.out.split()[0]) == (0, "OK:"), run
    assert "controllers  fenced-a active, fenced-b standby" in run.out
    fresh[1] = replace(fresh[1], report=replace(fresh[1].report, unfit=("config_differs",)))
    run = await ctl(two.both, "status")
    assert (run.code, "controller fenced-b is not fit: config_differs" in run.out) == (1, True)
    fresh[1] = replace(fresh[1], is_alive=False, report=replace(fresh[1].report, unfit=()))
    run = await ctl(two.a.url, "status")
    assert (run.code, "controller fenced-b is offline" in run.out) == (1, True)
    fresh[1] = replace(fresh[1], heard=1.0)  # taken away long ago
    assert (await ctl(two.a.url, "status")).code == 0
    two.a.control.follow(None)
    two.b.control.follow(None)
    run = await ctl(two.both, "status")
    assert (run.code, run.out.startswith("CRITICAL: no controller is active")) == (2, True)


async def test_status_says_which_address_is_away(two: Installation) -> None:
    calm(two)
    away = f"http://127.0.0.1:{free_port()}"
    run = await ctl(f"{away},{two.a.url}", "--json", "status")
    assert (run.code, run.json["level"], [*run.json["away"]]) == (1, "warning", [away])
    two.b.control.is_ready = False
    run = await ctl(two.both, "status")
    assert (run.code, "fenced-b is not ready: bus not connected" in run.out) == (1, True)
    await two.a.stop.aclose()
    run = await ctl(two.both, "status")  # the store says that fenced-a acts: it is only away from here
    assert (run.code, f"no answer from {two.a.url}" in run.out) == (1, True)
    assert (await ctl(f"{away},http://127.0.0.1:{free_port()}", "status")).code == 2
