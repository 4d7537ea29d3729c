"""Planted bugs around one thing with two names: plugs, this machine, proxies, loopback; and sessions of a unit."""

from typing import Final

from tests.planted.bug import Bug, story

ALIASES: Final = "tests/config/checks/test_aliases.py"
INVENTORY: Final = "tests/config/test_machines.py"
ADDRESSES: Final = "tests/config/test_addresses.py"
WORKERS: Final = "tests/engine/test_workers.py"
SHARING: Final = "tests/core/test_sharing.py"

NAME_BUGS: Final = (
    Bug(
        name="a probe is at its unit without the session that it gave back",
        rule="S15",
        file="engine/workers.py",
        old="                    await session.take_again(priority)\n",
        new="",
        killers=(f"{WORKERS}::test_a_probe_that_waits_for_a_place_at_its_proxy_keeps_its_session",),
    ),
    Bug(
        name="two drivers of one BMC are two plugs",
        rule="S4",
        file="config/checks/likeness.py",
        old="    if one.plug.is_usual_port and other.plug.is_usual_port:\n",
        new="    if not one:\n",
        killers=(f"{ALIASES}::test_two_hosts[Redfish and IPMI-1]",),
        wider=("tests/config",),
    ),
    Bug(
        name="an outlet with a leading zero is another one",
        rule="S4",
        file="config/checks/likeness.py",
        old='    return digits.lstrip("0") or "0"\n',
        new="    return digits\n",
        killers=(f"{ALIASES}::test_two_hosts[leading zeros-1]",),
        wider=("tests/config",),
    ),
    Bug(
        name="a number on the housing is another outlet where an offset is said",
        rule="S4",
        file="config/checks/likeness.py",
        old="    return replace(outlet, index=index, ",
        new="    return replace(outlet, text=index, index=index, ",
        killers=(f"{ALIASES}::test_two_hosts[one number on the housing, with an offset and by a model-1]",),
        wider=("tests/config",),
    ),
    Bug(
        name="one machine is two where a timeout differs",
        rule="S4",
        file="config/checks/likeness.py",
        old="differing & _telling(one.plug) & _telling(other.plug)",
        new="differing",
        killers=(f"{ALIASES}::test_two_hosts[a machine without an address, said with another time-1]",),
        wider=("tests/config",),
    ),
    Bug(
        name="a name's second address is not compared",
        rule="S4",
        file="config/checks/units.py",
        old="            for other in addresses.get(address, ()):\n",
        new="            for other in sorted(addresses.get(address, ()))[:1]:\n",
        killers=(f"{ALIASES}::test_two_hosts[a name with several addresses-1]",),
        wider=("tests/config",),
    ),
    Bug(
        name="a name that resolves to our address is another machine",
        rule="S18",
        file="config/names.py",
        old="own_machine.is_called((*host.names, *_resolved(host, addresses)))",
        new="own_machine.is_called(host.names)",
        killers=(f"{INVENTORY}::test_the_own_machine_is_known_by_what_its_names_resolve_to",),
        wider=("tests/config",),
    ),
    Bug(
        name="a proxy serves the host that its URL is another name of",
        rule="S18",
        file="core/reach/candidates.py",
        old=" or host.name in proxy.also_on",
        new="",
        killers=(f"{INVENTORY}::test_a_proxy_never_serves_the_host_that_its_url_is_another_name_of",),
        wider=("tests/config",),
    ),
    Bug(
        name="the hypervisor that a person named is switched",
        rule="S18",
        file="config/names.py",
        old="    said = frozenset(runs_on)\n",
        new="    said: frozenset[str] = frozenset()\n",
        killers=(f"{INVENTORY}::test_a_person_says_on_which_machine_the_daemons_own_one_runs",),
        wider=("tests/config",),
    ),
    Bug(
        name="one identity is two hosts'",
        rule="S4",
        file="config/checks/identities.py",
        old="            if owner is not built and ",
        new="            if owner is None and ",
        killers=(
            "tests/config/test_mistakes.py::test_a_mistake_has_place_value_and_reason[one identity of two hosts]",
        ),
        wider=("tests/config",),
    ),
    Bug(
        name="one BMC of two hosts is no mistake",
        rule="identity",
        file="core/believed/sharing.py",
        old="    if found is None:\n        return _of_before",
        new="    if found is None or found:\n        return _of_before",
        killers=(
            f"{SHARING}::test_an_operators_off_is_not_sent_through_a_shared_device",
            f"{SHARING}::test_a_silent_host_is_not_fenced_by_a_shared_device",
            story("two_hosts_with_one_bmc"),
        ),
    ),
    Bug(
        name="the OFF of another host's device proves a host off",
        rule="identity",
        file="core/believed/sharing.py",
        old="    return frozenset(work.state.distrusted) | shared(work.fleet, work.name, work.now)\n",
        new="    return frozenset(work.state.distrusted)\n",
        killers=(f"{SHARING}::test_a_device_found_shared_while_the_off_is_proven_proves_nothing",),
    ),
    Bug(
        name="the blades of an enclosure are one machine",
        rule="identity",
        file="core/heard/claims.py",
        old="(*uuids, alone) if uuids else",
        new="(*uuids, alone, beside) if uuids else",
        killers=(f"{SHARING}::test_devices_that_report_different_machines_are_not_shared",),
    ),
    Bug(
        name="a start forgets whose device a BMC is as well",
        rule="identity",
        file="core/believed/sharing.py",
        old="            return known if is_there and not is_told else None\n",
        new="            return None if is_there else known\n",
        killers=(f"{SHARING}::test_after_a_start_a_device_stays_shared_until_both_were_read",),
    ),
    Bug(
        name="a password that is on the label is reported as an identity",
        rule="secrets",
        file="model/identity.py",
        old="    hidden = [plain for secret in secrets if (plain := _plain(secret))]\n",
        new="    hidden: list[str] = []\n",
        killers=("tests/core/test_identity.py::test_a_secret_is_not_compared_in_any_spelling",),
    ),
    Bug(
        name="a name that begins like a loopback address is one",
        rule="S18",
        file="model/addresses.py",
        old='    return plain == "localhost" if address is None else address.is_loopback\n',
        new='    return plain == "localhost" or plain.startswith("127.") if address is None else address.is_loopback\n',
        killers=(f"{ADDRESSES}::test_names_that_only_look_like_loopback_are_not",),
        wider=("tests/config",),
    ),
)
