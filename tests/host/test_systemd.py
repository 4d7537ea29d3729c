"""The systemd units, checked by systemd: no complaint, and no more exposure than their comments explain."""

import re
import subprocess
from pathlib import Path

import pytest

from fenced.cli.fencectl.place import SOCKET_DEFAULT
from fenced.cli.main import COMMANDS
from fenced.setup import broker, daemon
from tests.needs import needs

UNITS = Path(__file__).parents[2] / "systemd"
RENEWAL = "fenced-renew.service"
TEMPLATE = "fenced@.service"
SERVICES = sorted(path.name for path in UNITS.glob("*.service") if path.name not in {RENEWAL, TEMPLATE})
EXPOSURE_MAX = 1.4


@pytest.fixture(params=[*SERVICES, TEMPLATE, RENEWAL])
def unit(request: pytest.FixtureRequest, tmp_path: Path) -> Path:
    """Return a copy of the unit whose program exists on this machine."""
    text = (UNITS / str(request.param)).read_text()
    assert re.search(r"^ExecStart=/usr/bin/fenced(-beat)? ", text, re.MULTILINE)
    copy = tmp_path / str(request.param).replace("@.", "@east.")
    copy.write_text(re.sub(r"=/usr/bin/fenced(-beat)? ", "=/bin/true ", text))
    return copy


def settings(unit: Path) -> dict[str, str]:
    """Return the settings of a unit; of a repeated one, the last."""
    return dict(re.findall(r"^(\w+)=(.*)$", unit.read_text(), re.MULTILINE))


