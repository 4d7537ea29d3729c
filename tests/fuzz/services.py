"""Wrong answers of a Redfish service: other resources, refusals, broken HTTP, for each place.

Knows no driver. Each strategy is made once, because making them costs more than drawing from them.
"""

import base64
import json
from collections.abc import Iterator, Mapping
from typing import Any, Final

from hypothesis import strategies as st

from fenced.drivers.redfish.vendors import MESSAGES
from tests.drivers.redfish.bmc import MANAGER, PASSWORD, RESET, ROOT, SESSIONS, SYSTEM, SYSTEMS, USERNAME, Bmc
from tests.fuzz.given import mutated
from tests.fuzz.lines import Then, Told

TASK: Final = "/redfish/v1/TaskService/Tasks/1"
UUID: Final = "4c4c4544-0051-3410-8051-b5c04f375931"
TOKEN: Final = "t0ken-of-a-session"
BASIC: Final = base64.b64encode(f"{USERNAME}:{PASSWORD}".encode()).decode()
SECRETS: Final = (PASSWORD, BASIC, TOKEN)
WORDS: Final = (
    "On", "Off", "off", "Off ", "PoweringOff", "Starting", "Enabled", "ForceOff", "On\n", "GracefulShutdown",
    "Completed", "Exception", "Running", "Critical", UUID, UUID.upper(), "S-1", "0", "2026-11-22T10:00:00Z",
    "9999-12-31T23:59:59-23:59", "0001-01-01T00:00:00+23:59", ROOT, SYSTEMS, SYSTEM, RESET, MANAGER, TASK, SESSIONS,
    "//other", "http://127.0.0.1:1/", "http://[", "http://u:p@192.0.2.1/x", "a\n", "?", "/x y", "/x\r\nX: y",
    "\x1b[31m\u2028", "\ud800", *SECRETS,
    *("x" * many + secret for many in (37, 116, 297) for secret in SECRETS), *(f"Base.1.8.{name}" for name in MESSAGES),
)  # fmt: skip
KEYS: Final = (
    "@odata.id", "Systems", "Members", "Members@odata.nextLink", "Links", "ManagedBy", "Sessions", "PowerState",
    "Status", "State", "UUID", "SerialNumber", "SKU", "Manufacturer", "Actions", "#ComputerSystem.Reset", "target",
    "TaskState", "ResetType@Redfish.AllowableValues", "@Redfish.ActionInfo", "Parameters", "Name", "AllowableValues",
    "TaskStatus", "TaskMonitor", "error", "@Message.ExtendedInfo", "MessageId", "Message", "message", "DateTime",
    "LastResetTime", "Messages",
)  # fmt: skip
PLACES: Final = (ROOT, SYSTEMS, SYSTEM, MANAGER, TASK, SESSIONS, RESET)
STATUSES: Final = (
    b"200 OK", b"201 x", b"202 x", b"204 x", b"203 x", b"206 x", b"299 x", b"301 x", b"302 x", b"307 x", b"308 x",
    b"400 x", b"401 x", b"403 x", b"404 x", b"405 x", b"409 x", b"410 x", b"412 x", b"429 x", b"500 x", b"501 x",
    b"502 x", b"503 x", b"504 x", b"999 x", b"101 x", b"200", b"0 x", b"-1 x", b"2e2 x", b"20 x",
)  # fmt: skip
HEADERS: Final = (
    b"Location: ", b"Location: " + SYSTEM.encode(), b"Location: " + TASK.encode(), b"Location: " + RESET.encode(),
    b"Location: //other/x", b"Location: http://127.0.0.1:1/", b"Location: http://[", b"Location: " + b"a" * 5000,
    b"Location: \xff", b"Location: " + SYSTEMS.encode(), b"Retry-After: 0", b"Retry-After: x", b"Retry-After:",
    b"Retry-After: " + PASSWORD.encode(), b"Retry-After: Wed, 21 Oct 2015 07:28:00 GMT", b"Retry-After: 3",
    b"Retry-After: 99999999999999999999", b"Retry-After: -1", b"Retry-After: Fri, 31 Dec 9999 23:59:59 -2359",
    b"Retry-After: \xd9\xa3", b"Retry-After: \xed\xa0\x80", b"Date: x", b"Date: Mon, 01 Jan 0001 00:00:00 +2359",
    b"X-Auth-Token: ", b"X-Auth-Token: " + TOKEN.encode(), b"X-Auth-Token: \xed\xa0\x80", b"X-Auth-Token: \xff",
    b"Content-Type: text/html; charset=klingon", b"Content-Type: ", b"Content-Encoding: gzip", b"Content-Encoding: x",
    b"Set-Cookie: a=b; path=/; Max-Age=-1", b"Set-Cookie: \xff=;", b"Connection: close", b"Upgrade: websocket",
    b"X" * 9000 + b": y", b"X: " + PASSWORD.encode() + b"\x00", b"no colon", b" folded", b"Link: <", b"Trailer: X",
)  # fmt: skip
FRAMES: Final = (
    b"right", b"", b"1", b"-1", b"x", b"9999999", b"9" * 400, b"0x10", b"+2", b"\r\n0\r\n\r\n", b"\r\n", b"\r\n0",
    b"\r\nz\r\n", b"\r\n0\r\nX: y",
)  # fmt: skip
"""How a body ends: by Content-Length, by nothing, or by what comes after its only chunk."""
EARLY: Final = (b"", b"", b"HTTP/1.1 100 Continue\r\n\r\n", b"HTTP/1.1 103 x\r\nLink: y\r\n\r\n", b"\r\n")
ANY_STATUS: Final = st.just(b"200 OK") | st.sampled_from(STATUSES)
ANY_HEADERS: Final = st.lists(st.sampled_from(HEADERS), max_size=2)
SCALARS: Final = st.sampled_from(WORDS) | st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8)
TABLES: Final = st.dictionaries(st.sampled_from(KEYS), SCALARS, max_size=3)
ANYTHING: Final[st.SearchStrategy[Any]] = st.one_of(
    SCALARS,
    TABLES,
    st.lists(SCALARS | TABLES, max_size=3),
    st.dictionaries(st.sampled_from(KEYS), TABLES | st.lists(SCALARS | TABLES, max_size=2), max_size=3),
)
HONEST: Final[Mapping[str, Any]] = {
    ROOT: {"Systems": {"@odata.id": SYSTEMS}, "Links": {"Sessions": {"@odata.id": SESSIONS}}},
    SYSTEMS: {"Members": [{"@odata.id": SYSTEM}]},
    SYSTEM: {**Bmc().system(), "UUID": UUID, "Links": {"ManagedBy": [{"@odata.id": MANAGER}]}},
    MANAGER: {
        "Status": {"State": "Enabled"},
        "DateTime": "2026-01-01T00:00:00Z",
        "LastResetTime": "2025-01-01T00:00:00Z",
    },
    TASK: {"@odata.id": TASK, "TaskState": "Completed", "TaskStatus": "OK", "Messages": [{"Message": "done"}]},
    SESSIONS: {"@odata.id": f"{SESSIONS}/1"},
    RESET: {},
}  # fmt: skip


