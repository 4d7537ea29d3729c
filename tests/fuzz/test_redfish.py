"""Random answers of a BMC over HTTP, complete or not.

Checks that OFF is only what the right system says, that a command is sent once, and that the driver raises only
DeviceErrors that are short, printable and without a secret.
"""

import asyncio
import http.client
import io
import json
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Final, cast

from hypothesis import example, given
from hypothesis import strategies as st

from fenced.drivers.redfish.driver import Redfish
from fenced.drivers.redfish.vendors import identities
from fenced.model.identity import is_same_machine
from fenced.model.inventory import DeviceSpec, Secret
from fenced.model.power import Power
from fenced.ports.devices import DeviceError
from tests.drivers.programs import spec_of, starts_into
from tests.drivers.redfish.bmc import MANAGER, PASSWORD, RESET, ROOT, SESSIONS, SYSTEM, SYSTEMS, USERNAME, message
from tests.fuzz.given import fuzz
from tests.fuzz.lines import Asked, LineLoop, Told, play
from tests.fuzz.services import BASIC, HONEST, IS_OFF, READ, SWITCHED, TASK, TOKEN, UUID, Bent, saying

TIMEOUT_SECONDS: Final = 4.0
LATE_SECONDS: Final = 1.0
"""For a login that the deadline interrupts."""
TEXT_CHARACTERS_MAX: Final = 1500


@dataclass(slots=True, kw_only=True)
class Service:
    """An honest BMC whose power is ON, except for what is bent. `exchanges`: all requests and answers."""

    bent: Bent
    exchanges: list[tuple[Asked, Told]] = field(default_factory=list)

    def __call__(self, asked: Asked) -> Told:
        answer = self._answer(asked)
        self.exchanges.append((asked, answer))
        return answer

    def _answer(self, asked: Asked) -> Told:
        place = next((place for place in (asked.path, f"{asked.path}/") if place in self.bent), None)
        if place is not None:
            return self.bent[place]
        if asked.path == SESSIONS and asked.method == "POST":
            return saying(
                {},
                status=b"201 x",
                more=(b"X-Auth-Token: " + TOKEN.encode(), b"Location: " + SESSIONS.encode() + b"/1"),
            )
        head = f"{asked.head.decode('latin-1')}\r\n"
        is_in = f"\r\nX-Auth-Token: {TOKEN}\r\n" in head or f"\r\nAuthorization: Basic {BASIC}\r\n" in head
        if not is_in and asked.path != ROOT:
            return saying({}, status=b"401 x")
        if asked.method == "POST":
            return saying({}, status=b"202 x", more=(b"Location: " + TASK.encode(),))
        return saying(HONEST[asked.path]) if asked.path in HONEST else saying({}, status=b"404 x")

    @property
    def commands(self) -> list[tuple[Asked, Told]]:
        return [each for each in self.exchanges if each[0].method == "POST" and b"ResetType" in each[0].body]


@dataclass(frozen=True, slots=True, kw_only=True)
class Read:
    """An answer as another parser understands it; `body` None: it is incomplete."""

    status: int
    body: bytes | None


UNREADABLE: Final = (http.client.HTTPException, ValueError, OSError, OverflowError)


class _Bytes:
    def __init__(self, stream: io.BytesIO) -> None:
        self._stream = stream

    def makefile(self, _mode: str) -> io.BytesIO:
        return self._stream


def read_by_another(told: Told) -> Read | None:
    """Parse with Python's own HTTP client, independently of ours; None for no answer."""
    rest = told.whole.lstrip(b"\r\n")  # which RFC 9112, 2.2, lets a client skip
    while True:
        stream = io.BytesIO(rest)
        response = http.client.HTTPResponse(cast(Any, _Bytes(stream)))
        stream.close = lambda: None  # type: ignore[method-assign]
        try:
            response.begin()
        except UNREADABLE:
            return None
        if not (100 < response.status < 200 and response.status != 101):
            break
        rest = stream.read()
    try:
        body: bytes | None = response.read()
    except UNREADABLE:
        body = None
    return Read(status=response.status, body=body)


def says_off(told: Told, identity: str) -> bool:
    """Return whether it is a whole resource of that machine whose only PowerState is Off."""
    read = read_by_another(told)
    if read is None or read.status != 200 or read.body is None:
        return False
    tables: list[list[tuple[str, Any]]] = []
    try:
        body = json.loads(read.body, object_pairs_hook=lambda pairs: tables.append(pairs) or dict(pairs))  # type: ignore[func-returns-value]
    except (ValueError, RecursionError):
        return False
    if not isinstance(body, dict):
        return False
    states = {json.dumps(value) for key, value in tables[-1] if key == "PowerState"}
    return states == {'"Off"'} and (not identity or is_same_machine(identity, identities(body)))


