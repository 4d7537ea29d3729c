"""Runs `fence_*` programs with the ClusterLabs interface as a driver (fence-agent contract, part B).

It finds an agent, calls it and interprets its result; the keeper starts and kills it. OFF is exit status 2 *and*
`Status: OFF`, because a usage error also exits with 2. Any unclear answer is not OFF.

An agent's own limits (power_timeout, login_timeout ...) stay in force: they end it with a reason and a logout. The
driver's deadline ends it in any case. So the driver does not pass `disable_timeout`; a user who sets it leaves only
the driver's deadline.
"""

import asyncio
import os
import re
import stat
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final

from fenced.drivers.agents.cache import MetadataCache, State, state_of
from fenced.drivers.agents.failures import EXIT_OFF, failure
from fenced.drivers.agents.metadata import AgentMetadata, MetadataError, parse_metadata
from fenced.drivers.agents.parameters import agent_parameters
from fenced.drivers.agents.reviews import Standing, judge
from fenced.drivers.agents.silence import SeenOn, Way, way_of
from fenced.drivers.keeper.client import Ending, Finished, Keeper
from fenced.drivers.keeper.connection import Program
from fenced.drivers.programs.keeper import now as boottime
from fenced.model.inventory import DeviceSpec
from fenced.model.power import Power
from fenced.ports.devices import BadParameters, NotSupported, OnStarted

METADATA_SECONDS_MAX: Final = 10.0
METADATA_RETRY_SECONDS: Final = 60.0
"""After a failure to get an agent's metadata, wait this long before the next try."""
METADATA_BYTES_MAX: Final = 1024 * 1024
LINKS_MAX: Final = 16
AGENT_NAME: Final = re.compile(r"fence_[A-Za-z0-9][A-Za-z0-9_.-]*")
ENVIRONMENT: Final = {
    "PATH": "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
    "LANG": "C",
    "LC_ALL": "C",
    "PYTHONWARNINGS": "ignore",  # else the last lines of a Python agent are its deprecations
}
STATUS_OFF: Final = re.compile(r"^[ \t]*Status:[ \t]*OFF[ \t\r]*$", re.IGNORECASE | re.MULTILINE | re.ASCII)
STATUS_ON: Final = re.compile(r"^[ \t]*Status:[ \t]*ON[ \t\r]*$", re.IGNORECASE | re.MULTILINE | re.ASCII)
EXIT_ON: Final = 0


Stamp = tuple[int, ...]
"""Identifies one state of a file. Size or time alone would not: another program may have the same."""


@dataclass(frozen=True, slots=True, kw_only=True)
class _Known:
    """Metadata of one state of a file. `again_at`: when to retry after a failure, else None."""

    metadata: AgentMetadata
    stamp: Stamp
    again_at: float | None


