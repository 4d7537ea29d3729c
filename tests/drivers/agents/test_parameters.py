"""The lines for an agent: exact, complete, and without injection."""

import re
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fenced.drivers.agents.metadata import AgentMetadata, parse_metadata
from fenced.drivers.agents.parameters import agent_parameters
from fenced.model.inventory import Secret
from fenced.ports.devices import BadParameters
from tests.drivers.programs import METADATA, spec_of

KNOWN = parse_metadata(METADATA.encode())
DUMMY = parse_metadata(b"<resource-agent><parameters><parameter name='status_file'/></parameters></resource-agent>")


def as_an_agent_reads(text: bytes) -> dict[str, str]:
    """The fence-agents library's own reading of standard input (contract, B.1)."""
    read: dict[str, str] = {}
    for raw in text.decode().replace("\r", "\n").split("\n"):
        line = raw.strip()
        if line and not line.startswith("#"):
            name, _, value = line.partition("=")
            read[name] = re.sub('^"(.*)"$', "\\1", value)
    return read


def test_a_device_s_settings_get_the_agent_s_own_names() -> None:
    spec = spec_of(options={"lanplus": True, "ssl_insecure": False, "cipher": 3, "power_wait": 1.5})
    assert as_an_agent_reads(agent_parameters(spec, "off", KNOWN)) == {
        "action": "off",
        "ip": "192.0.2.1",
        "username": "fence",
        "password": "hunter2&co",
        "plug": "node-1",
        "nodename": "node-1",
        "lanplus": "1",
        "cipher": "3",
        "power_wait": "1.5",
    }


@pytest.mark.parametrize(("metadata", "called"), [(KNOWN, {"plug": "7"}), (AgentMetadata(), {})])
@pytest.mark.parametrize("name", ["plug", "port"])
def test_a_given_plug_goes_under_the_agent_s_name_for_it(
    name: str, metadata: AgentMetadata, called: dict[str, str]
) -> None:
    read = as_an_agent_reads(agent_parameters(spec_of(options={name: 7}), "status", metadata))
    assert {key: value for key, value in read.items() if key in ("plug", "port")} == (called or {name: "7"})
    assert read["nodename"] == "node-1"


def test_further_secrets_go_under_their_own_names() -> None:
    spec = spec_of(secrets=(("privacy", Secret("hush")),))
    assert as_an_agent_reads(agent_parameters(spec, "status", AgentMetadata()))["privacy"] == "hush"
    with pytest.raises(BadParameters, match="no parameter `privacy`"):
        agent_parameters(spec, "status", KNOWN)


@pytest.mark.parametrize("name", ["action", "plug", "password", "nodename", "a b", "ip"])
def test_a_secret_takes_no_other_setting_s_name(name: str) -> None:
    with pytest.raises(BadParameters):
        agent_parameters(spec_of(secrets=((name, Secret("hush")),)), "status", AgentMetadata())


def test_a_boolean_that_is_false_in_words_is_left_out() -> None:
    metadata = parse_metadata(
        METADATA.replace('name="plug" required="1"><content type="string"', 'name="x"><content type="boolean"').encode()
    )
    for false in (False, 0, "0", "no", "Off", "FALSE"):
        assert "x" not in as_an_agent_reads(agent_parameters(spec_of(options={"x": false}), "status", metadata))
    for true in (True, 1, "yes"):
        assert "x" in as_an_agent_reads(agent_parameters(spec_of(options={"x": true}), "status", metadata))


def of_kind(content: str) -> AgentMetadata:
    """An agent with one parameter `x` of its own."""
    return parse_metadata(
        f'<resource-agent><parameters><parameter name="x">{content}</parameter></parameters></resource-agent>'.encode()
    )


def said(content: str, value: object) -> str | None:
    spec = spec_of(address="", username="", password=None, options={"x": value})
    return as_an_agent_reads(agent_parameters(spec, "status", of_kind(content))).get("x")


