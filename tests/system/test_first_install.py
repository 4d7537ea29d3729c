"""docs/first-install.md as a reader follows it, on a real systemd with Debian's Mosquitto as installed."""

import json
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from fenced.setup.accounts import Accounts
from fenced.telemetry.journald import MESSAGE_IDS
from tests.house.tree import ROOT
from tests.needs import needs, needs_root
from tests.system.machine import Machine, machine, program
from tests.system.pages import blocks, shims

pytestmark = [
    pytest.mark.integration,
    pytest.mark.timeout(300),
    needs_root(),
    needs("mosquitto", "systemctl", "dbus-daemon", "fence_dummy", "nsenter", "unshare", "ip"),
]
PAGE = "first-install.md"
CLIENTS = 1100
WAIT_SECONDS = 60.0
EXPOSURE_MAX = 1.4
DUMMY = """
[[host]]
name = "node-1"
  [[host.device]]
  name = "dummy"
  driver = "fence_dummy"
  cuts_power = true
  options = { status_file = "/var/lib/fenced/node-1" }

[[host]]
name = "node-2"
"""


def states(bed: Machine) -> dict[str, str]:
    return {host["name"]: host["state"] for host in json.loads(bed.run("fencectl --json hosts"))["items"]}


def until_connected(bed: Machine) -> None:
    end = time.monotonic() + WAIT_SECONDS
    while not json.loads(bed.tried("fencectl --json status").stdout)["daemon"]["bus_connected"]:
        assert time.monotonic() < end, bed.run("journalctl -u fenced -u mosquitto -o cat -n 30")
        time.sleep(0.2)


def until_state(bed: Machine, host: str, state: str) -> None:
    end = time.monotonic() + WAIT_SECONDS
    while states(bed)[host] != state:
        assert time.monotonic() < end, bed.run("fencectl hosts; systemctl status 'fenced*'; journalctl -o cat -n 30")
        time.sleep(0.3)


@pytest.fixture(scope="module")
def page() -> dict[str, list[str]]:
    return blocks(PAGE)


@pytest.fixture(scope="module")
def bed(tmp_path_factory: pytest.TempPathFactory, page: dict[str, list[str]]) -> Iterator[Machine]:
    """Return the machine after the page's steps 1 to 3. One machine plays the daemon's, the broker's and node-1."""
    with machine(tmp_path_factory.mktemp("machine")) as made:
        made.prepare(shims() + "rm -f /var/log/mosquitto/mosquitto.log\n")
        # Step 1 needs a network: packages are this machine's, and the programs are those of the tested tree.
        made.prepare(program("fenced", "fenced.cli.main"))
        made.prepare(program("fencectl", "fenced.cli.fencectl"))
        made.boot()
        made.run("echo 127.0.0.1 bus.example.org >> /etc/hosts")
        for block in page["2. Set up"]:
            made.run(block)
        assert states(made) == {"node-1": "unknown", "node-2": "unknown"}
        for block in page["3. Heartbeats"]:
            made.run(block)
        yield made


def test_a_host_is_heard_after_the_third_step(bed: Machine) -> None:
    until_state(bed, "node-1", "healthy")
    assert states(bed)["node-2"] == "unknown"
    assert "heartbeats of node-1" in bed.run("systemctl status fenced-beat")


def test_the_journal_finds_a_hosts_entries_and_what_matters(bed: Machine) -> None:
    (line,) = bed.run("journalctl -o json -n 1 FENCED_HOST=node-1 FENCED_EVENT=host_heard").splitlines()
    entry = json.loads(line)
    assert entry["MESSAGE"].startswith("host_heard host=node-1")
    assert (entry["_SYSTEMD_UNIT"], entry["_TRANSPORT"]) == ("fenced.service", "journal")
    assert (entry["SYSLOG_IDENTIFIER"], entry["PRIORITY"]) == ("fenced", "6")
    assert "    FENCED_HOST=node-1\n" in bed.run("journalctl -o verbose -n 1 FENCED_HOST=node-1")
    warned = bed.run("journalctl -u fenced -o cat -p warning FENCED_EVENT=configuration_warning").splitlines()
    assert warned and all(line.startswith("configuration_warning warning=") for line in warned)

    file = "/etc/fenced/fenced.toml"
    bed.run(f"cat {file} > /srv/kept; echo nonsense = 1 >> {file}; systemctl kill -s HUP --kill-whom=main fenced")
    end = time.monotonic() + WAIT_SECONDS
    refused = f"journalctl -o cat MESSAGE_ID={MESSAGE_IDS['reload_refused']}"
    while not bed.run(refused):
        assert time.monotonic() < end, bed.run("journalctl -u fenced -n 20")
        time.sleep(0.1)
    assert "nonsense" in bed.run(refused)
    bed.run(f"cat /srv/kept > {file}; systemctl reload fenced")


