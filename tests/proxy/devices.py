"""A driver over plain files that stands in for real devices. Options of a device make it fail, slow or hang.

Each device is a directory (its address): `power` holds on or off, `log` gets a line for each event.
"""

import asyncio
from pathlib import Path

from fenced.model.inventory import DeviceSpec, Secret
from fenced.model.names import PlugId, UnitId
from fenced.model.power import Power
from fenced.ports.devices import (
    DeviceError,
    DeviceTimedOut,
    DeviceUnreachable,
    Identified,
    NotSupported,
    OnStarted,
    Started,
)


def note(directory: Path, line: str) -> None:
    """Append one line with a single write."""
    with (directory / "log").open("a", encoding="utf-8") as file:
        file.write(f"{line}\n")


def log(directory: Path) -> list[str]:
    """Return the events of the device so far."""
    path = directory / "log"
    return path.read_text(encoding="utf-8").splitlines() if path.exists() else []


class FileDriver:
    """Options: `read_seconds`, `set_seconds` (duration), `fail` (the text of an error), `crash` (an unexpected
    exception), `pid` (report that a process with that id was started), `one_session` (reject a second concurrent read),
    `hang_first` (the first read never answers).
    """

    async def read(self, spec: DeviceSpec, *, timeout_seconds: float) -> Power:
        directory = Path(spec.address)
        if "one_session" not in spec.options:
            return await self._read(spec, directory, timeout_seconds)
        session = directory / "session"
        try:
            session.touch(exist_ok=False)
        except FileExistsError as exc:
            note(directory, "refused: one session")
            raise DeviceError("no session is free", may_be_done=False) from exc
        try:
            return await self._read(spec, directory, timeout_seconds)
        finally:
            session.unlink()

    async def _read(self, spec: DeviceSpec, directory: Path, timeout_seconds: float) -> Power:
        is_first = not log(directory)
        note(directory, "read started")
        try:
            await asyncio.sleep(float(spec.options.get("read_seconds", 0)))
            if is_first and "hang_first" in spec.options:
                await asyncio.sleep(timeout_seconds)
                raise DeviceTimedOut("no answer of the device", may_be_done=False)
        except asyncio.CancelledError:
            note(directory, "read cancelled")
            raise
        self._perhaps_fail(spec)
        return Power((directory / "power").read_text(encoding="ascii"))

    async def identify(self, spec: DeviceSpec, *, timeout_seconds: float) -> Identified:
        """The option `says` lists the identities to report, separated by blanks."""
        power = await self.read(spec, timeout_seconds=timeout_seconds)
        note(Path(spec.address), "asked who it is")
        return Identified(power=power, identities=tuple(str(spec.options.get("says", "")).split()))

    async def set(self, spec: DeviceSpec, power: Power, *, timeout_seconds: float, on_started: OnStarted) -> None:
        directory = Path(spec.address)
        if "pid" in spec.options:
            await on_started(Started(pid=int(spec.options["pid"]), pid_started="then"))
        note(directory, f"{power.value} started")
        await asyncio.sleep(float(spec.options.get("set_seconds", 0)))
        self._perhaps_fail(spec)
        (directory / "power").write_text(power.value, encoding="ascii")
        note(directory, f"{power.value} done")

    async def soft_off(self, spec: DeviceSpec, *, timeout_seconds: float, on_started: OnStarted) -> None:
        """As `set`, but the power stays as it is. The driver `hard` can't."""
        directory = Path(spec.address)
        if spec.driver == "hard":
            raise NotSupported("the device can't ask its host to shut down", may_be_done=False)
        if "pid" in spec.options:
            await on_started(Started(pid=int(spec.options["pid"]), pid_started="then"))
        note(directory, "soft_off started")
        await asyncio.sleep(float(spec.options.get("set_seconds", 0)))
        self._perhaps_fail(spec)
        note(directory, "soft_off done")

    async def close(self) -> None:
        """Nothing to close."""

    def _perhaps_fail(self, spec: DeviceSpec) -> None:
        if "fail" in spec.options:
            secret = "" if spec.password is None else spec.password.reveal()
            raise DeviceUnreachable(f"{spec.options['fail']} {secret}", may_be_done=False)
        if "crash" in spec.options:
            raise RuntimeError(f"a bug that knows {spec.password and spec.password.reveal()}")


def driver_for(name: str) -> FileDriver:
    """Return the same driver for every name except `unknown`."""
    if name == "unknown":
        raise DeviceError("no such driver", may_be_done=False)
    return FileDriver()


def device(directory: Path, **options: str | int | float | bool) -> DeviceSpec:
    """Return a device that is on and has a plug of its own."""
    directory.mkdir(parents=True, exist_ok=True)
    if not (directory / "power").exists():
        (directory / "power").write_text("on", encoding="ascii")
    return DeviceSpec(
        driver="file",
        plug_id=PlugId(f"file/{directory}"),
        unit_id=UnitId(str(directory)),
        address=str(directory),
        username="fence",
        password=Secret("S3cret-of-the-device"),
        options=options,
        nodename="node-1",
        sessions=1000,
    )