@pytest.mark.parametrize(
    ("content", "for_true", "for_false"),
    [
        ('<content type="boolean"/>', "1", None),
        ('<content type="boolean" default="0"/>', "1", None),
        ('<content type="boolean" default="1"/>', "1", "0"),  # as lanplus of fence_ilo4
        ('<content type="boolean" default="True"/>', "1", "0"),
        ('<content type="string" default="true"/>', "true", "false"),  # as skip_os_shutdown of fence_aws
        ('<content type="string" default="False"/>', "True", "False"),  # as boto3_debug of fence_aws
        ('<content type="string" default="0"/>', "1", "0"),  # as use_uuid of fence_xvm
        ('<content type="string" default="ON"/>', "ON", "OFF"),
        ('<content type="string" default="yes"/>', "yes", "no"),
    ],
)
def test_true_and_false_are_passed_as_the_agent_takes_them(content: str, for_true: str, for_false: str | None) -> None:
    assert (said(content, True), said(content, False)) == (for_true, for_false)


@pytest.mark.parametrize(
    ("content", "values"),
    [
        ('<content type="string"/>', [False]),
        ('<content type="string" default="qemu"/>', [False]),
        ('<content type="integer" default="1"/>', [True, False]),
        ('<content type="second" default="0"/>', [True, False]),
        ('<content type="select" default="1"><option value="1"/><option value="2c"/></content>', [True, False]),
        ('<content type="boolean" default="1"/>', ["perhaps", 2, "disabled", ""]),
        ('<content type="boolean"/>', ["perhaps", 2, -1, 1.5]),
    ],
)
def test_what_an_agent_would_pass_over_or_misread_is_refused(content: str, values: list[object]) -> None:
    for value in values:
        with pytest.raises(BadParameters, match="`x`") as refused:
            said(content, value)
        assert not refused.value.may_be_done


@pytest.mark.parametrize("value", ["false", "no", "0", "off", 0])
def test_words_for_a_parameter_that_takes_text_stay_as_they_are(value: object) -> None:
    for default in ("", 'default="true"', 'default="1"'):
        assert said(f'<content type="string" {default}/>', value) == str(value)


def test_an_agent_without_a_plug_gets_none() -> None:
    spec = spec_of(address="", username="", password=None, options={"status_file": "/x"})
    assert as_an_agent_reads(agent_parameters(spec, "on", DUMMY)) == {
        "action": "on",
        "status_file": "/x",
        "nodename": "node-1",
    }


def test_without_metadata_today_s_standard_names_are_used() -> None:
    read = as_an_agent_reads(agent_parameters(spec_of(), "status", AgentMetadata()))
    assert (read["ip"], read["username"], read["password"]) == ("192.0.2.1", "fence", "hunter2&co")
    assert "plug" not in read


@pytest.mark.parametrize(
    ("changes", "why"),
    [
        ({"options": {"action": "on"}}, "can't be set"),
        ({"options": {"method": "cycle"}}, "can't be set"),
        ({"options": {"delay": 5}}, "can't be set"),
        ({"options": {"nodename": "other"}}, "can't be set"),
        ({"options": {"help": True}}, "can't be set"),
        ({"options": {"plug": 1, "port": 1}}, "same parameter"),
        ({"options": {"passwd": "x"}}, "is a secret"),
        ({"options": {"snmp-priv-passwd": "x"}}, "is a secret"),
        ({"options": {"a-b": "x", "a_b": "y"}}, "given twice"),
        ({"options": {"x\naction": "on"}}, "not a parameter name"),
        ({"options": {"#x": "on"}}, "not a parameter name"),
        ({"options": {"x": "1\naction=on"}}, "line end"),
        ({"options": {"x": "1\raction=on"}}, "line end"),
        ({"password": Secret("x\0y")}, "line end"),
        ({"nodename": "n\nplug=2"}, "line end"),
        ({"options": {"x": "y" * 40_000}}, "longer than"),
        ({"options": {"ip": "192.0.2.9"}}, "differ"),
        ({"options": {"x": ["list"]}}, "neither text"),
    ],
)
def test_a_value_that_can_t_be_passed_exactly_is_refused_before_anything_starts(
    changes: dict[str, Any], why: str
) -> None:
    with pytest.raises(BadParameters, match=why) as refused:
        agent_parameters(spec_of(**changes), "off", KNOWN)
    assert refused.value.may_be_done is False
    assert "hunter2" not in str(refused.value)


def test_a_setting_that_the_agent_does_not_have_is_refused() -> None:
    with pytest.raises(BadParameters, match="no parameter for `address`"):
        agent_parameters(spec_of(options={}), "status", DUMMY)


def test_a_password_from_a_script_is_no_password() -> None:
    read = as_an_agent_reads(agent_parameters(spec_of(options={"password_script": "/bin/x"}), "status", KNOWN))
    assert read["password_script"] == "/bin/x"


