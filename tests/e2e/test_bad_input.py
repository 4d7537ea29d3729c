"""Rubbish on the bus and hostile fence agents: counted, bounded, reported clearly, and no secret appears anywhere."""

import asyncio
import json
from pathlib import Path

import aiomqtt
import pytest

from tests.e2e.agents import STATUS, Agent
from tests.e2e.bed import Bed, bed
from tests.e2e.configuration import SITE
from tests.needs import needs
from tests.net import until

pytestmark = [pytest.mark.integration, needs("mosquitto")]

PASSWORD = "pa55-of-the-pdu"
HIDDEN_SECONDS = 3

HOSTILE = f"""off)
  case "$plug" in
  loud) head -c 1048576 /dev/zero | tr '\\0' x; head -c 1048576 /dev/zero | tr '\\0' y >&2; echo "Success" ;;
  hang) sleep 100; echo hang >> "$dir/acted" ;;
  fork) setsid sh -c 'sleep {HIDDEN_SECONDS}; echo fork >> '"$dir"'/acted' >/dev/null 2>&1 & exit 0 ;;
  pipes) sleep 100 & ;;
  seven) printf off > "$dir/$plug"; exit 7 ;;
  teller) echo "login with $password failed"; echo "bad password: $password" >&2; exit 1 ;;
  esac
  case "$plug" in hang|fork) ;; *) printf off > "$dir/$plug" ;; esac ;;
status) case "$plug" in
  usage) echo "usage: fence_made [options]" >&2; exit 2 ;;
  mute) exit 7 ;;
  esac
{STATUS.removeprefix("status)")}"""

FENCED = {"loud", "pipes", "seven"}
"""They misbehave, and yet the power is off and reads so."""
NOT_FENCED = {"hang", "fork", "teller", "usage", "mute"}


async def test_hostile_agents(tmp_path: Path) -> None:
    agent = Agent(tmp_path / "agents", "fence_made", HOSTILE)
    secret = tmp_path / "password"
    secret.touch(mode=0o600)
    secret.write_text(PASSWORD)
    patience = {
        "attempt_timeout": "1s", "verify_timeout": "500ms", "attempts": 1, "operation_timeout": "5s",
        "password_file": str(secret),
    }  # fmt: skip
    plugs = sorted(FENCED | NOT_FENCED)
    devices = {f"host-{plug}": [agent.device(plug, **patience)] for plug in plugs}
    async with bed(tmp_path, {**devices, "good": [agent.device("good")]}) as it:
        it.hosts.kill(*devices)
        for name in devices:
            answer = await it.api.call("PUT", f"hosts/{name}/maintenance", body={"reason": "by hand alone"})
            assert answer.status == 200, answer.text
        operations = {plug: await it.api.act(f"host-{plug}", "off", force=True) for plug in plugs}
        ended = {plug: await it.api.ended(operation, seconds=40) for plug, operation in operations.items()}
        assert {plug for plug in plugs if ended[plug]["result"]["fenced"]} == FENCED
        assert {plug for plug in plugs if ended[plug]["state"] == "failed"} == NOT_FENCED
        outcome = {
            plug: [step for step in told["devices"][0]["steps"] if step["what"] == "off"]
            for plug, told in ended.items()
        }
        assert [step["outcome"] for step in outcome["hang"]] == ["timed_out"]
        assert "7" in outcome["seven"][0]["error"]
        # The call ended with the agent's own process, not with the processes that hold its pipes.
        assert outcome["pipes"][0]["ended_ms"] - outcome["pipes"][0]["started_ms"] < 900
        # A device that can't be read gets no command.
        assert outcome["usage"] == outcome["mute"] == []
        assert all(len(json.dumps(told)) < 64 * 1024 for told in ended.values())
        await asyncio.sleep(HIDDEN_SECONDS)
        assert not (agent.directory / "acted").exists()
        # The other hosts are unaffected.
        good = await it.ctl("off", "good", "--force", "--wait")
        assert good.status == 0
        assert (await it.api.call("GET", "/healthz")).status == 200
        await no_password(it, [ended, (await it.api.get("hosts/host-teller/explain"))])


async def no_password(it: Bed, answers: list[object]) -> None:
    """Not in the log, the API, the metrics, the events, the journal's files."""
    assert PASSWORD not in it.daemon.log
    assert PASSWORD not in json.dumps(answers)
    assert PASSWORD not in (await it.api.call("GET", "/metrics")).text
    assert PASSWORD not in json.dumps([event.body for event in it.story.events])
    for file in it.state_dir.rglob("*"):
        if file.is_file():
            assert PASSWORD.encode() not in file.read_bytes(), file


