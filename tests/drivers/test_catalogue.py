"""The descriptions for the configuration: native drivers, every agent in Debian, and the metadata cache."""

import os
from collections.abc import Mapping
from pathlib import Path

import pytest

from fenced.drivers.agents import cache
from fenced.drivers.agents.cache import MetadataCache, state_of
from fenced.drivers.agents.descriptions import describe_agent
from fenced.drivers.agents.metadata import AgentMetadata, normal, parse_metadata
from fenced.drivers.agents.options import RESERVED, Reach, reaches, rules_for, why_broken
from fenced.drivers.agents.reviews import DOUBTED, NEVER_ASKED, NO_POWER, REVIEWED, Standing, judge, why_refused
from fenced.drivers.catalogue import Asked, DriverCatalogue, ask, describing, natives
from fenced.model.drivers import Describe, DriverDescription, Effect, NoSuchDriver, OptionKind, decided
from fenced.model.power import Kind
from tests.config.files import load_files, told, write
from tests.drivers.programs import METADATA, make_agent
from tests.needs import needs

DEBIAN = Path("/usr/sbin")
VALUES = {OptionKind.TEXT: '"x"', OptionKind.INTEGER: "1", OptionKind.NUMBER: "1", OptionKind.BOOLEAN: "true"}


@needs("fence_ipmilan", "fence_redfish")
def test_every_agent_of_debian_says_what_it_takes(debian: Asked) -> None:
    assert len(debian) > 70
    assert [name for name, metadata in debian.items() if not metadata.is_known] == []
    assert not NEVER_ASKED & debian.keys()


@needs("fence_ipmilan", "fence_redfish")
def test_the_metadata_alone_shows_most_agents_that_cut_no_power(debian: Asked) -> None:
    refused = {name for name, metadata in debian.items() if why_refused(name, metadata)}
    by_metadata = {name for name, metadata in debian.items() if why_refused("fence_made", metadata)}
    assert {"fence_brocade", "fence_scsi", "fence_mpath", "fence_kdump", "fence_ovh", "fence_rcd_serial"} <= by_metadata
    assert refused - by_metadata <= NO_POWER.keys()
    assert not {"fence_ipmilan", "fence_apc_snmp", "fence_redfish", "fence_virsh", "fence_dummy"} & refused


def test_an_agent_is_in_one_table_only() -> None:
    tables = (REVIEWED.keys(), DOUBTED.keys(), NO_POWER.keys())
    assert len(frozenset().union(*tables)) == sum(map(len, tables))


def test_every_agent_of_debian_was_looked_at() -> None:
    """All installed agents of any package. A new one is in no table and needs cuts_power = true."""
    looked_at = REVIEWED.keys() | DOUBTED.keys() | NO_POWER.keys()
    installed = {path.name for path in DEBIAN.glob("fence_*")}
    assert sorted(installed - looked_at) == []


@needs("fence_ipmilan", "fence_redfish")
def test_every_reviewed_agent_of_debian_is_reviewed_under_all_of_its_names(debian: Asked) -> None:
    for name, metadata in debian.items():
        if name in REVIEWED:
            assert judge(name, metadata).standing is Standing.REVIEWED, name
        elif name in DOUBTED:
            assert describe_agent(name, metadata).needs_word == DOUBTED[name]


@needs("fence_ipmilan", "fence_redfish")
def test_every_option_of_every_agent_of_debian_is_decided(debian: Asked) -> None:
    """Each option is reviewed: it breaks or weakens what OFF proves, or it has a reason why not."""
    undecided = {
        f"{name} {option}"
        for name, metadata in debian.items()
        if not why_refused(name, metadata)
        for option in metadata.parameters
        if decided(rules_for(name), [option], "x") is None
    }
    assert sorted(undecided) == []


