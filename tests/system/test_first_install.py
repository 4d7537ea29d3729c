"""The pages for production as a reader follows them, on a real systemd with Debian's Mosquitto as installed.

All tests share one machine, which docs/first-install.md has set up; each leaves it as the next ones need it.
"""

import json
import re
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.x509 import load_pem_x509_certificate

from fenced.setup.accounts import Accounts
from fenced.telemetry.journald import MESSAGE_IDS
from tests.house.tree import ROOT
from tests.needs import needs, needs_root
from tests.pages.blocks import all_blocks
from tests.pages.commands import typed
from tests.pages.registry import shell
from tests.system.machine import SHARED, Machine, machine, program
from tests.system.production import (
    ARM,
    COPIED,
    DRILL,
    DUMMY,
    OPERATOR,
    PIP,
    SERVED,
    SHIMS,
    UNTIL_CTRL_C,
    WAIT_SECONDS,
    an_operator_reads_no_secret,
    as_the_daemon,
    asked,
    crowd_of,
    fingerprint_of,
    retained,
    states,
    until,
    until_connected,
    until_shown,
    until_state,
)
from tests.system.two_controllers import second_controller, to_postgresql, two_instances

pytestmark = [
    pytest.mark.integration,
    pytest.mark.timeout(300),
    needs_root(),
    needs("mosquitto", "systemctl", "dbus-daemon", "fence_dummy", "nsenter", "unshare", "ip"),
    needs("curl", "mosquitto_sub", "openssl", "postgres", "sqlite3"),
]
CLIENTS = 1100
EXPOSURE_MAX = 1.4


@pytest.fixture(scope="module")
def bed(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Machine]:
    """Return the machine after the steps 1 to 3. One machine plays the daemon's, the broker's and node-1."""
    with machine(tmp_path_factory.mktemp("machine")) as made:
        made.prepare(f"{SHIMS}rm -f /var/log/mosquitto/mosquitto.log\n")
        # Step 1 needs a network: packages are this machine's, and the programs are those of the tested tree.
        made.prepare(program("fenced", "fenced.cli.main"))
        made.prepare(program("fencectl", "fenced.cli.fencectl"))
        made.boot()
        made.run("echo 127.0.0.1 bus.example.org >> /etc/hosts")
        for block in shell("set up", __name__):
            made.run(block)
        assert states(made) == {"node-1": "unknown", "node-2": "unknown"}
        for block in shell("heartbeats", __name__):
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
    until_shown(bed, "nonsense", f"journalctl -o cat MESSAGE_ID={MESSAGE_IDS['reload_refused']}")
    bed.run(f"cat /srv/kept > {file}; systemctl reload fenced")


def test_a_device_is_read_after_the_fourth(bed: Machine) -> None:
    bed.run("cd /var/lib/fenced; printf on | tee node-1 > node-2; chown fenced: node-1 node-2")
    bed.run(f"cat > /etc/fenced/inventory/hosts.toml <<'END'\n{DUMMY}END")
    (block,) = shell("power devices", __name__)
    assert "dummy" in bed.run(block)


def test_a_cluster_is_armed_in_stages_and_back(bed: Machine) -> None:
    """It is not ready after a minute: `fencectl readiness` ends with 1, and says why."""
    (look,), (look_at, opened) = shell("watch", __name__), shell("arm a cluster", __name__)
    assert "observed" in bed.tried(look).stdout
    armed, tried = shell("arm for operators", __name__)
    bed.run(armed)
    assert "node-2 was fenced" in bed.run(tried)
    assert bed.tried(look_at).returncode == bed.tried(opened).returncode == 1
    assert re.search(r"^automatic +open ", bed.run("fencectl explain node-1 --all"), re.MULTILINE)
    (back,) = shell("back", __name__)
    bed.run(back)
    assert not asked(bed, "/readyz")["daemon"]["armed"]
    bed.run(f"fencectl arm --reason 'back to the start'; {ARM.format(before='true', after='false')}")


def test_an_operators_examples_do_what_the_page_says(bed: Machine) -> None:
    """The daemon is armed meanwhile. node-2 was never heard, so an operator may switch it without `--force`."""
    bed.run(ARM.format(before="false", after="true"))
    (examples,) = shell("fencectl", __name__)
    ended = {line.partition(" #")[0].strip(): bed.tried(f"{UNTIL_CTRL_C}{line}") for _, line in typed(examples)}
    told = {line: done.returncode for line, done in ended.items() if done.returncode != 0}
    assert told == {"fencectl status": 1, "fencectl readiness --cluster c1": 1, DRILL: 3, "fencectl watch": 124}, ended
    assert "never heard: node-2" in ended["fencectl status"].stdout
    assert "node-2 was fenced" in next(done.stdout for line, done in ended.items() if "restart" in line)
    (confirmed,) = shell("confirm-off", __name__)
    assert "dummy reads ON" in bed.tried(confirmed).stderr
    bed.run("echo broken > /var/lib/fenced/node-2; fencectl maintenance node-2 off --reason 'new memory is in'")
    bed.run(confirmed)
    until_state(bed, "node-2", "fenced")
    bed.run("printf on > /var/lib/fenced/node-2; fencectl resume --match cluster=c1 --reason 'work is done'")
    bed.run(ARM.format(before="true", after="false"))


