"""The controllers of one installation, behind their addresses: finds the one that answers, and the one that acts.

A read goes to the controller that answered last, then to the others in the order given. So does a change, with a key by
which the controllers obey it once, although the first one may have done it before its answer was lost.
"""

import re
import uuid
from collections import deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, Final, TypeVar

from fenced.cli.fencectl.client import Client, DaemonFailed, NotEverywhere, NotSent, Refused, Standby, Unreachable
from fenced.cli.fencectl.following import is_same, why_not_followed
from fenced.cli.fencectl.place import UNIX
from fenced.model.api_urls import is_on_loopback

ADDRESSES_MAX: Final = 16
CONNECT_SECONDS: Final = 5.0
"""To connect to one of several: a machine that is gone answers nothing at all."""
_BETWEEN: Final = re.compile(r",\s*(?=https?://|unix:)|,\s*$")
Json = dict[str, Any]
Open = Callable[[str], Client]
T = TypeVar("T")


def addresses(text: str) -> tuple[str, ...]:
    """Return the addresses of `--url`, each once. Raises ValueError."""
    found = tuple(dict.fromkeys(part.strip().rstrip("/") for part in _BETWEEN.split(text) if part.strip()))
    if not found or len(found) > ADDRESSES_MAX:
        raise ValueError(f"--url: give 1 to {ADDRESSES_MAX} addresses, with commas between them")
    if any("," in url and not url.startswith(UNIX) for url in found):
        raise ValueError("--url: each address begins with https://, http:// or unix:/")
    if any(url.startswith("https:") for url in found):
        clear = [url for url in found if url.startswith("http:") and not is_on_loopback(url)]
        if clear:
            raise ValueError(f"--url: {clear[0]} is not encrypted and others are: use https for all")
    return found


