"""The flat subset of TOML: tomllib reads what the parser accepts as the same; a refusal names its line."""

import tomllib
from typing import Final

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from fenced.beat.fenced_beat import parse_toml

ACCEPTED: Final = {
    "": {},
    "# nothing\n\n \t# more\r\n": {},
    "[beat]": {"beat": {}},
    ' [ beat ] # the table\n\thost="n" # a\thost\n': {"beat": {"host": "n"}},
    '[beat]\na = "\\b\\t\\n\\f\\r\\"\\\\ \\u00e9 \\U0001F600 \té"': {"beat": {"a": '\b\t\n\f\r"\\ é 😀 \té'}},
    "[beat]\na = 'C:\\dir \"x\" # no comment'": {"beat": {"a": 'C:\\dir "x" # no comment'}},
    "[beat]\na = ''\nb = \"\"\n": {"beat": {"a": "", "b": ""}},
    "[beat]\r\na = 1_000\r\nb = -0\r\nc = +7 # seven\r\n": {"beat": {"a": 1000, "b": 0, "c": 7}},
    "[beat]\na = true\nb=false": {"beat": {"a": True, "b": False}},
    "[beat]\na = []\nb = [ 'x' , \"y\\n\", ]\nc = ['#']": {"beat": {"a": [], "b": ["x", "y\n"], "c": ["#"]}},
    "[beat]\n1-a_B = 'x'\n-=''": {"beat": {"1-a_B": "x", "-": ""}},
    "[beat]\na = 'x\u2028y\u0085z'": {"beat": {"a": "x\u2028y\u0085z"}},
}

REFUSED: Final = {
    "host = 'n'": (1, "above [beat]"),
    "[beat]\n\n[other]": (3, "another table"),
    "[[beat]]": (1, "neither"),
    "[beat]\n[beat]": (2, "twice"),
    "[beat]\na = 1\na = 2": (3, "a is given twice"),
    "[beat]\nb.c = 1": (2, "neither"),
    '[beat]\n"b" = 1': (2, "neither"),
    "[beat]\nb": (2, "neither"),
    "[beat]\n= 1": (2, "neither"),
    "[beat]\nb =": (2, "another kind"),
    "[beat]\nb = 1.5": (2, "another kind"),
    "[beat]\nb = 0x1f": (2, "another kind"),
    "[beat]\nb = 01": (2, "another kind"),
    "[beat]\nb = 1__0": (2, "another kind"),
    "[beat]\nb = 12345678901234567890": (2, "another kind"),
    "[beat]\nb = 2026-11-30": (2, "another kind"),
    "[beat]\nb = 07:32:00": (2, "another kind"),
    "[beat]\nb = inf": (2, "another kind"),
    "[beat]\nb = True": (2, "another kind"),
    "[beat]\nb = truely": (2, "another kind"),
    "[beat]\nb = node-1": (2, "another kind"),
    "[beat]\nb = { c = 1 }": (2, "another kind"),
    "[beat]\nb = 'x": (2, "opening quote"),
    '[beat]\nb = "x\\"': (2, "opening quote"),
    '[beat]\nb = """x"""': (2, "several lines"),
    "[beat]\nb = '''x\n'''": (2, "several lines"),
    '[beat]\nb = "\\x41"': (2, "unknown escape"),
    '[beat]\nb = "\\u12"': (2, "unknown escape"),
    '[beat]\nb = "\\ud800"': (2, "no character"),
    '[beat]\nb = "\\U00110000"': (2, "no character"),
    "[beat]\nb = 'x' y": (2, "after its end"),
    "[beat]\nb = 'x' c = 'y'": (2, "after its end"),
    "[beat] b = 1": (1, "after its end"),
    "[beat]\nb = ['x' 'y']": (2, "comma"),
    "[beat]\nb = ['x'": (2, "comma"),
    "[beat]\nb = [\n'x'\n]": (2, "list"),
    "[beat]\nb = [1]": (2, "list"),
    "[beat]\nb = [,]": (2, "list"),
    "[beat]\nb = [['x']]": (2, "list"),
    "[beat]\nb = 'x\x07'": (2, "control character"),
    "[beat]\nb = 'x'\r": (2, "control character"),
    "# \x00": (1, "control character"),
    "\ufeff[beat]": (1, "neither"),
}

