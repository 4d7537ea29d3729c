"""Mistakes between tables: names, preference lists, drivers, plugs, levels.

Name -> (the file, the reported path, the shown value, a part of the reason). Each stops a start.
"""

from tests.config.files import CLUSTERS, TLS
from tests.config.pieces import BMC, HOST, host, pdu

REFERENCES = {
    "unknown cluster": (host("n", more='cluster = "c9"'), "host[0].cluster", "c9", "there is no cluster of this name"),
    "unknown datacenter": (
        '[[cluster]]\nname = "c"\ndatacenter = "x"\n',
        "cluster[0].datacenter",
        "x",
        "there is no datacenter of this name",
    ),
    "proxy on an unknown host": (
        '[[proxy]]\nname = "p"\nurl = "http://127.0.0.1:1"\nhost = "x"\n',
        "proxy[0].host",
        "x",
        "there is no host",
    ),
    "proxy in two places": (
        CLUSTERS + '[[datacenter]]\nname = "dc2"\n[[proxy]]\nname = "p"\nurl = "http://127.0.0.1:1"\n'
        'cluster = "c1"\ndatacenter = "dc2"\n',
        "proxy[0].datacenter",
        "dc2",
        "the cluster c1 is in dc1",
    ),
    "proxy with a reserved name": (
        '[[proxy]]\nname = "engine"\nurl = "http://127.0.0.1:1"\n',
        "proxy[0].name",
        "engine",
        "reserved",
    ),
    "http off loopback": (
        '[[proxy]]\nname = "p"\nurl = "http://10.0.0.9:8471"\n',
        "proxy[0].url",
        "http://10.0.0.9:8471",
        "on loopback",
    ),
    "not a proxy's url": ('[[proxy]]\nname = "p"\nurl = "px1:8471"\n', "proxy[0].url", "px1:8471", "must be https://"),
    "no certificates for proxies": (
        '[[proxy]]\nname = "p"\nurl = "https://px1:8471"\n',
        "proxy_client",
        "",
        "are needed for https:// proxies, as p",
    ),
    "unknown preference word": (
        '[defaults]\nproxies = ["clusters"]\n',
        "defaults.proxies[0]",
        "clusters",
        "engine, cluster",
    ),
    "unknown tag": (
        '[defaults]\nproxies = ["engine", "tag:oob"]\n',
        "defaults.proxies[1]",
        "tag:oob",
        "no proxy has this tag",
    ),
    "word of a host without a proxy": (
        HOST + 'proxies = ["node-1"]\n',
        "host[0].proxies[0]",
        "node-1",
        "no proxy is known to run on this host",
    ),
    "loopback as a word": (HOST + 'proxies = ["127.0.0.1"]\n', "host[0].proxies[0]", "127.0.0.1", "use engine"),
    "word given twice": (HOST + 'proxies = ["engine", "engine"]\n', "host[0].proxies", '["engine", "engine"]', "twice"),
    "nobody reaches it": (
        CLUSTERS + host("n", pdu(more='proxies = ["cluster"]\n'), more='cluster = "c1"'),
        "host[0].device[0].proxies",
        '["cluster"]',
        "can reach this device",
    ),
    "only itself reaches it": (
        TLS
        + '[[proxy]]\nname = "p"\nurl = "https://10.0.0.1:8471"\n'
        + host("n", pdu(more='proxies = ["p"]\n'), more='address = "10.0.0.1"'),
        "host[0].device[0].proxies",
        '["p"]',
        "can reach this device",
    ),
    "no such program": (
        HOST + '[[host.device]]\nname = "x"\ndriver = "fence_nowhere"\ncuts_power = true\n',
        "host[0].device[0].driver",
        "fence_nowhere",
        "no such program along agent_path",
    ),
    "no such driver": (
        HOST + '[[host.device]]\nname = "x"\ndriver = "redfsh"\n',
        "host[0].device[0].driver",
        "redfsh",
        "no such driver",
    ),
    "nobody reviewed it": (
        HOST + '[[host.device]]\nname = "x"\ndriver = "fence_instant"\n',
        "host[0].device[0].driver",
        "fence_instant",
        "cuts_power = true",
    ),
    "read, and found wanting": (
        HOST + '[[host.device]]\nname = "x"\ndriver = "fence_dummy"\n',
        "host[0].device[0].driver",
        "fence_dummy",
        "for tests",
    ),
    "cuts no power, whoever says so": (
        HOST + '[[host.device]]\nname = "x"\ndriver = "fence_SCSI"\ncuts_power = true\n',
        "host[0].device[0].driver",
        "fence_SCSI",
        "does not cut power",
    ),
    "cuts no power": (
        HOST + '[[host.device]]\nname = "x"\ndriver = "fence_scsi"\n',
        "host[0].device[0].driver",
        "fence_scsi",
        "does not cut power",
    ),
    "redfish without address": (
        HOST + '[[host.device]]\nname = "x"\ndriver = "redfish"\n',
        "host[0].device[0].address",
        "",
        "is missing",
    ),
    "outlet and chassis": (
        host("n", pdu(), BMC.format(ip="10.9.0.1")),
        "host[0].device[1].level",
        "1",
        "a chassis and an outlet (pdu)",
    ),
    "standby of an outlet": (
        host("n", pdu(more='standby = "separate"\n')),
        "host[0].device[0].standby",
        "separate",
        "only a chassis",
    ),
    "both feeds on one outlet": (
        host("n", pdu("a"), pdu("b")),
        "host[0].device[1]",
        "fence_apc_snmp|10.9.1.1:161|1",
        "the same plug as a",
    ),
    "both feeds on one outlet by name": (
        host("n", pdu("a"), pdu("b", ip="pdu.example.org")),
        "host[0].device[1]",
        "fence_apc_snmp|pdu.example.org:161|1",
        "the same plug as a",
    ),
    "both feeds on one outlet by two agents": (
        host("n", pdu("a"), pdu("b").replace("fence_apc_snmp", "fence_apc")),
        "host[0].device[1]",
        "fence_apc|10.9.1.1|1",
        "the same plug as a",
    ),
    "plug of two hosts": (
        host("n", pdu()) + host("m", pdu()),
        "host[1].device[0]",
        "fence_apc_snmp|10.9.1.1:161|1",
        "the same plug as n, pdu",
    ),
    "one of several plugs of two hosts": (
        host("n", pdu(plug="1,2")) + host("m", pdu(plug="2")),
        "host[1].device[0]",
        "fence_apc_snmp|10.9.1.1:161|2",
        "the same plug as n",
    ),
    "BMC of two hosts under two names": (
        host("n", BMC.format(ip="bmc-1.example.org")) + host("m", BMC.format(ip="bmc-one.example.org:443")),
        "host[1].device[0]",
        "redfish|bmc-one.example.org:443|",
        "the same plug as n, bmc",
    ),
    "BMC of two hosts by two drivers": (
        host("n", '[[host.device]]\nname = "b"\ndriver = "fence_ipmilan"\naddress = "10.9.0.1"\n')
        + host(
            "m", '[[host.device]]\nname = "b"\ndriver = "fence_ipmilan"\noptions = { ip = "10.9.0.1", ipport = 623 }\n'
        ),
        "host[1].device[0]",
        "fence_ipmilan|10.9.0.1:623|",
        "the same plug as n, b",
    ),
    "host given twice": (HOST + HOST, "host[1].name", "node-1", "is given twice"),
    "device given twice": (host("n", pdu("a"), pdu("a", plug="2")), "host[0].device[1].name", "a", "is given twice"),
    "proxy given twice": (
        '[[proxy]]\nname = "p"\nurl = "http://127.0.0.1:1"\n' * 2,
        "proxy[1].name",
        "p",
        "is given twice",
    ),
    "cluster given twice": ('[[cluster]]\nname = "c"\n' * 2, "cluster[1].name", "c", "is given twice"),
    "datacenter given twice": ('[[datacenter]]\nname = "d"\n' * 2, "datacenter[1].name", "d", "is given twice"),
    "address given twice": (
        host("n", more='address = "fd00::1"') + host("m", more='address = "FD00:0::1"'),
        "host[1].address",
        "FD00:0::1",
        "is given twice",
    ),
    "alias is another's name": (
        host("n") + host("m", more='aliases = ["x", "n"]'),
        "host[1].aliases[1]",
        "n",
        "is given twice",
    ),
}
