"""`fenced certs`, as an operator uses it."""

from pathlib import Path

from click.testing import CliRunner

from fenced.cli.certs import command
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
