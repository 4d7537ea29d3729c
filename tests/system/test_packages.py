"""The packages in a real systemd: installed, upgraded, removed and purged, as dpkg and rpm do it."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.needs import needs, needs_root
from tests.packages.built import packages, why_not_here
from tests.pages.registry import shell
from tests.system.machine import Machine, machine, program
from tests.system.production import states, until_state

pytestmark = [
    pytest.mark.integration,
    pytest.mark.timeout(300),
    needs_root(),
    needs(
        "curl",
        "dpkg-deb",
        "rpm",
        "rpmbuild",
        "mosquitto",
        "sqlite3",
        "systemctl",
        "dbus-daemon",
        "nsenter",
        "unshare",
        "ip",
    ),
]
SERVICES = ("fenced", "fenced-proxy")
SETUP = "fenced setup --broker 127.0.0.1 --host node-1 && systemctl daemon-reload && systemctl restart mosquitto"

INSTANCE = """\
sed 's#^name = .*#name = "other"\\nstate_dir = "/var/lib/fenced/east"#; s#^url = .*#url = "mqtts://127.0.0.1:1"#' \
    /etc/fenced/fenced.toml > /etc/fenced/east.toml
printf '\\n[api]\\nlisten = "127.0.0.1:8472"\\nsocket = "/run/fenced-east/api.sock"\\n' >> /etc/fenced/east.toml
"""
"""A second daemon on the machine, with a store of its own and without a bus."""


@pytest.fixture
def bed(tmp_path: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Machine]:
    """Return a booted machine with the heartbeat's packages in /srv."""
    if why := why_not_here():
        pytest.skip(why)
    dist = packages(tmp_path_factory)
    with machine(tmp_path) as made:
        made.boot()
        copy(dist, "fenced-beat*", made)
        yield made


def copy(dist: Path, pattern: str, bed: Machine) -> None:
    """Copy packages to /srv of the machine. The daemon's are large, and two tests do without."""
    for path in dist.glob(pattern):
        if path.suffix in {".deb", ".rpm"}:
            bed.path(f"/srv/{path.name}").write_bytes(path.read_bytes())


def is_active(bed: Machine, unit: str) -> bool:
    return bed.tried(f"systemctl is-active --quiet {unit}").returncode == 0


def pid(bed: Machine, unit: str) -> str:
    return bed.run(f"systemctl show -P MainPID {unit}").strip()


def test_the_daemon_is_installed_upgraded_removed_and_purged(
    bed: Machine, tmp_path_factory: pytest.TempPathFactory
) -> None:
    copy(packages(tmp_path_factory), "fenced_*", bed)
    (install,), (upgrade,) = shell("install", __name__), shell("upgrade", __name__)
    bed.run("echo 'APT::Get::Assume-Yes yes;' > /etc/apt/apt.conf.d/answers")
    bed.run(f"cd /srv; mkdir dist next; mv fenced_0.1.0-1_*.deb dist; ln fenced_0.1.0-2_*.deb next; {install}")
    for service in SERVICES:
        assert bed.tried(f"systemctl is-enabled {service}").stdout.strip() == "disabled"
        assert not is_active(bed, service)
        bed.run(f"getent passwd {service}")
    assert bed.tried("test -e /etc/fenced").returncode != 0

    story = bed.run("cd /srv && fenced lab --headless --kill node-2 --for 40s")
    assert "demo: node-2 fenced in" in story

    bed.run(SETUP)
    for unit in ("fenced.service", "fenced-renew.service", "fenced-renew.timer"):
        assert bed.tried(f"test -e /etc/systemd/system/{unit}").returncode != 0, "setup uses the packaged unit"
    bed.run("systemctl enable --now fenced fenced-renew.timer; systemctl start fenced-renew")
    assert states(bed) == {"node-1": "unknown"}

    bed.run(f"{INSTANCE} systemctl enable --now fenced@east")
    before, its = pid(bed, "fenced"), pid(bed, "fenced@east")
    bed.run("cp /etc/fenced/fenced.toml /srv/; echo 'no_such_key = 1' >> /etc/fenced/fenced.toml")
    refused = bed.tried(f"cd /srv/next; {upgrade}")
    assert refused.returncode != 0
    bed.run("test -s /var/backups/fenced-before-upgrade.db")
    assert "no_such_key" in refused.stdout + refused.stderr
    assert pid(bed, "fenced") == before, "a rejected configuration ends no running daemon"
    bed.run("cp /srv/fenced.toml /etc/fenced/; dpkg --configure fenced")
    assert pid(bed, "fenced") not in {before, "0"}
    assert pid(bed, "fenced@east") not in {its, "0"}
    assert states(bed) == {"node-1": "unknown"}
    assert not is_active(bed, "fenced-proxy"), "an upgrade starts nothing that did not run"
    assert bed.run("dpkg --verify fenced") == ""

    bed.run("dpkg -r fenced")
    assert not is_active(bed, "fenced")
    assert not is_active(bed, "fenced@east")
    assert not is_active(bed, "fenced-renew.timer")
    for gone in ("/usr/lib/fenced", "/usr/bin/fenced", "/usr/bin/fencectl", "/usr/lib/systemd/system/fenced.service"):
        assert bed.tried(f"test -e {gone}").returncode != 0, gone
    bed.run("test -s /var/lib/fenced/fenced.db")

    bed.run("dpkg -i /srv/fenced_0.1.0-2_*.deb")
    assert bed.run("systemctl is-enabled fenced").strip() == "enabled", "a second installation is as the first was"
    said = bed.tried("dpkg -P fenced", is_checked=True)
    assert "/etc/fenced" in said.stdout + said.stderr
    assert bed.tried("test -e /var/lib/fenced").returncode != 0
    for unit in ("fenced", "fenced@east", "fenced-renew.timer"):
        assert bed.tried(f"systemctl is-enabled {unit}").returncode != 0
    bed.run("test -e /etc/fenced/authority/ca.key")