def test_a_device_is_read_after_the_fourth(bed: Machine, page: dict[str, list[str]]) -> None:
    bed.run("printf on > /var/lib/fenced/node-1; chown fenced: /var/lib/fenced/node-1")
    bed.run(f"cat > /etc/fenced/inventory/hosts.toml <<'END'\n{DUMMY}END")
    (block,) = page["4. Power devices"]
    assert "dummy" in bed.run(block)


def test_the_later_commands_add_and_reissue(bed: Machine, page: dict[str, list[str]]) -> None:
    before = Accounts.parse(bed.run("cat /etc/mosquitto/fenced.passwd")).lines
    (block,) = page["Later"]
    bed.run(block)
    after = Accounts.parse(bed.run("cat /etc/mosquitto/fenced.passwd")).lines
    assert after.keys() == before.keys() | {"node-3"}
    assert {name for name in before if before[name] != after[name]} == {"node-2"}
    assert "node-3" in states(bed)


def test_the_timers_service_renews_and_nobody_loses_a_connection(bed: Machine) -> None:
    """The broker uses its new certificate at once, the others at their next connection."""
    assert bed.run("systemctl is-active fenced-renew.timer").strip() == "active"
    shown = "openssl s_client -connect 127.0.0.1:8883 </dev/null 2>/dev/null | openssl x509 -noout -serial"
    connected = "journalctl -u fenced -o cat | grep -c bus_connected"
    shows = "import urllib.request as u; print(u.urlopen('http://127.0.0.1:8470/metrics').read().decode())"
    metrics = bed.run(f'python3 -c "{shows}"')
    for role in ("own", "authority", "broker", "given"):
        assert f'role="{role}"' in metrics, role
    files = "sha256sum /etc/fenced/tls/controller.crt /etc/mosquitto/certs/fenced-broker.crt /etc/fenced/fenced.toml"
    served, counted, before = bed.run(shown), bed.run(connected), bed.run(files).splitlines()
    bed.run("systemctl start fenced-renew")
    assert bed.run(files).splitlines() == before, "nothing ends within 60 days"
    early = "[Service]\\nExecStart=\\nExecStart=/usr/bin/fenced setup --renew --renew-within 900d\\n"
    bed.run(
        "mkdir -p /run/systemd/system/fenced-renew.service.d; systemctl daemon-reload;"
        f"printf '{early}' > /run/systemd/system/fenced-renew.service.d/early.conf; systemctl daemon-reload;"
        "systemctl start fenced-renew; rm -r /run/systemd/system/fenced-renew.service.d; systemctl daemon-reload"
    )
    after = bed.run(files).splitlines()
    assert [old == new for old, new in zip(before, after, strict=True)] == [False, False, True]
    end = time.monotonic() + WAIT_SECONDS
    while bed.run(shown) == served:
        assert time.monotonic() < end, bed.run("journalctl -u fenced-renew -u mosquitto -n 30")
        time.sleep(0.2)
    assert bed.run(connected) == counted
    bed.run("systemctl restart mosquitto")
    while bed.run(connected) == counted:
        assert time.monotonic() < end, bed.run("journalctl -u fenced -u mosquitto -n 30")
        time.sleep(0.2)
    until_state(bed, "node-1", "healthy")


def test_the_brokers_log_has_no_complaint_about_its_files(bed: Machine) -> None:
    said = bed.run("journalctl -u mosquitto -o cat; cat /var/log/mosquitto/mosquitto.log 2>/dev/null || true")
    assert "mosquitto version" in said
    assert [line for line in said.splitlines() if "Note:" in line or "Warning:" in line or "Error:" in line] == []