def bent(honest: Any) -> st.SearchStrategy[bytes]:
    """A good resource with a few changes or duplicates, at any depth."""

    def apply(edits: list[tuple[int, Any]], twice: tuple[int, Any] | None) -> bytes:
        value = json.loads(json.dumps(honest))
        for place, new in edits:
            at = list(_keys(value)) + [(value, key) for key in KEYS[:6]]
            table, key = at[place % len(at)]
            table[key] = new
        text = json.dumps(value)
        if twice is not None and value:
            key = list(value)[twice[0] % len(value)]
            text = f"{text[:-1]}, {json.dumps(key)}: {json.dumps(twice[1])}}}"
        return text.encode()

    edit = st.tuples(st.integers(0, 60), ANYTHING)
    return st.builds(apply, st.lists(edit, max_size=2), st.none() | edit)


def _keys(value: Any) -> Iterator[tuple[dict[str, Any], str]]:
    """Yield every name in it, with the table that contains it."""
    for key, inner in value.items() if isinstance(value, dict) else ():
        yield value, key
        yield from _keys(inner)


def jsons(honest: Any) -> st.SearchStrategy[bytes]:
    """A wrong resource, or an error in its place."""
    error = {"message": "x", "@Message.ExtendedInfo": [{"MessageId": "Base.1.8.GeneralError", "Message": "y"}]}
    return bent(honest) | bent({"error": error, **honest}) | ANYTHING.map(lambda value: json.dumps(value).encode())


def bodies(honest: Any) -> st.SearchStrategy[bytes]:
    """Anything."""
    good = json.dumps(honest).encode()
    return st.one_of(
        st.just(good),
        jsons(honest),
        mutated([good]),
        st.binary(max_size=40),
        st.sampled_from([b"", b"<html>" + PASSWORD.encode(), good.decode().encode("utf-16"), b"{" + b" " * 1_048_577]),
        st.sampled_from([50, 800, 990, 30_000]).map(lambda deep: b'{"error":' * deep + b"1" + b"}" * deep),
    )


