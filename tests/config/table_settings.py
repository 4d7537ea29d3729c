"""Mistakes between keys: timing, secrets, places, and what is not in this version yet.

Name -> (the file, the reported path, the shown value, a part of the reason). Each stops a start.
"""

from tests.config.pieces import BMC, HOST, host, pdu

SETTINGS = {
    "grace within the interval": (
        '[detection]\nheartbeat_interval = "30s"\n',
        "detection.grace",
        "20s",
        "shorter than the heartbeat interval (30s)",
    ),
    "a cluster's grace within the interval": (
        '[[cluster]]\nname = "c"\ngrace = "2s"\n',
        "cluster[0].grace",
        "2s",
        "shorter than the heartbeat interval (5s)",
    ),
    "a host's interval beyond the grace": (
        HOST + 'heartbeat_interval = "1m"\n',
        "host[0].heartbeat_interval",
        "1m",
        "grace is shorter than the heartbeat",
    ),
    "grace above its maximum": ('[detection]\ngrace = "3m"\n', "detection.grace_max", "2m", "shorter than grace (3m)"),
    "no time for stable reads": (
        host("n", pdu(more='verify_timeout = "1s"\n')),
        "host[0].device[0].verify_timeout",
        "1s",
        "could ever be proven off",
    ),
    "hold beyond the operation": (
        '[power]\nalready_off_hold = "10m"\n',
        "power.already_off_hold",
        "10m",
        "longer than operation_timeout (5m)",
    ),
    "levels beyond the operation": (
        host("n", pdu(), BMC.format(ip="10.9.0.1") + "level = 2\n", more='operation_timeout = "100s"'),
        "host[0].operation_timeout",
        "1m40s",
        "worst case of n, 1m50s",
    ),
    "a slow device beyond the operation": (
        host("n", pdu(more='attempt_timeout = "6m"\n')),
        "host[0].device[0].attempt_timeout",
        "6m",
        "longer than operation_timeout (5m)",
    ),
    "secret inline": ('[bus]\npassword = "geheim"\n', "bus.password", "***", "never written inline: use password_file"),
    "secret of a device inline": (
        host("n", pdu(more='password = "geheim"\n')),
        "host[0].device[0].password",
        "***",
        "never written inline",
    ),
    "secret in the bus url": (
        '[bus]\nurl = "mqtt://me:geheim@broker"\n',
        "bus.url",
        "mqtt://***@broker",
        "never written inline",
    ),
    "secret in a proxy's url": (
        '[[proxy]]\nname = "p"\nurl = "http://me:geheim@127.0.0.1:1"\n',
        "proxy[0].url",
        "http://***@127.0.0.1:1",
        "never written inline",
    ),
    "secret in a device's address": (
        host("n", BMC.format(ip="me:geheim@10.9.0.1")),
        "host[0].device[0].address",
        "https://***@10.9.0.1",
        "never written",
    ),
    "no such secret": (
        '[bus]\nusername = "u"\npassword_file = "nowhere"\n',
        "bus.password_file",
        "nowhere",
        "no such file",
    ),
    "no such variable": (
        '[bus]\nusername = "u"\npassword_env = "NOWHERE"\n',
        "bus.password_env",
        "NOWHERE",
        "variable is not set",
    ),
    "no such credential": (
        '[bus]\nusername = "u"\npassword_credential = "bus"\n',
        "bus.password_credential",
        "bus",
        "CREDENTIALS_DIRECTORY",
    ),
    "two secrets": (
        '[bus]\nusername = "u"\npassword_env = "A"\npassword_file = "fenced.toml"\n',
        "bus.password_env",
        "",
        "only one of",
    ),
    "password without user": ('[bus]\npassword_file = "tls/secret"\n', "bus.username", "", "a password is given"),
    "certificate without key": ('[bus]\ncert_file = "tls/cert"\n', "bus.key_file", "", "cert_file is given"),
    "no such certificate": ('[bus]\nca_file = "nowhere"\n', "bus.ca_file", "nowhere", "no such file"),
    "bus of another kind": ('[bus]\nurl = "amqp://x"\n', "bus.url", "amqp://x", "must begin with mqtt://"),
    "embedded off loopback": (
        '[bus]\nurl = "embedded://10.0.0.1"\n',
        "bus.url",
        "embedded://10.0.0.1",
        "loopback address",
    ),
    "bus with a bad port": ('[bus]\nurl = "mqtt://x:99999"\n', "bus.url", "mqtt://x:99999", "must be mqtt://HOST:PORT"),
    "confirm-off in clear": (
        '[bus]\naccept_requests = ["confirm_off"]\n',
        "bus.accept_requests",
        '["confirm_off"]',
        "needs mqtts://",
    ),
    "PostgreSQL": (
        '[store]\nurl = "postgresql://u@h/db"\n',
        "store.url",
        "postgresql://***@h/db",
        "not in this version yet",
    ),
    "not a store": ('[store]\nurl = "sqlite://"\n', "store.url", "sqlite://", "must be sqlite:///FILE"),
    "not a listener": ('[api]\nlisten = "8470"\n', "api.listen", "8470", "must be ADDRESS:PORT"),
    "open without tokens": ('[api]\nlisten = "0.0.0.0:8470"\n', "api.tokens_file", "", "not a loopback address"),
    "no such tokens": ('[api]\ntokens_file = "nowhere"\n', "api.tokens_file", "nowhere", "no such file"),
    "soft fence": (
        '[detection]\non_report = "soft_fence"\n',
        "detection.on_report",
        "soft_fence",
        "not in this version",
    ),
    "soft fence of a host": (
        HOST + 'alive_but_silent = "soft_fence"\n',
        "host[0].alive_but_silent",
        "soft_fence",
        "not in this version",
    ),
    "remedies": ('[remedy]\nsteps = ["kdump", "power"]\n', "remedy.steps", '["kdump", "power"]', "not in this version"),
    "power saving": ("[saving]\nidle = 1\n", "saving", "(a table)", "not in this version"),
    "references": (
        '[detection]\nreferences = ["10.0.0.1"]\n',
        "detection.references",
        '["10.0.0.1"]',
        "not in this version",
    ),
    "observers": ("[detection]\nobservers = 3\n", "detection.observers", "3", "not in this version"),
    "storm": ("[gates.storm]\nhosts = 9\n", "gates.storm", "(a table)", "not in this version"),
    "identity": (HOST + 'identity = "4c4c"\n', "host[0].identity", "4c4c", "never be compared"),
    "one identity of two hosts": (
        host("n", BMC.format(ip="10.9.0.1"), more='identity = "4C4C4544-0042-3510-8043-B7C04F4E3332"')
        + host("m", BMC.format(ip="10.9.0.2"), more='identity = " 4c4c4544004235108043b7c04f4e3332 "'),
        "host[1].identity",
        " 4c4c4544004235108043b7c04f4e3332 ",
        "is also the identity of n",
    ),
    "one identity of two hosts, one in the other byte order": (
        host("n", BMC.format(ip="10.9.0.1"), more='identity = "4c4c4544-0042-3510-8043-b7c04f4e3332"')
        + host("m", BMC.format(ip="10.9.0.2") + 'identity = "44454c4c-4200-1035-8043-b7c04f4e3332"\n'),
        "host[1].device[0].identity",
        "44454c4c-4200-1035-8043-b7c04f4e3332",
        "is also the identity of n",
    ),
    "one serial number of two hosts": (
        host("n", BMC.format(ip="10.9.0.1"), more='identity = "CZ3-211"')
        + host("m", BMC.format(ip="10.9.0.2"), more='identity = "cz3211"'),
        "host[1].identity",
        "cz3211",
        "is also the identity of n",
    ),
    "identity of a device": (
        HOST + '[[host.device]]\nname = "x"\ndriver = "fence_ipmilan"\naddress = "10.9.0.1"\nidentity = "4c"\n',
        "host[0].device[0].identity",
        "4c",
        "never be compared",
    ),
    "secret of a driver that takes none": (
        host("n", BMC.format(ip="10.9.0.1") + 'secrets = { x_file = "tls/secret" }\n'),
        "host[0].device[0].secrets.x",
        "",
        "takes no such secret",
    ),
    "further secret inline": (
        host("n", pdu(more='secrets = { snmp_priv_passwd = "geheim" }\n')),
        "host[0].device[0].secrets.snmp_priv_passwd",
        "",
        "never written inline",
    ),
    "secret from two places": (
        host("n", pdu(more='secrets = { a_file = "tls/secret", a_env = "A" }\n')),
        "host[0].device[0].secrets.a_env",
        "",
        "only one of a_file and a_env",
    ),
    "credential elsewhere": (
        host("n", pdu(more='credential = "vault:x"\n')),
        "host[0].device[0].credential",
        "vault:x",
        "must be at-proxy:NAME",
    ),
    "credential beside a login": (
        host("n", pdu(more='credential = "at-proxy:x"\nusername = "u"\n')),
        "host[0].device[0].username",
        "",
        "the proxy keeps the whole login",
    ),
    "credential that engine does not have": (
        host("n", pdu(more='credential = "at-proxy:x"\nproxies = ["engine"]\n')),
        "host[0].device[0].credential",
        "at-proxy:x",
        "engine, which keeps no credentials",
    ),
    "unknown option of a driver": (
        host("n", BMC.format(ip="10.9.0.1") + 'options = { sistem = "1" }\n'),
        "host[0].device[0].options.sistem",
        "1",
        "did you mean system?",
    ),
    "option of the wrong kind": (
        host("n", BMC.format(ip="10.9.0.1") + 'options = { insecure = "no" }\n'),
        "host[0].device[0].options.insecure",
        "no",
        "true or false, without quotes",
    ),
    "no such inventory": ('[inventory]\nfiles = ["x.toml"]\n', "", "", "no such file"),
    "no match": ('[inventory]\nfiles = ["x/*.toml"]\n', "inventory.files[0]", "x/*.toml", "no file matches"),
}
