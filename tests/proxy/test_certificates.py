"""`fenced certs`, as an operator uses it."""

import os
from pathlib import Path

from click.testing import CliRunner

from fenced.cli.certs import command
from fenced.proxy.certificates import make_authority, make_daemon, renew
from tests.proxy.bed import certs, make_certificates


def test_certificates_are_not_overwritten_and_keys_are_private(tmp_path: Path) -> None:
    make_certificates(tmp_path)

    def run(*arguments: str) -> tuple[int, str]:
        result = CliRunner().invoke(command, arguments)
        return result.exit_code, result.output

    before = (tmp_path / "px1.key").read_bytes()
    assert (tmp_path / "px1.key").stat().st_mode & 0o777 == 0o600
    for arguments in (("init", str(tmp_path)), ("proxy", str(tmp_path), "--name", "px1", "--address", "127.0.0.1")):
        status, output = run(*arguments)
        assert (status, "exists already" in output) == (1, True)
    assert (tmp_path / "px1.key").read_bytes() == before
    certs("proxy", str(tmp_path), "--name", "px1", "--address", "px1.example.org", "--force")
    assert (tmp_path / "px1.key").read_bytes() != before
    shown = certs("show", str(tmp_path))
    assert shown.count("its own") == 5 and "px1.example.org" in shown and "client" in shown
    for name in ("ca", "../x", "a b", ""):
        assert run("daemon", str(tmp_path), "--name", name)[0] == 1
    assert "no URL" in run("proxy", str(tmp_path), "--name", "p", "--address", "https://px1:8471")[1]
    assert "no authority here" in run("daemon", str(tmp_path / "empty"), "--name", "d")[1]


def test_a_service_may_read_what_is_given_to_it_also_after_a_renewal(tmp_path: Path) -> None:
    """Independently of the umask, everyone may enter the directory and read certificates, and a key keeps its group."""
    directory = tmp_path / "certs"
    before = os.umask(0o077)
    try:
        make_authority(directory)
        pair = make_daemon(directory, name="fenced-a")
        assert (directory.stat().st_mode & 0o777, pair.cert_file.stat().st_mode & 0o777) == (0o755, 0o644)
        assert pair.key_file.stat().st_mode & 0o777 == 0o600
        group = 65534 if os.geteuid() == 0 else os.getegid()
        os.chown(pair.key_file, -1, group)
        pair.key_file.chmod(0o640)
        old = pair.key_file.read_bytes()
        renew(directory, name="fenced-a")
        assert pair.key_file.read_bytes() != old
        assert (pair.key_file.stat().st_mode & 0o777, pair.key_file.stat().st_gid) == (0o640, group)
        pair.key_file.chmod(0o666)
        renew(directory, name="fenced-a")
        assert pair.key_file.stat().st_mode & 0o777 == 0o640, "a key is never everybody's"
    finally:
        os.umask(before)
