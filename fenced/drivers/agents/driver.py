"""The driver for every `fence_*` program with the ClusterLabs interface (fence-agent contract, part B).

Knows how an agent is found, asked and understood; how it is run and put down is the keeper's. One rule: OFF is exit
status 2 *and* `Status: OFF`, for a usage error exits with 2 as well; whatever is neither clearly ON nor OFF is no OFF.

An agent's own limits (power_timeout, login_timeout ...) stay in force, because they end it with a reason and a logout;
ours ends it in any case. `disable_timeout` is therefore not passed; a user who sets it lets our deadline rule alone.
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
from fenced.model.inventory import DeviceSpec
from fenced.model.power import Power
from fenced.ports.devices import BadParameters, NotSupported, OnStarted

METADATA_SECONDS_MAX: Final = 10.0
METADATA_RETRY_SECONDS: Final = 60.0
"""An agent whose metadata could not be had is asked for it again after this time."""
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
"""Which state of a file: another program may have its size or its time."""


@dataclass(frozen=True, slots=True, kw_only=True)
class _Known:
    """Metadata as read from one state of a file; read again at `again_at`, when it could not be had."""

    metadata: AgentMetadata
    stamp: Stamp
    again_at: float | None


class FenceAgents:
    """All `fence_*` programs of this machine. `cache`: what was asked in an earlier life of the daemon, None: nothing."""

    def __init__(self, *, agent_path: Sequence[Path], keeper: Keeper, cache: MetadataCache | None = None) -> None:
        self._agent_path = tuple(agent_path)
        self._keeper = keeper
        self._cache = cache
        self._known: dict[Path, _Known] = {}
        self._asking: dict[Path, asyncio.Lock] = {}
        self._seen_on = SeenOn()

    async def read(self, spec: DeviceSpec, *, timeout_seconds: float) -> Power:
        """The agent's `status`. Raises DeviceError."""
        finished, way = await self._call(spec, "status", timeout_seconds, None)
        power = reading(finished, is_off_by_exit_status=spec.off_by_exit_status, was_seen_on=way in self._seen_on)
        if power is None:
            raise failure(spec, "status", finished, timeout_seconds)
        if power is Power.ON and spec.off_by_exit_status:
            self._seen_on.note(way)
        return power

    async def set(self, spec: DeviceSpec, power: Power, *, timeout_seconds: float, on_started: OnStarted) -> None:
        """The agent's `on` or `off`, which waits itself until the device shows it. Raises DeviceError."""
        if power is Power.UNKNOWN:
            raise BadParameters(f"{spec.driver}: a device can't be set to unknown", may_be_done=False)
        finished, _way = await self._call(spec, power.value, timeout_seconds, on_started)
        if finished.ending is not Ending.EXITED or finished.status != 0 or not finished.is_clean:
            raise failure(spec, power.value, finished, timeout_seconds)

    async def close(self) -> None:
        """Nothing is kept between calls; the keeper has an owner of its own."""

    async def metadata(self, name: str, *, timeout_seconds: float = METADATA_SECONDS_MAX) -> AgentMetadata:
        """What an agent says of itself, asked once per state of its file; empty when it does not say.

        Raises BadParameters for a program that is not there.
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
        """Whether the program in its present state was asked in this life, with or without an answer. Raises
        BadParameters."""
        path, stamp = self._locate(name)
        known = self._known.get(path)
        return known is not None and known.stamp == stamp

    def kept_metadata(self, name: str) -> AgentMetadata | None:
        """What the agent said in an earlier life, without running it; None: it has to be asked. Raises BadParameters."""
        kept = None if self._cache is None else self._cache.get(self.find(name))
        try:
            return None if kept is None else replace(parse_metadata(kept), programs=_programs(self.find(name)))
        except MetadataError:
            return None

    def find(self, name: str) -> Path:
        """The first file of that name along the path. Raises BadParameters: a later one is no substitute for it."""
        return self._locate(name)[0]

    def _locate(self, name: str) -> tuple[Path, Stamp]:
        """The file and which state of it is there."""
        if not AGENT_NAME.fullmatch(name):
            raise BadParameters(f"{name!r} is no fence agent's name", may_be_done=False)
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
        """Every agent by name, sorted; of several with one name the first along the path."""
        found: dict[str, Path] = {}
        for directory in self._agent_path:
            for path in directory.glob("fence_*"):
                if AGENT_NAME.fullmatch(path.name) and path.is_file() and os.access(path, os.X_OK):
                    found.setdefault(path.name, path)
        return dict(sorted(found.items()))

    async def _call(
        self, spec: DeviceSpec, action: str, timeout_seconds: float, on_started: OnStarted | None
    ) -> tuple[Finished, Way]:
        """One run of the agent. Its metadata, when not known yet, may take half of the time."""
        began = asyncio.get_running_loop().time()
        path, stamp = self._locate(spec.driver)
        programs = _programs(path)
        _refuse_without_proof(spec, AgentMetadata(programs=programs))  # before anything of it runs
        metadata = await self.metadata(spec.driver, timeout_seconds=timeout_seconds / 2)
        if metadata.actions and action not in metadata.actions:
            raise NotSupported(f"{spec.driver} has no action `{action}`", may_be_done=False)
        _refuse_without_proof(spec, replace(metadata, programs=programs))
        parameters = agent_parameters(spec, action, metadata)
        program = Program(argv=(str(path),), environment=ENVIRONMENT, parameters=parameters)
        left_seconds = timeout_seconds - (asyncio.get_running_loop().time() - began)
        finished = await self._keeper.run(program, timeout_seconds=left_seconds, on_started=on_started)
        return finished, way_of(path, stamp, parameters)

    def _is_old(self, known: _Known) -> bool:
        return known.again_at is not None and asyncio.get_running_loop().time() >= known.again_at

    async def _ask(self, path: Path, stamp: Stamp, timeout_seconds: float) -> _Known:
        """From what is kept, else by running the agent."""
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
    """Whatever a configuration or a caller elsewhere let pass: nothing runs whose OFF nobody vouches for (S1)."""
    judgement = judge(spec.driver, metadata)
    if judgement.standing is Standing.REFUSED:
        raise BadParameters(f"{spec.driver} {judgement.why}", may_be_done=False)
    if judgement.standing is Standing.NOT_REVIEWED and not spec.cuts_power:
        raise BadParameters(
            f"{spec.driver} is not reviewed: {judgement.why}; if it takes the host's power, say cuts_power = true at "
            "the device",
            may_be_done=False,
        )


def _programs(path: Path) -> tuple[str, ...]:
    """The names of the files that lead to the program, where the path is a link."""
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
    """What a `status` said; None: nothing, it failed. Exit status and text that contradict each other are UNKNOWN.

    `is_off_by_exit_status`: a person's word for an agent that prints nothing. A usage error prints something, and an agent
    that can't reach its device never answered ON in this way: `was_seen_on`.
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