def test_maintenance_trusts_a_device_again(bed: Machine) -> None:
    (block,) = shell("trusted", __name__)
    bed.run(block)
    until_state(bed, "node-1", "healthy")


def test_figures_are_fetched(bed: Machine) -> None:
    (block,) = shell("metrics", __name__)
    assert 'fenced_hosts{state="healthy"} 1.0' in bed.run(block)


def test_a_fingerprint_is_what_the_driver_compares(bed: Machine) -> None:
    """A TLS server at the address of the page plays the BMC."""
    certificate = "/etc/mosquitto/certs/fenced-broker"
    server = f"openssl s_server -accept 10.9.0.1:443 -cert {certificate}.crt -key {certificate}.key -quiet"
    bed.run(f"ip address add 10.9.0.1/32 dev lo; systemd-run --unit bmc {server}")
    (block,) = shell("fingerprint", __name__)
    until_shown(bed, "Fingerprint=", block)
    content = load_pem_x509_certificate(bed.path(f"{certificate}.crt").read_bytes())
    assert fingerprint_of(bed.run(block).partition("=")[2]) == content.fingerprint(SHA256())


def test_the_later_commands_add_and_reissue(bed: Machine) -> None:
    before = Accounts.parse(bed.run("cat /etc/mosquitto/fenced.passwd")).lines
    (block,) = shell("later", __name__)
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
    until(bed, lambda: bed.run(shown) != served)
    assert bed.run(connected) == counted
    bed.run("systemctl restart mosquitto")
    until(bed, lambda: bed.run(connected) != counted)
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


def test_the_journal_is_read_and_retained_messages_are_cleared(bed: Machine) -> None:
    operation = asked(bed, "/api/v1/operations")["items"][0]["id"]
    read, cleared = shell("journal", __name__, operation=operation)
    for _, line in typed(read):
        assert "fenced[" in bed.run(line) or "MESSAGE=" in bed.run(line), line
    topic = "fenced/v1/site-1/state/node-9"
    bed.run(
        "fenced setup --reader recovery; systemctl reload mosquitto; tar xf /etc/fenced/bundles/recovery.tar.gz -C /srv"
    )
    bed.run(cleared.replace("-n -t", "-m old -t"))
    assert bed.run(retained(topic)) == "old\n"
    bed.run(cleared)
    assert bed.run(retained(topic)) == ""
    until_connected(bed)


def test_a_backup_is_whole_and_an_upgrade_goes_on(bed: Machine) -> None:
    """Without a network, there are no packages to fetch: `pip` only checks how it is called."""
    (backup,), (upgrade,) = shell("backup", __name__), shell("upgrade by pip", __name__)
    bed.run(f"mkdir -p /opt/fenced/bin /var/backups; {PIP}")
    before = states(bed)
    bed.run(backup)
    look = "sqlite3 /var/backups/fenced.db 'pragma integrity_check; select count(*) > 0 from records'"
    assert bed.run(look) == "ok\n1\n"
    bed.run(f"cd {SHARED}/tree; {upgrade}")
    bed.run("test -s /var/backups/fenced-before-upgrade.db")
    assert states(bed).keys() == before.keys()
    until_connected(bed)
    (checked,) = shell("upgraded", __name__)
    assert "configuration_warning" in bed.run(f"set +e; {checked}")


def test_archives_are_copied_to_their_machines(bed: Machine) -> None:
    """Only that of node-1: the machine plays no other host."""
    bed.run(
        "mkdir /srv/others; mv /etc/fenced/bundles/* /srv/others;"
        "fenced setup --reissue node-1; systemctl reload mosquitto"
    )
    (block,) = shell("archives", __name__)
    bed.run(block)
    assert bed.run("ls /etc/fenced/bundles; mv /srv/others/* /etc/fenced/bundles") == ""
    until_shown(bed, "heartbeats of node-1", "systemctl status fenced-beat")