def test_setup_again_changes_nothing(bed: Machine) -> None:
    listed = "find /etc/fenced /etc/mosquitto /etc/systemd -type f -exec sha256sum {} + | sort"
    before = bed.run(listed)
    said = bed.run("fenced setup")
    assert bed.run(listed) == before
    assert "made " not in said
    assert "bundle " not in said


def test_services_read_their_files_and_others_do_not(bed: Machine) -> None:
    for secret in (
        "/etc/fenced/secrets/bus",
        "/etc/fenced/tls/controller.key",
        "/etc/mosquitto/certs/fenced-broker.key",
    ):
        user = "mosquitto" if "mosquitto" in secret else "fenced"
        bed.run(f"test -r {secret}", user=user)
        for other in ("fenced-beat", "nobody"):
            assert bed.tried(f"test -r {secret}", user=other).returncode != 0
    for hidden in ("/etc/fenced/authority/ca.key", "/etc/fenced/bundles"):
        assert bed.tried(f"test -r {hidden}", user="fenced").returncode != 0


def test_the_brokers_unit_is_hardened_and_has_room(bed: Machine) -> None:
    bed.run(f"systemd-analyze security --no-pager --threshold={EXPOSURE_MAX * 10:.0f} mosquitto.service")
    assert int(bed.run("systemctl show -P LimitNOFILE mosquitto")) >= 65_536
    bed.run("kill -9 $(systemctl show -P MainPID mosquitto)")
    end = time.monotonic() + WAIT_SECONDS
    while bed.tried("systemctl is-active mosquitto").returncode != 0:
        assert time.monotonic() < end
        time.sleep(0.2)
    until_connected(bed)


def test_no_hosts_account_throws_the_daemon_off_the_bus_and_a_thousand_have_room(bed: Machine, tmp_path: Path) -> None:
    """Each client asks for the daemon's client id or another's; the broker gives it the one of its account."""
    (tmp_path / "password").write_text("crowded\n")
    lines = "".join(f"{line}\n" for line in _crowd())
    bed.path("/srv/crowd.passwd").write_text(lines)
    bed.run("cat /srv/crowd.passwd >> /etc/mosquitto/fenced.passwd; systemctl reload mosquitto")
    bed.run("cd /srv; tar xf /etc/fenced/bundles/node-2.tar.gz")
    for name in ("ca.crt", "beat.crt", "beat.key"):
        (tmp_path / name).write_bytes(bed.path(f"/srv/node-2/{name}").read_bytes())
    connected = bed.run("journalctl -u fenced -o cat | grep -c bus_connected")
    command = [sys.executable, "-m", "tests.system.crowd", "8883", str(CLIENTS), str(tmp_path)]
    with bed.started(command, cwd=ROOT, stdin=-1, stdout=-1) as crowd:
        accepted = crowd.stdout.readline() if crowd.stdout is not None else ""
        thief = bed.tried(_as_the_daemon("node-2"))
        left, _ = crowd.communicate("", timeout=WAIT_SECONDS)
    assert (accepted.strip(), left.strip()) == (str(CLIENTS), str(CLIENTS))
    assert thief.returncode == 0, thief.stderr
    assert bed.run("journalctl -u fenced -o cat | grep -c bus_connected") == connected
    assert states(bed)["node-1"] == "healthy"


def _crowd() -> Iterator[str]:
    """Yield the lines of the password file for the crowd; they share a hash, which costs 1,100 times less."""
    line = Accounts(lines={}).with_account("crowd", "crowded").lines["crowd"].partition(":")[2]
    return (f"crowd-{number}:{line}" for number in range(CLIENTS))


def _as_the_daemon(account: str) -> str:
    name = "controller-$(hostname)"
    return (
        f"cd /srv/{account}; mosquitto_pub -h 127.0.0.1 -p 8883 --cafile ca.crt --cert beat.crt --key beat.key "
        f'-i {name} -u {account} -P "$(cat password)" -q 1 -t fenced/v1/site-1/presence/{account} -m online'
    )
