"""The file runs under every Python from 3.6 on. Interpreters are optional: missing ones are skipped."""

import os
from pathlib import Path
from typing import Final

import pytest

from tests.beat.program import FILE, PRESENCE, beating, listening, next_health, next_message
from tests.beat.test_api import OPERATOR, api, token_file
from tests.beat.test_brokers import RESIDENT_KILOBYTES_MAX, resident_kilobytes, tls_lines
from tests.bus.parts import mosquitto
from tests.bus.test_brokers import authority
from tests.needs import needs
from tests.net import until

pytestmark = [pytest.mark.integration, needs("mosquitto")]

VERSIONS: Final = ("3.6", "3.7", "3.8", "3.9", "3.10", "3.11", "3.12", "3.13")
PYENV: Final = Path(os.environ.get("PYENV_ROOT", "~/.pyenv")).expanduser()


def interpreter(version: str) -> str:
    """Return an interpreter of this version, not a pyenv shim. Skips the test if there is none."""
    folders = [*PYENV.glob(f"versions/{version}.*/bin"), Path("/usr/bin"), Path("/usr/local/bin")]
    found = [folder / f"python{version}" for folder in folders if (folder / f"python{version}").exists()]
    if not found:
        pytest.skip(f"the beat under Python {version}: there is no such interpreter on this machine")
    return str(found[0])


@pytest.mark.parametrize("version", VERSIONS)
async def test_mqtt_and_http_with_tls(version: str, tmp_path: Path) -> None:
    program = [interpreter(version), "-IS", "-W", "error", FILE]
    ours = authority(tmp_path, "ca")
    mine, my_key = ours.issue("node-1")
    trust = ("--ca-file", str(ours.file))
    certificate = ("--cert-file", str(mine), "--key-file", str(my_key))
    async with mosquitto(tmp_path, more=tls_lines(ours, "require_certificate true")) as broker:
        mqtts = f"mqtts://127.0.0.1:{broker.port}"
        with beating(tmp_path, mqtts, *trust, *certificate, systemctl="stopping", program=program) as beat:
            await beat.logged("beat_connected")
            assert resident_kilobytes(beat) < RESIDENT_KILOBYTES_MAX
            assert await beat.ended() == 0
        assert beat.log == "INFO beat_connected\n"
    token = ("--token-file", str(token_file(tmp_path, OPERATOR)))
    async with api(ours) as (url, control):
        with beating(tmp_path, url, *trust, *token, systemctl="stopping", program=program) as beat:
            await until(lambda: len(control.healths) >= 2)
            assert resident_kilobytes(beat) < RESIDENT_KILOBYTES_MAX
            assert await beat.ended() == 0
        assert beat.log == "INFO beat_connected\n"
        assert [health.status.value for health in control.healths[-2:]] == ["ok", "stopping"]


@pytest.mark.parametrize("version", [VERSIONS[0], VERSIONS[-1]])
async def test_a_name_is_resolved(version: str, tmp_path: Path) -> None:
    """In a thread, which takes memory of its own."""
    program = [interpreter(version), "-IS", "-W", "error", FILE]
    async with mosquitto(tmp_path) as broker, listening(broker.port) as reader:
        with beating(tmp_path, f"mqtt://localhost:{broker.port}", program=program) as beat:
            assert (await next_message(reader, PRESENCE)).payload == b"online"
            await next_health(reader)
            assert resident_kilobytes(beat) < RESIDENT_KILOBYTES_MAX
