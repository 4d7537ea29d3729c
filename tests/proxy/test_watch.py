"""The daemon's watch over its proxies, and what a proxy agent reports: status, metrics, protocol versions."""

import http.client
import json
import ssl
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from pathlib import Path

from aiohttp import web

from fenced.model.inventory import Proxy
from fenced.model.names import ENGINE, ProxyName
from fenced.model.power import Power
from fenced.proxy.client import ProxyCaller
from fenced.proxy.protocol import PROTOCOL
from fenced.proxy.tls import client_context
from fenced.proxy.watch import ProxyWatch
from fenced.telemetry.metrics import Metrics
from fenced.telemetry.observer_gauges import ObserverGauges
from fenced.telemetry.proxy_gauges import ProxyGauges
from tests.net import free_port
from tests.proxy.bed import PX1, PX2, Bed, BootClock, caller_of, send, tls_files
from tests.proxy.devices import device


def proxy(name: ProxyName, url: str) -> Proxy:
    return Proxy(name=name, url=url, address="127.0.0.1")


def watching(caller: ProxyCaller, *proxies: Proxy) -> tuple[ProxyWatch, dict[ProxyName, str]]:
    faults: dict[ProxyName, str] = {}

    def barred(now: Mapping[ProxyName, str], observers: frozenset[ProxyName], untold: frozenset[ProxyName]) -> None:
        faults.clear()
        faults.update(now)

    watch = ProxyWatch(caller, proxies, clock=BootClock())
    watch.report_to(barred)
    return watch, faults


def got(bed: Bed, path: str, name: str = "fenced-a") -> tuple[int, str]:
    """Return (status, body) of a GET with that daemon's certificate."""
    context = client_context(tls_files(bed.certificates, name))
    connection = http.client.HTTPSConnection("127.0.0.1", bed.px1.port, context=context, timeout=5)
    try:
        connection.request("GET", path)
        answer = connection.getresponse()
        return answer.status, answer.read().decode()
    finally:
        connection.close()


@asynccontextmanager
async def speaking(status: dict[str, object]) -> AsyncIterator[str]:
    """Run a proxy of another version, without TLS; yield its URL."""

    async def answer(_: web.Request) -> web.Response:
        return web.json_response(status)

    application = web.Application()
    application.router.add_get("/v1/status", answer)
    runner = web.AppRunner(application)
    await runner.setup()
    port = free_port()
    await web.TCPSite(runner, "127.0.0.1", port).start()
    try:
        yield f"http://127.0.0.1:{port}"
    finally:
        await runner.cleanup()


async def test_a_proxy_reports_its_name_protocol_and_drivers(bed: Bed, tmp_path: Path) -> None:
    await send(bed.caller, device(tmp_path / "bmc"), Power.OFF)
    status = await bed.caller.status(PX1, timeout_seconds=5)
    assert (status.name, status.protocols, status.capacity) == ("px1", (PROTOCOL,), 8)
    assert status.uptime > 0 and status.drivers == ("file",) and status.store == "store-1"


async def test_its_metrics_are_for_those_who_may_call_and_name_no_device(bed: Bed, tmp_path: Path) -> None:
    spec = device(tmp_path / "secret-bmc")
    await bed.caller.read(PX1, spec, timeout_seconds=5)
    status, text = got(bed, "/metrics")
    assert status == 200 and 'fenced_proxy_call_seconds_count{command="status",driver="file",result="on"}' in text
    assert 'fenced_certificate_expiry_seconds{file="' in text and 'fenced_proxy_calls_in_flight{kind="read"}' in text
    assert "secret-bmc" not in text and "fenced-a" not in text
    assert got(bed, "/metrics", "fenced-b")[0] == 403


def test_without_a_certificate_nothing_is_shown(bed: Bed) -> None:
    context = ssl.create_default_context(cafile=bed.certificates / "ca.crt")
    for path in ("/healthz", "/metrics", "/v1/status"):
        connection = http.client.HTTPSConnection("127.0.0.1", bed.px1.port, context=context, timeout=5)
        try:
            connection.request("GET", path)
            connection.getresponse()
        except OSError:
            continue
        finally:
            connection.close()
        raise AssertionError(f"{path} answered")


async def test_the_watch_shows_which_proxies_answer(bed: Bed) -> None:
    dead = f"https://127.0.0.1:{free_port()}"
    async with caller_of(bed.certificates, {PX1: bed.px1.url, PX2: dead}) as caller:
        watch, faults = watching(caller, proxy(PX2, dead), proxy(PX1, bed.px1.url))
        assert [(view.name, view.is_up) for view in watch.views()] == [(PX1, None), (PX2, None)]
        for name in (PX1, PX2):
            await watch.ask(name)
        up, down = watch.views()
        assert up.is_up and up.version == "test" and up.answered_at is not None and up.error == ""
        assert down.is_up is False and "px2" in down.error and down.why_barred is None
        assert faults == {}, "a proxy that does not answer stays a candidate: the race finds out"
        metrics = Metrics()
        metrics.registry.register(ProxyGauges(watch))
        text = metrics.exposition("")[0].decode()
        assert 'fenced_proxy_up{proxy="px1"} 1.0' in text and 'fenced_proxy_up{proxy="px2"} 0.0' in text