class FenceAgents:
    """All `fence_*` programs of this machine. `cache` keeps metadata across restarts; None: keep nothing."""

    def __init__(self, *, agent_path: Sequence[Path], keeper: Keeper, cache: MetadataCache | None = None) -> None:
        self._agent_path = tuple(agent_path)
        self._keeper = keeper
        self._cache = cache
        self._known: dict[Path, _Known] = {}
        self._asking: dict[Path, asyncio.Lock] = {}
        self._seen_on = SeenOn()

    async def read(self, spec: DeviceSpec, *, timeout_seconds: float) -> Power:
        """Run the agent's `status`. Raises DeviceError."""
        finished, way = await self._call(spec, "status", timeout_seconds, None)
        power = reading(finished, is_off_by_exit_status=spec.off_by_exit_status, was_seen_on=way in self._seen_on)
        if power is None:
            raise failure(spec, "status", finished, timeout_seconds)
        if power is Power.ON and spec.off_by_exit_status:
            self._seen_on.note(way)
        return power

    async def set(self, spec: DeviceSpec, power: Power, *, timeout_seconds: float, on_started: OnStarted) -> None:
        """Run the agent's `on` or `off`, which waits until the device shows the new state. Raises DeviceError."""
        if power is Power.UNKNOWN:
            raise BadParameters(f"{spec.driver}: a device can't be set to unknown", may_be_done=False)
        finished, _way = await self._call(spec, power.value, timeout_seconds, on_started)
        if finished.ending is not Ending.EXITED or finished.status != 0 or not finished.is_clean:
            raise failure(spec, power.value, finished, timeout_seconds)

    async def close(self) -> None:
        """Nothing to close: the registry owns the keeper."""

    async def metadata(self, name: str, *, timeout_seconds: float = METADATA_SECONDS_MAX) -> AgentMetadata:
        """Return an agent's metadata, read once per state of its file; empty if the agent gives none.

        Raises BadParameters if the program is missing.
        """
        path, stamp = self._locate(name)
        lock = self._asking.setdefault(path, asyncio.Lock())
        try:
            async with asyncio.timeout(timeout_seconds):
                await lock.acquire()
        except TimeoutError:
            return AgentMetadata()
        try:
            known = self._known.get(path)
            if known is None or known.stamp != stamp or self._is_old(known):
                known = await self._ask(path, stamp, min(METADATA_SECONDS_MAX, timeout_seconds))
                self._known[path] = known
            return known.metadata
        finally:
            lock.release()

    def is_asked(self, name: str) -> bool:
        """Return whether this process has already asked the present file for metadata. Raises BadParameters."""
        path, stamp = self._locate(name)
        known = self._known.get(path)
        return known is not None and known.stamp == stamp

    def kept_metadata(self, name: str) -> AgentMetadata | None:
        """Return cached metadata without running the agent; None if it must be run. Raises BadParameters."""
        kept = None if self._cache is None else self._cache.get(self.find(name))
        try:
            return None if kept is None else replace(parse_metadata(kept), programs=_programs(self.find(name)))
        except MetadataError:
            return None

    def find(self, name: str) -> Path:
        """Return the first file of that name along the path. Raises BadParameters, also if a later one would do."""
        return self._locate(name)[0]

    def _locate(self, name: str) -> tuple[Path, Stamp]:
        """Return the file and its present state."""
        if not AGENT_NAME.fullmatch(name):
            raise BadParameters(f"{name!r} is not a fence agent's name (fence_NAME)", may_be_done=False)
        for directory in self._agent_path:
            path = directory / name
            try:
                found = path.stat()
            except OSError:
                continue
            if not stat.S_ISREG(found.st_mode) or not os.access(path, os.X_OK):
                raise BadParameters(f"{path} is not an executable file; make it one or remove it", may_be_done=False)
            return path, (found.st_dev, found.st_ino, found.st_size, found.st_mtime_ns, found.st_ctime_ns)
        searched = ", ".join(str(directory) for directory in self._agent_path) or "nothing"
        raise BadParameters(
            f"{name} is not installed in {searched}; install it or set daemon.agent_path", may_be_done=False
        )

    def installed(self) -> dict[str, Path]:
        """Return every agent by name, sorted; the first along the path wins."""
        found: dict[str, Path] = {}
        for directory in self._agent_path:
            for path in directory.glob("fence_*"):
                if AGENT_NAME.fullmatch(path.name) and path.is_file() and os.access(path, os.X_OK):
                    found.setdefault(path.name, path)
        return dict(sorted(found.items()))

    async def _call(
        self, spec: DeviceSpec, action: str, timeout_seconds: float, on_started: OnStarted | None
    ) -> tuple[Finished, Way]:
        """Run the agent once. Reading unknown metadata first may use half of the time."""
        began = boottime()
        path, stamp = self._locate(spec.driver)
        programs = _programs(path)
        _refuse_without_proof(spec, AgentMetadata(programs=programs))  # even a metadata run executes the agent
        metadata = await self.metadata(spec.driver, timeout_seconds=timeout_seconds / 2)
        if metadata.actions and action not in metadata.actions:
            raise NotSupported(f"{spec.driver} has no action `{action}`", may_be_done=False)
        _refuse_without_proof(spec, replace(metadata, programs=programs))
        parameters = agent_parameters(spec, action, metadata)
        program = Program(argv=(str(path),), environment=ENVIRONMENT, parameters=parameters)
        left_seconds = timeout_seconds - (boottime() - began)
        finished = await self._keeper.run(program, timeout_seconds=left_seconds, on_started=on_started)
        return finished, way_of(path, stamp, parameters)

    def _is_old(self, known: _Known) -> bool:
        return known.again_at is not None and asyncio.get_running_loop().time() >= known.again_at

    async def _ask(self, path: Path, stamp: Stamp, timeout_seconds: float) -> _Known:
        """Take the metadata from the cache, else run the agent."""
        kept = self.kept_metadata(path.name)
        if kept is not None:
            return _Known(metadata=kept, stamp=stamp, again_at=None)
        state = _state(path)
        program = Program(
            argv=(str(path),),
            environment=ENVIRONMENT,
            parameters=b"action=metadata\n",
            kept_bytes_max=METADATA_BYTES_MAX,
        )
        finished = await self._keeper.run(program, timeout_seconds=timeout_seconds)
        try:
            metadata = replace(parse_metadata(finished.stdout.head), programs=_programs(path))
            known = _Known(metadata=metadata, stamp=stamp, again_at=None)
        except MetadataError as exc:
            again_at = asyncio.get_running_loop().time() + METADATA_RETRY_SECONDS
            why = finished.why or ("no answer in time" if finished.ending is Ending.TIMED_OUT else str(exc))
            unknown = AgentMetadata(why_unknown=why, programs=_programs(path))
            return _Known(metadata=unknown, stamp=stamp, again_at=again_at)
        if self._cache is not None and state is not None and known.metadata.is_known:
            self._cache.put(path, finished.stdout.head, state)
        return known


