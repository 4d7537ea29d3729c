"""What the packages hold, as a package manager sees it, and that the same source gives the same bytes."""

import gzip
import json
import re
import stat
import subprocess
import zipfile
from pathlib import Path
from typing import Any, Final

import pytest

from fenced.cli.fencectl import main as fencectl
from fenced.cli.fencectl.shells import VARIABLE
from tests.house.tree import ROOT
from tests.needs import needs
from tests.packages.built import build, packages, why_not_here

pytestmark = [pytest.mark.integration, pytest.mark.timeout(300), needs("dpkg-deb", "lintian", "rpm", "rpmbuild")]

DAEMON: Final = "fenced_0.1.0-1_*.deb"
BEAT: Final = "fenced-beat_0.1.0-1_all.deb"
RPM: Final = "fenced-beat-0.1.0-1.noarch.rpm"
SYSTEM_LIBRARIES: Final = frozenset(
    {"ld-linux-x86-64.so.2", "ld-linux-aarch64.so.1", "libc.so.6", "libdl.so.2", "libm.so.6", "libpthread.so.0"}
    | {"librt.so.1", "libgcc_s.so.1", "libstdc++.so.6"}
)
"""Of libc6, libgcc-s1 and libstdc++6, which the package depends on."""
MODULE: Final = re.compile(r"usr/lib/fenced/(?!fenced/beat/).*\.py$")


