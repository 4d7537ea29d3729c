"""What was decided of the options of fence agents: which change what OFF proves, and which leave the agent's own process.

Runs nothing; decided option by option, by reading what agents do with them. One rule: an option that is not here was
looked at by nobody, and whoever says it is told so.
"""

import fnmatch
from collections.abc import Collection, Iterator
from enum import Enum
from functools import cache
from typing import Final

from fenced.drivers.agents.metadata import PLUG_NAMES, normal
from fenced.drivers.agents.reviews import is_read
from fenced.model.drivers import Effect, OptionRule, OptionRules, decided

RESERVED: Final = {
    "action": "fenced says which",
    "option": "fenced says which action",
    "method": "fenced never cycles",
    "delay": "fenced decides when",
    "nodename": "it is the host's name; use plug",
    "node_name": "it is the host's name; use plug",
    "help": "the agent would answer with success",
    "usage": "the agent would answer with success",
    "version": "the agent would answer with success",
}
"""Decided by us alone. `delay` would eat the deadline, `method` cycle can't be verified (S7), `help` exits 0, which is ON."""

_NETWORK: Final = "OFF would be off the network: the machine would still run"
_MISSING: Final = (
    "a plug that is not found would count as switched off: a misspelt or moved one would be announced as fenced"
)
_EARLY: Final = "the agent returns before the device is done"
_ANY_VERSION: Final = "without it the agent asks the engine; a wrong one makes a running machine read OFF"
_OTHER_PROGRAM: Final = "another program answers in its place, and what it says is believed"
_NO_OUTLET: Final = (
    "an outlet that the unit does not have reads OFF to this agent then; the driver snmp_outlet tells it"
)
_PROMPT: Final = "a pattern that matches too early hides what the device says, which some agents take for OFF"

_BREAKS: Final = {
    **RESERVED,
    **dict.fromkeys(("network_fencing", "invert_sg_removal", "secg", "sg", "unfence_ignore_restore"), _NETWORK),
    **{f"interface{number}_sg": _NETWORK for number in range(16)},
    **dict.fromkeys(("ignore_instance_state", "ignore_tag_write_failure", "onfence_poweroff"), _NETWORK),
    "missing_as_off": _MISSING,
    "quiet": "a usage error that is not told looks like an agent that says OFF by its exit status alone",
    "baremetalsolution": "the agent makes its status up",
    "crashdump": "the host would be asked to dump, and would still run",
    "record_only": "nothing would be switched",
    "aptpl": "it is about storage reservations, not power",
}
"""Whatever agent has them."""

_WEAKENS: Final = {
    **dict.fromkeys(("earlyexit", "warntimeout"), _EARLY),
    **dict.fromkeys(("runonfail", "runonwarn"), "it runs a command of its own, which nobody waits for"),
    **dict.fromkeys(
        ("amttool_path", "gnutlscli_path", "ipmitool_path", "openstack_path", "powerman_path", "snmpget_path",
         "snmpset_path", "snmpwalk_path", "ssh_path", "sudo_path", "telnet_path", "vboxmanage_path", "exec"),
        _OTHER_PROGRAM,
    ),
    **dict.fromkeys(("cmd_prompt", "command_prompt"), _PROMPT),
    "graceful": "the machine is asked to stop, and may take its time",
}  # fmt: skip
"""Whatever agent has them."""

