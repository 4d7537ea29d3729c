"""The daemon's way to the proxy agents of the world: the real ProxyCaller over a network that loses and delays.

Requests leave at most once. What a request does at the agent is decided in proxies.py, by the real program.
"""

import asyncio
from collections.abc import Awaitable, Callable, Mapping

from fenced.model.inventory import DeviceSpec, Via
from fenced.model.names import ProxyName
from fenced.model.power import Power
from fenced.ports.clock import Clock
from fenced.ports.devices import OnStarted, Permit, ProxyTimedOut, ProxyUnreachable
from fenced.proxy.client import ProxyCaller
from fenced.proxy.protocol import STATUS_PATH
from fenced.proxy.transport import CONNECT_SECONDS_MAX, KEEPALIVE_SECONDS, Transport
from tests.world.proxies import STORE, WorldProxy
from tests.world.wires import Path, Wires


class WorldTransport(Transport):
    """A network between daemon and proxies in place of HTTPS: requests leave at most once, and can be lost
    in both ways.
    """

    def __init__(self, proxies: Mapping[ProxyName, WorldProxy], wires: Wires, owner: str) -> None:
        super().__init__(context=None, connections_per_proxy_max=1)
        self._proxies, self._wires, self._owner = proxies, wires, owner

    async def get(self, proxy: ProxyName, url: str, *, timeout_seconds: float, via: Via | None = None) -> bytes:
        return await self._go(self._proxies[proxy], STATUS_PATH, b"", timeout_seconds, is_command=False)

    async def post(
        self, proxy: ProxyName, url: str, body: bytes, *, timeout_seconds: float, is_command: bool,
        via: Via | None = None,
    ) -> bytes:  # fmt: skip
        return await self._go(self._proxies[proxy], url, body, timeout_seconds, is_command=is_command)

    async def _go(
        self, proxy: WorldProxy, where: str, body: bytes, timeout_seconds: float, *, is_command: bool
    ) -> bytes:
        path, name = proxy.path, proxy.path.name
        is_silent = self._wires.is_cut or not path.takes_from(self._owner)
        now = asyncio.get_running_loop().time()
        if is_silent and now - path.answered_at > KEEPALIVE_SECONDS:
            await asyncio.sleep(min(CONNECT_SECONDS_MAX, timeout_seconds))
            raise ProxyTimedOut(f"proxy {name}: no connection within the time for it", may_be_done=False)
        if proxy.is_down and not is_silent:
            raise ProxyUnreachable(f"proxy {name}: can't be reached (refused)", may_be_done=False)
        task = None if is_silent or path.is_stuck else proxy.arrive(where, body, path.delay_seconds)
        try:
            async with asyncio.timeout(timeout_seconds):
                return await self._answer(path, task)
        except TimeoutError as exc:
            raise ProxyTimedOut(
                f"proxy {name}: no answer within {timeout_seconds:.1f} s",
                may_be_done=is_command,
                is_end_known=not is_command,
            ) from exc
        except _ConnectionLost as exc:
            raise ProxyUnreachable(
                f"proxy {name}: the connection was lost before an answer came",
                may_be_done=is_command,
                is_end_known=not is_command,
            ) from exc
        finally:
            if task is not None and not is_command:
                task.cancel()  # the daemon hangs up, which cancels its read

    async def _answer(self, path: Path, task: asyncio.Task[bytes] | None) -> bytes:
        if task is None:
            await asyncio.Event().wait()
        assert task is not None
        await asyncio.wait((task,))
        if task.cancelled() and not path.is_away:
            raise _ConnectionLost
        if path.answer_seconds > 0:
            await asyncio.sleep(path.answer_seconds)
        if self._wires.is_cut or not path.answers_to(self._owner):
            await asyncio.Event().wait()
        path.answered_at = asyncio.get_running_loop().time()
        return task.result()


class _ConnectionLost(Exception):
    """The agent died while it had the request."""


class WorldProxyCaller(ProxyCaller):
    """The real caller over the world's network. `leave` runs just before a power command leaves the daemon."""

    def __init__(
        self, proxies: Mapping[ProxyName, WorldProxy], wires: Wires, clock: Clock, leave: Callable[[], Awaitable[None]],
        *, owner: str,
    ) -> None:  # fmt: skip
        super().__init__(store=STORE, urls={name: f"http://{name}" for name in proxies}, tls=None, clock=clock)
        self._leave, self._wires, self._owner = leave, wires, owner
        self._reads = self._commands = WorldTransport(proxies, wires, owner)

    async def read(self, proxy: ProxyName, spec: DeviceSpec, *, timeout_seconds: float) -> Power:
        power = await super().read(proxy, spec, timeout_seconds=timeout_seconds)
        self._wires.on_told(proxy, spec.plug_id, power)
        return power

    async def set(
        self, proxy: ProxyName, spec: DeviceSpec, power: Power, *, permit: Permit, on_started: OnStarted
    ) -> None:
        await self._leave()
        self._wires.on_left(self._owner, permit.token)
        await super().set(proxy, spec, power, permit=permit, on_started=on_started)

    async def soft_off(self, proxy: ProxyName, spec: DeviceSpec, *, permit: Permit, on_started: OnStarted) -> None:
        await self._leave()
        self._wires.on_left(self._owner, permit.token)
        await super().soft_off(proxy, spec, permit=permit, on_started=on_started)
