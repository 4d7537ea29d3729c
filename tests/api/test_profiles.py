"""Profiles of `fencectl`: several sites in one file of the user."""

from pathlib import Path

import pytest

from fenced.cli.fencectl.profiles import BadProfile, Place, chosen, default_path, read
from tests.api.conftest import Api
from tests.api.ctl import run_plain

FILE = """\
default = "paris"

[profile.paris]
url = "https://fenced-a:8470,https://fenced-b:8470"
token_file = "paris.token"
ca_file = "/etc/ssl/paris.pem"

[profile.lab]
url = "http://127.0.0.1:8470"
"""


@pytest.fixture
def home(tmp_path: Path) -> Path:
    """A user's folder of configuration."""
    (tmp_path / "fenced").mkdir()
    return tmp_path


def written(home: Path, text: str) -> dict[str, str]:
    """Write the file; return the environment in which it is found."""
    (home / "fenced/config.toml").write_text(text)
    return {"XDG_CONFIG_HOME": str(home), "HOME": "/nonexistent"}


NOTHING = Place()


# -- which place ------------------------------------------------------------------------------------------------------


def test_a_name_chooses_a_profile_and_the_default_is_used_without_one(home: Path) -> None:
    environ = written(home, FILE)
    assert chosen("lab", NOTHING, environ) == Place(url="http://127.0.0.1:8470")
    paris = Place(
        url="https://fenced-a:8470,https://fenced-b:8470",
        token_file=str(home / "fenced/paris.token"),
        ca_file="/etc/ssl/paris.pem",
    )
    assert chosen(None, NOTHING, environ) == paris
    assert chosen("paris", Place(token_file="/other"), environ).token_file == "/other"


def test_a_token_of_a_profile_never_goes_to_an_address_of_the_command_line(home: Path) -> None:
    environ = written(home, FILE)
    given = Place(url="https://elsewhere:8470")
    assert chosen(None, given, environ) == given
    with pytest.raises(BadProfile, match="either --url or --profile paris"):
        chosen("paris", given, environ)


def test_without_a_file_nothing_changes(home: Path) -> None:
    environ = {"HOME": str(home)}
    assert default_path(environ) == home / ".config/fenced/config.toml"
    assert chosen(None, NOTHING, environ) == NOTHING
    with pytest.raises(BadProfile, match=r"has no profile 'paris'; it has: none"):
        chosen("paris", NOTHING, environ)


def test_a_file_of_another_user_hinders_only_who_asked_for_it(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    environ = written(home, FILE)

    def refuse(*_: object) -> None:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(Path, "open", refuse)
    assert chosen(None, NOTHING, environ) == NOTHING
    with pytest.raises(BadProfile, match="Permission denied"):
        chosen("lab", NOTHING, environ)


# -- mistakes ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "named"),
    [
        ("default = 'rome'", "default: 'rome' is no profile"),
        ("profiles = 1", "profiles: unknown"),
        ("profile = 1", "profile: must be tables"),
        ("[profile]\nparis = 1", "profile.paris: must be a table"),
        ("[profile.paris]\ntoken_file = 'x'", "profile.paris: needs url"),
        ("[profile.paris]\nurl = ['a']", "profile.paris.url: must be a text"),
        ("[profile.paris]\nurl = 'http://a'\ntoken = 'secret'", "profile.paris.token: unknown"),
        ("[profile.paris", "config.toml: "),
        ("\0", "config.toml: "),
        ("a = '" + "x" * 2_000_000 + "'", "is larger than"),
    ],
)
def test_a_mistake_is_named_with_its_file_and_key(home: Path, text: str, named: str) -> None:
    environ = written(home, text)
    with pytest.raises(BadProfile) as caught:
        chosen(None, NOTHING, environ)
    assert str(home / "fenced/config.toml") in str(caught.value)
    assert named in str(caught.value)
    assert "secret" not in str(caught.value)


def test_all_mistakes_are_told_at_once(home: Path) -> None:
    written(home, "wrong = 1\ndefault = 'x'\n[profile.a]\n[profile.b]\nurl = 1\n")
    with pytest.raises(BadProfile) as caught:
        read(home / "fenced/config.toml")
    assert len(str(caught.value).splitlines()) == 4


# -- the program ------------------------------------------------------------------------------------------------------


async def test_the_program_asks_the_daemon_of_the_profile(api: Api, home: Path) -> None:
    environ = written(home, f'[profile.here]\nurl = "{api.url}"\n')
    run = await run_plain("--profile", "here", "hosts", **environ)
    assert run.code == 0
    assert "node-1" in run.out
    run = await run_plain("--profile", "there", "hosts", **environ)
    assert run.code == 2
    assert "has no profile 'there'; it has: here" in run.err


async def test_profiles_are_listed_also_where_one_has_no_daemon(home: Path) -> None:
    environ = written(home, FILE)
    run = await run_plain("profiles", **environ)
    assert run.code == 0
    lines = [line.split() for line in run.out.splitlines()]
    assert lines[1][:2] == ["paris", "default"]
    assert lines[2] == ["lab", "http://127.0.0.1:8470"]
    listed = (await run_plain("profiles", "--json", **environ)).json
    assert (listed["default"], [it["name"] for it in listed["items"]]) == ("paris", ["paris", "lab"])
    run = await run_plain("profiles", **written(home, "wrong = 1"))
    assert run.code == 2
    assert "wrong: unknown" in run.err
