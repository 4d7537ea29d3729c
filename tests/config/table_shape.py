"""Mistakes within one table: unknown keys, wrong values, missing ones.

Name -> (the file, the reported path, the shown value, a part of the reason). Each stops a start.
"""

from tests.config.pieces import CLUSTER, HOST, host, pdu

SHAPE = {
    "unknown table": ("[deamon]\n", "deamon", "(a table)", "unknown key; did you mean daemon?"),
    "unknown key": ('[bus]\nurll = "x"\n', "bus.urll", "x", "unknown key; did you mean url?"),
    "unknown key of a host": (HOST + "racks = 1\n", "host[0].racks", "1", "node-1: unknown key; did you mean rack?"),
    "unknown key of a device": (
        host("node-1", pdu(more="retry = 1\n")),
        "host[0].device[0].retry",
        "1",
        "node-1, pdu: unknown key",
    ),
    "table for a value": (
        "[detection.grace]\na = 1\n",
        "detection.grace",
        "(a table)",
        "a duration is text with a unit",
    ),
    "value for a table": ("race = 5\n[daemon]\n", "race", "5", "must be a table"),
    "number for a duration": ("[detection]\ngrace = 20\n", "detection.grace", "20", "a duration is text with a unit"),
    "bad duration": ('[detection]\ngrace = "20 sec"\n', "detection.grace", "20 sec", "not a duration"),
    "zero where it is not none": ('[power]\nverify_interval = "0s"\n', "power.verify_interval", "0s", "at least 1ms"),
    "too long": ('[power]\nattempt_timeout = "1d"\n', "power.attempt_timeout", "1d", "at most 1h"),
    "text for a count": ('[power]\nattempts = "3"\n', "power.attempts", "3", "must be a whole number"),
    "yes for a count": ("[power]\nattempts = true\n", "power.attempts", "true", "must be a whole number"),
    "count out of range": ("[power]\nstable_reads = 0\n", "power.stable_reads", "0", "must be 1 to 100"),
    "share out of range": ("[gates.connectivity]\nshare = 0\n", "gates.connectivity.share", "0", "must be 1 to 100"),
    "port out of range": ("[detection]\nprobe_ports = [0]\n", "detection.probe_ports", "[0]", "must be 1 to 65535"),
    "text for a flag": (
        '[daemon]\nagent_path = ["agents"]\narmed = "no"\n',
        "daemon.armed",
        "no",
        "must be true or false",
    ),
    "unknown word": (
        '[defaults]\nfence_action = "on"\n',
        "defaults.fence_action",
        "on",
        "must be one of: restart, off",
    ),
    "unknown request": (
        '[bus]\naccept_requests = ["kill"]\n',
        "bus.accept_requests",
        '["kill"]',
        "must be one of: fence",
    ),
    "bad name": ('[[host]]\nname = "node 1"\n', "host[0].name", "node 1", "letters, digits"),
    "topic as a name": ('[[host]]\nname = "node/+"\n', "host[0].name", "node/+", "letters, digits"),
    "no name": ('[[host]]\naddress = "10.0.0.1"\n', "host[0].name", "", "is missing"),
    "single brackets": ('[host]\nname = "node-1"\n', "host", "(a table)", "must be tables: [[host]]"),
    "single brackets of a device": (
        '[[host]]\nname = "node-1"\n[host.device]\nname = "x"\n',
        "host[0].device",
        "(a table)",
        "double brackets",
    ),
    "no driver": (HOST + '[[host.device]]\nname = "x"\n', "host[0].device[0].driver", "", "node-1, x: is missing"),
    "unknown key of saving": ("[saving]\nidle = 1\n", "saving.idle", "1", "unknown key"),
    "unknown key of a cluster's saving": (
        CLUSTER + "saving = { waking = { racks = 1 } }\n",
        "cluster[0].saving.waking.racks",
        "1",
        "c1: unknown key; did you mean rack?",
    ),
    "saving of a cluster as a flag": (
        CLUSTER + "saving = true\n",
        "cluster[0].saving",
        "true",
        "as { enabled = true }",
    ),
    "saving of a host as a table": (
        HOST + "saving = { enabled = false }\n",
        "host[0].saving",
        "(a table)",
        "node-1: must be true or false, without quotes: a host has no [saving] of its own",
    ),
    "saving of a data centre": (
        '[[datacenter]]\nname = "dc1"\nsaving = { enabled = true }\n',
        "datacenter[0].saving",
        "(a table)",
        "unknown key",
    ),
    "more than all asleep": (
        "[saving]\nasleep_at_most = 101\n",
        "saving.asleep_at_most",
        "101",
        "must be 0 to 100",
    ),
    "less than none asleep": (
        CLUSTER + "saving = { asleep_at_most = -1 }\n",
        "cluster[0].saving.asleep_at_most",
        "-1",
        "c1: must be 0 to 100",
    ),
    "no idle time": ('[saving]\nidle_for = "0s"\n', "saving.idle_for", "0s", "at least 1ms"),
    "no veto": ('[saving]\nveto = "0s"\n', "saving.veto", "0s", "at least 1ms"),
    "another way to shut down": ('[saving]\nsoft_off = "ssh"\n', "saving.soft_off", "ssh", "one of: device, reporter"),
    "consent of a topic": ('[saving]\nconsent = ["a/b"]\n', "saving.consent", '["a/b"]', "letters, digits"),
    "consent twice": ('[saving]\nconsent = ["a", "a"]\n', "saving.consent", '["a", "a"]', "has a twice"),
    "nobody wakes": ("[saving.waking]\nrack = 0\n", "saving.waking.rack", "0", "must be 1 to 10000"),
    "waking as a number": ("[saving]\nwaking = 4\n", "saving.waking", "4", "must be a table"),
    "level out of range": (host("n", pdu(more="level = 0\n")), "host[0].device[0].level", "0", "must be 1 to 16"),
}