@needs("systemd-analyze")
def test_systemd_has_no_complaint(unit: Path) -> None:
    done = subprocess.run(["systemd-analyze", "verify", str(unit)], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")


@needs("systemd-analyze")
def test_exposure(unit: Path) -> None:
    command = ["systemd-analyze", "security", "--offline=true", "--no-pager", f"--threshold={EXPOSURE_MAX * 10:.0f}"]
    done = subprocess.run([*command, str(unit)], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout


@pytest.mark.parametrize("name", SERVICES)
def test_settings_that_every_service_needs(name: str) -> None:
    unit = UNITS / name
    found = settings(unit)
    assert found["Type"] == "notify"
    assert found["NotifyAccess"] == "main"
    assert found["Restart"] == "always"
    assert found["RestartPreventExitStatus"] == "78"
    # SIGTERM reaches only the main process, so that a running agent reaches a safe point; then the rest is killed.
    assert found["KillMode"] == ("control-group" if unit.stem == "fenced-beat" else "mixed")
    assert found["StartLimitIntervalSec"] == "0"
    assert found["LimitCORE"] == "0"  # the memory holds secrets
    assert found["ConfigurationDirectory"] == unit.stem
    assert f"-c /etc/{unit.stem}/" in found["ExecStart"]
    assert found["User"] == found["Group"] == unit.stem


def test_the_programs_and_users_exist() -> None:
    users = (UNITS / "fenced.sysusers.conf").read_text()
    assert SERVICES == ["fenced-beat.service", "fenced-proxy.service", "fenced.service"]
    for name in SERVICES:
        found = settings(UNITS / name)
        program, *words = found["ExecStart"].split()
        assert program == "/usr/bin/fenced-beat" or words[0] in COMMANDS
        assert re.search(rf"^u {found['User']} ", users, re.MULTILINE)


def test_a_unit_promises_only_what_its_program_keeps() -> None:
    """systemd kills a program that does not feed its watchdog, or that does not expect SIGHUP."""
    found = {name: settings(UNITS / name) for name in SERVICES}
    assert {name for name in SERVICES if "WatchdogSec" in found[name]} == set(SERVICES)
    assert {name for name in SERVICES if "ExecReload" in found[name]} == {"fenced.service", "fenced-proxy.service"}
    start, reload = (found["fenced.service"][key].split() for key in ("ExecStart", "ExecReload"))
    assert reload == ["/usr/bin/fenced", "reload", *start[2:]]
    lines = (UNITS / "fenced-proxy.service").read_text().splitlines()
    checked, told = (line.partition("=")[2] for line in lines if line.startswith("ExecReload="))
    assert checked == f"{found['fenced-proxy.service']['ExecStart']} --check", "a mistake fails the reload"
    assert told == "/bin/kill -HUP $MAINPID"
    for name in ("fenced.service", "fenced-proxy.service"):
        assert found[name]["StateDirectory"] == name.removesuffix(".service")


def test_the_daemon_can_make_its_socket_and_see_who_connects() -> None:
    """Behind PrivateUsers= every user looks like nobody, and none would have a role."""
    found = settings(UNITS / "fenced.service")
    assert f"/run/{found['RuntimeDirectory']}/api.sock" == SOCKET_DEFAULT
    assert found["RuntimeDirectoryMode"] == "0755"
    assert "AF_UNIX" in found["RestrictAddressFamilies"].split()
    assert "PrivateUsers" not in found


def test_of_several_daemons_each_has_a_file_a_state_and_a_socket_of_its_own() -> None:
    """In all else the template is the daemon's unit. A unit's folder below /run goes when it stops, with all that is in
    it, so none may be within another one's.
    """
    own = {
        "Description": "Fencing daemon %i",
        "ExecStart": "/usr/bin/fenced run -c /etc/fenced/%i.toml",
        "ExecReload": "/usr/bin/fenced reload -c /etc/fenced/%i.toml",
        "StateDirectory": "fenced/%i",
        "RuntimeDirectory": "fenced-%i",
    }
    one, template = (
        [line for line in (UNITS / name).read_text().splitlines() if not line.startswith("#")]
        for name in ("fenced.service", TEMPLATE)
    )
    assert template == [f"{key}={own[key]}" if (key := line.partition("=")[0]) in own else line for line in one]
    others = [settings(UNITS / name).get("RuntimeDirectory") for name in SERVICES]
    assert [other for other in others if other and f"{own['RuntimeDirectory']}/".startswith(f"{other}/")] == []


def test_setup_brings_every_unit_of_the_daemon() -> None:
    ours = {path.name for path in UNITS.iterdir() if path.suffix in {".service", ".timer"}}
    assert {*daemon.UNIT_FILES} == ours - {"fenced-proxy.service", "fenced-beat.service"}
    for service, words in daemon.COMMANDS.items():
        assert settings(UNITS / f"{service}.service")["ExecStart"] == f"{daemon.PROGRAM} {words}"


def test_documents_and_units_name_the_same_files() -> None:
    """The guide must write the file from which the service starts."""
    root = UNITS.parent
    named = [
        (path.name, program, file)
        for path in [
            *root.glob("docs/*.md"),
            *root.glob("*.md"),
            *root.glob("fenced/cli/**/*.py"),
            *root.glob("config/*"),
        ]
        if path.is_file()
        for program, file in re.findall(r"fenced[ -](run|proxy|beat) -c (/[\w./-]+)", path.read_text())
    ]
    units = dict(
        re.findall(r"fenced[ -](\w+) -c (\S+)", "\n".join(settings(UNITS / name)["ExecStart"] for name in SERVICES))
    )
    assert {program for _, program, _ in named} >= {"run", "proxy"}
    assert [entry for entry in named if units[entry[1]] != entry[2]] == []
    guide = "".join(path.read_text() for path in root.glob("docs/*.md"))
    assert [file for file in units.values() if file not in guide] == []


@needs("systemd-analyze")
def test_the_renewal_runs_once_a_day_and_writes_where_setup_writes(tmp_path: Path) -> None:
    found = settings(UNITS / RENEWAL)
    assert found["Type"] == "oneshot"
    assert found["ExecStart"] == "/usr/bin/fenced setup --renew"
    assert found["ReadWritePaths"] == f"-{broker.FOLDER}"
    for name in (RENEWAL, "fenced-renew.timer"):
        text = (UNITS / name).read_text().replace("/usr/bin/fenced ", "/bin/true ")
        (tmp_path / name).write_text(text)
    timer = tmp_path / "fenced-renew.timer"
    done = subprocess.run(["systemd-analyze", "verify", str(timer)], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")