def wire(honest: Any) -> st.SearchStrategy[Told]:
    """Something like an HTTP answer, in two pieces, or a part of it."""

    def written(body: bytes, status: bytes, lines: list[bytes], how: bytes, early: bytes, cut: int, then: Then) -> Told:
        if how.startswith(b"\r\n"):
            lines, body = [*lines, b"Transfer-Encoding: chunked"], b"%x;e\r\n" % len(body) + body + how
        elif how:
            lines = [*lines, b"Content-Length: " + how.replace(b"right", b"%d" % len(body))]
        text = early + b"\r\n".join([b"HTTP/1.1 " + status, *lines]) + b"\r\n\r\n" + body
        pieces = (text[:cut],) if cut % 2 else (text[:cut], text[cut:])
        return Told(pieces=tuple(piece for piece in pieces if piece), then=then)

    good = http_told(json.dumps(honest).encode()).whole
    return st.builds(
        written, bodies(honest), ANY_STATUS, ANY_HEADERS, st.sampled_from(FRAMES), st.sampled_from(EARLY),
        st.integers(0, 400), st.sampled_from(Then),
    ) | st.builds(
        lambda text, then: Told(pieces=(text,), then=then), mutated([good]), st.sampled_from(Then)
    )  # fmt: skip


def told(honest: Any) -> st.SearchStrategy[Told]:
    """Answers of a place that should answer `honest`: another resource, well framed, a refusal, or broken HTTP."""
    whole = st.just(json.dumps(honest).encode())
    refused = st.builds(
        http_told, whole | bodies(honest), status=st.sampled_from(STATUSES), more=ANY_HEADERS.map(tuple)
    )
    return evenly(jsons(honest).map(http_told), refused, wire(honest))


def evenly(*kinds: st.SearchStrategy[Told]) -> st.SearchStrategy[Told]:
    """Draw each kind equally often, however many variants it has."""
    return st.sampled_from(kinds).flatmap(lambda kind: kind)


def odd_powers() -> st.SearchStrategy[Told]:
    """A good system with its power or its machine given in another way."""
    names = st.sampled_from(["PowerState", "PowerState", "PowerState", "UUID", "Status", "powerState", "@odata.id"])
    return st.builds(lambda name, value: saying({**IS_OFF, name: value}), names, st.sampled_from(ODD_POWERS))


def http_told(body: bytes, *, status: bytes = b"200 OK", more: tuple[bytes, ...] = ()) -> Told:
    lines = [b"HTTP/1.1 " + status, *more, b"Content-Length: %d" % len(body)]
    return Told(pieces=(b"\r\n".join(lines) + b"\r\n\r\n" + body,))


def saying(body: object, **answer: Any) -> Told:
    return http_told(json.dumps(body).encode(), **answer)


Bent = Mapping[str, Told]


ODD_POWERS: Final[tuple[Any, ...]] = (
    "off", "Off ", " Off", "OFF", "Off\n", "Off\x00", "O\u200bff", "PoweringOff", "Paused", "", "On", ["Off"],
    {"Off": 1}, True, 0, None, -1.5, {"State": "Starting"}, UUID, UUID.replace("4c", "4d"), "0" * 32, [UUID],
)  # fmt: skip
IS_OFF: Final = {**HONEST[SYSTEM], "PowerState": "Off"}
ANSWERS: Final = {place: told(honest) for place, honest in {**HONEST, "off": IS_OFF}.items()}
ANSWERS["off"] = evenly(odd_powers(), ANSWERS["off"])


@st.composite
def services(draw: st.DrawFn, likely: st.SearchStrategy[set[str]]) -> dict[str, Told]:
    """Draw the places with wrong answers."""
    places = draw(likely) | (draw(FEW) if draw(st.booleans()) else set())
    is_off = draw(st.sampled_from([True, True, False]))
    made = {place: draw(ANSWERS["off" if place == SYSTEM and is_off else place]) for place in sorted(places)}
    return {SYSTEM: saying(IS_OFF), **made} if is_off else made


FEW: Final = st.sets(st.sampled_from(PLACES), max_size=2)
READ: Final = services(st.sampled_from([{SYSTEM}, {SYSTEM}, {MANAGER}, {SYSTEM, MANAGER}, {SESSIONS}, set()]))
SWITCHED: Final = services(st.sampled_from([{RESET}, {RESET}, {TASK}, {RESET, TASK}, {SYSTEM}, set()]))