_NOT_ON_IS_OFF: Final = (
    "fence_apc_snmp", "fence_emerson", "fence_ibmblade", "fence_intelmodular", "fence_ipdu", "fence_tripplite_snmp",
)  # fmt: skip
_OF_AGENTS: Final = (
    (_NOT_ON_IS_OFF, OptionRule(
        name="snmp_version", effect=Effect.WEAKENS, values=frozenset({"2c", "3"}), why=_NO_OUTLET)),
    (("fence_aws",), OptionRule(
        name="skip_os_shutdown", effect=Effect.WEAKENS, values=frozenset({"0", "no", "off", "false"}),
        why="the machine is asked to shut down, and may take minutes")),
    (("fence_rhevm",), OptionRule(name="api_version", effect=Effect.BREAKS, why=_ANY_VERSION)),
    (("fence_vmware",), OptionRule(
        name="vmware_type", effect=Effect.BREAKS, values=frozenset({"server1"}), why=_MISSING)),
    (("fence_dummy",), OptionRule(
        name="type", effect=Effect.BREAKS, values=frozenset({"fail"}), why="the agent makes its status up")),
    (("fence_openstack",), OptionRule(
        name="uuid", effect=Effect.BREAKS, why="an old name of plug, by which plugs are not told apart; use plug")),
    (("fence_virt", "fence_xvm"), OptionRule(
        name="domain", effect=Effect.BREAKS, why="an old name of plug, by which plugs are not told apart; use plug")),
    (("fence_virt", "fence_xvm"), OptionRule(
        name="auth", effect=Effect.WEAKENS, values=frozenset({"none"}), why="anybody on the network can answer")),
    (("fence_virt", "fence_xvm"), OptionRule(
        name="hash", effect=Effect.WEAKENS, values=frozenset({"none"}), why="anybody on the network can answer")),
)  # fmt: skip
"""What is decided for some agents alone, or for some values, beside what is decided for all."""

_HARMLESS: Final = {
    "says which device, plug or account is meant": """
        address api_path api_type api_url api_version apiversion auth_url channel_address cloud compute_domain crn domain
        drac_version ecloud_vpc email endpoint_type family filter hidden_page hmc_version host_os instance ip ip_family ipaddr
        ipport limit managed metadata_endpoint multicast_address namespace page plug plug_separator plugzonemap port
        port_as_ip project project_domain project_domain_name project_name pve_node pve_node_auto redfish_uri region
        region_name request_path resourcegroup response_path separator serial_device serial_params serial_port session_url
        status_file suborg subscriptionid switch systems_uri target tenant_name tenantid type udpport unix_socket use_uuid
        user_domain user_domain_name uuid vmtype vmware_datacenter vmware_type vsock zone
    """,
    "says who asks": """
        access_key api_token apikey auth auth_plugin community cookie_file credentials_file credentials_file_profile
        hexadecimal_kg identity_file key_file kubeconfig login msi openrc passwd passwd_script password password_script
        privlvl ram_role secret_key serviceaccount snmp_auth_prot snmp_priv_passwd snmp_priv_passwd_script snmp_priv_prot
        snmp_sec_level tlscert tlskey token token_file use_cookies username
    """,
    "says how the agent speaks": """
        cacert cipher disable_http_filter disable_ssl hash inet4_only inet6_only insecure lanplus notls proxy proxyhost
        proxyport ribcl ribcl_version secure snmp_version ssh ssh_options ssl ssl_client_certificate_file ssl_insecure
        ssl_secure sudo tls1.0 tlscacert use_sudo
    """,
    "says how long the agent waits or tries; attempt_timeout ends it, and what it says is read until it is stable": """
        apitimeout connect_retries connect_timeout disable_timeout errortimeout ipmitool_timeout login_timeout
        operation_timeout power_timeout power_wait random_sleep_range read_retries read_timeout recorder_poll_interval
        recorder_timeout retrans retries retry_on retrysleep shell_timeout skip_race_check stonith_status_sleep timeout
    """,
    "says how a machine is started or stopped": "boot_option force load_on_activate skip_os_shutdown",
    "says what is written down": "boto3_debug debug debug_file log_path stackdriver_logging verbose verbose_level",
}
"""By why they do not change what OFF means."""


OPTION_NAMES: Final = frozenset(
    {*_BREAKS, *_WEAKENS, *(name for names in _HARMLESS.values() for name in names.split())}
)
"""Every option that was looked at."""


class Reach(Enum):
    """Where the value of an option ends up that leaves the agent's own process as part of a command."""

    COMMAND_LINE = "a command line"
    REMOTE_SHELL = "a session at the device"