async def test_rubbish_on_the_bus(tmp_path: Path) -> None:
    agent = Agent(tmp_path / "agents")
    async with bed(tmp_path, {name: [agent.device(name)] for name in ("node-1", "node-2")}) as it:
        assert it.broker is not None
        it.hosts.kill("node-1")
        health = f"fenced/v1/{SITE}/health"
        malformed = [b"{", b"[]", b"null", b'"ok"', b"\xff\xfe", b"7", b'{"seq":']
        partly = [
            b'{"boot":7}',
            b'{"status":"dead"}',
            b'{"interval":-1}',
            b'{"seq":"x"}',
            b'{"reason":"\xff","roles":1}',
        ]
        async with aiomqtt.Client("127.0.0.1", it.broker.port) as other:
            for payload in malformed:
                await other.publish(f"{health}/node-1", payload, qos=1)
            for payload in partly:
                await other.publish(f"{health}/node-2", payload, qos=1)
            await other.publish(f"{health}/node-1", b"{" + b" " * 70_000 + b"}", qos=1)
            await other.publish(f"{health}/node-1/more", b"", qos=1)
            for name in ("nobody", "NODE-1", "node-1.example.org", "node", "x" * 300, "a b"):
                await other.publish(f"{health}/{name}", b"", qos=1)
            await other.publish(f"fenced/v1/{SITE}/request/node-1", b'{"action":"off"}', qos=1)
            await other.publish(f"fenced/v1/{SITE}/evidence/node-1/lease", b'{"alive":"perhaps"}', qos=1)
            await other.publish(f"fenced/v1/{SITE}/presence/node-1", b"maybe", qos=1)
            await other.publish("fenced/v1/other-site/health/node-2", b'{"status":"failing"}', qos=1)

            async def counted() -> bool:
                metrics = await it.api.metrics()
                count = {
                    result: metrics[f'fenced_bus_messages_total{{kind="health",result="{result}"}}']
                    for result in ("malformed", "partly", "oversized", "unknown_host")
                }
                return count == {"malformed": len(malformed), "partly": len(partly), "oversized": 1, "unknown_host": 6}

            await until(counted, what="each is counted under its own name")
            # Well-formed and yet no sign of life: retained, older than an earlier message, or of a run that has ended.
            boot, alive = it.hosts.boots["node-2"], json.dumps
            await other.publish(f"{health}/node-1", alive({"boot": "ghost"}), qos=1, retain=True)
            await other.publish(f"{health}/node-2", alive({"boot": boot, "seq": 0, "status": "failing"}), qos=1)
        # None of it was a sign of life of node-1, and node-2 was not suspected for any of it.
        await it.story.event("node-1", "host.fenced")
        assert not it.story.of("node-2", "host.suspected")
        metrics = await it.api.metrics()
        for kind in ("request", "evidence", "presence"):
            assert metrics[f'fenced_bus_messages_total{{kind="{kind}",result="malformed"}}'] == 1
        assert metrics['fenced_bus_messages_total{kind="health",result="stale"}'] == 1
        assert it.daemon.is_running
        # Received at a new subscription, the retained message is no sign of life either.
        await it.daemon.kill()
        await it.start()

        async def is_counted() -> bool:
            return (await it.api.metrics())['fenced_bus_messages_total{kind="health",result="retained"}'] == 1

        await until(is_counted, what="the retained heartbeat is counted")
        assert (await it.api.get("hosts/node-1"))["state"] in ("fenced", "restoring")


async def test_a_reporter_with_another_spelling_of_the_host_is_reported_and_no_sign_of_life(tmp_path: Path) -> None:
    agent = Agent(tmp_path / "agents")
    async with bed(tmp_path, {"node-1": [agent.device("a")]}) as it:
        assert it.broker is not None
        async with aiomqtt.Client("127.0.0.1", it.broker.port) as client:
            for name in ("NODE-1", "node-1.example.org"):
                await client.publish(f"fenced/v1/{SITE}/health/{name}", b"", qos=1)

        async def is_told() -> bool:
            return list((await it.api.get("hosts/node-1"))["misnamed"]) == ["NODE-1", "node-1.example.org"]

        await until(is_told, what="both names")
        assert "beats arrive as NODE-1" in (await it.ctl("hosts")).out
        assert "beats arrive as node-1.example.org" in (await it.ctl("explain", "node-1")).out
        note = it.state_dir / "heard-as.json"
        await until(
            lambda: note.exists() and "NODE-1" in note.read_text(), seconds=30, what="the note for check-config"
        )
        it.hosts.kill("node-1")
        await it.story.event("node-1", "host.suspected")
