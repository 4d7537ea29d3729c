"""Calls devices through proxy agents over HTTPS: the Caller for every proxy except the daemon's own machine.

Knows aiohttp and the protocol; nothing of races, hosts or the journal. A power command is sent once (S6), and only to a
proxy that was asked to refuse the commands of earlier epochs (S21). Every error says whether the command may have been
sent, because then it may have been carried out (S2).
"""

import asyncio
import itertools
import ssl
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from types import MappingProxyType
from typing import Final

import structlog
from pydantic import ValidationError

from fenced.model.identity import comparable
from fenced.model.inventory import DeviceSpec, Via
from fenced.model.names import MAIN_SHARD, ProxyName
from fenced.model.power import Outcome, Power, What
from fenced.model.text import Mask
from fenced.ports.clock import Clock
from fenced.ports.devices import (
    BadParameters,
    CommandRefused,
    DeviceError,
    Identified,
    OnStarted,
    Permit,
    ProxyTimedOut,
)
from fenced.ports.liveness import Question, Seen
from fenced.ports.proxies import FloorEcho
from fenced.proxy.certificate_watch import CertificateWatch
from fenced.proxy.lease import Lease, echo_of
from fenced.proxy.look_protocol import LOOK_PATH, look_request, seen_in
from fenced.proxy.protocol import (
    CALL_PATH,
    ERROR_CHARACTERS_MAX,
    FLOOR_PATH,
    STATUS_PATH,
    TIMEOUT_SECONDS_MAX,
    Answer,
    Call,
    FloorAnswer,
    RaiseFloor,
    Status,
    WireClock,
    WireDevice,
    WireFloor,
    WirePermit,
    read,
)
from fenced.proxy.tls import TlsFiles, client_context
from fenced.proxy.transport import NoSuchRequest, Transport

CONNECTIONS_PER_PROXY_MAX: Final = 256
LOOKS_PER_PROXY_MAX: Final = 128
CLOCK_AGE_SECONDS_MAX: Final = 300.0
"""Clocks drift apart: before a command, a reading of the proxy's clock that is older than this is refreshed."""
STATUS_SECONDS_MAX: Final = 5.0
ANSWER_MARGIN_SECONDS: Final = 0.5
"""The proxy ends this much (at most a tenth of the timeout) before the daemon's wait ends, so its answer arrives."""

_log: structlog.stdlib.BoundLogger = structlog.get_logger("fenced.proxy")


@dataclass(frozen=True, slots=True, kw_only=True)
class _KnownClock:
    """The last reading of a proxy's clock, and when it arrived."""

    clock: WireClock
    received: float

    def at(self, moment: float) -> float:
        """Return the lowest value that the proxy's clock can show at `moment`: the answer took time to arrive."""
        return self.clock.monotonic + (moment - self.received)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Command:
    """A permit, and when its attempt ends in the daemon's clock."""

    permit: Permit
    known: _KnownClock
    end: float

    def wire(self) -> WirePermit:
        """Convert for the wire. Raises ValidationError, for example for an impossible clock."""
        return WirePermit(
            token=str(self.permit.token),
            boot=self.known.clock.boot,
            not_after=self.known.at(self.permit.not_after),
            settle=max(0.0, self.permit.not_after - self.end),
        )


