"""Pieces of inventory files, for the tables of mistakes."""

HOST = '[[host]]\nname = "node-1"\n'
CLUSTER = '[[cluster]]\nname = "c1"\n'
PDU = '[[host.device]]\nname = "{name}"\ndriver = "fence_apc_snmp"\noptions = {{ ip = "{ip}", plug = "{plug}" }}\n'
BMC = '[[host.device]]\nname = "bmc"\ndriver = "redfish"\naddress = "https://{ip}"\n'


def pdu(name: str = "pdu", ip: str = "10.9.1.1", plug: str = "1", more: str = "") -> str:
    return PDU.format(name=name, ip=ip, plug=plug) + more


def host(name: str, *devices: str, more: str = "") -> str:
    return f'[[host]]\nname = "{name}"\n{more}\n' + "".join(devices)
