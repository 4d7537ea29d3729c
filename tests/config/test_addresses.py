"""Loopback, wildcard addresses, and spellings of one address."""

import ipaddress

import pytest
from hypothesis import example, given
from hypothesis import strategies as some

from fenced.model.addresses import canonical, is_address, is_loopback, names_nobody, tells_machines_apart

LOOPBACK = ("127.0.0.1", "127.255.3.4", "::1", "[::1]", "0:0:0:0:0:0:0:1", "::ffff:127.0.0.1", "::FFFF:7f00:1",
            "localhost", "LocalHost", "localhost.")  # fmt: skip
NOT_LOOPBACK = ("", "127.0.0.1.evil.example", "127.evil.example", "127.1", "2130706433", "0x7f.0.0.1", "127.0.0.01",
                "0.0.0.0", "::", "::ffff:10.0.0.1", "10.0.0.1", "localhost.evil.example", "xlocalhost", "a.localhost",
                "128.0.0.1", "::1.evil", "1::1")  # fmt: skip


@pytest.mark.parametrize("name", LOOPBACK)
def test_loopback_addresses_identify_no_machine(name: str) -> None:
    assert is_loopback(name)
    assert names_nobody(name)
    assert not tells_machines_apart(name)


@pytest.mark.parametrize("name", NOT_LOOPBACK)
def test_names_that_only_look_like_loopback_are_not(name: str) -> None:
    assert not is_loopback(name)


@pytest.mark.parametrize("name", ["0.0.0.0", "::", "[::]", "0:0::0"])
def test_wildcard_addresses_are_not_loopback_and_identify_no_machine(name: str) -> None:
    assert names_nobody(name)
    assert not is_loopback(name)


@pytest.mark.parametrize(
    ("written", "one"),
    [
        ("::ffff:10.0.0.1", "10.0.0.1"),
        ("[::FFFF:a00:1]", "10.0.0.1"),
        ("fd00:0::1", "fd00::1"),
        ("BMC.Example.org.", "bmc.example.org"),
        ("10.0.0.1", "10.0.0.1"),
        ("10.0.0.01", "10.0.0.01"),
    ],
)
def test_addresses_and_names_are_normalised(written: str, one: str) -> None:
    assert canonical(written) == one


@pytest.mark.parametrize(("text", "answer"), [("10.0.0.1", True), ("fd00::1", True), ("10.1", False), ("7", False)])
def test_only_full_literal_addresses_count_as_addresses(text: str, answer: bool) -> None:
    assert is_address(text) is answer


DOTTED = some.lists(some.integers(0, 300).map(str) | some.sampled_from(["", "00", "01", "1 ", "\u0661", "+1"]),
                    min_size=3, max_size=5).map(".".join)  # fmt: skip


@given(DOTTED)
@example("1.2.3.4\n")
@example("255.255.255.255")
@example("256.0.0.1")
def test_an_address_is_what_the_standard_library_takes_for_one(text: str) -> None:
    try:
        spelled = str(ipaddress.ip_address(text))
    except ValueError:
        assert not is_address(text)
        assert canonical(text) == text.rstrip(".").casefold()
    else:
        assert is_address(text)
        assert canonical(text) == spelled