def test_the_beat_is_installed_by_hand(bed: Machine) -> None:
    """Over what the archive of node-1 has installed, with its configuration in the place of an edited one."""
    bed.run(
        "systemctl disable --now fenced-beat; userdel fenced-beat; mv /etc/fenced-beat /srv/beat;"
        "cp /srv/beat/password /srv; rm /usr/bin/fenced-beat /etc/systemd/system/fenced-beat.service"
    )
    installed, started = shell("beat by hand", __name__)
    bed.run(f"cd /srv; ln -s {SHARED}/tree/* .; {installed}")
    bed.run(f"cd /srv/beat; chown fenced-beat *; cp -p *.crt *.key beat.toml /etc/fenced-beat; {started}")
    until_shown(bed, "heartbeats of node-1", "systemctl status fenced-beat")


def test_a_proxy_is_set_up_by_hand(bed: Machine) -> None:
    """The machine plays the proxy, too. Its file is that of the page, and allows the option of the dummy."""
    made, daemon, proxy = shell("proxy", __name__)
    bed.run("echo 127.0.0.1 px1.example.org >> /etc/hosts; mkdir /srv/copied")
    said = bed.run(made)
    (file,) = [block.text for block in all_blocks() if block.text.startswith("# /etc/fenced-proxy/proxy.toml")]
    file = file.replace('"/usr/sbin"', '"/srv/agents"')  # the agent asks every program there for its parameters
    bed.path("/srv/copied/proxy.toml").write_text(f'{file}options = ["status_file"]\n')
    bed.run("mkdir /srv/agents; ln -s /usr/sbin/fence_dummy /srv/agents/")
    bed.run(f"{COPIED}; ln -s {SHARED}/tree/systemd .; {daemon}{proxy}")
    bed.path("/etc/fenced/inventory/px1.toml").write_text(said[said.index("[[proxy]]") :])
    dummy = DUMMY.replace("driver =", 'proxies = ["px1"]\n  driver =').replace("/fenced/", "/fenced-proxy/")
    bed.run(
        "cd /etc/fenced; chgrp fenced inventory/px1.toml; sed -i '/proxy_client/,$ { s|tls/ca|proxy-tls/ca|;"
        "s|tls/controller|proxy-tls/fenced-a| }' fenced.toml; printf on > /var/lib/fenced-proxy/node-2;"
        f"chown fenced-proxy: /var/lib/fenced-proxy/node-2; cat > inventory/hosts.toml <<'END'\n{dummy}END\n"
        f"systemctl restart fenced; {ARM.format(before='false', after='true')}"
    )
    bed.run("fencectl maintenance node-2 off --reason 'its new password is installed'")
    assert "reads on again" in bed.run("fencectl restart node-2 --force --reason 'through px1' --wait")


def test_a_proxy_is_looked_after(bed: Machine) -> None:
    store = bed.run("cat /var/lib/fenced/fenced.store").strip()
    (adopted,) = shell("proxy's store", __name__, store=store)
    assert bed.run(adopted).split() == [store, store]
    (forgotten,) = shell("plug", __name__, plug="no such plug")
    plug = bed.tried(forgotten).stderr.strip().splitlines()[-1].strip()
    (forgotten,) = shell("plug", __name__, plug=plug)
    assert "any token is accepted next" in bed.run(forgotten)
    before = bed.run("cat /srv/fenced-ca/px1.crt")
    (renewed,) = shell("proxy's certificates", __name__)
    installed = next(block for block in shell("proxy", __name__) if "fenced-proxy" in block)
    bed.run(f"{renewed}{COPIED}; {installed}systemctl reload fenced-proxy")
    assert bed.run("cat /etc/fenced-proxy/tls/px1.crt") != before
    assert " won " in bed.run("fencectl probe node-2")
    until(bed, lambda: bool(asked(bed, "/api/v1/proxies")["items"][0]["up"]))
    bed.run(ARM.format(before="true", after="false"))


def test_services_read_their_files_and_others_do_not(bed: Machine) -> None:
    an_operator_reads_no_secret(bed)
    for secret, user in SERVED.items():
        bed.run(f"test -r {secret}", user=user)
        for other in ("fenced-beat", "nobody", OPERATOR):
            assert bed.tried(f"test -r {secret}", user=other).returncode != 0
    for hidden in ("/etc/fenced/authority/ca.key", "/etc/fenced/bundles"):
        assert bed.tried(f"test -r {hidden}", user="fenced").returncode != 0