def test_every_decision_has_its_reason() -> None:
    for name in (*REVIEWED, *DOUBTED, "fence_made"):
        for rule in (rule for rules in rules_for(name).values() for rule in rules):
            assert rule.why, rule
            assert rule.name == normal(rule.name).lower()


@pytest.mark.parametrize(
    ("agent", "option", "value", "effect"),
    [
        ("fence_azure_arm", "network-fencing", True, Effect.BREAKS),
        ("fence_azure_arm", "network_fencing", False, Effect.NONE),
        ("fence_gce", "baremetalsolution", "0", Effect.BREAKS),
        ("fence_gce", "warntimeout", 5, Effect.WEAKENS),
        ("fence_virsh", "missing_as_off", 1, Effect.BREAKS),
        ("fence_rhevm", "api_version", "3", Effect.BREAKS),
        ("fence_docker", "api_version", "1.11", Effect.NONE),
        ("fence_vmware", "vmware_type", "Server1", Effect.BREAKS),
        ("fence_vmware", "vmware_type", "esx", Effect.NONE),
        ("fence_aws", "skip_os_shutdown", "false", Effect.WEAKENS),
        ("fence_aws", "skip_os_shutdown", False, Effect.WEAKENS),
        ("fence_aws", "skip_os_shutdown", "true", Effect.NONE),
        ("fence_virsh", "missing_as_off", False, Effect.NONE),
        ("fence_apc_snmp", "snmp_version", "3", Effect.WEAKENS),
        ("fence_eaton_snmp", "snmp_version", "3", Effect.NONE),
        ("fence_ipmilan", "ipmitool_path", "/bin/true", Effect.WEAKENS),
        ("fence_ipmilan", "power_wait", 5, Effect.NONE),
        ("fence_apc", "METHOD", "cycle", Effect.BREAKS),
    ],
)
def test_what_an_option_does_to_what_off_proves(agent: str, option: str, value: object, effect: Effect) -> None:
    rule = decided(rules_for(agent), [option], value)
    assert (rule.effect if rule is not None else Effect.NONE) is effect


@pytest.mark.parametrize(
    ("agent", "option", "where"),
    [
        ("fence_ipmilan", "cipher", {Reach.COMMAND_LINE}),
        ("fence_virsh", "plug", {Reach.REMOTE_SHELL}),
        ("fence_virsh", "ssh-options", {Reach.COMMAND_LINE}),
        ("fence_redfish", "systems_uri", set()),
        ("fence_redfish", "password_script", {Reach.COMMAND_LINE}),
        ("fence_redfish", "cipher", set()),
        ("fence_supermicro", "target", {Reach.COMMAND_LINE}),
        ("fence_supermicro", "plug", set()),
        ("fence_ilo6", "auth", {Reach.COMMAND_LINE}),
    ],
)
def test_where_an_option_ends_up(agent: str, option: str, where: set[Reach]) -> None:
    assert reaches(agent, option) == where


@pytest.mark.parametrize(
    ("name", "calls_itself", "behind", "standing"),
    [
        ("fence_ipmilan", "fence_ipmilan", (), Standing.REVIEWED),
        ("fence_ilo5", "fence_ilo5", ("fence_ipmilan",), Standing.REVIEWED),
        ("fence_apc", "", ("apc.py",), Standing.REVIEWED),
        ("fence_new", "fence_new", (), Standing.NOT_REVIEWED),
        ("fence_ipmilan", "fence_other", (), Standing.NOT_REVIEWED),
        ("fence_ipmilan", "fence_ipmilan", ("fence_dummy",), Standing.NOT_REVIEWED),
        ("Fence_ipmilan", "", (), Standing.NOT_REVIEWED),
        ("fence_IPMILAN", "", (), Standing.NOT_REVIEWED),
        ("fence_scsi", "", (), Standing.REFUSED),
        ("fence_Scsi", "", (), Standing.REFUSED),
        ("fence_scsi.py", "", (), Standing.REFUSED),
        ("fence_scsi-4.12", "", (), Standing.REFUSED),
        ("fence_mine", " FENCE_SBD ", (), Standing.REFUSED),
        ("fence_ipmilan", "fence_ipmilan", ("fence_b", "fence_aws_vpc_net"), Standing.REFUSED),
    ],
)
def test_an_agent_is_judged_by_all_of_its_names(
    name: str, calls_itself: str, behind: tuple[str, ...], standing: Standing
) -> None:
    assert judge(name, AgentMetadata(name=calls_itself, programs=behind)).standing is standing


