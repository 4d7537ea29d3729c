"""The tables of an inventory: data centres, clusters, proxies, hosts and their devices. Nothing is looked up here.

One rule: each table is checked by itself, so that a mistake in one host hides none in another.
"""

from typing import Annotated, Any, Final

from pydantic import Field

from fenced.config.keys import Address, Choice, Count, FileName, Flag, Listed, Name, Seconds, Tables, Text
from fenced.config.tables import DefaultsTable, DetectionOfOne, PowerOfOne, ViaKeys
from fenced.model.inventory import CALLS_MAX, Tls

LISTS: Final = ("datacenter", "cluster", "proxy", "host")
"""The keys of an inventory file; each is a list of tables."""

LEVEL_MAX: Final = 16


class Overrides(PowerOfOne, DetectionOfOne, DefaultsTable):
    """What a data centre, cluster or host may say differently."""


class DatacenterTable(Overrides):
    name: Annotated[str, Name("name of the data centre")]


class ClusterTable(Overrides):
    name: Annotated[str, Name("name of the cluster")]
    datacenter: Annotated[str, Name("its data centre", can_be_empty=True)] = ""


class ProxyTable(ViaKeys):
    name: Annotated[str, Name("name of the proxy: a preference word")]
    url: Annotated[str, Address("https://HOST:PORT (default port 8471); http:// only on loopback")]
    cluster: Annotated[str, Name("the cluster it serves as one of", can_be_empty=True)] = ""
    datacenter: Annotated[str, Name("or the data centre, when it is of no cluster", can_be_empty=True)] = ""
    host: Annotated[str, Name("the inventory host it runs on, if any", can_be_empty=True)] = ""
    domain: Annotated[str, Text("its failure domain, as a rack")] = ""
    tags: Annotated[tuple[str, ...], Listed("for the preference word tag:T", item=Name(""))] = ()
    calls: Annotated[int, Count("calls at once that it gets from this daemon; OFF goes first", most=10_000)] = CALLS_MAX


class HostTable(Overrides):
    name: Annotated[str, Name("name of the host: last part of its topics")]
    cluster: Annotated[str, Name("its cluster", can_be_empty=True)] = ""
    address: Annotated[str, Address("where it is reached: IP address or name")] = ""
    aliases: Annotated[tuple[str, ...], Listed("other names and addresses of the same machine", item=Address(""))] = ()
    rack: Annotated[str, Text("its rack; any key of gates.storm.domains")] = ""
    roles: Annotated[tuple[str, ...], Listed("its roles, for grace_per_role", item=Name(""))] = ()
    protected: Annotated[bool, Flag("true: never fenced automatically")] = False
    identity: Annotated[str, Text("the BMC's system UUID or serial, checked before an OFF")] = ""
    device: Annotated[list[dict[str, Any]], Tables("its power devices: [[host.device]]")] = Field(default_factory=list)


class DeviceTable(PowerOfOne):
    name: Annotated[str, Name("name of the device, within its host")]
    driver: Annotated[str, Name("one of our own (docs/drivers.md), or fence_NAME for a fence agent")]
    level: Annotated[int, Count("the level it belongs to; levels are tried in order", most=LEVEL_MAX)] = 1
    kind: Annotated[
        str,
        Choice("default: chassis for BMCs, blades and virtual machines, else outlet", choices=("chassis", "outlet")),
    ] = ""
    address: Annotated[str, Address("of the device")] = ""
    username: Annotated[str, Text("user name at the device")] = ""
    password_file: Annotated[str, FileName("file with the password; one line, its last line end is cut")] = ""
    password_env: Annotated[str, Text("or: the environment variable that holds it")] = ""
    password_credential: Annotated[str, Text("or: the systemd credential that holds it")] = ""
    secrets: Annotated[
        dict[str, Any],
        Tables("further secrets of the driver or agent: NAME_file, NAME_env or NAME_credential", is_list=False),
    ] = Field(default_factory=dict)
    credential: Annotated[
        str, Text("at-proxy:NAME: the proxy keeps user name, password and secrets under this name")
    ] = ""
    proxies: Annotated[tuple[str, ...], Listed("this device's own list of proxies", item=Address(""), least=1)] = ()
    options: Annotated[dict[str, Any], Tables("the driver's or agent's own parameters", is_list=False)] = Field(
        default_factory=dict
    )
    settle: Annotated[
        float,
        Seconds(
            "how long a command can still act after its call ended, and how long the device counts as unknown once it "
            "answers again; unset: none, and what its driver says",
            least="0s",
            most="1h",
        ),
    ] = 0.0
    off_by_exit_status: Annotated[
        bool, Flag("true: exit 2 alone means OFF, for agents that print nothing; a person's statement")
    ] = False
    cuts_power: Annotated[
        bool,
        Flag(
            "true: a person's word that an agent which nobody reviewed takes the host's power; see docs/fence-agents.md"
        ),
    ] = False
    check_ready: Annotated[
        bool,
        Flag("false: believe and switch a device though it says that it has just started; for one that always does"),
    ] = True
    tls: Annotated[
        str,
        Choice(
            "legacy: speak TLS 1.0, 1.1, RSA key exchange and weak keys with an old BMC as well",
            choices=tuple(tls.value for tls in Tls),
        ),
    ] = Tls.DEFAULT.value
    standby: Annotated[
        str, Choice('"separate": a chassis that keeps its own power beside outlets of its level', choices=("separate",))
    ] = ""
    identity: Annotated[str, Text("instead of the host's: the BMC's system UUID or serial")] = ""
