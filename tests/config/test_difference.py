"""The lines of a reload: short, without secrets, and with what needs a restart."""

from pathlib import Path

from fenced.config.configuration import Configuration
from fenced.config.difference import LINES_MAX, difference, kept_until_restart, needs_restart, removed_hosts
from tests.config.files import CLUSTERS, load_ok, write
from tests.config.pieces import host, pdu


def two(directory: Path, old: str, new: str) -> tuple[Configuration, Configuration]:
    return load_ok(directory, old), load_ok(directory, new)


def test_nothing_changed(tmp_path: Path) -> None:
    old, new = two(tmp_path, CLUSTERS + host("n", pdu()), CLUSTERS + host("n", pdu()))
    assert difference(old, new) == ()
    assert needs_restart(old, new) == ()


def test_changes_in_lines(tmp_path: Path) -> None:
    old, new = two(
        tmp_path,
        host("a", pdu("x"), pdu("y", plug="2")) + host("b") + host("c", pdu(plug="9")),
        '[detection]\nstartup_quiet = "2m"\n'
        + host("a", pdu("x", more="attempts = 5\n"), pdu("z", plug="2"), more='grace = "1m"\naddress = "10.0.0.1"')
        + host("d", pdu(plug="9"))
        + host("b", pdu(plug="4")),
    )
    lines = difference(old, new)
    assert "hosts.c: probably renamed to d, which has the same power devices" in lines
    assert "hosts.c: removed" in lines
    assert "hosts.d: added" in lines
    assert 'hosts.a.address: "" -> 10.0.0.1' in lines
    assert "hosts.a.devices.x.power.attempts: 3 -> 5" in lines
    assert "hosts.a.devices.y: removed" in lines
    assert "hosts.a.devices.z: added" in lines
    assert "hosts.a.settings.detection.grace_seconds: 20s -> 1m" in lines
    assert "daemon.startup_quiet_seconds: 1m -> 2m" in lines
    assert removed_hosts(old.inventory, new.inventory) == {"c"}
    assert needs_restart(old, new) == ()


def test_the_order_of_hosts_is_no_change(tmp_path: Path) -> None:
    old, new = two(tmp_path, host("a") + host("b"), host("b", more='address = "10.0.0.1"') + host("a"))
    assert difference(old, new) == ('hosts.b.address: "" -> 10.0.0.1',)


def test_devices_in_another_order_are_a_change(tmp_path: Path) -> None:
    x, y = pdu("x"), pdu("y", plug="2")
    old, new = two(tmp_path, host("a", x, y), host("a", y, x))
    assert difference(old, new) == ("hosts.a.devices: order changed",)


def test_the_first_device_of_a_host_is_added_and_the_last_one_removed(tmp_path: Path) -> None:
    old, new = two(tmp_path, host("a", pdu("x")) + host("b"), host("a") + host("b", pdu("y", plug="2")))
    assert difference(old, new) == ("hosts.a.devices.x: removed", "hosts.b.devices.y: added")


def test_a_changed_secret_is_listed_without_its_values(tmp_path: Path) -> None:
    main = (
        '[bus]\nurl = "mqtts://b"\nusername = "u"\npassword_file = "secret"\n[api]\ntokens_file = "tokens"\n'
        + host("n", pdu(more='password_file = "secret"\n'))
    )  # fmt: skip
    write(tmp_path, "secret", "geheim-1\n")
    write(tmp_path, "tokens", "admin:geheim-1-geheim-1\n")
    old = load_ok(tmp_path, main)
    write(tmp_path, "secret", "geheim-2\n")
    write(tmp_path, "tokens", "admin:geheim-2-geheim-2\nviewer:geheim-3-geheim-3\n")
    new = load_ok(tmp_path, main)
    lines = difference(old, new)
    assert "bus.password: changed (secret)" in lines
    assert "api.tokens: changed (secrets), 1 -> 2" in lines
    assert "hosts.n.devices.pdu.spec.password: changed (secret)" in lines
    assert "geheim" not in str(lines)


