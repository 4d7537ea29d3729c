"""Identities are compared as people and BMCs spell them, and never by a part."""

import pytest

from fenced.model.identity import is_same_machine

UUID = "4c4c4544-0051-3510-8052-b4c04f5a3732"


@pytest.mark.parametrize(
    "told",
    [
        UUID,
        UUID.upper(),
        "{4C4C4544-0051-3510-8052-B4C04F5A3732}",
        "4c4c4544005135108052b4c04f5a3732",
        "44454c4c-5100-1035-8052-b4c04f5a3732",  # the first three fields turned
        "32375a4f-c0b4-5280-1035-5100-44454c4c",  # all of it turned
    ],
)
def test_one_machine_in_many_spellings(told: str) -> None:
    assert is_same_machine(UUID, ["", "other", told])


def test_serial_numbers_match_as_a_whole() -> None:
    assert is_same_machine("CZ3-1234", [" cz31234 "])
    assert not is_same_machine("CZ31234", ["CZ312345"])
    assert not is_same_machine("CZ312345", ["CZ31234"])


def test_nothing_matches_nothing() -> None:
    assert not is_same_machine("", [""])
    assert not is_same_machine(UUID, ["", "--"])
    assert not is_same_machine("  ", ["anything"])