def test_a_link_is_known_for_what_it_leads_to(tmp_path: Path) -> None:
    make_agent(tmp_path, "exit 1", name="fence_sbd", metadata=METADATA.replace("fence_made", "fence_mine"))
    (tmp_path / "fence_mine").symlink_to("fence_sbd")
    for _ in range(2):  # asked, then kept
        asked = ask(["fence_mine"], agent_path=[tmp_path], kept_in=tmp_path)
        with pytest.raises(NoSuchDriver, match="it is fence_sbd"):
            describing(asked)("fence_mine")


def minimal_device(description: DriverDescription) -> str:
    """What the description requires, and nothing else."""
    needed = [option for option in description.options if option.is_required and not option.is_deprecated]
    keys = {option.set_by for option in needed if option.set_by}
    options = {option.name: option for option in needed if not option.set_by and option.name not in description.secrets}
    secret = [f'{option.name}_file = "secret"' for option in needed if option.name in description.secrets]
    values = ", ".join(
        f'{name} = "{option.choices[0]}"' if option.choices else f"{name} = {VALUES[option.kind]}"
        for name, option in options.items()
    )
    given = {"address": "10.9.0.1", "username": "u", "password_file": "secret"}
    lines = [f'{key} = "{value}"' for key, value in given.items() if key in keys]
    word = "cuts_power = true\n" if description.needs_word else ""
    return (
        f'[[host]]\nname = "{description.name}"\n[[host.device]]\nname = "d"\ndriver = "{description.name}"\n{word}'
        f"options = {{ {values} }}\nsecrets = {{ {', '.join(secret)} }}\n" + "\n".join(lines) + "\n"
    )


class Prepared:
    """The catalogue of a machine that has these agents."""

    def __init__(self, asked: Asked) -> None:
        self._asked = asked

    def describing(self, names: object, *, agent_path: object, state_dir: object) -> Describe:
        return describing(self._asked)

    def natives(self) -> tuple[DriverDescription, ...]:
        return natives()


@needs("fence_ipmilan", "fence_redfish")
def test_a_minimal_device_of_every_power_agent_has_no_mistake(debian: Asked, tmp_path: Path) -> None:
    write(tmp_path, "secret", "x\n")
    describe = describing(debian)
    usable = [name for name, metadata in debian.items() if not why_refused(name, metadata)]
    main = "".join(minimal_device(describe(name)).replace("10.9.0.1", f"10.9.0.{n}") for n, name in enumerate(usable))
    loaded = load_files(tmp_path, main, catalogue=Prepared(debian))
    assert told(loaded.errors) == []
    assert len(usable) > 60


@needs("fence_ipmilan", "fence_redfish")
def test_every_required_option_is_missed(debian: Asked, tmp_path: Path) -> None:
    write(tmp_path, "secret", "x\n")
    describe = describing(debian)
    expected: dict[str, set[str]] = {}
    main = ""
    for name, metadata in debian.items():
        if why_refused(name, metadata):
            continue
        description = describe(name)
        needed = {option.name for option in description.options if option.is_required and not option.is_deprecated}
        expected[name] = needed
        main += f'[[host]]\nname = "{name}"\n[[host.device]]\nname = "d"\ndriver = "{name}"\n'
    loaded = load_files(tmp_path, main, catalogue=Prepared(debian))
    missed: dict[str, int] = dict.fromkeys(expected, 0)
    for mistake in loaded.errors:
        if "is missing" in mistake.reason:
            missed[mistake.reason.split(",")[0]] += 1
    assert missed == {name: len(needed) for name, needed in expected.items()}