class Controllers:
    """One address or several. `open_client` makes the client of an address; `has_ca_file`: as for
    `why_not_followed`."""

    def __init__(self, urls: Sequence[str], open_client: Open, *, has_ca_file: bool) -> None:
        """Raises what `open_client` raises."""
        self._open, self._has_ca_file = open_client, has_ca_file
        self._listed = [open_client(url) for url in urls]
        self._followed: list[Client] = []
        self._current: Client | None = None

    @property
    def url(self) -> str:
        """The address that answered last, or the first one."""
        return (self._current or self._listed[0]).url

    @property
    def has_several(self) -> bool:
        """Whether another controller may answer the next request."""
        return len(self._listed) + len(self._followed) > 1

    @property
    def listed(self) -> tuple[Client, ...]:
        """A client for each address that the user gave."""
        return tuple(self._listed)

    def get(self, *path: str, query: Mapping[str, str | int | None] | None = None) -> Json:
        """As `Client.get`."""
        return self._read(lambda client: client.get(*path, query=query))

    def items(
        self, *path: str, query: Mapping[str, str | int | None] | None = None, limit: int | None = None
    ) -> list[Json]:
        """As `Client.items`: the whole list from one controller."""
        return self._read(lambda client: client.items(*path, query=query, limit=limit))

    def stream(self, *path: str, last_id: str | None) -> Iterator[tuple[str, str]]:
        """As `Client.stream`. Ids are positions in the store, so another controller goes on from the same one."""
        return self._read(lambda client: client.stream(*path, last_id=last_id))

    def doubt(self) -> None:
        """Begin with the others: the one that answered last stopped in the middle."""
        doubted, self._current = self._current, None
        self._listed.sort(key=lambda client: client is doubted)

    def send(self, method: str, *path: str, body: Mapping[str, Any] | None = None) -> Json:
        """As `Client.send`, at the controller that acts.

        A request that got no answer is repeated at the other addresses with the same key, so that it is obeyed once.
        With several addresses a read first finds one that answers.
        """
        if self._current is None and self.has_several:
            self._read(Client.readiness)
        return self._send(method, path, body, deque(self._in_order()))

    def send_to_all(self, method: str, *path: str, body: Mapping[str, Any], is_loosening: bool) -> Json:
        """As `send`, for a change of all shards: each that did not obey gets it once more, where it is held.

        `is_loosening`: none gets it after one that failed. The answer is the last one, with those `shards` that got it
        alone. Raises also if one of them fails.
        """
        try:
            return self.send(method, *path, body=body)
        except NotEverywhere as exc:
            missing, source, first = exc.missing, self._current, exc
        assert source is not None
        answers: dict[str, Json] = {}
        faults: dict[str, Unreachable | Refused | DaemonFailed] = {}
        for shard, active in missing.items():
            try:
                answers[shard] = self._send_to_holder(active, source, method, path, {**body, "shard": shard})
            except (Unreachable, Refused, DaemonFailed) as exc:
                faults[shard] = exc.with_traceback(None)
                if is_loosening:
                    break
        if faults:
            raise _summed(faults, [*answers]) from first
        return _of_shards(answers)

    def _send_to_holder(
        self, active: str, source: Client, method: str, path: tuple[str, ...], body: Mapping[str, Any]
    ) -> Json:
        """Send first to the holder that `source` named, if it may be followed, then to the others."""
        waiting = deque(self._in_order())
        if not active or self._why_not(active, source):
            return self._send(method, path, body, waiting)
        return self._send(method, path, body, _first(self._at(active), waiting), may_follow=False)

    def _send(
        self, method: str, path: tuple[str, ...], body: Mapping[str, Any] | None, waiting: deque[Client], *,
        may_follow: bool = True,
    ) -> Json:  # fmt: skip
        key = uuid.uuid4().hex
        faults: list[Unreachable] = []
        while waiting:
            client = waiting.popleft()
            try:
                answer = client.send(method, *path, body=body, key=key)
            except NotSent as exc:
                faults.append(_bare(exc))
            except Standby as exc:
                why = self._why_not(exc.active, client) if may_follow else "a request is followed only once"
                if exc.active and not why:
                    may_follow = False
                    waiting = _first(self._at(exc.active), waiting)
                faults.append(Unreachable(f"{exc}; not followed: {why}") if exc.active and why else _bare(exc))
            except NotEverywhere:
                self._current = client
                raise
            except Unreachable as exc:
                if not self.has_several:
                    raise
                faults.append(_bare(exc))
            else:
                self._current = client
                return answer
        raise _none(faults, "no controller accepts the request now")

    def close(self) -> None:
        """Close every connection; idempotent."""
        for client in (*self._listed, *self._followed):
            client.close()

    def _read(self, call: Callable[[Client], T]) -> T:
        faults: list[Unreachable] = []
        for client in self._in_order():
            try:
                found = call(client)
            except Unreachable as exc:
                faults.append(_bare(exc))
            else:
                self._current = client
                return found
        raise _none(faults, "no controller answers")

    def _in_order(self) -> list[Client]:
        first = [] if self._current is None else [self._current]
        return first + [client for client in self._listed if client is not self._current]

    def _why_not(self, active: str, source: Client) -> str:
        listed = tuple(client.url for client in self._listed)
        return why_not_followed(active, source.url, listed, has_ca_file=self._has_ca_file)

    def _at(self, url: str) -> Client:
        """Return the client of an address; the same one for two spellings."""
        for client in (*self._listed, *self._followed):
            if is_same(client.url, url):
                return client
        self._followed.append(self._open(url))
        return self._followed[-1]


def _summed(faults: Mapping[str, Unreachable | Refused | DaemonFailed], done: Sequence[str]) -> Exception:
    """Return one error that names the shards: the worst of these."""
    why = "; ".join(f"shard {shard} did not obey: {fault}" for shard, fault in faults.items())
    text = f"{why}; done in shard {', '.join(done)}" if done else why
    if any(isinstance(fault, DaemonFailed) for fault in faults.values()):
        return DaemonFailed(text)
    refused = next((fault for fault in faults.values() if isinstance(fault, Refused)), None)
    return Unreachable(text) if refused is None else Refused({**refused.problem, "detail": text})


def _of_shards(answers: Mapping[str, Json]) -> Json:
    """Return the last answer, with each shard as its holder showed it, and whether all of these are armed."""
    last = [*answers.values()][-1]
    shown = [one for shard, answer in answers.items() for one in answer.get("shards", ()) if one["shard"] == shard]
    return {**last, "shards": shown, "armed": all(one["armed"] for one in shown)} if shown else last


def _first(client: Client, waiting: deque[Client]) -> deque[Client]:
    return deque([client, *(other for other in waiting if other is not client)])


def _bare(fault: Unreachable) -> Unreachable:
    """Return the error without its frames: they hold the list that it is put into, and a socket."""
    return fault.with_traceback(None)


def _none(faults: Sequence[Unreachable], what: str) -> Unreachable:
    """Return the error of the only address, or one that lists all reasons."""
    if len(faults) == 1:
        return faults[0]
    return Unreachable(f"{what}: " + "; ".join(map(str, faults)))