def test_the_brokers_unit_is_hardened_and_has_room(bed: Machine) -> None:
    bed.run(f"systemd-analyze security --no-pager --threshold={EXPOSURE_MAX * 10:.0f} mosquitto.service")
    assert int(bed.run("systemctl show -P LimitNOFILE mosquitto")) >= 65_536
    bed.run("kill -9 $(systemctl show -P MainPID mosquitto)")
    until(bed, lambda: bed.tried("systemctl is-active mosquitto").returncode == 0)
    until_connected(bed)


def test_no_hosts_account_throws_the_daemon_off_the_bus_and_a_thousand_have_room(bed: Machine, tmp_path: Path) -> None:
    """Each client asks for the daemon's client id or another's; the broker gives it the one of its account."""
    (tmp_path / "password").write_text("crowded\n")
    lines = "".join(f"{line}\n" for line in crowd_of(CLIENTS))
    bed.path("/srv/crowd.passwd").write_text(lines)
    bed.run("cat /srv/crowd.passwd >> /etc/mosquitto/fenced.passwd; systemctl reload mosquitto")
    bed.run("cd /srv; tar xf /etc/fenced/bundles/node-2.tar.gz")
    for name in ("ca.crt", "beat.crt", "beat.key"):
        (tmp_path / name).write_bytes(bed.path(f"/srv/node-2/{name}").read_bytes())
    connected = bed.run("journalctl -u fenced -o cat | grep -c bus_connected")
    command = [sys.executable, "-m", "tests.system.crowd", "8883", str(CLIENTS), str(tmp_path)]
    with bed.started(command, cwd=ROOT, stdin=-1, stdout=-1) as crowd:
        accepted = crowd.stdout.readline() if crowd.stdout is not None else ""
        thief = bed.tried(as_the_daemon("node-2"))
        left, _ = crowd.communicate("", timeout=WAIT_SECONDS)
    assert (accepted.strip(), left.strip()) == (str(CLIENTS), str(CLIENTS))
    assert thief.returncode == 0, thief.stderr
    assert bed.run("journalctl -u fenced -o cat | grep -c bus_connected") == connected
    assert states(bed)["node-1"] == "healthy"


def test_another_machine_takes_over_with_the_old_disk(bed: Machine) -> None:
    before, epoch = states(bed), asked(bed, "/readyz")["daemon"]["epoch"]
    bed.run(
        "systemctl kill -s KILL fenced; systemctl stop fenced;"
        "mkdir -p /mnt/old/var/lib; cp -a /var/lib/fenced /mnt/old/var/lib"
    )
    (block,) = shell("take over", __name__)
    bed.run(block)
    assert states(bed).keys() == before.keys()
    assert asked(bed, "/readyz")["daemon"]["epoch"] > epoch


def test_a_lost_store_is_held_until_it_is_released(bed: Machine) -> None:
    (saved,) = shell("back up all", __name__)
    bed.run(saved)
    assert "etc/fenced/authority/ca.key" in bed.run("tar tzf /var/backups/fenced-etc.tar.gz")
    lost, released = shell("store lost", __name__)
    assert "CRITICAL" in bed.run(lost)
    assert asked(bed, "/readyz")["daemon"]["store_held"] is not None
    bed.run(released)
    assert asked(bed, "/readyz")["daemon"]["store_held"] is None
    until_state(bed, "node-1", "healthy")


def test_a_lost_broker_and_a_lost_authority_are_made_anew(bed: Machine) -> None:
    """Each time, node-1 is heard with its new archive, and not before."""
    bed.run("rm -r /etc/mosquitto/fenced.* /etc/mosquitto/conf.d/fenced.conf /etc/systemd/system/mosquitto.service.d")
    for called in ("broker lost", "authority lost"):
        (block,) = shell("broker lost", __name__) if called == "broker lost" else shell("authority lost", __name__)
        bed.run(block)
        until_connected(bed)
        bed.run("cd /srv; tar xf /etc/fenced/bundles/node-1.tar.gz; node-1/install; rm -r node-1")
        until_shown(bed, "heartbeats of node-1", "systemctl status fenced-beat")
        until_state(bed, "node-1", "healthy")
        assert not asked(bed, "/readyz")["daemon"]["armed"]


def test_the_store_moves_to_postgresql(bed: Machine) -> None:
    (made,), (promises,) = shell("database", __name__), shell("promises", __name__)
    (taken,) = shell("take over with a database", __name__)
    to_postgresql(bed, made, promises, shell("move", __name__), taken)


def test_a_second_controller_takes_over_and_hands_back(bed: Machine) -> None:
    (account,), (packed, joined) = shell("its account", __name__), shell("second controller", __name__)
    second_controller(bed, account, packed, joined, *shell("its work", __name__))


def test_two_controllers_run_on_one_machine(bed: Machine) -> None:
    two_instances(bed, *shell("instances", __name__))