async def test_a_proxy_of_another_protocol_is_no_candidate_until_it_is_brought_along() -> None:
    status: dict[str, object] = {
        "name": "px1", "version": "9.0", "clock": {"boot": "b", "monotonic": 1.0},
        "in_flight": {"reads": 0, "commands": 0}, "protocols": [PROTOCOL + 1],
    }  # fmt: skip
    async with speaking(status) as url, caller_of(None, {PX1: url}) as caller:
        watch, faults = watching(caller, proxy(PX1, url))
        await watch.ask(PX1)
        assert "version 9.0 speaks protocol" in faults[PX1]
        assert watch.views()[0].why_barred == faults[PX1]
        status["protocols"] = [PROTOCOL, PROTOCOL + 1]
        await watch.ask(PX1)
        assert faults == {}
        del status["protocols"]
        await watch.ask(PX1)
        assert faults == {}, "one of before the word speaks the first protocol"
        assert json.dumps(status)


async def test_a_reload_keeps_what_is_known_and_forgets_who_is_gone(bed: Bed) -> None:
    watch, faults = watching(bed.caller, proxy(PX1, bed.px1.url), proxy(PX2, "https://127.0.0.1:1"))
    await watch.ask(PX1)
    watch.use([proxy(PX1, bed.px1.url)])
    assert [(view.name, view.is_up) for view in watch.views()] == [(PX1, True)] and faults == {}


async def test_who_looks_is_an_observer_until_it_says_otherwise() -> None:
    """One that can't be reached is missing, not absent: it stays an observer, and the daemon waits for it."""
    status: dict[str, object] = {
        "name": "px1", "version": "1", "clock": {"boot": "b", "monotonic": 1.0},
        "in_flight": {"reads": 0, "commands": 0},
    }  # fmt: skip
    told: list[frozenset[ProxyName]] = []
    async with speaking(status) as url, caller_of(None, {PX1: url}) as caller:
        watch = ProxyWatch(caller, [proxy(PX1, url)], clock=BootClock())
        watch.report_to(lambda faults, observers, untold: told.append(observers))
        await watch.ask(PX1)
        assert told == [], "an older proxy agent says nothing of looks"
        status["looking"] = {"targets": ["10.0.0.0/8"], "ports": [22]}
        await watch.ask(PX1)
        assert told == [frozenset({PX1})]
        metrics = Metrics()
        metrics.registry.register(ObserverGauges(watch, {ENGINE: "r1", PX1: "r2"}.__getitem__))
        assert 'fenced_observers{domain="r1",state="ready"} 1.0' in metrics.exposition("")[0].decode()
        assert 'fenced_observers{domain="r2",state="ready"} 1.0' in metrics.exposition("")[0].decode()
        assert (watch.views()[0].looks_at, watch.views()[0].look_ports) == (("10.0.0.0/8",), (22,))
    gone = f"http://127.0.0.1:{free_port()}"
    async with caller_of(None, {PX1: gone}) as caller:
        watch._caller = caller
        await watch.ask(PX1)
        watch.use([proxy(PX1, gone)])
        assert watch.views()[0].is_up is None and watch.views()[0].is_observer
        await watch.ask(PX1)
    assert told == [frozenset({PX1})], "it is missing"
    assert 'fenced_observers{domain="r2",state="missing"} 1.0' in metrics.exposition("")[0].decode()
    del status["looking"]
    async with speaking(status) as url, caller_of(None, {PX1: url}) as caller:
        watch._caller = caller
        watch.use([proxy(PX1, url)])
        await watch.ask(PX1)
        assert told == [frozenset({PX1}), frozenset()]
        watch.use([])
    assert told == [frozenset({PX1}), frozenset()]


async def test_a_proxy_that_has_not_answered_since_the_start_may_be_an_observer_and_is_named() -> None:
    told: list[frozenset[ProxyName]] = []
    gone = f"http://127.0.0.1:{free_port()}"
    status: dict[str, object] = {
        "name": "px1", "version": "1", "clock": {"boot": "b", "monotonic": 1.0},
        "in_flight": {"reads": 0, "commands": 0}, "looking": {"targets": ["10.0.0.1"], "ports": [22]},
    }  # fmt: skip
    async with speaking(status) as url, caller_of(None, {PX1: gone, PX2: url}) as caller:
        watch = ProxyWatch(caller, [proxy(PX1, gone), proxy(PX2, url)], clock=BootClock())
        watch.report_to(lambda faults, observers, untold: told.append(untold))
        assert not any(view.is_untold for view in watch.views()), "nobody was asked yet"
        await watch.ask(PX1)
        await watch.ask(PX2)
    assert told[0] == frozenset({PX1}) == told[-1]
    async with speaking(status) as url, caller_of(None, {PX1: url}) as caller:
        watch._caller = caller
        await watch.ask(PX1)
    assert told[-1] == frozenset()


async def test_a_proxy_that_a_reload_removes_is_no_observer(bed: Bed) -> None:
    told: list[frozenset[ProxyName]] = []
    status: dict[str, object] = {
        "name": "px1", "version": "1", "clock": {"boot": "b", "monotonic": 1.0},
        "in_flight": {"reads": 0, "commands": 0}, "looking": {"targets": ["10.0.0.1"], "ports": [22]},
    }  # fmt: skip
    async with speaking(status) as url, caller_of(None, {PX1: url}) as caller:
        watch = ProxyWatch(caller, [proxy(PX1, url)], clock=BootClock())
        watch.report_to(lambda faults, observers, untold: told.append(observers))
        await watch.ask(PX1)
        watch.use([])
    assert told == [frozenset({PX1}), frozenset()]
