"""Classifies the options of fence agents: which ones change what OFF proves, and which ones become part of a command.

It runs nothing. Each entry comes from reading what agents do with the option. An option that is missing here has not
been reviewed; the configuration check warns about it.
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
    "action": "fenced sets it",
    "option": "fenced sets the action",
    "method": "fenced never cycles",
    "delay": "fenced decides when",
    "nodename": "it is the host's name; use plug",
    "node_name": "it is the host's name; use plug",
    "help": "the agent would exit with success, which reads as ON",
    "usage": "the agent would exit with success, which reads as ON",
    "version": "the agent would exit with success, which reads as ON",
}
"""Set by fenced alone. `delay` would use up the deadline; `method` cycle can't be verified (S7)."""

_NETWORK: Final = "OFF would cut the network, not the power: the machine would still run"
_MISSING: Final = "a plug that the agent does not find would count as off: a misspelt or moved plug would be fenced"
_EARLY: Final = "the agent returns before the device is done"
_ANY_VERSION: Final = "without it the agent asks the engine for it; a wrong one makes a running machine read OFF"
_OTHER_PROGRAM: Final = "the agent trusts the output of the program that you name instead of its own tool"
_NO_OUTLET: Final = (
    "with it this agent reads OFF for an outlet that the unit does not have; the driver snmp_outlet reports an error"
)
_PROMPT: Final = "a pattern that matches too early hides the device's answer, which some agents take for OFF"

_OLD_PLUG: Final = "an old name of plug, which fenced does not compare between hosts; use plug"
_NO_AUTHENTICATION: Final = "any machine on the network can answer"

_BREAKS: Final = {
    **RESERVED,
    **dict.fromkeys(("network_fencing", "invert_sg_removal", "secg", "sg", "unfence_ignore_restore"), _NETWORK),
    **{f"interface{number}_sg": _NETWORK for number in range(16)},
    **dict.fromkeys(("ignore_instance_state", "ignore_tag_write_failure", "onfence_poweroff"), _NETWORK),
    "missing_as_off": _MISSING,
    "quiet": "a usage error without output looks like OFF from an agent that answers by its exit status alone",
    "baremetalsolution": "the agent makes up its status",
    "crashdump": "the agent would request a crash dump, and the host would still run",
    "record_only": "the agent would switch nothing",
    "aptpl": "it controls storage reservations, not power",
}
"""For every agent that has the option."""

_WEAKENS: Final = {
    **dict.fromkeys(("earlyexit", "warntimeout"), _EARLY),
    **dict.fromkeys(("runonfail", "runonwarn"), "the agent starts another command and does not wait for it"),
    **dict.fromkeys(
        ("amttool_path", "gnutlscli_path", "ipmitool_path", "openstack_path", "powerman_path", "snmpget_path",
         "snmpset_path", "snmpwalk_path", "ssh_path", "sudo_path", "telnet_path", "vboxmanage_path", "exec"),
        _OTHER_PROGRAM,
    ),
    **dict.fromkeys(("cmd_prompt", "command_prompt"), _PROMPT),
    "graceful": "the agent requests a shutdown, which the machine may delay",
}  # fmt: skip
"""For every agent that has the option."""

_NOT_ON_IS_OFF: Final = (
    "fence_apc_snmp", "fence_emerson", "fence_ibmblade", "fence_intelmodular", "fence_ipdu", "fence_tripplite_snmp",
)  # fmt: skip
_OF_AGENTS: Final = (
    (_NOT_ON_IS_OFF, OptionRule(
        name="snmp_version", effect=Effect.WEAKENS, values=frozenset({"2c", "3"}), why=_NO_OUTLET)),
    (("fence_aws",), OptionRule(
        name="skip_os_shutdown", effect=Effect.WEAKENS, values=frozenset({"0", "no", "off", "false"}),
        why="the agent requests a shutdown, which may take minutes")),
    (("fence_rhevm",), OptionRule(name="api_version", effect=Effect.BREAKS, why=_ANY_VERSION)),
    (("fence_vmware",), OptionRule(
        name="vmware_type", effect=Effect.BREAKS, values=frozenset({"server1"}), why=_MISSING)),
    (("fence_dummy",), OptionRule(
        name="type", effect=Effect.BREAKS, values=frozenset({"fail"}), why="the agent makes up its status")),
    (("fence_openstack",), OptionRule(
        name="uuid", effect=Effect.BREAKS, why=_OLD_PLUG)),
    (("fence_virt", "fence_xvm"), OptionRule(
        name="domain", effect=Effect.BREAKS, why=_OLD_PLUG)),
    (("fence_virt", "fence_xvm"), OptionRule(
        name="auth", effect=Effect.WEAKENS, values=frozenset({"none"}), why=_NO_AUTHENTICATION)),
    (("fence_virt", "fence_xvm"), OptionRule(
        name="hash", effect=Effect.WEAKENS, values=frozenset({"none"}), why=_NO_AUTHENTICATION)),
)  # fmt: skip
"""For single agents or single values. These come before the rules for all agents."""