@needs("fence_ipmilan", "fence_redfish")
def test_old_names_lead_to_new_ones(debian: Asked) -> None:
    for name, metadata in debian.items():
        if why_refused(name, metadata):
            continue
        description = describe_agent(name, metadata)
        for option in description.options:
            if option.is_deprecated and not why_broken(name, [option.name], "x"):
                assert description.option(option.renamed_to) is not None or normal(option.renamed_to) in RESERVED, (
                    option
                )


def test_our_own_drivers_describe_themselves() -> None:
    describe = describing({})
    for description in natives():
        assert describe(description.name) is description
        assert not description.is_agent
    with pytest.raises(NoSuchDriver, match="redfish"):
        describe("redfsh")


@pytest.mark.parametrize(
    ("change", "why"),
    [
        (('<action name="off"/>', ""), "no action off"),
        (('<action name="status"/>', '<action name="monitor"/>'), "no action status"),
        (('<action name="on"/>', '<action name="on" automatic="1"/>'), "unfencing"),
        (('<action name="on"/>', '<action name="on" on_target="1" automatic="0"/>'), "unfencing"),
    ],
)
def test_an_agent_that_can_prove_nothing_is_refused(change: tuple[str, str], why: str) -> None:
    with pytest.raises(NoSuchDriver, match=why):
        describe_agent("fence_made", parse_metadata(METADATA.replace(*change).encode()))


@pytest.mark.parametrize(
    ("change", "why"),
    [
        (('<action name="on"/>', ""), "no action `on`"),
        (('name="username" required="0"><content type="string"',
          'name="missing_as_off"><content type="boolean" default="1"'),
         "does not find for off"),
    ],
)  # fmt: skip
def test_what_a_user_must_know_is_a_caution(change: tuple[str, str], why: str) -> None:
    cautions = describe_agent("fence_made", parse_metadata(METADATA.replace(*change).encode())).cautions
    assert len(cautions) == 1
    assert why in cautions[0]


def test_an_agent_without_reboot_is_like_any_other() -> None:
    assert 'name="reboot"' not in METADATA
    assert describe_agent("fence_made", parse_metadata(METADATA.encode())).cautions == ()


def test_metadata_that_can_t_be_had_leaves_the_name(tmp_path: Path) -> None:
    make_agent(tmp_path, "exit 1", name="fence_ilo4", metadata="nothing")
    describe = DriverCatalogue().describing({"fence_ilo4", "fence_idrac"}, agent_path=[str(tmp_path)], state_dir="/x")
    mute, absent = describe("fence_ilo4"), describe("fence_idrac")
    assert (mute.kind, mute.is_open_ended, mute.is_installed, len(mute.cautions)) == (Kind.CHASSIS, True, True, 1)
    assert (absent.kind, absent.is_open_ended, absent.is_installed, absent.cautions) == (Kind.CHASSIS, True, False, ())


def test_what_makes_a_plug_s_id_is_the_same_with_and_without_metadata(debian: Asked) -> None:
    for name, metadata in debian.items():
        if not why_refused(name, metadata):
            known, unknown = describe_agent(name, metadata), describe_agent(name, AgentMetadata())
            for field in (
                "family",
                "default_port",
                "is_one_plug",
                "plug_options",
                "qualifiers",
                "address_options",
                "kind",
            ):
                assert getattr(known, field) == getattr(unknown, field), (name, field)


def asked_count(agent: Path) -> int:
    """How often a made agent was run for its metadata."""
    record = Path(f"{agent}.asked")
    return record.read_text().count("asked") if record.exists() else 0


