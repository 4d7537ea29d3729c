"""Reload, stop, watchdog: a configuration is loaded as a whole or not at all, and the daemon ends in an orderly way."""

import asyncio
import contextlib
import os
import re
import signal
import socket
from pathlib import Path

import aiohttp
import pytest

from tests.e2e.agents import Agent
from tests.e2e.bed import bed
from tests.e2e.configuration import Configuration
from tests.needs import needs
from tests.net import PATIENCE_SECONDS, until

pytestmark = [pytest.mark.integration, needs("mosquitto")]

SLOW = 'off) sleep 2; printf off > "$dir/$plug" ;;'


async def test_reload(tmp_path: Path) -> None:
    agent = Agent(tmp_path / "agents", "fence_made", SLOW)
    async with bed(tmp_path, {name: [agent.device(name)] for name in ("node-1", "node-2")}) as it:
        limits = Path(f"/proc/{it.daemon.pid}/limits").read_text()
        assert re.search(r"^Max core file size +0 +0 ", limits, re.MULTILINE), "passwords would stand in a core"
        good = it.configuration.copy()
        # Corrupt: the old one stays in effect.
        it.configuration.file.write_text("[daemon\narmed = false")
        await it.reload("reload_refused")
        it.configuration.hosts["node-2"][0]["no_such_key"] = 1
        it.configuration.change("daemon", armed=False)
        it.configuration.write()
        await it.reload("reload_refused")
        assert "no_such_key" in it.daemon.log
        assert {host["name"] for host in (await it.api.get("hosts"))["items"]} == {"node-1", "node-2"}
        assert (await it.api.metrics())["fenced_armed"] == 1

        # A host with an operation under way can't be removed.
        operation = await it.api.act("node-1", "off", force=True)
        await until(lambda: "off node-1" in agent.calls, what="the OFF is sent")
        it.hosts.kill("node-1")
        fewer = good.copy()
        del fewer.hosts["node-1"]
        fewer.write()
        assert "node-1" in await it.reload("reload_refused")
        assert (await it.api.ended(operation))["result"]["fenced"] is True
        # Nor a host that a person left off: the daemon would forget that.
        await it.reload("reload_refused")

        # A new host is managed at once.
        more = good.copy()
        more.hosts["node-3"] = [agent.device("node-3")]
        more.change("detection", grace="1s")
        more.write()
        await it.reload('"reloaded"')
        it.hosts.boot("node-3")
        await it.story.state("node-3", "healthy")
        it.hosts.kill("node-3")
        await it.story.event("node-3", "host.fenced")
        assert not it.story.of("node-2", "host.suspected")
        before, after = it.story.infos
        assert before["configuration"] != after["configuration"] and before["since"] < after["since"]


async def test_no_reload_ends_the_daemon_and_a_refused_one_is_reported(tmp_path: Path) -> None:
    """systemd uses the signal for the reload: status line, metric and event say how it ended."""
    agent = Agent(tmp_path / "agents")
    path = str(tmp_path / "notify")
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as heard:
        heard.bind(path)
        heard.setblocking(False)
        words: list[str] = []

        def status() -> str:
            with contextlib.suppress(BlockingIOError):
                while True:
                    words.extend(heard.recv(4096).decode().splitlines())
            return next((word for word in reversed(words) if word.startswith("STATUS=")), "")

        async with bed(tmp_path, {"node-1": [agent.device("a")]}, environment={"NOTIFY_SOCKET": path}) as it:
            good = it.configuration.copy()
            started = await it.api.metrics()
            assert started["fenced_config_last_reload_successful"] == 1
            os.mkfifo(tmp_path / "fifo")
            files = ["n" * 300, "p/" * 3000, "fifo", str(tmp_path), "/dev/zero"]
            for number, name in enumerate(files, start=1):
                bad = good.copy()
                bad.change("api", tls_cert_file=name, tls_key_file=name)
                bad.write()
                await it.reload("reload_refused")
                await until(
                    lambda: "reload refused" in status() and "tls_cert_file" in status(), what="the status line"
                )
                assert (await it.api.metrics())["fenced_config_last_reload_successful"] == 0

                def told(number: int = number) -> bool:
                    return len(it.story.of(None, "fleet.reload_refused")) == number

                await until(told, what="the event")
            assert "api.tls_cert_file" in it.story.of(None, "fleet.reload_refused")[-1].data["why"]
            assert (await it.api.metrics())["fenced_config_last_reload_seconds"] == started[
                "fenced_config_last_reload_seconds"
            ]
            good.write()
            await it.reload('"reloaded"')
            await until(lambda: "1 hosts" in status(), what="the status line of before")
            await until(lambda: bool(it.story.of(None, "fleet.reloaded")), what="the event")
            after = await it.api.metrics()
            assert after["fenced_config_last_reload_successful"] == 1
            assert after["fenced_config_last_reload_seconds"] > started["fenced_config_last_reload_seconds"]