def _printed(*command: str) -> str:
    done = subprocess.run(command, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, f"{command}\n{done.stdout}{done.stderr}"
    return done.stdout


@pytest.fixture(scope="module")
def dist(tmp_path_factory: pytest.TempPathFactory) -> Path:
    if why := why_not_here():
        pytest.skip(why)
    return packages(tmp_path_factory)


@pytest.fixture(scope="module")
def installed(dist: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a folder with the daemon's files, as they will lie below /."""
    folder = tmp_path_factory.mktemp("root")
    _printed("dpkg-deb", "--extract", str(_one(dist, DAEMON)), str(folder))
    return folder


def _one(dist: Path, pattern: str) -> Path:
    (found,) = dist.glob(pattern)
    return found


def test_the_daemons_package_brings_the_program_its_units_and_examples(installed: Path) -> None:
    for unit in (
        "fenced.service",
        "fenced@.service",
        "fenced-proxy.service",
        "fenced-renew.service",
        "fenced-renew.timer",
    ):
        assert (installed / "usr/lib/systemd/system" / unit).read_bytes() == (ROOT / "systemd" / unit).read_bytes()
    users = (installed / "usr/lib/sysusers.d/fenced.conf").read_text()
    assert [line.split()[1] for line in users.splitlines()] == ["fenced", "fenced-proxy"]
    about = installed / "usr/share/doc/fenced"
    for example in ("fenced.toml", "proxy.toml", "inventory/example.toml", "mosquitto.acl"):
        assert (about / "examples" / example).read_bytes() == (ROOT / "config" / example).read_bytes()
    assert (about / "docs/first-install.md").exists()
    assert not (installed / "etc").exists()


@needs("groff")
def test_each_command_has_a_man_page_without_a_fault(installed: Path) -> None:
    folder = installed / "usr/share/man/man1"
    wanted = {f"fencectl-{name}.1.gz" for name, command in fencectl.commands.items() if not command.hidden}
    assert wanted | {"fenced.1.gz", "fencectl.1.gz", "fenced-store-upgrade.1.gz"} <= {p.name for p in folder.iterdir()}
    for path in folder.iterdir():
        done = subprocess.run(
            ["groff", "-man", "-Tutf8", "-ww", "-P-c"], input=gzip.decompress(path.read_bytes()), capture_output=True,
            timeout=60, check=False,
        )  # fmt: skip
        assert (done.returncode, done.stderr) == (0, b""), path.name
        shown = done.stdout.decode()
        assert "NAME\n" in re.sub(".\b", "", shown), path.name
        assert re.sub(".\b", "", shown).replace("\n", "").isprintable(), path.name


def test_the_shells_find_their_completion(installed: Path) -> None:
    for place in (
        "usr/share/bash-completion/completions/fencectl",
        "usr/share/zsh/vendor-completions/_fencectl",
        "usr/share/fish/vendor_completions.d/fencectl.fish",
    ):
        assert VARIABLE in (installed / place).read_text()


def test_files_belong_to_root_and_no_other_may_write(dist: Path, installed: Path) -> None:
    listed = _printed("dpkg-deb", "--contents", str(_one(dist, DAEMON))).splitlines()
    assert len(listed) > 1000
    assert [line for line in listed if " root/root " not in line] == []
    for path in installed.rglob("*"):
        mode = stat.S_IMODE(path.stat().st_mode)
        is_program = path.is_dir() or path.parent == installed / "usr/bin"
        assert mode == (0o755 if is_program else 0o644), path


def test_every_module_has_bytecode_for_its_place(installed: Path) -> None:
    modules = {path for path in installed.rglob("*.py") if MODULE.search(str(path))}
    compiled = {path.parents[1] / f"{path.name.split('.')[0]}.py" for path in installed.rglob("*.cpython-311.pyc")}
    assert len(modules) > 1000
    assert modules <= compiled
    one = (installed / "usr/lib/fenced/fenced/__pycache__/__init__.cpython-311.pyc").read_bytes()
    unchecked_hash = 1
    assert int.from_bytes(one[4:8], "little") == unchecked_hash
    assert b"/usr/lib/fenced/fenced/__init__.py" in one
    assert str(installed).encode() not in one


def test_the_program_runs_from_its_folder_alone(installed: Path, tmp_path: Path) -> None:
    """The launcher names /usr/lib/fenced; here the same lines start it below another folder."""
    (tmp_path / "yaml.py").write_text("raise SystemExit('a foreign module was imported')\n")
    for command in ("fenced", "fencectl"):
        text = (installed / "usr/bin" / command).read_text()
        assert text.startswith("#!/usr/bin/python3 -IS\n")
        here = tmp_path / command
        here.write_text(text.replace("/usr/lib/fenced", str(installed / "usr/lib/fenced")))
        here.chmod(0o755)
    env = {"PYTHONPATH": str(tmp_path), "PATH": "/usr/bin:/usr/sbin"}
    done = subprocess.run(
        [tmp_path / "fenced", "check-config", tmp_path / "no.toml"], env=env, capture_output=True, text=True, timeout=60
    )
    assert (done.returncode, "no.toml" in done.stdout) == (78, True), done.stderr
    done = subprocess.run([tmp_path / "fencectl", "--version"], env=env, capture_output=True, text=True, timeout=60)
    assert done.stdout == "fencectl, version 0.1.0\n", done.stderr


def test_compiled_modules_need_only_what_the_package_depends_on(dist: Path, installed: Path) -> None:
    libraries = [path for path in installed.rglob("*.so*") if path.is_file()]
    assert len(libraries) > 10
    printed = _printed("ldd", *map(str, libraries)).splitlines()
    needed = {Path(line.split()[0]).name for line in printed if line.startswith("\t")}
    assert needed - {"linux-vdso.so.1"} <= SYSTEM_LIBRARIES
    depends = _printed("dpkg-deb", "--field", str(_one(dist, DAEMON)), "Depends")
    for package in ("python3 (>= 3.11)", "python3 (<< 3.12)", "libc6 (>= 2.", "libgcc-s1", "libstdc++6"):
        assert package in depends


def test_no_package_holds_a_path_of_this_machine(installed: Path) -> None:
    wanted = str(ROOT).encode()
    found = [str(path) for path in installed.rglob("*") if path.is_file() and wanted in path.read_bytes()]
    assert found == []


def test_the_bill_of_materials_lists_what_is_installed_as_it_is_pinned(dist: Path, installed: Path) -> None:
    document = _one(dist, "fenced-0.1.0.cdx.json").read_text()
    assert document == (installed / "usr/share/doc/fenced/fenced.cdx.json").read_text()
    bill: dict[str, Any] = json.loads(document)
    assert (bill["bomFormat"], bill["specVersion"]) == ("CycloneDX", "1.6")
    listed = {each["purl"] for each in bill["components"]}
    folders = [path.name.removesuffix(".dist-info") for path in (installed / "usr/lib/fenced").glob("*.dist-info")]
    assert listed == {_purl(*folder.split("-")) for folder in folders} - {"pkg:pypi/fenced@0.1.0"}
    pins = [line.partition("==") for line in (ROOT / "constraints.txt").read_text().splitlines()]
    assert listed <= {_purl(name, version) for name, _, version in pins}
    assert not {"amqtt", "pytest", "mypy"} & {each["name"] for each in bill["components"]}
    assert all(re.fullmatch("[0-9a-f]{64}", each["hashes"][0]["content"]) for each in bill["components"])
    needs_of = {each["ref"]: each["dependsOn"] for each in bill["dependencies"]}
    assert needs_of.keys() == listed | {"pkg:pypi/fenced@0.1.0"}
    reached, ahead = set(), {"pkg:pypi/fenced@0.1.0"}
    while ahead:
        reached |= (now := ahead)
        ahead = {other for each in now for other in needs_of[each]} - reached
    assert reached == needs_of.keys()


def _purl(name: str, version: str) -> str:
    return f"pkg:pypi/{re.sub(r'[-_.]+', '-', name).lower()}@{version}"


def test_the_heartbeats_packages_hold_the_same_files(dist: Path, tmp_path: Path) -> None:
    deb = _one(dist, BEAT)
    _printed("dpkg-deb", "--extract", str(deb), str(tmp_path))
    of_deb = {f"/{path.relative_to(tmp_path)}" for path in tmp_path.rglob("*") if path.is_file()}
    of_rpm = set(_printed("rpm", "-qpl", str(_one(dist, RPM))).split())
    common = {"/usr/bin/fenced-beat", "/usr/lib/systemd/system/fenced-beat.service"}
    common |= {"/usr/lib/sysusers.d/fenced-beat.conf", "/usr/share/doc/fenced-beat/examples/beat.toml"}
    assert common <= of_deb & of_rpm
    assert (tmp_path / "usr/bin/fenced-beat").read_bytes() == (ROOT / "fenced/beat/fenced_beat.py").read_bytes()
    assert _printed("dpkg-deb", "--field", str(deb), "Architecture").strip() == "all"
    assert _printed("rpm", "-qp", "--qf", "%{ARCH} %{NAME}-%{VERSION}", str(_one(dist, RPM))) == (
        "noarch fenced-beat-0.1.0"
    )


def test_lintian_finds_no_error_in_what_is_written_here(dist: Path) -> None:
    """The daemon's package would take half a minute: `make packages` checks that one, too."""
    _printed("lintian", "--allow-root", "--fail-on", "error", "--suppress-tags", UNCOMPRESSED, str(_one(dist, BEAT)))


UNCOMPRESSED: Final = "uses-no-compression-for-data-tarball,uses-no-compression-for-control-tarball"
"""The tests' packages are not compressed, to save time."""


def test_the_same_source_gives_the_same_bytes(dist: Path, tmp_path: Path) -> None:
    """In another folder, under another umask, time zone and hash seed. For the daemon's .deb see the next test."""
    out = tmp_path / "other place" / "dist"
    out.mkdir(parents=True)
    arguments = ["python", "beat", "rpm", "--compression", "none"]
    build(out, *arguments, PYTHONHASHSEED="77", TZ="Asia/Tokyo", LC_ALL="C")
    made = sorted(path.name for path in out.iterdir())
    assert len(made) == 4
    assert [name for name in made if (out / name).read_bytes() != (dist / name).read_bytes()] == []


def test_the_daemons_bytecode_and_archive_are_the_same_again(dist: Path, installed: Path, tmp_path: Path) -> None:
    """The program alone is compiled and packed again, because all dependencies would take a quarter of a minute."""
    wheels = tmp_path / "wheels"
    wheels.mkdir()
    wanted = _bytecode(installed)
    with zipfile.ZipFile(wheels / "nothing-1-py3-none-any.whl", "w") as empty:
        empty.writestr("nothing-1.dist-info/METADATA", "Metadata-Version: 2.1\nName: nothing\nVersion: 1\n")
    made = []
    for place in ("one", "another place"):
        out = tmp_path / place
        out.mkdir()
        build(out, "daemon", "--offline", "--wheels", str(wheels), "--compression", "none", TZ=f"Etc/GMT+{len(place)}")
        made.append(_one(out, DAEMON).read_bytes())
    assert made[0] == made[1]
    _printed("dpkg-deb", "--extract", str(_one(tmp_path / "one", DAEMON)), str(tmp_path / "root"))
    assert _bytecode(tmp_path / "root") == wanted


def _bytecode(root: Path) -> dict[str, bytes]:
    found = (root / "usr/lib/fenced/fenced").rglob("*.pyc")
    return {str(path.relative_to(root)): path.read_bytes() for path in found}