def _refuse_without_proof(spec: DeviceSpec, metadata: AgentMetadata) -> None:
    """Refuse an agent whose OFF proves nothing, even if the configuration or a remote caller let it pass (S1)."""
    judgement = judge(spec.driver, metadata)
    if judgement.standing is Standing.REFUSED:
        raise BadParameters(f"{spec.driver} {judgement.why}", may_be_done=False)
    if judgement.standing is Standing.NOT_REVIEWED and not spec.cuts_power:
        raise BadParameters(
            f"{spec.driver} is not reviewed: {judgement.why}; if it cuts the host's power, set cuts_power = true at "
            "the device",
            may_be_done=False,
        )


def _programs(path: Path) -> tuple[str, ...]:
    """Return the names of the files that the path links to."""
    names: list[str] = []
    for _ in range(LINKS_MAX):
        try:
            path = path.parent / path.readlink()
        except OSError:
            break
        names.append(path.name)
    return tuple(names)


def _state(path: Path) -> State | None:
    try:
        return state_of(path)
    except OSError:
        return None


def reading(finished: Finished, *, is_off_by_exit_status: bool, was_seen_on: bool = False) -> Power | None:
    """Return what a `status` run says; None if it failed, UNKNOWN if exit status and text contradict each other.

    `is_off_by_exit_status`: the operator says that this agent prints nothing and that status 2 means OFF. Two checks
    guard that: a usage error prints something, and the same call must have answered ON before (`was_seen_on`).
    """
    if finished.ending is not Ending.EXITED:
        return None
    text = finished.stdout.text
    says_off, says_on = STATUS_OFF.search(text) is not None, STATUS_ON.search(text) is not None
    if finished.status == EXIT_ON:
        return Power.UNKNOWN if says_off else Power.ON
    if finished.status == EXIT_OFF:
        if says_on:
            return Power.UNKNOWN
        if STATUS_OFF.search(finished.stdout.whole_lines) is not None:
            return Power.OFF
        if is_off_by_exit_status and finished.stdout.is_empty and finished.stderr.is_empty:
            return Power.OFF if was_seen_on else Power.UNKNOWN
    return None