def test_the_heartbeat_as_deb(bed: Machine) -> None:
    """The daemon beside it is the tested tree's: the test above installs its package."""
    bed.run(f"{program('fenced', 'fenced.cli.main')}; dpkg -i /srv/fenced-beat_0.1.0-1_all.deb")
    assert not is_active(bed, "fenced-beat")
    bed.run(f"{SETUP}; systemctl start fenced; cd /srv; tar xf /etc/fenced/bundles/node-1.tar.gz; node-1/install")
    until_state(bed, "node-1", "healthy")
    assert bed.run("dpkg --verify fenced-beat") == "", "the archive of a host leaves the package's program alone"
    assert bed.tried("test -e /etc/systemd/system/fenced-beat.service").returncode != 0, "nor does it hide the unit"
    before = pid(bed, "fenced-beat")
    bed.run("dpkg -i /srv/fenced-beat_0.1.0-2_all.deb")
    assert pid(bed, "fenced-beat") not in {before, "0"}
    until_state(bed, "node-1", "healthy")
    bed.run("dpkg -P fenced-beat")
    assert not is_active(bed, "fenced-beat")
    assert bed.tried("test -e /usr/bin/fenced-beat").returncode != 0
    bed.run("test -e /etc/fenced-beat/password")


def test_the_heartbeat_as_rpm(bed: Machine) -> None:
    """On Debian: `--nodeps`, because its packages are not in rpm's database."""
    bed.run("rpm --initdb; rpm -i --nodeps --force-debian /srv/fenced-beat-0.1.0-1.noarch.rpm")
    assert not is_active(bed, "fenced-beat")
    bed.run(
        'printf \'[beat]\\nbus = "mqtt://127.0.0.1:1883"\\nhost = "node-1"\\n\' > /etc/fenced-beat.toml;'
        "install -D -m 644 /etc/fenced-beat.toml /etc/fenced-beat/beat.toml; systemctl start mosquitto fenced-beat"
    )
    before = pid(bed, "fenced-beat")
    bed.run("rpm -U --nodeps --force-debian /srv/fenced-beat-0.1.0-2.noarch.rpm")
    assert is_active(bed, "fenced-beat")
    assert pid(bed, "fenced-beat") != before
    assert bed.run("rpm -V --nodeps fenced-beat") == ""
    bed.run("rpm -e --force-debian fenced-beat")
    assert not is_active(bed, "fenced-beat")
    assert bed.tried("test -e /usr/bin/fenced-beat").returncode != 0
    bed.run("test -e /etc/fenced-beat/beat.toml")
