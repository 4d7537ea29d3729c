"""The daemon knows when certificates end: its files, those that handshakes show, and what setup gave to others."""

import asyncio
import json
import ssl
import time
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

import pytest

from fenced.api.server import ApiFilesError, build_app, serve
from fenced.app.certificates import MANIFEST, Certificates
from fenced.bus.settings import BusSettings
from fenced.config.configuration import Configuration
from fenced.model.inventory import Proxy
from fenced.model.names import ProxyName
from fenced.proxy.client import ProxyCaller
from fenced.proxy.tls import server_context
from fenced.setup import daemon
from tests.api.conftest import expose
from tests.config.files import load_ok
from tests.config.pieces import host, pdu
from tests.config.test_reload import running
from tests.fakes.control import FakeClock, FakeControl
from tests.proxy.bed import BootClock, certs, make_certificates, tls_files

DAY = 86400.0


class Wall:
    """A wall clock that a test moves."""

    def __init__(self) -> None:
        self.days = 0.0

    def __call__(self) -> float:
        return time.time() + self.days * DAY


def configured(folder: Path, more: str = "") -> Configuration:
    """Return a configuration with TLS to the broker and the proxies; both have the certificate fenced-a."""
    files = 'ca_file = "ca.crt"\ncert_file = "fenced-a.crt"\nkey_file = "fenced-a.key"\n'
    text = f'[bus]\nurl = "mqtts://127.0.0.1:1"\n{files}[proxy_client]\n{files}{more}'
    return load_ok(folder, text + host("node-1", pdu()))


def knowing(configuration: Configuration, wall: Callable[[], float], *, bus_port: int = 1) -> Certificates:
    folder = configuration.file.parent
    remote = ProxyCaller(store="s", urls={}, tls=tls_files(folder), clock=BootClock())
    bus = BusSettings(
        host="127.0.0.1", port=bus_port, site="s", client_id="c", is_tls=True, ca_file=str(folder / "ca.crt")
    )
    return Certificates(configuration, remote, bus, now=wall)


def renew(folder: Path, name: str, days: int) -> None:
    certs("renew", str(folder), "--name", name, "--days", str(days))


async def test_a_reload_refuses_a_certificate_that_expired_and_warns_where_the_old_one_had_expired_too(
    tmp_path: Path,
) -> None:
    make_certificates(tmp_path)
    configuration, wall = configured(tmp_path), Wall()
    known = knowing(configuration, wall)
    assert known.judged(configuration) == ("", ())
    renew(tmp_path, "fenced-a", 1)
    wall.days = 2
    refused, _ = known.judged(configuration)
    assert "bus.cert_file" in refused
    assert f"{tmp_path / 'fenced-a.crt'} expired on" in refused
    known = knowing(configuration, wall)  # a start accepts it: better than none
    refused, warnings = known.judged(configuration)
    assert (refused, len(warnings)) == ("", 2)
    renew(tmp_path, "fenced-a", 100)
    known.use(configuration)
    assert known.judged(configuration) == ("", ())


async def test_the_verdict_of_a_reload_names_the_expired_certificate(tmp_path: Path) -> None:
    make_certificates(tmp_path)
    configuration, wall = configured(tmp_path), Wall()
    known = knowing(configuration, wall)
    more = configured(tmp_path, "[api]\nrequests_per_second = 7\n")
    loaded = type("L", (), {"configuration": more, "errors": (), "warnings": ()})
    taken: list[Configuration] = []
    async with running(configuration, lambda: loaded, taken, judge=known.judged) as reloader:  # type: ignore[arg-type,return-value] # what a reload reads of it
        renew(tmp_path, "fenced-a", 1)
        wall.days = 2
        assert "expired on" in (await reloader.reload()).refused
        assert taken == []
        renew(tmp_path, "fenced-a", 100)
        assert (await reloader.reload()).refused == ""
        assert taken == [more]


