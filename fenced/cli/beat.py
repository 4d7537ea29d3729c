"""`fenced beat`: send heartbeats of this machine until SIGTERM. Connects `host/beat` with MQTT; decides nothing.

It starts fast and stays small: the code for configuration files is imported only for `-c`.
"""

import asyncio
import logging
import math
import os
import signal
import socket
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import click

from fenced.bus.link import Link
from fenced.bus.settings import BusSettings
from fenced.bus.topics import Topics
from fenced.config.durations import parse_duration
from fenced.config.files import SECRET_BYTES_MAX, UnusableFile, read_text
from fenced.host.beat import Beat, BeatSettings, is_machine_shutting_down, status
from fenced.host.machine import boot_id
from fenced.host.notify import Notify
from fenced.model.bus_urls import BusUrl
from fenced.model.inventory import Secret
from fenced.ports.bus import Message

EXIT_CONFIGURATION: Final = 78
EXPIRY_INTERVALS: Final = 3.0
EXPIRY_MIN_SECONDS: Final = 15
"""An old heartbeat is no sign of life: after this time, or three intervals, a broker drops it (MQTT 5)."""

_log = logging.getLogger("fenced.beat")


@dataclass(frozen=True, slots=True, kw_only=True)
class _Job:
    """The settings of `fenced beat`, from its file or its options."""

    bus: BusSettings
    beat: BeatSettings
    qos: int


@click.command("beat")
@click.option("-c", "--config", "file", type=click.Path(path_type=Path), help="The beat's configuration file.")
@click.option("--bus", "url", metavar="URL", help="mqtt://HOST:PORT, or mqtts:// for TLS.")
@click.option("--site", default="site-1", show_default=True, metavar="S")
@click.option("--host", metavar="H", help="This machine's name in the inventory.")
@click.option("--interval", default="5s", show_default=True, metavar="D", help="Time between two heartbeats.")
@click.option("--username", default="", metavar="NAME")
@click.option("--password-file", type=click.Path(path_type=Path), help="File with the password on one line.")
@click.option("--ca-file", default="", metavar="FILE", help="Certificate authority of the broker.")
@click.option("--cert-file", default="", metavar="FILE")
@click.option("--key-file", default="", metavar="FILE")
@click.option(
    "--boot", metavar="ID", help="Boot id to send instead of the kernel's (for a lab with many hosts on one machine)."
)
@click.option("--workloads", type=click.IntRange(min=0), help="How many workloads run here; lengthens the grace.")
@click.option("--role", "roles", multiple=True, metavar="ROLE", help="Role of this host; may be repeated.")
@click.option(
    "--qos", type=click.IntRange(0, 1), default=1, show_default=True, help="1: the broker acknowledges each heartbeat."
)
def command(
    file: Path | None,
    url: str | None,
    site: str,
    host: str | None,
    interval: str,
    username: str,
    password_file: Path | None,
    ca_file: str,
    cert_file: str,
    key_file: str,
    boot: str | None,
    workloads: int | None,
    roles: Sequence[str],
    qos: int,
) -> None:
    """Send heartbeats of this machine, and `stopping` when it shuts down."""
    if (file is None) == (url is None):
        raise click.UsageError("give either -c FILE, or --bus URL and --host H")
    if file is not None:
        bus, name, seconds = _from_file(file)
    else:
        if host is None:
            raise click.UsageError("--bus needs --host")
        seconds = _interval(interval)
        name = host
        bus = _settings(
            _url(url or ""),
            site=site,
            host=host,
            username=username,
            password=_password(password_file),
            files=(ca_file, cert_file, key_file),
        )
    beat = BeatSettings(
        host=name, boot=boot or boot_id(), interval_seconds=seconds, workloads=workloads, roles=tuple(roles)
    )
    logging.basicConfig(level=logging.INFO, format="%(levelname)s %(message)s", stream=sys.stderr)
    asyncio.run(_run(_Job(bus=bus, beat=beat, qos=qos)))


