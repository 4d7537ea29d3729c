"""The URL of [store] in PostgreSQL's form, and the keys that belong to it."""

from pathlib import Path

import pytest

from fenced.model.store_urls import PostgresUrl
from tests.config.files import load_files


@pytest.mark.parametrize(
    ("url", "hosts", "rest"),
    [
        ("postgresql://u@db/f", (("db", 5432),), ("u", "f", False)),
        ("postgresql://u@db:6432/f", (("db", 6432),), ("u", "f", False)),
        ("postgresql://u@a,b:5433/f", (("a", 5432), ("b", 5433)), ("u", "f", False)),
        ("postgresql://u@[fd00::1]:5433,[fd00::2]/f", (("fd00::1", 5433), ("fd00::2", 5432)), ("u", "f", False)),
        ("postgresql://u%40x@db/f%20g?sslmode=verify-full", (("db", 5432),), ("u@x", "f g", True)),
        ("postgresql://u@/f?host=/run/postgresql", (("/run/postgresql", 5432),), ("u", "f", False)),
    ],
)
def test_a_url_of_libpqs_form_is_read(
    url: str, hosts: tuple[tuple[str, int], ...], rest: tuple[str, str, bool]
) -> None:
    parsed = PostgresUrl.parse(url)
    assert parsed.hosts == hosts
    assert (parsed.user, parsed.database, parsed.is_tls) == rest


@pytest.mark.parametrize(
    ("url", "why"),
    [
        ("postgresql://db/f", "USER@HOST"),
        ("postgresql://@db/f", "names no user"),
        ("postgresql://u@db", "DATABASE"),
        ("postgresql://u@db/", "DATABASE"),
        ("postgresql://u@db/a/b", "DATABASE"),
        ("postgresql://u:p@db/f", "password_file"),
        ("postgresql://u@db:0/f", "'0' is not a port"),
        ("postgresql://u@db:x/f", "'x' is not a port"),
        ("postgresql://u@a,,b/f", "empty host"),
        ("postgresql://u@[fd00::1/f", "IPv6"),
        ("postgresql://u@db/f?sslmode=prefer", "verify-full"),
        ("postgresql://u@db/f?password=x", "unknown parameter 'password'"),
        ("postgresql://u@db/f?host=/run", "needs a host before the /, or host="),
        ("postgresql://u@/f", "needs a host before the /, or host="),
        ("postgresql://u@/f?host=run", "needs a host before the /, or host="),
    ],
)
def test_a_url_of_another_form_is_refused_with_the_reason(url: str, why: str) -> None:
    with pytest.raises(ValueError) as raised:
        PostgresUrl.parse(url)
    assert why in str(raised.value)


def test_the_login_and_certificates_of_the_database_are_read(tmp_path: Path) -> None:
    loaded = load_files(
        tmp_path,
        '[store]\nurl = "postgresql://fenced@db.example.org/fenced"\npassword_file = "tls/secret"\npooled = true\n'
        'ca_file = "tls/ca"\ncert_file = "tls/cert"\nkey_file = "tls/key"\n',
    )
    assert not loaded.errors
    assert loaded.configuration is not None
    store = loaded.configuration.store
    assert store.postgres == PostgresUrl.parse("postgresql://fenced@db.example.org/fenced")
    assert store.password is not None and store.password.reveal() == "x"
    assert (store.tls.ca_file, store.tls.key_file) == (tmp_path / "tls/ca", tmp_path / "tls/key")
    assert (store.path, store.is_pooled) == (None, True)
    assert not [warning for warning in loaded.warnings if warning.path.startswith("store")]


@pytest.mark.parametrize(
    ("store", "path"),
    [
        ('url = "postgresql://fenced@db.example.org/fenced"', "store.url"),
        ('password_file = "tls/secret"', "store.password_file"),
        ("pooled = true", "store.pooled"),
        ("shards_at_most = 2", "store.shards_at_most"),
    ],
)
def test_records_in_clear_and_keys_without_a_use_are_warnings(tmp_path: Path, store: str, path: str) -> None:
    loaded = load_files(tmp_path, f"[store]\n{store}\n")
    assert not loaded.errors
    assert path in [warning.path for warning in loaded.warnings]


@pytest.mark.parametrize(
    "url",
    [
        "postgresql://fenced@127.0.0.1/fenced",
        "postgresql://fenced@/fenced?host=/run/postgresql",
        "postgresql://fenced@db.example.org/fenced?sslmode=verify-full",
    ],
)
def test_what_no_network_sees_is_no_warning(tmp_path: Path, url: str) -> None:
    loaded = load_files(tmp_path, f'[store]\nurl = "{url}"\n')
    assert not loaded.errors
    assert not [warning for warning in loaded.warnings if warning.path.startswith("store")]