def ask_made(directory: Path, kept_in: Path | None) -> Mapping[str, AgentMetadata]:
    return ask(["fence_made"], agent_path=[directory], kept_in=kept_in)


def test_an_agent_is_run_once_for_all_starts(tmp_path: Path) -> None:
    agent = make_agent(tmp_path, "exit 1")
    for _ in range(3):
        assert ask_made(tmp_path, tmp_path)["fence_made"].is_known
    assert asked_count(agent) == 1


def test_a_changed_agent_is_run_again_even_with_its_old_time_and_size(tmp_path: Path) -> None:
    agent = make_agent(tmp_path, "exit 1")
    ask_made(tmp_path, tmp_path)
    before = agent.stat()
    agent.write_text(agent.read_text().replace("Made for a test", "Made for a tesT"))
    os.utime(agent, ns=(before.st_atime_ns, before.st_mtime_ns))
    assert agent.stat().st_size == before.st_size
    assert ask_made(tmp_path, tmp_path)["fence_made"].description == "Made for a tesT"
    assert asked_count(agent) == 2


def test_a_changed_library_makes_all_be_asked_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    library = tmp_path / "library"
    library.mkdir()
    monkeypatch.setattr(cache, "LIBRARIES", (library,))
    agent = make_agent(tmp_path, "exit 1")
    ask_made(tmp_path, tmp_path)
    (library / "fencing.py").write_text("new")
    ask_made(tmp_path, tmp_path)
    assert asked_count(agent) == 2


@pytest.mark.parametrize("harm", ["cut", "changed", "emptied", "no json", "open to all", "old"])
def test_a_damaged_cache_entry_does_not_count(harm: str, tmp_path: Path) -> None:
    agent = make_agent(tmp_path, "exit 1")
    ask_made(tmp_path, tmp_path)
    (kept,) = (tmp_path / cache.DIRECTORY).iterdir()
    text = kept.read_bytes()
    match harm:
        case "cut":
            kept.write_bytes(text[:-10])
        case "changed":
            kept.write_bytes(text.replace(b'name="off"', b'name="oof"'))
        case "emptied":
            kept.write_bytes(b"")
        case "no json":
            kept.write_bytes(b"[1]\n" + text)
        case "open to all":
            kept.chmod(0o666)
        case "old":
            kept.write_bytes(text.replace(b'"asked_at": 1', b'"asked_at": 0'))
    assert ask_made(tmp_path, tmp_path)["fence_made"].is_known
    assert asked_count(agent) == 2


@pytest.mark.parametrize("place", ["absent", "a file", None])
def test_without_a_place_agents_are_asked_each_time(place: str | None, tmp_path: Path) -> None:
    agent = make_agent(tmp_path, "exit 1")
    (tmp_path / "a file").touch()
    for _ in range(2):
        assert ask_made(tmp_path, None if place is None else tmp_path / place)["fence_made"].is_known
    assert asked_count(agent) == 2


def test_nothing_is_kept_of_an_agent_that_changed_while_it_was_asked(tmp_path: Path) -> None:
    agent = make_agent(tmp_path, "exit 1")
    before = state_of(agent)
    agent.write_text(agent.read_text() + "#\n")
    cache = MetadataCache(tmp_path)
    cache.put(agent, METADATA.encode(), before)
    assert cache.get(agent) is None
    cache.put(agent, METADATA.encode(), state_of(agent))
    assert cache.get(agent) == METADATA.encode()


def test_many_agents_run_side_by_side_and_report_progress(tmp_path: Path) -> None:
    names = [f"fence_made{number}" for number in range(12)]
    for name in names:
        make_agent(tmp_path, "exit 1", name=name)
    seen: list[tuple[int, int]] = []
    asked = ask(names, agent_path=[tmp_path], kept_in=None, progress=lambda done, count: seen.append((done, count)))
    assert [name for name, metadata in asked.items() if metadata.is_known] == names
    assert seen == [(number + 1, 12) for number in range(12)]
