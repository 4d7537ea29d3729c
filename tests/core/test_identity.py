"""Identities match in any spelling that people and BMCs use, and never in part."""

import pytest

from fenced.model.identity import IDENTITIES_MAX, comparable, is_same_machine

UUID = "4c4c4544-0051-3510-8052-b4c04f5a3732"


@pytest.mark.parametrize(
    "told",
    [
        UUID,
        UUID.upper(),
        "{4C4C4544-0051-3510-8052-B4C04F5A3732}",
        "4c4c4544005135108052b4c04f5a3732",
        "44454c4c-5100-1035-8052-b4c04f5a3732",  # the byte order of the first three fields reversed
        "32375a4f-c0b4-5280-1035-5100-44454c4c",  # all bytes reversed
    ],
)
def test_one_machine_in_many_spellings(told: str) -> None:
    assert is_same_machine(UUID, ["", "other", told])


def test_serial_numbers_match_as_a_whole() -> None:
    assert is_same_machine("CZ3-1234", [" cz31234 "])
    assert not is_same_machine("CZ31234", ["CZ312345"])
    assert not is_same_machine("CZ312345", ["CZ31234"])


def test_an_empty_identity_matches_nothing() -> None:
    assert not is_same_machine("", [""])
    assert not is_same_machine(UUID, ["", "--"])
    assert not is_same_machine("  ", ["anything"])


@pytest.mark.parametrize(
    "nobody",
    [
        "",
        "  ",
        "\0\0",
        "To Be Filled By O.E.M.",
        "00020003-0004-0005-0006-000700080009",
        "FF" * 16,
        "xxxxxxxx",
        "S" * 129,
    ],
)
def test_placeholder_identities_are_not_compared(nobody: str) -> None:
    assert comparable([nobody, UUID], secrets=()) == (UUID,)


def test_a_secret_is_not_compared_in_any_spelling() -> None:
    assert comparable(["LABEL-7", "xlabel 7x", "SN-1"], secrets=["label7", ""]) == ("SN-1",)


def test_few_are_compared_each_once_and_fit_to_be_shown() -> None:
    assert comparable(["SN-1", "SN-1 ", "a\x1b[2J"], secrets=()) == ("SN-1", "a\\x1b[2J")
    assert len(comparable([f"SN-{number}" for number in range(50)], secrets=())) == IDENTITIES_MAX