@pytest.mark.parametrize("key", ["api.tls_cert_file", "daemon.state_dir"])
async def test_a_start_on_files_that_can_not_be_used_is_a_mistake_of_the_configuration(
    tmp_path: Path, key: str
) -> None:
    """Exit status 78: systemd does not restart it for ever."""
    agent = Agent(tmp_path / "agents")
    (tmp_path / "rubbish").write_text("no certificate")
    table, name = key.split(".")
    files = {"tls_cert_file": str(tmp_path / "rubbish"), "tls_key_file": str(tmp_path / "rubbish")}
    async with bed(tmp_path, {"node-1": [agent.device("a")]}, is_started=False) as it:
        it.configuration.change(table, **(files if name in files else {name: str(tmp_path / "rubbish/below")}))
        await it.start(is_awaited=False)
        assert await it.daemon.wait() == 78
        assert key in it.daemon.log


async def test_a_reload_takes_a_leaked_token_away_with_the_streams_that_it_opened(tmp_path: Path) -> None:
    agent = Agent(tmp_path / "agents")
    tokens = tmp_path / "tokens"
    tokens.write_text("viewer:leaked-leaked-leaked\nadmin:mine-mine-mine-mine\n")
    tokens.chmod(0o600)

    def guarded(configuration: Configuration) -> None:
        configuration.change("api", tokens_file=str(tokens))

    def bearer(token: str) -> dict[str, str]:
        return {"Authorization": f"Bearer {token}"}

    async with (
        bed(tmp_path, {name: [agent.device(name)] for name in ("node-1", "node-2")}, change=guarded) as it,
        aiohttp.ClientSession(it.api.url) as client,
        client.get("/api/v1/events", headers=bearer("leaked-leaked-leaked")) as leaked,
        client.get("/api/v1/events", headers=bearer("mine-mine-mine-mine")) as mine,
    ):
        assert (leaked.status, mine.status) == (200, 200)
        tokens.write_text("admin:mine-mine-mine-mine\nviewer:another-another-another\n")
        it.configuration.change("api", requests_per_second=7)
        it.configuration.write()
        await it.reload('"reloaded"')
        assert "leaked-leaked" not in it.daemon.log
        async with asyncio.timeout(PATIENCE_SECONDS):
            await leaked.read()
        statuses = []
        for token in ("leaked-leaked-leaked", "another-another-another", "mine-mine-mine-mine"):
            async with client.get("/api/v1/hosts", headers=bearer(token)) as answer:
                statuses.append(answer.status)
        assert statuses == [401, 200, 200]
        it.hosts.kill("node-1")
        await it.story.event("node-1", "host.fenced")
        async with asyncio.timeout(PATIENCE_SECONDS):
            while b"io.fenced.host.fenced" not in await mine.content.readline():
                pass


async def test_an_orderly_end_in_the_middle_of_a_power_step(tmp_path: Path) -> None:
    """SIGTERM lets the OFF that was sent end by itself; the next start goes on from there."""
    agent = Agent(tmp_path / "agents", "fence_made", SLOW)
    async with bed(tmp_path, {name: [agent.device(name)] for name in ("node-1", "node-2")}) as it:
        it.hosts.kill("node-1")
        await until(lambda: "off node-1" in agent.calls, what="the OFF is sent")
        operation = it.story.of("node-1", "host.fencing")[0].data["operation"]
        assert await it.daemon.end() == 0
        assert agent.power("node-1") == "off"
        calls = len(agent.calls)
        await asyncio.sleep(0.5)
        assert len(agent.calls) == calls, "something goes on after the end"
        await it.start()
        ended = await it.api.ended(operation)
        assert (ended["state"], ended["result"]["fenced"], agent.power("node-1")) == ("done", True, "on")
        assert agent.calls.count("off node-1") == 1


