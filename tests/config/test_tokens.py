"""The tokens file: every form of a line, the end of a token, and what is a mistake in it."""

from datetime import UTC, datetime
from pathlib import Path

import pytest

from fenced.config.configuration import Tokens
from fenced.config.mistakes import Mistake, Mistakes, Where
from fenced.config.secret_sources import SecretReader
from fenced.config.tokens import EXPIRING_SECONDS, read_tokens
from tests.config.files import load_files, told, write

LONG = "abcdefgh-12345678"
END = datetime(2027, 2, 1, tzinfo=UTC).timestamp()


def read(tmp_path: Path, text: str, *, now: float = 0.0) -> tuple[Tokens, list[Mistake], list[Mistake]]:
    """Return the tokens, the errors and the warnings."""
    mistakes = Mistakes()
    path = write(tmp_path, "tokens", text)
    found = read_tokens(path, Where("x", "api.tokens_file"), SecretReader({}, mistakes), mistakes, now=now)
    return found, mistakes.errors, mistakes.warnings


@pytest.mark.parametrize(
    ("owner", "role", "person", "reports", "until"),
    [
        ("viewer", "viewer", "", "", None),
        ("admin@alice", "admin", "alice", "", None),
        ("operator@alice@example.org", "operator", "alice@example.org", "", None),
        ("operator,until=2027-01-31", "operator", "", "", END),
        ("operator@alice,until=2027-01-31", "operator", "alice", "", END),
        ("reporter=node-1.example.org", "reporter", "", "node-1.example.org", None),
        ("reporter=node-1,until=2027-01-31", "reporter", "", "node-1", END),
    ],
)
def test_every_form_of_a_line(
    tmp_path: Path, owner: str, role: str, person: str, reports: str, until: float | None
) -> None:
    """A token may hold colons; until= means the end of that day."""
    (token,), errors, warnings = read(tmp_path, f"# comment\n\n  {owner}:{LONG}:x\n")
    assert (errors, warnings) == ([], [])
    assert (token.role, token.person, token.reports, token.until) == (role, person, reports, until)
    assert token.secret.reveal() == f"{LONG}:x"


@pytest.mark.parametrize(
    "owner",
    [
        "", "root", "Viewer", "viewer@", "viewer@a b", "viewer=node-1", "reporter", "reporter=", "reporter@alice",
        "reporter=node 1", "reporter=node-1@alice", "operator,until=", "operator,until=31.1.2027",
        "operator,until=2027-02-30",
        "operator,until=2027-01-31T08", "operator,until=9999-12-31", "operator,until=2027-01-31,until=2028-01-31",
        "operator@alice,", "operator@alice,bob",
    ],
)  # fmt: skip
def test_what_is_no_line_is_a_mistake_that_shows_no_token(tmp_path: Path, owner: str) -> None:
    """The last one that could be read stays the only one: a mistake never gives more rights than were meant."""
    found, errors, _ = read(tmp_path, f"{owner}:{LONG}\nviewer:{LONG}-2\n")
    assert [token.role for token in found] == ["viewer"]
    assert len(errors) == 1
    assert LONG not in str(errors)


def test_two_tokens_of_one_person_are_fine_and_one_token_twice_is_not(tmp_path: Path) -> None:
    found, errors, _ = read(tmp_path, f"operator@alice:{LONG}\noperator@alice:{LONG}-2\nadmin@bob:{LONG}\n")
    assert [token.person for token in found] == ["alice", "alice"]
    assert [error.reason for error in errors] == ["the token is given twice"]


@pytest.mark.parametrize(
    ("now", "word"),
    [(END - EXPIRING_SECONDS - 1, ""), (END - EXPIRING_SECONDS, "expires"), (END - 1, "expires"), (END, "expired")],
)
def test_the_end_of_a_token_is_announced_with_the_person_and_the_day(tmp_path: Path, now: float, word: str) -> None:
    """An expired one is no error: it would refuse a reload for something else."""
    found, errors, warnings = read(tmp_path, f"operator@alice,until=2027-01-31:{LONG}\n", now=now)
    assert (len(found), errors) == (1, [])
    reasons = [warning.reason for warning in warnings]
    assert len(reasons) == bool(word)
    if word:
        assert f"operator@alice {word} with 2027-01-31" in reasons[0]
    assert LONG not in str(warnings)


def test_a_fleet_of_ten_thousand_has_room(tmp_path: Path) -> None:
    lines = "".join(f"reporter=node-{number}:{number:032d}\n" for number in range(10_000))
    found, errors, _ = read(tmp_path, lines)
    assert (len(found), errors) == (10_000, [])


def test_writes_over_tcp_and_strange_reporters_are_warnings(tmp_path: Path) -> None:
    write(tmp_path, "tokens", f"admin:{LONG}\nreporter=node-9:{LONG}-2\nreporter=node-8:{LONG}-3\n")
    open_ = load_files(tmp_path, "[api]\ntcp_writes = true\n")
    assert open_.errors == ()
    assert "api.tcp_writes" in [path for path, _, _ in told(open_.warnings)]
    guarded = load_files(tmp_path, '[api]\ntcp_writes = true\ntokens_file = "tokens"\n')
    places = [path for path, _, _ in told(guarded.warnings)]
    assert "api.tcp_writes" not in places  # tokens decide
    reporters = [reason for path, _, reason in told(guarded.warnings) if path == "api.tokens_file"]
    assert reporters == ["reporter=node-9: no such host; the name must match exactly (and 1 more tokens)"]


def test_the_socket_is_below_the_files_folder_or_none(tmp_path: Path) -> None:
    for text, path, is_chosen in (
        ("", Path("/run/fenced/api.sock"), False),
        ('[api]\nsocket = "/run/fenced/api.sock"\n', Path("/run/fenced/api.sock"), False),  # as in the shipped file
        ('[api]\nsocket = "api.sock"\n', tmp_path / "api.sock", True),
        ('[api]\nsocket = ""\n', None, True),
    ):
        configuration = load_files(tmp_path, text).configuration
        assert configuration is not None
        assert (configuration.api.socket, configuration.api.is_socket_chosen) == (path, is_chosen)