class ProxyCaller:
    """Implements ports.devices.Caller and ports.proxies.Floors. `store`: the id of the daemon's store, which issued the
    tokens. Without a lease it raises no floor, and its commands name no holder.

    `urls`: `http://` only on loopback (config checks).
    """

    def __init__(
        self,
        *,
        store: str,
        urls: Mapping[ProxyName, str],
        tls: TlsFiles | None,
        clock: Clock,
        vias: Mapping[ProxyName, Via] = MappingProxyType({}),
        shard: str = MAIN_SHARD,
    ) -> None:
        """Load the certificates. `vias`: the HTTP proxies on the way to some agents. Raises CertificateError."""
        self.certificates = None if tls is None else CertificateWatch(tls, client_context)
        context = None if self.certificates is None else self.certificates.context
        self._store, self._shard = store, shard
        self._lease = Lease()
        self._urls, self._vias = dict(urls), dict(vias)
        self._clock = clock
        self._ids = itertools.count(1)
        self._known: dict[ProxyName, _KnownClock] = {}
        # Reads have separate connections, so that a thousand of them never delay a power command.
        self._reads = Transport(context=context, connections_per_proxy_max=CONNECTIONS_PER_PROXY_MAX)
        self._commands = Transport(context=context, connections_per_proxy_max=CONNECTIONS_PER_PROXY_MAX)
        self._looks = Transport(context=context, connections_per_proxy_max=LOOKS_PER_PROXY_MAX)

    def expiry_seconds(self) -> list[tuple[str, str, float]]:
        """As CertificateWatch.expiry_seconds; empty if no certificate is used."""
        return [] if self.certificates is None else self.certificates.expiry_seconds()

    async def watch_certificates(self) -> None:
        """Reload the certificates for new connections when the files change, for ever."""
        if self.certificates is not None:
            await self.certificates.run(self._renew)

    async def _renew(self, context: ssl.SSLContext) -> None:
        await self._reads.renew(context)
        await self._commands.renew(context)
        await self._looks.renew(context)

    def use(self, urls: Mapping[ProxyName, str], vias: Mapping[ProxyName, Via] = MappingProxyType({})) -> None:
        """Use the proxies of a new configuration. Running calls end on the old one."""
        self._urls, self._vias = dict(urls), dict(vias)
        self._known = {name: known for name, known in self._known.items() if name in urls}

    def highest_epoch(self, *, above: int) -> int:
        """As Floors.highest_epoch."""
        return self._lease.highest_epoch(above=above)

    def report_higher_epoch_to(self, report: Callable[[int], None]) -> None:
        """As Floors.report_higher_epoch_to."""
        self._lease.report = report

    async def raise_floors(self, *, epoch: int, holder: str, seconds: float) -> Mapping[ProxyName, FloorEcho]:
        """As Floors.raise_floors."""
        self._lease.use(epoch=epoch, holder=holder)
        echoes: dict[ProxyName, FloorEcho] = {}

        async def ask(proxy: ProxyName) -> None:
            try:
                with _masking(None):
                    echoes[proxy] = await self._raise_floor(proxy, seconds)
            except DeviceError as exc:
                _log.info("floor not raised", proxy=proxy, epoch=epoch, reason=str(exc))

        try:
            async with asyncio.timeout(seconds), asyncio.TaskGroup() as group:
                for proxy in self._urls:
                    group.create_task(ask(proxy), name=f"floor of {proxy}")
        except TimeoutError:
            _log.info("floors not raised in time", epoch=epoch, proxies=sorted(self._urls.keys() - echoes.keys()))
        return echoes

    async def _raise_floor(self, proxy: ProxyName, timeout_seconds: float) -> FloorEcho:
        """Ask one proxy. Raises DeviceError; NoSuchRequest from an older proxy agent."""
        lease = self._lease
        wanted = RaiseFloor(
            store=self._store,
            shard=self._shard,
            epoch=lease.epoch,
            holder=lease.holder,
            is_first=lease.is_new_to(proxy),
        )
        body = await self._commands.post(
            proxy,
            self._url(proxy) + FLOOR_PATH,
            wanted.model_dump_json().encode(),
            timeout_seconds=timeout_seconds,
            is_command=False,
            via=self._vias.get(proxy),
        )
        try:
            answer = read(FloorAnswer, body)
        except ValueError as exc:
            raise _nonsense(proxy, "something that is no answer to a floor", is_command=False) from exc
        self._note_clock(proxy, answer.clock)
        echo = echo_of(answer, wanted)
        if echo.is_raised:
            lease.raised_at(proxy, answer.clock.boot)
        lease.met(proxy, echo.epoch, echo.holder)
        return echo

    async def _raise_before_command(self, proxy: ProxyName, known: _KnownClock, *, timeout_seconds: float) -> None:
        """Raise the floor of a proxy agent that has not echoed it in its present run.

        Raises CommandRefused if the lease is lost, DeviceError if the proxy does not answer; then nothing was sent.
        """
        lease = self._lease
        if not lease.holder or lease.is_raised_at(proxy, known.clock.boot):
            return
        try:
            echo = await self._raise_floor(proxy, min(STATUS_SECONDS_MAX, timeout_seconds))
        except NoSuchRequest:  # its first command of the epoch is all that an older proxy agent compares
            lease.raised_at(proxy, known.clock.boot)
            return
        if lease.is_lost_to(echo.epoch, echo.holder):
            raise CommandRefused(f"proxy {proxy}: {echo.why}", may_be_done=False)

    async def read(self, proxy: ProxyName, spec: DeviceSpec, *, timeout_seconds: float) -> Power:
        with _masking(spec):
            return (await self._read(proxy, spec, timeout_seconds)).power

    async def identify(self, proxy: ProxyName, spec: DeviceSpec, *, timeout_seconds: float) -> Identified:
        with _masking(spec):
            return await self._read(proxy, spec, timeout_seconds, is_identified=True)

    async def _read(
        self, proxy: ProxyName, spec: DeviceSpec, timeout_seconds: float, *, is_identified: bool = False
    ) -> Identified:
        call = self._call(proxy, spec, What.STATUS, timeout_seconds, is_identified=is_identified)
        answer = await self._ask(self._reads, proxy, call, timeout_seconds)
        if answer.error is not None:
            raise answer.error.error(proxy)
        if answer.power is None or answer.outcome.value != answer.power.value:
            raise _nonsense(proxy, "a status without a power state", is_command=False)
        identities = comparable(answer.identities, secrets=spec.all_secrets)
        return Identified(power=answer.power, identities=identities if is_identified else ())

    async def set(
        self, proxy: ProxyName, spec: DeviceSpec, power: Power, *, permit: Permit, on_started: OnStarted
    ) -> None:
        """As Caller.set. `on_started` is never called: the proxy records the command's process."""
        with _masking(spec):
            await self._command(proxy, spec, {Power.ON: What.ON, Power.OFF: What.OFF}[power], permit)

    async def soft_off(self, proxy: ProxyName, spec: DeviceSpec, *, permit: Permit, on_started: OnStarted) -> None:
        """As Caller.soft_off. A proxy agent of an earlier version refuses the request as one that it can't read."""
        with _masking(spec):
            await self._command(proxy, spec, What.SOFT_OFF, permit)

    async def _command(self, proxy: ProxyName, spec: DeviceSpec, what: What, permit: Permit) -> None:
        now = self._clock.now()
        end = min(now + permit.attempt_timeout_seconds, permit.not_after - permit.settle_seconds)
        known = await self._fresh_clock(proxy, timeout_seconds=permit.attempt_timeout_seconds)
        await self._raise_before_command(proxy, known, timeout_seconds=end - self._clock.now())
        known = self._known.get(proxy, known)
        left = end - self._clock.now()
        if left <= 0:
            raise ProxyTimedOut(f"proxy {proxy}: no time was left to send the command", may_be_done=False)
        call = self._call(proxy, spec, what, left, _Command(permit=permit, known=known, end=end))
        self._lease.sent_to(proxy)
        answer = await self._ask(self._commands, proxy, call, left)
        if answer.error is not None:
            raise answer.error.error(proxy)
        if answer.outcome is not Outcome.DONE:
            raise _nonsense(proxy, f"outcome {answer.outcome.value} without an error", is_command=True)

    async def close(self) -> None:
        await self._reads.close()
        await self._commands.close()
        await self._looks.close()

    async def status(self, proxy: ProxyName, *, timeout_seconds: float) -> Status:
        """Return the proxy agent's status. Raises DeviceError."""
        url = self._url(proxy)
        with _masking(None):
            body = await self._commands.get(
                proxy, url + STATUS_PATH, timeout_seconds=timeout_seconds, via=self._vias.get(proxy)
            )
        try:
            status = read(Status, body)
        except ValueError as exc:
            raise _nonsense(proxy, "something that is no status", is_command=False) from exc
        self._note_clock(proxy, status.clock)
        for floor in status.floors:
            self._note_floor(proxy, floor)
        return status

    async def look(self, proxy: ProxyName, question: Question, timeout_seconds: float) -> tuple[Seen, ...]:
        """Have a proxy look at a host. Raises DeviceError if it did not; NoSuchRequest if it is older."""
        with _masking(None):
            wanted = look_request(proxy, question, str(next(self._ids)))
            url, via = self._url(proxy) + LOOK_PATH, self._vias.get(proxy)
            body = wanted.model_dump_json().encode()
            answer = await self._looks.post(
                proxy, url, body, timeout_seconds=timeout_seconds, is_command=False, via=via
            )
            return seen_in(proxy, wanted, answer)

    async def reach(self, proxy: ProxyName, timeout_seconds: float) -> None:
        """Return when the proxy agent answers. Raises DeviceError, which says nothing about any device."""
        await self.status(proxy, timeout_seconds=min(STATUS_SECONDS_MAX, timeout_seconds))

    async def _fresh_clock(self, proxy: ProxyName, *, timeout_seconds: float) -> _KnownClock:
        """Return the clock that `not_after` is expressed in. Raises DeviceError, with nothing sent."""
        known = self._known.get(proxy)
        if known is None or self._clock.now() - known.received > CLOCK_AGE_SECONDS_MAX:
            await self.status(proxy, timeout_seconds=min(STATUS_SECONDS_MAX, timeout_seconds))
        return self._known[proxy]

    def _call(
        self, proxy: ProxyName, spec: DeviceSpec, what: What, timeout: float, command: _Command | None = None,
        *, is_identified: bool = False,
    ) -> Call:  # fmt: skip
        timeout = min(timeout, TIMEOUT_SECONDS_MAX)
        try:
            return Call(
                id=str(next(self._ids)),
                store=self._store,
                device=WireDevice.of(spec),
                what=what,
                timeout=timeout - min(ANSWER_MARGIN_SECONDS, timeout / 10),
                permit=None if command is None else command.wire(),
                identify=is_identified,
                shard=self._shard,
                holder=self._lease.holder,
            )
        except ValidationError as exc:
            fields = ", ".join(sorted({".".join(str(part) for part in fault["loc"]) for fault in exc.errors()}))
            raise BadParameters(
                f"proxy {proxy}: the device's parameters can't be sent, out of bounds: {fields}", may_be_done=False
            ) from exc

    async def _ask(self, transport: Transport, proxy: ProxyName, call: Call, timeout_seconds: float) -> Answer:
        is_command = call.permit is not None
        url = self._url(proxy)
        body = await transport.post(
            proxy,
            url + CALL_PATH,
            call.model_dump_json().encode(),
            timeout_seconds=timeout_seconds,
            is_command=is_command,
            via=self._vias.get(proxy),
        )
        try:
            answer = read(Answer, body)
        except ValueError as exc:
            raise _nonsense(proxy, "something that is no answer to a call", is_command=is_command) from exc
        if answer.id != call.id:
            raise _nonsense(proxy, "the answer to another call", is_command=is_command)
        self._note_clock(proxy, answer.clock)
        if answer.floor is not None:
            self._note_floor(proxy, answer.floor)
        return answer

    def _note_floor(self, proxy: ProxyName, floor: WireFloor) -> None:
        if (floor.store, floor.shard) == (self._store, self._shard):
            self._lease.met(proxy, floor.epoch, floor.holder)

    def _note_clock(self, proxy: ProxyName, clock: WireClock) -> None:
        """Keep the later reading within one run of the proxy: answers may overtake each other."""
        if proxy not in self._urls:
            return
        known = self._known.get(proxy)
        if known is None or known.clock.boot != clock.boot or known.clock.monotonic <= clock.monotonic:
            self._known[proxy] = _KnownClock(clock=clock, received=self._clock.now())

    def _url(self, proxy: ProxyName) -> str:
        url = self._urls.get(proxy)
        if url is None:
            raise BadParameters(f"proxy {proxy} is not in the inventory; it may have been removed", may_be_done=False)
        return url.rstrip("/")


@contextmanager
def _masking(spec: DeviceSpec | None) -> Iterator[None]:
    """Mask the device's secrets and remove control characters from every error.

    Its text comes from the network, and it is stored in the journal and shown on terminals.
    """
    try:
        yield
    except DeviceError as exc:
        mask = Mask(()) if spec is None else Mask(spec.all_secrets, username=spec.username)
        exc.args = (mask.line(str(exc), characters_max=ERROR_CHARACTERS_MAX),)
        raise


def _nonsense(proxy: ProxyName, what: str, *, is_command: bool) -> DeviceError:
    return DeviceError(
        f"proxy {proxy} answered {what}; is it a fenced proxy of this version?",
        may_be_done=is_command,
        is_end_known=not is_command,
    )