def test_what_needs_a_restart(tmp_path: Path) -> None:
    old, new = two(
        tmp_path,
        "",
        '[daemon]\nname = "other"\nagent_path = ["agents"]\nstate_dir = "/x"\n[bus]\nurl = "mqtt://127.0.0.1:1884"\n',
    )
    assert needs_restart(old, new) == ("daemon.state_dir", "bus.url", "daemon.name")


def test_keys_that_only_a_restart_applies_are_named_as_in_the_file(tmp_path: Path) -> None:
    write(tmp_path, "secret", "geheim-1")
    old, new = two(
        tmp_path,
        "",
        '[store]\nurl = "sqlite:///other.db"\nlease_ttl = "20s"\n[power]\nagent_processes = 3\nwarm_agents = false\n'
        '[bus]\nusername = "u"\npassword_file = "secret"\n[api]\nsocket = "s"\n',
    )
    assert needs_restart(old, new) == ("bus.username", "bus.password", "store.url", "api.socket")
    assert kept_until_restart(old, new) == ("power.agent_processes", "power.warm_agents", "store.lease_ttl")
    elsewhere = load_ok(tmp_path, '[daemon]\nagent_path = ["agents", "/usr/sbin"]\n')
    assert (needs_restart(old, elsewhere), kept_until_restart(old, elsewhere)) == ((), ("daemon.agent_path",))


def test_of_the_api_only_its_address_and_certificate_need_a_restart(tmp_path: Path) -> None:
    """A leaked token is revoked by a reload."""
    write(tmp_path, "tokens", "admin:geheim-1-geheim-1\n")
    tokens = '[api]\nrequests_per_second = 5\ntokens_file = "tokens"\n'
    old, new = two(tmp_path, "", tokens)
    assert old.api != new.api
    assert needs_restart(old, new) == ()
    assert needs_restart(new, load_ok(tmp_path, tokens + 'listen = "127.0.0.1:8480"\n')) == ("api.listen",)
    assert needs_restart(new, load_ok(tmp_path, tokens + 'listen = "[::1]:8470"\n')) == ("api.listen",)


def test_changes_of_saving_are_told_and_need_no_restart(tmp_path: Path) -> None:
    old, new = two(
        tmp_path,
        CLUSTERS + host("a", more='cluster = "c1"') + host("b"),
        '[saving]\nidle_for = "1h"\n'
        + CLUSTERS
        + 'saving = { reserve = 2, asleep_at_most = 20, consent = ["scheduler"], waking = { rack = 1 } }\n'
        + host("a", more='cluster = "c1"')
        + host("b", more="saving = false"),
    )
    assert difference(old, new) == (
        "hosts.a.settings.saving.reserve: 1 -> 2",
        "hosts.a.settings.saving.asleep_at_most_percent: 50.0 -> 20.0",
        "hosts.a.settings.saving.idle_for_seconds: 30m -> 1h",
        'hosts.a.settings.saving.consent: [] -> ["scheduler"]',
        "hosts.a.settings.saving.waking_rack: 2 -> 1",
        "hosts.b.may_sleep: true -> false",
        "hosts.b.settings.saving.idle_for_seconds: 30m -> 1h",
    )
    assert needs_restart(old, new) == kept_until_restart(old, new) == ()


def test_a_large_change_is_cut(tmp_path: Path) -> None:
    old, new = two(tmp_path, "", "".join(host(f"n{i}") for i in range(LINES_MAX + 5)))
    lines = difference(old, new)
    assert len(lines) == LINES_MAX + 1
    assert lines[-1] == "and 5 more"


def test_what_observers_look_at_is_told_and_needs_no_restart(tmp_path: Path) -> None:
    old, new = two(
        tmp_path,
        host("a", more='addresses = { storage = "10.1.0.1" }'),
        '[daemon]\ndomain = "rack-7"\n[detection]\nobservers = 1\nreferences = ["10.0.0.1"]\n'
        + host("a", more='address = "10.0.0.7"\naddresses = { storage = "10.1.0.2" }'),
    )
    lines = {line.partition(": ")[0] for line in difference(old, new)}
    changed = {"hosts.a.address", "hosts.a.addresses", "daemon.domain", "daemon.observers", "daemon.references"}
    assert changed <= lines
    assert needs_restart(old, new) == ()