PASSWORDS = st.text(
    st.characters(min_codepoint=33, exclude_characters="\x7f", exclude_categories=["C", "Z"]), min_size=1
)


@given(PASSWORDS | st.text('" =#a', min_size=1))
def test_every_password_arrives_as_it_is(password: str) -> None:
    written = agent_parameters(spec_of(password=Secret(password)), "off", KNOWN)
    assert as_an_agent_reads(written)["password"] == password
    assert as_an_agent_reads(written)["action"] == "off"


NETWORK = parse_metadata(
    b"""<resource-agent name="fence_made"><parameters><parameter name="ip"/><parameter name="plug"/>
<parameter name="off_the_net" obsoletes="network-fencing"><getopt mixed="-M, --network-fencing"/></parameter>
<parameter name="gone" ><getopt mixed="--missing-as-off"/></parameter><parameter name="cold"/>
</parameters><actions><action name="off"/><action name="status"/></actions></resource-agent>"""
)


@pytest.mark.parametrize(
    "name", ["network_fencing", "network-fencing", "off_the_net", "gone", "missing_as_off", "quiet", "interface3-sg"]
)
@pytest.mark.parametrize("is_secret", [False, True])
def test_what_changes_what_off_proves_is_refused_under_each_of_its_names(name: str, is_secret: bool) -> None:
    """Also at the proxy, which receives its specs over the network."""
    given = {"secrets": ((name, Secret("1")),)} if is_secret else {"options": {name: "1"}}
    for metadata in (NETWORK, AgentMetadata()):
        if metadata.is_known or name not in {"off_the_net", "gone"}:
            with pytest.raises(BadParameters, match="is refused"):
                agent_parameters(spec_of(username="", password=None, **given), "off", metadata)


CIPHER = METADATA.replace(
    "</parameters>",
    """<parameter name="ciphersuite" obsoletes="cipher">
<getopt mixed="-C, --cipher-suite=[x]"/><content type="string"/></parameter>
<parameter name="level"><content type="select"><option value="user"/><option value="operator"/></content></parameter>
<parameter name="wait"><content type="second" default="1"/></parameter>
<parameter name="fast"><content type="boolean"/></parameter></parameters>""",
)


@pytest.mark.parametrize(
    ("driver", "name", "bad", "good"),
    [
        ("fence_made", "cipher", "3 -H rogue", "17"),
        ("fence_made", "Cipher", "3 -H rogue", 3),
        ("fence_made", "ciphersuite", "3 -H rogue", 3),
        ("fence_made", "cipher-suite", "3 -H rogue", 3),
        ("fence_made", "power-wait", "1;id", "1.5"),
        ("fence_made", "login_timeout", "-1", 5),
        ("fence_made", "plug", "-H rogue", "Outlet 3"),
        ("fence_made", "port", "a\u00a0b", "rack1:3"),
        ("fence_made", "level", "user -H rogue", "OPERATOR"),
        ("fence_made", "wait", "1 -H rogue", 2),
        ("fence_made", "fast", "1 -H rogue", "yes"),
        ("fence_ipmilan", "auth", "md5 -H rogue", "md5"),
        ("fence_ipmilan", "target", "0x20 chassis power on", "0x20"),
        ("fence_idrac", "privlvl", "user\tx", "user"),
        ("fence_virsh", "plug", "a;id", "node-1"),
        ("fence_virsh", "plug", "$(id)", "4c4c4544-0042-3510-8051-b4c04f595831"),
        ("fence_ilo_moonshot", "plug", "c1n1 -x", "c1n1"),
        ("fence_redfish", "systems-uri", "@rogue/x", "/redfish/v1/Systems/1"),
    ],
)
def test_a_value_is_of_its_kind_under_each_name_of_its_option(
    driver: str, name: str, bad: str, good: str | int
) -> None:
    for metadata in (parse_metadata(CIPHER.encode()), AgentMetadata()):
        if not metadata.is_known and name in {"level", "wait", "fast", "ciphersuite", "cipher-suite"}:
            continue
        for said in ({"options": {name: bad}}, {"options": {}, "secrets": ((name, Secret(bad)),)}):
            with pytest.raises(BadParameters) as refused:
                agent_parameters(spec_of(driver, **said), "status", metadata)
            assert "rogue" not in str(refused.value)
        agent_parameters(spec_of(driver, options={name: good}), "status", metadata)