_SESSIONS: Final = (
    "fence_alom", "fence_apc", "fence_bladecenter", "fence_cdu", "fence_cyberpower_ssh", "fence_drac", "fence_drac5",
    "fence_eaton_ssh", "fence_hds_cb", "fence_hpblade", "fence_ilo*_ssh", "fence_ilo_moonshot", "fence_ilo_mp",
    "fence_ilo_ssh", "fence_ldom", "fence_lpar", "fence_netio", "fence_raritan", "fence_raritan_px3", "fence_rsa",
    "fence_rsb", "fence_vbox", "fence_virsh", "fence_wti",
)  # fmt: skip
_SNMP: Final = (*_NOT_ON_IS_OFF, "fence_eaton_snmp", "fence_lindypdu")
_REACHES: Final = (
    (Reach.COMMAND_LINE, ("fence_idrac", "fence_ilo[345]", "fence_imm", "fence_ipmilan*"), """
        auth cipher hexadecimal_kg ip ipaddr ipmitool_path ipmitool_timeout ipport login password passwd privlvl sudo_path
        target username
    """),
    (Reach.COMMAND_LINE, _SNMP, """
        community ip ipaddr ipport login passwd password snmp_auth_prot snmp_priv_passwd snmp_priv_prot snmp_sec_level
        snmp_version snmpget_path snmpset_path snmpwalk_path udpport username
    """),
    (Reach.COMMAND_LINE, _SESSIONS, "identity_file ip ipaddr ipport login ssh_options ssh_path telnet_path username"),
    (Reach.REMOTE_SHELL, _SESSIONS, "host_os managed passwd password plug port sudo_path switch use_sudo vboxmanage_path"),
    (Reach.COMMAND_LINE, ("fence_ilo", "fence_ilo2"), "gnutlscli_path ip ipaddr ipport"),
    (Reach.COMMAND_LINE, ("fence_amt",), "amttool_path boot_option ip ipaddr passwd password plug port sudo_path"),
    (Reach.COMMAND_LINE, ("fence_ironic",),
     "auth_url login openstack_path passwd password plug port tenant_name username"),
    (Reach.COMMAND_LINE, ("fence_powerman",), "ip ipaddr ipport plug port powerman_path"),
    (Reach.COMMAND_LINE, ("fence_vmware",),
     "exec ip ipaddr login passwd password plug port username vmware_datacenter vmware_type"),
    (Reach.COMMAND_LINE, ("fence_gce",), "runonfail runonwarn"),
    (Reach.COMMAND_LINE, ("fence_openstack",), "openrc"),
    (Reach.COMMAND_LINE, ("fence_*",), "passwd_script password_script snmp_priv_passwd_script"),
)  # fmt: skip
"""Which agents make a command of which options; for whoever checks what such a value may hold."""


@cache
def rules_for(agent: str) -> OptionRules:
    """All that is decided of an agent's options."""
    own = [rule for agents, rule in _OF_AGENTS if agent in agents]
    common = [
        *(OptionRule(name=name, effect=Effect.BREAKS, why=why) for name, why in _BREAKS.items()),
        *(OptionRule(name=name, effect=Effect.WEAKENS, why=why) for name, why in _WEAKENS.items()),
        *(
            OptionRule(name=name, effect=Effect.NONE, why=why)
            for why, names in _HARMLESS.items()
            for name in names.split()
        ),
    ]
    rules: dict[str, tuple[OptionRule, ...]] = {}
    for rule in (*own, *common):
        rules[rule.name] = (*rules.get(rule.name, ()), rule)
    return rules


def why_broken(agent: str, names: Collection[str], value: object) -> str:
    """Why an option of these names, which mean the same to the agent, may not have this value; "" where it may."""
    rule = decided(rules_for(agent), names, value)
    return rule.why if rule is not None and rule.effect is Effect.BREAKS else ""


def reaches(agent: str, option: str) -> frozenset[Reach]:
    """Where the value of an option ends up, besides in the agent itself."""
    return frozenset(_reaches(agent, normal(option)))


def _reaches(agent: str, option: str) -> Iterator[Reach]:
    """An agent that nobody read, as one of another name for a known one, does whatever any of them does; but names of outlets
    may hold blanks there."""
    is_any = not is_read(agent) and option not in PLUG_NAMES
    for reach, agents, names in _REACHES:
        if option in names.split() and (is_any or any(fnmatch.fnmatchcase(agent, pattern) for pattern in agents)):
            yield reach
