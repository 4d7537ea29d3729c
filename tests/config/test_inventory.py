"""What a valid configuration becomes: merged settings, shared objects, secrets, places, the own machine."""

from pathlib import Path

import pytest

from fenced.config.own_machine import OwnMachine
from fenced.model.inventory import Secret
from fenced.model.names import DatacenterName, DeviceName, HostName
from fenced.model.power import Action, Kind
from fenced.model.settings import DaemonSettings, GateSettings, HostSettings, RaceSettings, Reference
from tests.config.files import load_files, load_ok, told, write
from tests.config.pieces import host, pdu


def test_an_empty_file_has_the_defaults_of_the_model(tmp_path: Path) -> None:
    configuration = load_ok(tmp_path, "")
    assert configuration.inventory.daemon == DaemonSettings(name="controller")
    assert configuration.inventory.daemon.gates == GateSettings()
    assert configuration.inventory.daemon.race == RaceSettings()
    assert configuration.state_dir == Path("/var/lib/fenced")
    assert configuration.store.path == Path("/var/lib/fenced/fenced.db")
    assert (configuration.bus.scheme, configuration.bus.host, configuration.bus.port) == ("mqtt", "127.0.0.1", 1883)
    assert (configuration.api.host, configuration.api.port, configuration.api.tokens) == ("127.0.0.1", 8470, ())


def test_a_host_without_keys_has_the_defaults_of_the_model(tmp_path: Path) -> None:
    node = load_ok(tmp_path, host("node-1", pdu())).inventory.hosts[HostName("node-1")]
    assert node.settings == HostSettings()
    assert node.devices[0].proxies == ("cluster", "dc", "engine")
    assert node.devices[0].power is node.settings.power
    assert not node.is_own_machine


def test_every_key_of_the_daemon_arrives(tmp_path: Path) -> None:
    configuration = load_ok(
        tmp_path,
        """
        [daemon]
        name = "fenced-a"
        site = "s"
        state_dir = "state"
        armed = true
        domain = "rack-7"
        shutdown_grace = "1s"
        [bus]
        url = "mqtts://broker.example.org"
        announce_wait = "2s"
        request_max_age = "3s"
        accept_requests = ["fence", "confirm_off"]
        [store]
        url = "sqlite:///j.db"
        lease_ttl = "4s"
        keep = "5d"
        [api]
        listen = "[::1]:0"
        requests_per_second = 6
        [detection]
        startup_quiet = "0s"
        bus_settle = "7s"
        observers = 3
        references = ["10.0.0.1", { network = "storage", address = "10.1.0.254" }]
        [race]
        stagger = "8ms"
        preference_grace = "9ms"
        parallel = 10
        probe_timeout = "11s"
        [power]
        agent_processes = 12
        warm_agents = false
        [gates]
        attempts = { count = 13, per = "14h" }
        cooldown = "15m"
        witness = { hosts = 0, wait = "16s" }
        connectivity = { share = 17, at_least = 18 }
        storm = { domains = ["feed", "rack"], hosts = 25, per = "26s", cooldown = "27s", mtbf = "28h", max = "29s" }
        budget = { hosts = 19, percent = 20.5, at_most = 21, per = "22m", unrecovered = 23 }
        concurrency = 24
        live_evidence = []
        """,
    )
    assert configuration.inventory.daemon == DaemonSettings(
        name="fenced-a",
        site="s",
        is_armed_by_file=True,
        domain="rack-7",
        shutdown_grace_seconds=1,
        startup_quiet_seconds=0,
        bus_settle_seconds=7,
        observers=3,
        references=(Reference(address="10.0.0.1"), Reference(network="storage", address="10.1.0.254")),
        announce_wait_seconds=2,
        request_max_age_seconds=3,
        accept_requests=("fence", "confirm_off"),
        lease_ttl_seconds=4,
        keep_seconds=5 * 86400,
        agent_processes=12,
        has_warm_agents=False,
        race=RaceSettings(stagger_seconds=0.008, preference_grace_seconds=0.009, parallel=10, probe_timeout_seconds=11),
        gates=GateSettings(
            attempts_count=13,
            attempts_per_seconds=14 * 3600,
            cooldown_seconds=900,
            witness_hosts=0,
            witness_wait_seconds=16,
            connectivity_share_percent=17,
            connectivity_at_least=18,
            storm_domains=("feed", "rack"),
            storm_hosts=25,
            storm_per_seconds=26,
            storm_cooldown_seconds=27,
            storm_mtbf_seconds=28 * 3600,
            storm_max_seconds=29,
            budget_hosts=19,
            budget_percent=20.5,
            budget_at_most=21,
            budget_per_seconds=22 * 60,
            budget_unrecovered=23,
            concurrency=24,
            live_evidence=(),
        ),
    )
    assert configuration.store.path == tmp_path / "state" / "j.db"
    assert (configuration.bus.host, configuration.bus.port) == ("broker.example.org", 8883)
    assert (configuration.api.host, configuration.api.port) == ("::1", 0)