SECRETIVE: Final = (
    '[beat]\nhost = "n"\npassword = geheim\ngeheim\nb = "geheim\nc = ["geheim", geheim]\nd = "geheim" geheim'
)


@pytest.mark.parametrize("text", ACCEPTED)
def test_what_it_accepts(text: str) -> None:
    assert parse_toml(text) == (ACCEPTED[text], [])
    assert tomllib.loads(text) == ACCEPTED[text]


@pytest.mark.parametrize("text", REFUSED)
def test_what_it_refuses(text: str) -> None:
    line, why = REFUSED[text]
    place, reason = parse_toml(text)[1][0]
    assert place == f"line {line}"
    assert why in reason


def test_it_reports_every_line() -> None:
    _, mistakes = parse_toml("[beat]\na = x\nb = 'fine'\nc = 1.0\n[d]\n")
    assert [place for place, _ in mistakes] == ["line 2", "line 4", "line 5"]


def test_no_mistake_quotes_the_file() -> None:
    _, mistakes = parse_toml(SECRETIVE)
    assert len(mistakes) == 5
    assert "geheim" not in str(mistakes)


PIECES: Final = (
    "[beat]", "[", "]", "[[", "a", "b-1", "beat", ".", "=", " = ", '"', "'", '""', "''", '"x"', "'y'", '"""',
    "\\", "\\n", "\\u00e9", "\\U0001F600", "\\ud800", "1", "-", "+", "_", "0", "17", "0x1", "1.5", "true", "false",
    "#", ",", ", ", "{", "}", "\n", "\r\n", "\r", "\t", " ", "é", "\x00", "\x7f", "\u2028", "inf", "1979-05-27",
    "07:32:00", "[beat]\n", "\na = ", "\nb = ",
)  # fmt: skip
TEXTS: Final = st.text(st.characters(codec="utf-8"), max_size=12)


@example("[beat]\na = 0_1")
@example("[beat]\na = -0x1")
@example('[beat]\na = "" "')
@example("[beat]\na = ''''")
@given(st.lists(st.sampled_from(PIECES), max_size=14).map("".join) | TEXTS.map(lambda text: "[beat]\na = " + text))
def test_what_it_accepts_tomllib_reads_as_the_same(text: str) -> None:
    tables, mistakes = parse_toml(text)
    if not mistakes:
        assert tables == tomllib.loads(text)


def quoted(text: str) -> str:
    escapes = {'"': '\\"', "\\": "\\\\"}
    return (
        '"' + "".join(escapes.get(sign, sign if sign.isprintable() else f"\\U{ord(sign):08x}") for sign in text) + '"'
    )


VALUES: Final = (
    TEXTS.map(quoted)
    | st.integers(-(10**18) + 1, 10**18 - 1).map(str)
    | st.sampled_from(["true", "false"])
    | st.lists(TEXTS.map(quoted), max_size=3).map(lambda items: "[" + ", ".join(items) + "]")
)
KEYS: Final = st.text("abcXYZ019_-", min_size=1, max_size=6)


@given(st.dictionaries(KEYS, VALUES, max_size=5), st.sampled_from(["\n", "\r\n"]), st.sampled_from(["", " # x", "\t"]))
def test_it_accepts_every_file_of_the_subset(values: dict[str, str], newline: str, end: str) -> None:
    text = newline.join(["[beat]", *(f"{key} = {value}{end}" for key, value in values.items()), ""])
    assert parse_toml(text) == (tomllib.loads(text), [])
