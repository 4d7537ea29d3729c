"""The tables of an inventory: data centres, clusters, proxies, hosts and their devices, each with its keys.

Each table is parsed on its own, so that a mistake in one host hides none in another. References are followed
in `build`.
"""

from typing import Annotated, Any, Final

from pydantic import Field

from fenced.config.keys import (
    SHARD_CHARS_MAX,
    Address,
    Choice,
    Count,
    FileName,
    Flag,
    Listed,
    Name,
    Pairs,
    Seconds,
    Tables,
    Text,
)
from fenced.config.network_addresses import Addresses, HostAddress
from fenced.config.saving_table import MaySleep, PartOfSaving, SavingTable
from fenced.config.tables import DefaultsTable, DetectionOfOne, PowerOfOne, ViaKeys
from fenced.core.allowed.match import KEYS
from fenced.model.inventory import CALLS_MAX, Tls
from fenced.model.names import MAIN_SHARD

LISTS: Final = ("datacenter", "cluster", "proxy", "host")
"""The keys of an inventory file; each is a list of tables."""

LEVEL_MAX: Final = 16


class Overrides(PowerOfOne, DetectionOfOne, DefaultsTable):
    """The keys that a data centre, cluster or host may override."""


class DatacenterTable(Overrides):
    name: Annotated[str, Name("name of the data centre")]
    shard: Annotated[
        str,
        Name(
            "the shard that decides about its hosts; several need PostgreSQL (docs/high-availability.md)",
            most=SHARD_CHARS_MAX,
        ),
    ] = MAIN_SHARD


class ClusterTable(Overrides):
    name: Annotated[str, Name("name of the cluster")]
    datacenter: Annotated[str, Name("its data centre", can_be_empty=True)] = ""
    saving: Annotated[SavingTable, PartOfSaving("keys of [saving] that are different here")] = Field(
        default_factory=SavingTable
    )


class ProxyTable(ViaKeys):
    name: Annotated[str, Name("name of the proxy: a preference word")]
    url: Annotated[str, Address("https://HOST:PORT (default port 8471); http:// only on loopback")]
    cluster: Annotated[str, Name("the cluster it belongs to", can_be_empty=True)] = ""
    datacenter: Annotated[str, Name("or the data centre, if it belongs to no cluster", can_be_empty=True)] = ""
    host: Annotated[str, Name("the host of the inventory that it runs on, if any", can_be_empty=True)] = ""
    domain: Annotated[str, Text("its failure domain, for example a rack")] = ""
    tags: Annotated[tuple[str, ...], Listed("names for the preference word tag:T", item=Name(""))] = ()
    calls: Annotated[int, Count("calls at once from this daemon; OFF goes first", most=10_000)] = CALLS_MAX


class HostTable(Overrides):
    name: Annotated[str, Name("name of the host: last part of its topics")]
    cluster: Annotated[str, Name("its cluster", can_be_empty=True)] = ""
    address: Annotated[str, HostAddress("IP address or name under which it is reached")] = ""
    addresses: Annotated[
        tuple[tuple[str, str], ...],
        Addresses("its addresses on further networks: an observer looks at each of them; two networks beat one"),
    ] = ()
    aliases: Annotated[tuple[str, ...], Listed("other names and addresses of the same machine", item=Address(""))] = ()
    rack: Annotated[str, Text("its rack (gates.storm.domains)")] = ""
    labels: Annotated[
        tuple[tuple[str, str], ...],
        Pairs('further properties, for gates, pauses and selections: { feed = "a" }', taken=KEYS),
    ] = ()
    roles: Annotated[tuple[str, ...], Listed("its roles, for grace_per_role", item=Name(""))] = ()
    protected: Annotated[bool, Flag("true: never fence it automatically")] = False
    drill: Annotated[bool, Flag("true: a spare host, which `fencectl drill` may fence for real")] = False
    saving: Annotated[bool, MaySleep("false: never put it to sleep to save power")] = True
    identity: Annotated[str, Text("the BMC's system UUID or serial number, compared before an OFF")] = ""
    device: Annotated[list[dict[str, Any]], Tables("its power devices: [[host.device]]")] = Field(default_factory=list)


class DeviceTable(PowerOfOne):
    name: Annotated[str, Name("name of the device, within its host")]
    driver: Annotated[str, Name("a native driver (docs/drivers.md), or fence_NAME for a fence agent")]
    level: Annotated[int, Count("the level it belongs to; levels are tried in order", most=LEVEL_MAX)] = 1
    kind: Annotated[
        str,
        Choice(
            "default: chassis for BMCs, blades and virtual machines, outlet otherwise", choices=("chassis", "outlet")
        ),
    ] = ""
    address: Annotated[str, Address("address of the device")] = ""
    username: Annotated[str, Text("user name at the device")] = ""
    password_file: Annotated[str, FileName("file with the password on one line")] = ""
    password_env: Annotated[str, Text("or: the environment variable that holds it")] = ""
    password_credential: Annotated[str, Text("or: the systemd credential that holds it")] = ""
    secrets: Annotated[
        dict[str, Any],
        Tables("further secrets of the driver or agent: NAME_file, NAME_env or NAME_credential", is_list=False),
    ] = Field(default_factory=dict)
    credential: Annotated[str, Text("at-proxy:NAME: the proxy keeps user name, password and secrets under NAME")] = ""
    proxies: Annotated[tuple[str, ...], Listed("preference list of this device alone", item=Address(""), least=1)] = ()
    options: Annotated[dict[str, Any], Tables("the driver's or agent's own parameters", is_list=False)] = Field(
        default_factory=dict
    )
    settle: Annotated[
        float,
        Seconds(
            "how long a command can still act after its call ended, and how long the device counts as unknown once it "
            "answers again; unset: 0s, and the driver's value",
            least="0s",
            most="1h",
        ),
    ] = 0.0
    off_by_exit_status: Annotated[
        bool, Flag("true: exit status 2 alone means OFF, for agents that print nothing; the operator vouches for it")
    ] = False
    cuts_power: Annotated[
        bool,
        Flag("true: the operator vouches that an unreviewed agent cuts the host's power; see docs/fence-agents.md"),
    ] = False
    check_ready: Annotated[
        bool,
        Flag("false: trust and switch a device that reports that it has just started; for one that always reports it"),
    ] = True
    tls: Annotated[
        str,
        Choice(
            "legacy: also accept TLS 1.0, 1.1, RSA key exchange and weak keys, for an old BMC",
            choices=tuple(tls.value for tls in Tls),
        ),
    ] = Tls.DEFAULT.value
    standby: Annotated[
        str,
        Choice(
            '"separate": this chassis has standby power of its own, so outlets may share its level',
            choices=("separate",),
        ),
    ] = ""
    identity: Annotated[str, Text("the BMC's system UUID or serial number, instead of the host's identity")] = ""