class MqttVoice:
    """The beat's Voice, and the link's listener. The last will sets presence to `offline`."""

    def __init__(self, job: _Job, notify: Notify) -> None:
        self._notify, self._status = notify, status(job.beat.host)
        topics = Topics(site=job.bus.site)
        self._health = topics.health(job.beat.host)
        self._presence = topics.presence(job.beat.host)
        self._qos = job.qos
        self._expiry_seconds = max(math.ceil(EXPIRY_INTERVALS * job.beat.interval_seconds), EXPIRY_MIN_SECONDS)
        will = Message(topic=self._presence, payload=b"offline", is_retained=True)
        self._link = Link(job.bus, will=lambda: will)
        self._beat: Beat | None = None
        self._why = ""

    @property
    def is_connected(self) -> bool:
        return self._link.is_connected

    async def run(self, beat: Beat) -> None:
        """Keep the connection up until cancelled."""
        self._beat = beat
        await self._link.run(self)

    async def health(self, payload: bytes, *, timeout_seconds: float) -> None:
        message = Message(topic=self._health, payload=payload, is_retained=False, expiry_seconds=self._expiry_seconds)
        await self._link.publish(message, qos=self._qos, timeout_seconds=timeout_seconds)

    async def presence(self, payload: bytes, *, timeout_seconds: float) -> None:
        message = Message(topic=self._presence, payload=payload, is_retained=True)
        await self._link.publish(message, timeout_seconds=timeout_seconds)

    def subscribed(self) -> None:
        self._why = ""
        _log.info("beat_connected")
        self._notify.status(self._status)
        if self._beat is not None:
            self._beat.connected()

    def lost(self, why: str) -> None:
        _log.warning("beat_disconnected reason=%s", why)
        self._notify.status(f"heartbeats do not arrive: {why}")

    def unreachable(self, why: str) -> None:
        """Log each reason once; the link retries for ever."""
        if why != self._why:
            self._why = why
            _log.warning("beat_unreachable reason=%s", why)
        self._notify.status(f"heartbeats do not arrive: {why}")

    def received(
        self, topic: str, payload: bytes, is_retained: bool, reply_topic: str | None, correlation: bytes | None
    ) -> None:
        """Never called: there is no subscription."""


async def _run(job: _Job) -> None:
    notify = Notify()
    voice = MqttVoice(job, notify)
    beat = Beat(job.beat, voice, is_shutting_down=is_machine_shutting_down, notify=notify)
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, beat.stop)
    async with asyncio.TaskGroup() as group:
        link = group.create_task(voice.run(beat), name="beat-link")
        await beat.run()
        link.cancel()


def _from_file(file: Path) -> tuple[BusSettings, str, float]:
    """Exit with 78 and every mistake of the file, if there is one."""
    from fenced.config.agent_files import load_beat
    from fenced.config.own_machine import OwnMachine

    # Only the host name: the beat's unit forbids reading addresses from the kernel (RestrictAddressFamilies).
    loaded = load_beat(file, own_machine=OwnMachine(hostname=socket.gethostname()), environ=os.environ)
    for mistake in (*loaded.warnings, *loaded.errors):
        click.echo(f"{mistake.file}: {mistake.path}: {mistake.reason}", err=True)
    configuration = loaded.configuration
    if configuration is None:
        sys.exit(EXIT_CONFIGURATION)
    bus, tls = configuration.bus, configuration.bus.tls
    settings = _settings(
        BusUrl(scheme=bus.scheme, host=bus.host, port=bus.port),
        site=configuration.site,
        host=configuration.host,
        username=bus.username,
        password=bus.password,
        files=(str(tls.ca_file or ""), str(tls.cert_file or ""), str(tls.key_file or "")),
    )
    return settings, configuration.host, configuration.interval_seconds


def _settings(
    url: BusUrl, *, site: str, host: str, username: str, password: Secret | None, files: tuple[str, str, str]
) -> BusSettings:
    """Use one client id per host, so that a second beat of the host, or one after a power cut, replaces the first."""
    try:
        Topics(site=site).health(host)
    except ValueError as exc:
        raise click.UsageError(str(exc)) from exc
    ca_file, cert_file, key_file = files
    return BusSettings(
        host=url.host,
        port=url.port,
        site=site,
        client_id=f"fenced-beat-{site}-{host}",
        is_tls=url.scheme == "mqtts",
        ca_file=ca_file,
        cert_file=cert_file,
        key_file=key_file,
        username=username,
        password=password,
    )


def _url(text: str) -> BusUrl:
    try:
        return BusUrl.parse(text)
    except ValueError as exc:
        raise click.BadParameter(str(exc), param_hint="--bus") from exc


def _interval(text: str) -> float:
    try:
        seconds = parse_duration(text)
    except ValueError as exc:
        raise click.BadParameter(str(exc), param_hint="--interval") from exc
    if seconds <= 0:
        raise click.BadParameter("must be longer than 0", param_hint="--interval")
    return seconds


def _password(file: Path | None) -> Secret | None:
    if file is None:
        return None
    try:
        text, _ = read_text(file, bytes_max=SECRET_BYTES_MAX)
    except UnusableFile as exc:
        raise click.BadParameter(f"{file}: {exc}", param_hint="--password-file") from exc
    return Secret(text.removesuffix("\n").removesuffix("\r"))