_HARMLESS: Final = {
    "selects the device, plug or account": """
        address api_path api_type api_url api_version apiversion auth_url channel_address cloud compute_domain crn
        domain drac_version ecloud_vpc email endpoint_type family filter hidden_page hmc_version host_os instance ip
        ip_family ipaddr ipport limit managed metadata_endpoint multicast_address namespace page plug plug_separator
        plugzonemap port port_as_ip project project_domain project_domain_name project_name pve_node pve_node_auto
        redfish_uri region region_name request_path resourcegroup response_path separator serial_device serial_params
        serial_port session_url status_file suborg subscriptionid switch systems_uri target tenant_name tenantid type
        udpport unix_socket use_uuid user_domain user_domain_name uuid vmtype vmware_datacenter vmware_type vsock zone
    """,
    "identifies and authenticates the agent": """
        access_key api_token apikey auth auth_plugin community cookie_file credentials_file credentials_file_profile
        hexadecimal_kg identity_file key_file kubeconfig login msi openrc passwd passwd_script password password_script
        privlvl ram_role secret_key serviceaccount snmp_auth_prot snmp_priv_passwd snmp_priv_passwd_script
        snmp_priv_prot snmp_sec_level tlscert tlskey token token_file use_cookies username
    """,
    "selects how the agent connects": """
        cacert cipher disable_http_filter disable_ssl hash inet4_only inet6_only insecure lanplus notls proxy proxyhost
        proxyport ribcl ribcl_version secure snmp_version ssh ssh_options ssl ssl_client_certificate_file ssl_insecure
        ssl_secure sudo tls1.0 tlscacert use_sudo
    """,
    "sets how long the agent waits or retries; attempt_timeout ends it, and fenced reads until the state is stable": """
        apitimeout connect_retries connect_timeout disable_timeout errortimeout ipmitool_timeout login_timeout
        operation_timeout power_timeout power_wait random_sleep_range read_retries read_timeout recorder_poll_interval
        recorder_timeout retrans retries retry_on retrysleep shell_timeout skip_race_check stonith_status_sleep timeout
    """,
    "selects how a machine starts or stops": "boot_option force load_on_activate skip_os_shutdown",
    "controls logs": "boto3_debug debug debug_file log_path stackdriver_logging verbose verbose_level",
}
"""By the reason why they do not change what OFF proves."""


OPTION_NAMES: Final = frozenset(
    {*_BREAKS, *_WEAKENS, *(name for names in _HARMLESS.values() for name in names.split())}
)
"""Every reviewed option."""


class Reach(Enum):
    """Where an option's value becomes part of a command."""

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
        auth cipher hexadecimal_kg ip ipaddr ipmitool_path ipmitool_timeout ipport login password passwd privlvl
        sudo_path target username
    """),
    (Reach.COMMAND_LINE, _SNMP, """
        community ip ipaddr ipport login passwd password snmp_auth_prot snmp_priv_passwd snmp_priv_prot snmp_sec_level
        snmp_version snmpget_path snmpset_path snmpwalk_path udpport username
    """),
    (Reach.COMMAND_LINE, _SESSIONS, "identity_file ip ipaddr ipport login ssh_options ssh_path telnet_path username"),
    (Reach.REMOTE_SHELL, _SESSIONS,
     "host_os managed passwd password plug port sudo_path switch use_sudo vboxmanage_path"),
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
"""Which agents put which options into a command. `values` restricts what such a value may hold."""


@cache
def rules_for(agent: str) -> OptionRules:
    """Return the rules for an agent's options by name; rules for this agent alone come first."""
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
    """Return why this value would break what OFF proves; "" if it does not. `names`: all names of the option."""
    rule = decided(rules_for(agent), names, value)
    return rule.why if rule is not None and rule.effect is Effect.BREAKS else ""


def reaches(agent: str, option: str) -> frozenset[Reach]:
    """Return the commands that an option's value becomes part of."""
    return frozenset(_reaches(agent, normal(option)))


def _reaches(agent: str, option: str) -> Iterator[Reach]:
    """Assume that an unreviewed agent, maybe a renamed known one, does all that any agent does.

    Its plugs may hold blanks.
    """
    is_any = not is_read(agent) and option not in PLUG_NAMES
    for reach, agents, names in _REACHES:
        if option in names.split() and (is_any or any(fnmatch.fnmatchcase(agent, pattern) for pattern in agents)):
            yield reach