def test_the_nearest_of_defaults_datacenter_cluster_host_and_device_wins(tmp_path: Path) -> None:
    inventory = load_ok(
        tmp_path,
        """
        [detection]
        grace = "21s"
        grace_per_role = { spm = "20s", hosted = "1s" }
        [power]
        attempts = 2
        attempt_timeout = "5s"
        [defaults]
        automatic = false
        [[datacenter]]
        name = "dc1"
        grace = "22s"
        attempts = 4
        fence_action = "off"
        [[cluster]]
        name = "c1"
        datacenter = "dc1"
        grace = "23s"
        proxies = ["engine"]
        [[cluster]]
        name = "c2"
        datacenter = "dc1"
        """
        + host("a", pdu("x", more='attempts = 7\nproxies = ["dc", "engine"]\nsettle = "3s"\n'), pdu("y", plug="2"),
               more='cluster = "c1"\ngrace = "24s"\nprobe_ports = []')
        + host("b", pdu(plug="3"), more='cluster = "c1"')
        + host("c", pdu(plug="4"), more='cluster = "c2"')
        + host("d", pdu(plug="5")),
    ).inventory  # fmt: skip
    a, b, c, d = (inventory.hosts[HostName(name)] for name in "abcd")
    assert [node.settings.detection.grace_seconds for node in (a, b, c, d)] == [24, 23, 22, 21]
    assert [node.settings.fence_action for node in (a, b, c, d)] == [Action.OFF, Action.OFF, Action.OFF, Action.RESTART]
    assert [node.settings.power.attempts for node in (a, b, c, d)] == [4, 4, 4, 2]
    assert a.settings.detection.probe_ports == ()
    assert d.settings.detection.grace_per_role_seconds == (("hosted", 1.0), ("spm", 20.0))
    assert not d.settings.automatic
    assert [device.power.attempts for device in a.devices] == [7, 4]
    assert [device.settle_seconds for device in a.devices] == [3, 0]
    assert a.devices[0].power.attempt_timeout_seconds == 5
    assert [device.proxies for device in a.devices] == [("dc", "engine"), ("engine",)]
    assert c.devices[0].proxies == ("cluster", "dc", "engine")
    assert (a.datacenter, d.datacenter) == (DatacenterName("dc1"), DatacenterName(""))


def test_equal_settings_are_one_object(tmp_path: Path) -> None:
    text = "".join(host(f"n{i}", pdu(plug=str(i), more="attempts = 5\n"), more='grace = "30s"') for i in range(4))
    hosts = list(load_ok(tmp_path, text).inventory.hosts.values())
    assert len({id(node.settings) for node in hosts}) == 1
    assert len({id(node.devices[0].power) for node in hosts}) == 1
    assert len({id(node.devices[0].proxies) for node in hosts}) == 1


def test_a_device_as_its_driver_gets_it(tmp_path: Path) -> None:
    write(tmp_path, "inventory/secrets/node-1", "geheim \r\n")
    inventory = """
        [[host]]
        name = "node-1"
          [[host.device]]
          name = "bmc"
          driver = "fence_ipmilan"
          address = "10.9.0.1"
          username = "fence"
          password_file = "secrets/node-1"
          off_by_exit_status = true
          sessions = 2
          standby = "separate"
          options = { lanplus = true, cipher = 17, privlvl = "operator" }
        """
    loaded = load_files(tmp_path, "", inventory={"a.toml": inventory})
    assert loaded.configuration is not None, told(loaded.errors)
    device = loaded.configuration.inventory.hosts[HostName("node-1")].device(DeviceName("bmc"))
    assert device.kind is Kind.CHASSIS
    assert device.is_standby_separate
    assert device.spec.password == Secret("geheim ")
    assert device.spec.options == {"lanplus": True, "cipher": 17, "privlvl": "operator"}
    assert (device.spec.address, device.spec.username, device.spec.nodename) == ("10.9.0.1", "fence", "node-1")
    assert (device.spec.plug_id, device.spec.unit_id) == ("fence_ipmilan|10.9.0.1:623|", "10.9.0.1:623")
    assert device.spec.off_by_exit_status
    assert device.spec.sessions == 2
    assert "geheim" not in repr(loaded.configuration)


def test_secrets_come_from_files_the_environment_and_credentials(tmp_path: Path) -> None:
    write(tmp_path, "credentials/bus", "three\n")
    write(tmp_path, "one", "one\n")
    environ = {"BUS": "two", "CREDENTIALS_DIRECTORY": str(tmp_path / "credentials")}
    found = []
    for key in ('password_file = "one"', 'password_env = "BUS"', 'password_credential = "bus"'):
        loaded = load_files(tmp_path, f'[bus]\nusername = "u"\n{key}\n', environ=environ)
        assert loaded.configuration is not None, told(loaded.errors)
        assert loaded.configuration.bus.password is not None
        found.append(loaded.configuration.bus.password.reveal())
    assert found == ["one", "two", "three"]


@pytest.mark.parametrize(
    ("text", "reason"), [("", "is empty"), ("\n", "is empty"), ("a\nb\n", "one line"), ("a\0b", "one line")]
)
def test_a_secret_is_one_line(text: str, reason: str, tmp_path: Path) -> None:
    write(tmp_path, "secret", text)
    loaded = load_files(tmp_path, '[bus]\nusername = "u"\npassword_file = "secret"\n')
    assert [mistake.path for mistake in loaded.errors] == ["bus.password_file"]
    assert reason in loaded.errors[0].reason


def test_tokens_arrive_with_their_roles(tmp_path: Path) -> None:
    write(tmp_path, "tokens", "# x\nadmin:aaaaaaaaaaaaaaaa:b\n viewer:bbbbbbbbbbbbbbbb \n")
    api = load_ok(tmp_path, '[api]\nlisten = "0.0.0.0:8470"\ntokens_file = "tokens"\n').api
    assert [(token.role, token.secret.reveal()) for token in api.tokens] == [
        ("admin", "aaaaaaaaaaaaaaaa:b"),
        ("viewer", "bbbbbbbbbbbbbbbb"),
    ]


def test_a_daemon_needs_a_name_that_fits_into_a_topic(tmp_path: Path) -> None:
    loaded = load_files(tmp_path, "", own_machine=OwnMachine(hostname="a b"))
    assert [(mistake.path, mistake.value) for mistake in loaded.errors] == [("daemon.name", "a b")]
