"""Small CIBs, each made for one shape."""

from collections.abc import Mapping


def pairs(id_: str, values: Mapping[str, str]) -> str:
    return "".join(
        f'<nvpair id="{id_}-{number}" name="{name}" value="{value}"/>'
        for number, (name, value) in enumerate(values.items())
    )


def stonith(id_: str, agent: str, role: str = "", **parameters: str) -> str:
    """Return a fence device; `role`: its target-role."""
    meta = f'<meta_attributes id="{id_}-m">{pairs(f"{id_}-m", {"target-role": role})}</meta_attributes>' if role else ""
    return (
        f'<primitive class="stonith" id="{id_}" type="{agent}"><instance_attributes id="{id_}-i">'
        f"{pairs(id_, parameters)}</instance_attributes>{meta}</primitive>"
    )


def cib(
    *resources: str,
    nodes: tuple[str, ...] = ("node-1", "node-2"),
    topology: str = "",
    constraints: str = "",
    properties: Mapping[str, str] | None = None,
) -> bytes:
    listed = "".join(f'<node id="{number}" uname="{name}"/>' for number, name in enumerate(nodes, start=1))
    return (
        '<cib><configuration><crm_config><cluster_property_set id="options">'
        f"{pairs('option', properties or {})}</cluster_property_set></crm_config><nodes>{listed}</nodes>"
        f"<resources>{''.join(resources)}</resources><constraints>{constraints}</constraints>"
        f"<fencing-topology>{topology}</fencing-topology></configuration></cib>"
    ).encode()


def level(target: str, index: int, devices: str, *, by: str = "target") -> str:
    return f'<fencing-level id="{target}-{index}" {by}="{target}" index="{index}" devices="{devices}"/>'


BMC = {"ip": "10.0.0.1", "username": "fence", "password": "hunter2", "lanplus": "1", "pcmk_host_list": "node-1"}
PDU = {"ip": "10.0.0.9", "username": "apc", "password": "s3cret", "pcmk_host_map": "node-1:3;node-2:4,5"}
