"""`api.advertise`: where a standby sends clients."""

from pathlib import Path

import pytest

from fenced.config.difference import difference, needs_restart
from fenced.model.api_urls import why_no_api_url
from tests.config.files import load_files, load_ok, told, write

POSTGRES = '[store]\nurl = "postgresql://u@127.0.0.1/db"\n'
TOKENS = 'tokens_file = "tokens"\n'


@pytest.mark.parametrize(
    ("keys", "address"),
    [
        ("", ""),
        ('listen = "0.0.0.0:8470"\n' + TOKENS, ""),
        ('listen = "[::]:8470"\n' + TOKENS, ""),
        ('listen = "10.0.0.1:8470"\n' + TOKENS, "http://10.0.0.1:8470"),
        ('listen = "10.0.0.1:0"\n' + TOKENS, ""),
        ('listen = "[fd00::1]:8470"\n' + TOKENS, "http://[fd00::1]:8470"),
        (
            'listen = "0.0.0.0:8470"\nadvertise = "https://fenced-a.example:8470/"\n' + TOKENS,
            "https://fenced-a.example:8470",
        ),
    ],
)
def test_the_address_for_others(tmp_path: Path, keys: str, address: str) -> None:
    write(tmp_path, "tokens", "admin:aaaaaaaaaaaaaaaaaaaa\n")
    configuration = load_ok(tmp_path, "[api]\n" + keys)
    assert configuration.api.advertise == address
    assert configuration.inventory.daemon.address == address


def test_only_a_shared_store_needs_an_address(tmp_path: Path) -> None:
    def places(text: str) -> list[str]:
        loaded = load_files(tmp_path, text)
        return [path for path, _, _ in told(loaded.warnings)]

    assert "api.advertise" not in places("")
    assert "api.advertise" in places(POSTGRES)
    assert "api.advertise" not in places(POSTGRES + '[api]\nadvertise = "https://fenced-a:8470"\n')


def test_the_api_must_answer_under_the_name_that_it_advertises(tmp_path: Path) -> None:
    text = '[api]\nadvertise = "https://fenced-a:8470"\nhosts = ["{}"]\n'
    refused = load_files(tmp_path, text.format("other.example"))
    assert any(path == "api.advertise" and "fenced-a" in why for path, _, why in told(refused.warnings))
    served = load_files(tmp_path, text.format("fenced-a"))
    assert "api.advertise" not in [path for path, _, _ in told(served.warnings)]


def test_a_reload_takes_another_address_and_two_controllers_agree_in_spite_of_it(tmp_path: Path) -> None:
    old = load_ok(tmp_path, '[api]\nadvertise = "https://fenced-a:8470"\n')
    new = load_ok(tmp_path, '[api]\nadvertise = "https://fenced-b:8470"\n')
    assert needs_restart(old, new) == ()
    assert difference(old, new) == ("api.advertise: https://fenced-a:8470 -> https://fenced-b:8470",)
    assert old.inventory.digest == new.inventory.digest
    assert new.inventory.daemon.address == "https://fenced-b:8470"


@pytest.mark.parametrize(
    "url",
    ["", "a", "//a", "ftp://a", "https://", "https://a b", "https://a:x", "https://a#b", "https://ü", "https://a\n"],
)
def test_what_is_no_address(url: str) -> None:
    assert why_no_api_url(url) is not None