async def test_the_end_does_not_wait_for_ever(tmp_path: Path) -> None:
    """A power step longer than `shutdown_grace` is killed with all that it started; it never acts later."""
    late = (
        "off) setsid sh -c \"sleep 2; echo >> '$dir/acted'\" & sleep 3; "
        'echo >> "$dir/acted"; printf off > "$dir/$plug" ;;'
    )
    agent = Agent(tmp_path / "agents", "fence_made", late)

    def impatient(configuration: Configuration) -> None:
        configuration.change("daemon", shutdown_grace="500ms")

    async with bed(tmp_path, {"node-1": [agent.device("a")], "node-2": [agent.device("w")]}, change=impatient) as it:
        it.hosts.kill("node-1")
        await until(lambda: "off a" in agent.calls, what="the OFF is sent")
        operation = it.story.of("node-1", "host.fencing")[0].data["operation"]
        assert await it.daemon.end(5) == 0
        await asyncio.sleep(3)
        assert (agent.power("a"), (agent.directory / "acted").exists()) == ("on", False)
        Agent(tmp_path / "agents", "fence_made")
        await it.start()
        ended = await it.api.ended(operation, seconds=60)
        assert (ended["state"], ended["result"]["fenced"]) == ("done", True)


async def test_a_daemon_that_stood_still_suspects_no_host(tmp_path: Path) -> None:
    """Stopped for longer than every grace and its own lease: only a host that died meanwhile is fenced, and later."""
    agent = Agent(tmp_path / "agents")

    def short_lease(configuration: Configuration) -> None:
        configuration.change("store", lease_ttl="3s")

    devices = {f"node-{n}": [agent.device(f"p{n}")] for n in range(1, 4)}
    async with bed(tmp_path, devices, change=short_lease) as it:
        it.daemon.signal(signal.SIGSTOP)
        it.hosts.kill("node-1")
        await asyncio.sleep(4)
        it.daemon.signal(signal.SIGCONT)
        await it.story.event("node-1", "host.fenced", seconds=30)
        assert {event.body["subject"] for event in it.story.of(None, "host.suspected")} == {"node-1"}


async def test_what_people_requested_survives_a_crash(tmp_path: Path) -> None:
    agent = Agent(tmp_path / "agents")
    async with bed(tmp_path, {f"node-{n}": [agent.device(f"p{n}")] for n in range(1, 4)}) as it:
        for arguments in (
            ("maintenance", "node-1", "on", "--reason", "new memory"),
            ("pause", "--match", "host=node-2", "--reason", "switch work", "--until", "1h"),
            ("disarm", "--reason", "storage is moved"),
        ):
            assert (await it.ctl(*arguments)).status == 0
        await it.daemon.kill()
        await it.start()
        assert (await it.api.get("hosts/node-1"))["maintenance"]["reason"] == "new memory"
        assert (await it.api.get("hosts/node-2"))["paused"] is True
        assert (await it.ctl("off", "node-1")).status == 3
        await it.api.call("POST", "fleet/arm")
        assert (await it.ctl("off", "node-1", "--wait")).status == 0, "in maintenance a person needs no force"


async def test_an_address_that_is_taken_is_reported(tmp_path: Path) -> None:
    agent = Agent(tmp_path / "agents")
    async with bed(tmp_path, {"node-1": [agent.device("a")]}, is_started=False) as it:
        port = int(it.api.url.rpartition(":")[2])
        with socket.create_server(("127.0.0.1", port)):
            await it.start(is_awaited=False)
            assert await it.daemon.wait() == 1
        assert str(port) in it.daemon.log.splitlines()[-1]
        assert "Traceback" not in it.daemon.log


async def test_what_systemd_hears(tmp_path: Path) -> None:
    agent = Agent(tmp_path / "agents")
    path = str(tmp_path / "notify")
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as heard:
        heard.bind(path)
        heard.setblocking(False)
        words: list[str] = []

        def take() -> list[str]:
            try:
                while True:
                    words.extend(heard.recv(4096).decode().splitlines())
            except BlockingIOError:
                return words

        environment = {"NOTIFY_SOCKET": path, "WATCHDOG_USEC": "1000000"}
        async with bed(tmp_path, {"node-1": [agent.device("a")]}, environment=environment) as it:
            await until(lambda: "READY=1" in take(), what="READY")
            await until(lambda: take().count("WATCHDOG=1") >= 3, what="the watchdog is fed again and again")
            # A stopped process does not feed the watchdog.
            it.daemon.signal(signal.SIGSTOP)
            await asyncio.sleep(0.2)
            fed = take().count("WATCHDOG=1")
            await asyncio.sleep(1.5)
            assert take().count("WATCHDOG=1") == fed
            it.daemon.signal(signal.SIGCONT)
            await until(lambda: take().count("WATCHDOG=1") > fed, what="fed again")
            it.daemon.signal(signal.SIGHUP)
            await until(lambda: "RELOADING=1" in take(), what="RELOADING")
            await until(lambda: "READY=1" in take()[take().index("RELOADING=1") :], what="READY again")
            assert "STOPPING=1" not in words
            assert await it.daemon.end() == 0
            assert "STOPPING=1" in take()
            assert not it.story.of(None, "host.suspected"), "our own pause is nobody's silence"