async def test_what_ends_soon_is_one_line_with_the_days_left(tmp_path: Path) -> None:
    make_certificates(tmp_path)
    renew(tmp_path, "fenced-a", 200)
    wall = Wall()
    known = knowing(configured(tmp_path), wall)
    assert known.remark() == ""
    wall.days = 180
    assert known.remark() == f"certificates end soon: {tmp_path / 'fenced-a.crt'} in 19 days"
    wall.days = 201
    assert "fenced-a.crt expired on" in known.remark()


async def test_certificates_of_broker_and_proxies_are_seen_in_a_handshake(tmp_path: Path) -> None:
    make_certificates(tmp_path)
    renew(tmp_path, "px1", 20)

    async def hang_up(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.close()

    server = await asyncio.start_server(hang_up, "127.0.0.1", 0, ssl=server_context(tls_files(tmp_path, "px1")))
    async with server:
        port = server.sockets[0].getsockname()[1]
        configuration = configured(tmp_path, f'[[proxy]]\nname = "px1"\nurl = "https://127.0.0.1:{port}"\n')
        assert isinstance(configuration.inventory.proxies[ProxyName("px1")], Proxy)
        known = knowing(configuration, Wall(), bus_port=port)
        await known.look()
    left = {role: seconds for role, _, seconds in known.gauges()}
    assert 19 * DAY < left["broker"] < 20 * DAY
    assert 19 * DAY < left["proxy"] < 20 * DAY
    assert f"broker 127.0.0.1:{port} in 19 days; proxy px1 in 19 days" in known.remark()
    await known.look()  # nothing listens any more, and what was seen stays
    assert {role for role, _, _ in known.gauges()} == {"own", "authority", "broker", "proxy"}
    known.use(configured(tmp_path))
    assert {role for role, _, _ in known.gauges()} == {"own", "authority", "broker"}, "a proxy that a reload removed"


async def test_what_setup_gave_to_others_counts_until_the_new_archive_is_copied(tmp_path: Path) -> None:
    make_certificates(tmp_path)
    assert daemon.MANIFEST.name == MANIFEST
    assert daemon.MANIFEST.parent == daemon.CONFIGURATION.parent

    def in_days(days: float) -> str:
        return datetime.fromtimestamp(time.time() + days * DAY, UTC).isoformat()

    known = knowing(configured(tmp_path), Wall())
    manifest = tmp_path / MANIFEST
    manifest.write_text(json.dumps({"given": {"node-1": in_days(900), "node-2": in_days(9.5)}, "waiting": {}}))
    known.use(configured(tmp_path))
    assert known.remark() == "certificates end soon: node-2 in 9 days"
    (seconds,) = (seconds for role, _, seconds in known.gauges() if role == "given")
    assert 9 * DAY < seconds < 10 * DAY
    manifest.write_text(json.dumps({"given": {"node-1": in_days(900)}, "waiting": {"node-1": in_days(3.5)}}))
    known.use(configured(tmp_path))
    assert known.remark() == "certificates end soon: node-1 in 3 days"
    for spoilt in ("", "[]", '{"given": {"a": 1}}', '{"given": []}'):
        manifest.write_text(spoilt)
        known.use(configured(tmp_path))
        assert known.remark() == ""


async def test_the_api_takes_a_new_certificate_without_a_restart(tmp_path: Path) -> None:
    make_certificates(tmp_path)
    files = [str(tmp_path / "px1.crt"), str(tmp_path / "px1.key")]
    app = build_app(FakeControl(), tokens=(), requests_per_second=100, metrics=expose, clock=FakeClock())
    async with serve(app, "127.0.0.1:0", tls_cert_file=files[0], tls_key_file=files[1]) as serving:

        async def shown() -> str:
            return await asyncio.to_thread(ssl.get_server_certificate, (serving.host, serving.port))

        assert await shown() == Path(files[0]).read_text()
        renew(tmp_path, "px1", 100)
        serving.use_certificate(files[0], files[1])
        assert await shown() == Path(files[0]).read_text()
        with pytest.raises(ApiFilesError, match="none"):
            serving.use_certificate(str(tmp_path / "none"), files[1])
        assert await shown() == Path(files[0]).read_text()
