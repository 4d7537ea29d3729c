"""The beat's borders: any file, and any answer of a broker or an HTTP server. It raises only its own errors."""

import contextlib
import socket
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Final

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from fenced.beat import fenced_beat
from fenced.beat.fenced_beat import (
    Http,
    Mqtt,
    Notify,
    Order,
    Refused,
    Settings,
    Unreachable,
    Waiting,
    from_file,
    parse_url,
)
from tests.fuzz.given import fuzz, hostile, mutated
from tests.fuzz.test_configuration import MISTAKE_CHARACTERS_MAX, SECRET, with_secret
from tests.house.tree import ROOT

SAMPLES: Final = [(ROOT / "config/beat.toml").read_bytes(), f'[beat]\npassword_env = "{SECRET}"\n'.encode()]
ORDER: Final = b'{"id":"4-1","token":"4-1","boot":"b","seq":7,"within":30,"do":"shutdown","reason":"nobody needs it"}'
CONNACK_5: Final = b"\x20\x0b\x00\x00\x08\x13\x00\x01\x24\x00\x21\x00\x10"
BROKERS: Final = [
    CONNACK_5 + b"\x40\x02\x00\x01" + b"\x40\x02\x00\x02",
    b"\x20\x02\x00\x00\x40\x02\x00\x01\xd0\x00\xe0\x00",
]
SERVERS: Final = [
    b"HTTP/1.1 204 No Content\r\n\r\n",
    b'HTTP/1.1 403 Forbidden\r\nContent-Length: 16\r\nRetry-After: 3\r\n\r\n{"detail": "no"}',
    b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nConnection: close\r\n\r\n0\r\n\r\n",
]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("beat")


@fuzz(100)
@given(text=hostile(SAMPLES) | with_secret(SAMPLES[:1]))
@example(b"[beat]\nbus = 'mqtt://a..b'\nhost = 'x'")
def test_any_file(folder: Path, text: bytes) -> None:
    path = folder / "beat.toml"
    path.write_bytes(text)
    settings, lines = from_file(str(path))
    assert settings is not None or lines
    for line in lines:
        assert line.isprintable()
        assert len(line) < MISTAKE_CHARACTERS_MAX
    assert SECRET not in str(lines).replace(f'password_env = "{SECRET}"', "")


@fuzz(300)
@given(payload=hostile([ORDER]))
@example(b"[" * 100_000)
@example(b'{"seq":' + b"9" * 5000 + b"}")
def test_any_order(payload: bytes) -> None:
    """It is one with all that makes it safe, or none."""
    try:
        order = Order(payload)
    except ValueError as exc:
        assert str(exc)
        return
    assert order.boot and 0 < order.within <= fenced_beat.WITHIN_MAX_SECONDS
    assert min(order.token) >= 0


class Still(Waiting):
    """Waits as the program does, without its signal handlers, which only the main thread of a process may set."""

    def __init__(self, silent: socket.socket) -> None:
        self.is_stopping = False
        self._notify = Notify()
        self._signals = silent.fileno()


@pytest.fixture(scope="module")
def waiting() -> Iterator[Waiting]:
    one, other = socket.socketpair()
    with one, other:
        yield Still(one)


@contextlib.contextmanager
def answering(data: bytes) -> Iterator[int]:
    """Answer each connection with these bytes and hang up."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        is_over = threading.Event()

        def serve() -> None:
            while True:
                connection, _ = server.accept()
                with connection, contextlib.suppress(OSError):
                    if is_over.is_set():
                        return
                    connection.sendall(data)
                    connection.shutdown(socket.SHUT_WR)
                    connection.settimeout(5)
                    while connection.recv(65536):
                        pass

        thread = threading.Thread(target=serve)
        thread.start()
        try:
            yield server.getsockname()[1]
        finally:
            is_over.set()
            socket.create_connection(server.getsockname()).close()
            thread.join()


def settings_for(port: int, scheme: str) -> Settings:
    texts = {key: default for key, default, *_ in fenced_beat.KEYS if isinstance(default, str)}
    texts |= {"host": "node-1", "interval": "100ms"}
    found = Settings(*parse_url(f"{scheme}://127.0.0.1:{port}", ("mqtt", "http")), texts)
    found.boot, found.obey = "b", ("shutdown",)
    return found


@fuzz(80)
@given(
    data=mutated(BROKERS)
    | st.binary(max_size=60)
    | st.builds(bytes.__add__, st.just(CONNACK_5), st.binary(max_size=40))
)
@example(BROKERS[0])
def test_any_broker(waiting: Waiting, data: bytes) -> None:
    with answering(data) as port:
        way = Mqtt(settings_for(port, "mqtt"), waiting)
        try:
            way.open()
            way.send(b"{}")
            way.rest(time.monotonic() + 0.01)
        except (Unreachable, Refused) as exc:
            assert str(exc)
        finally:
            way.drop()


@fuzz(80)
@given(data=mutated(SERVERS) | st.binary(max_size=60))
@example(SERVERS[0])
def test_any_http_server(waiting: Waiting, data: bytes) -> None:
    with answering(data) as port:
        way = Http(settings_for(port, "http"), waiting)
        try:
            way.open()
            way.send(b"{}")
        except (Unreachable, Refused) as exc:
            assert str(exc)
        finally:
            way.drop()