def only_one(service: Service) -> bool:
    """Return whether the list of systems, if it is the usual one, has one system."""
    told = [read_by_another(answer) for asked, answer in service.exchanges if asked.path == SYSTEMS]
    members = [json.loads(read.body).get("Members") for read in told if read is not None and read.body]
    return all(len({json.dumps(one) for one in each}) == 1 for each in members if isinstance(each, list))


def spec(*, is_session: bool, identity: str) -> DeviceSpec:
    return spec_of(
        "redfish",
        address="http://192.0.2.1",
        username=USERNAME,
        password=Secret(PASSWORD),
        options={"auth": "session" if is_session else "basic"},
        identity=identity,
    )


def assert_sound(error: DeviceError, service: Service) -> None:
    text = str(error)
    assert not any(secret in text for secret in (PASSWORD[:5], BASIC[:5])), text
    assert TOKEN[:5] not in text or not any(TOKEN.encode() in asked.head for asked, _ in service.exchanges), text
    assert text.isprintable(), repr(text)
    assert len(text) <= TEXT_CHARACTERS_MAX
    assert error.is_end_known or error.may_be_done


def called(service: Service, device: DeviceSpec, act: Callable[[Redfish], Any]) -> Any:
    """Return the result of a call, or its DeviceError.

    It ends in time, and the same driver then reads an honest BMC right.
    """
    loop = LineLoop(streams=service)

    async def main() -> Any:
        driver = Redfish()
        try:
            async with asyncio.timeout(TIMEOUT_SECONDS + LATE_SECONDS):
                result = await act(driver)
        except DeviceError as exc:
            result = exc
        finally:
            loop.streams = Service(bent={})
            again = await driver.read(device, timeout_seconds=60)
            await driver.close()
        assert again is Power.ON
        return result

    return play(main, loop)


@fuzz(100)
@example({SYSTEMS: saying({"Members": [{"@odata.id": MANAGER}]})}, False, "")
@example({SYSTEM: saying({"error": {"message": f"who is {TOKEN}?"}}, status=b"400 x")}, True, "")
@example({SYSTEMS: saying({"Members": [{"@odata.id": SYSTEM}, {"@odata.id": ""}]}), SYSTEM: saying(IS_OFF)}, False, "")
@example({SESSIONS: saying({}, status=b"201 x", more=(b"X-Auth-Token: \xff",))}, True, "")
@given(bent_places=READ, is_session=st.booleans(), identity=st.sampled_from(["", UUID]))
def test_off_is_what_the_right_system_says(bent_places: Bent, is_session: bool, identity: str) -> None:
    service = Service(bent=bent_places)
    device = spec(is_session=is_session, identity=identity)
    found = called(service, device, lambda driver: driver.read(device, timeout_seconds=TIMEOUT_SECONDS))
    assert service.commands == []
    if isinstance(found, DeviceError):
        assert_sound(found, service)
        assert not found.may_be_done
        assert found.is_end_known
    elif found is Power.OFF:
        assert any(says_off(answer, identity) for asked, answer in service.exchanges if asked.method == "GET")
        assert identity or only_one(service)


@fuzz(100)
@example({TASK: saying({}, status=b"101 x")}, False, "", False)
@example({RESET: saying(message("Base.1.8.AccessDenied"), status=b"206 x")}, False, "", False)
@given(
    bent_places=SWITCHED, is_session=st.booleans(), identity=st.sampled_from(["", UUID]), is_soft=st.booleans()
)  # fmt: skip
def test_a_command_is_sent_once_and_accepted_or_reported(
    bent_places: Bent, is_session: bool, identity: str, is_soft: bool
) -> None:
    service = Service(bent=bent_places)
    device = spec(is_session=is_session, identity=identity)

    async def switch(driver: Redfish) -> None:
        if is_soft:
            await driver.soft_off(device, timeout_seconds=TIMEOUT_SECONDS, on_started=starts_into([]))
        else:
            await driver.set(device, Power.OFF, timeout_seconds=TIMEOUT_SECONDS, on_started=starts_into([]))

    found = called(service, device, switch)
    sent, wanted = service.commands, "GracefulShutdown" if is_soft else "ForceOff"
    statuses = [None if (read := read_by_another(answer)) is None else read.status for _, answer in sent]
    assert all(json.loads(asked.body) == {"ResetType": wanted} for asked, _ in sent)
    assert len(sent) <= 1 or (len(sent) == 2 and statuses[0] in (307, 308))
    if isinstance(found, DeviceError):
        assert_sound(found, service)
        assert found.may_be_done or all(status is not None and status >= 300 for status in statuses)
        return
    assert sent
    last = read_by_another(service.exchanges[-1][1])
    after = service.exchanges[service.exchanges.index(sent[-1]) + 1 :]
    if statuses[-1] in (200, 201, 202, 204):
        assert last is not None
        assert last.status in (404, 410) or 200 <= last.status < 300
    else:
        assert statuses[-1] is not None
        assert any(says_off(answer, identity) for _, answer in after)
