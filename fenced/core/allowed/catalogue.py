"""What each gate is: when it is closed, what opens it and who can, and what it does when it can't know.

`docs/gates.md` has this as a table (`make docs-gates`), and `explain` says what would open a closed gate.
"""

from dataclasses import dataclass
from typing import Final


@dataclass(frozen=True, slots=True, kw_only=True)
class About:
    """`opens_when` goes on after "opens when". `who` can open it: a person, the host, time, ... `fails`: what the gate
    does if what it needs is not known, and why that is right."""

    closed_while: str
    set_by: str
    opens_when: str
    who: str
    fails: str
    is_of_silence: bool = False
    """Whether it is about a host that is silent now: it says nothing of one that is heard."""


def opens_when(gate: str) -> str:
    """Return what opens a gate; "" for one that there is no more, which an old record may name, and for a rule that is
    none."""
    about = GATES.get(gate)
    return "" if about is None else about.opens_when


def table() -> str:
    """Return the table of the documentation, in Markdown."""
    head = "| Gate | Closed while | Set by | Opens when | Who | Fails |\n|---|---|---|---|---|---|\n"
    rows = (
        f"| `{name}` | {it.closed_while} | {it.set_by} | {it.opens_when} | {it.who} | {it.fails} |\n"
        for name, it in GATES.items()
    )
    return head + "".join(rows)


GATES: Final[dict[str, About]] = {
    "armed": About(
        closed_while="the file says `armed = false`, or an operator disarmed",
        set_by="`[daemon] armed`, `fencectl disarm`",
        opens_when="the file says `armed = true` and an operator ran `fencectl arm`", who="a person",
        fails="closed: power is cut only where a person wanted that",
    ),
    "lease": About(
        closed_while="the store's lease is lost or in doubt, or the daemon stops", set_by="`[store] lease_ttl`",
        opens_when="the store answers again; check its disk, or whether another controller took over",
        who="time, a person",
        fails="closed: another controller may act",
    ),
    "store": About(
        closed_while="the store is not the one that this daemon had, or some of the fleet's records can't be read",
        set_by="", opens_when="what is forgotten (disarmed, paused, in maintenance) was requested again, and "
        "`fencectl release store --reason R`", who="a person", fails="closed: a word of a person may be lost",
    ),
    "warm_up": About(
        closed_while="`startup_quiet`, no bus, `bus_settle`", set_by="`[detection]`",
        opens_when="the bus is connected and the time is over", who="time, the broker",
        fails="closed: nobody can be heard yet",
    ),
    "witness": About(
        closed_while="too few *other* hosts were heard after the suspect's last beat plus one interval, and are "
        "heard still "
        "([below](#who-is-a-witness))",
        set_by="`[gates.witness]`",
        opens_when="other hosts are heard: the daemon is probably cut off, check its network",
        who="other hosts", fails="closed: silence proves nothing if nobody is heard", is_of_silence=True,
    ),
    "own_machine": About(
        closed_while="the daemon runs on that host", set_by="`[daemon] runs_on`", opens_when="another machine acts",
        who="a person", fails="closed: it would cut its own power",
    ),
    "automatic": About(
        closed_while="`automatic = false` for the host", set_by="`[defaults]`, cluster, host",
        opens_when="`automatic = true` and a reload; or by hand, `fencectl restart HOST`", who="a person",
        fails="closed: so configured",
    ),
    "record": About(
        closed_while="the host's records could not be read at a start, so its state is not known", set_by="",
        opens_when="a person looked: `fencectl maintenance HOST on --reason '...'`, then `off`, or switch it by hand",
        who="a person", fails="closed: it may be off, owed power, or in somebody's hands",
    ),
    "maintenance": About(
        closed_while="an operator asked to leave it alone", set_by="`fencectl maintenance`",
        opens_when="its time is over, or `fencectl maintenance HOST off --reason '...'`", who="a person, time",
        fails="closed: a person works on it",
    ),
    "paused": About(
        closed_while="a pause selects it",
        set_by="`fencectl pause`", opens_when="its time is over, or `fencectl resume`",
        who="a person, time", fails="closed: a person asked for that",
    ),
    "protected": About(
        closed_while="`protected = true`", set_by="`[[host]]`", opens_when="a reload without it; or by hand",
        who="a person", fails="closed: so configured",
    ),
    "known": About(
        closed_while="no heartbeat of it was ever journalled", set_by="", opens_when="its reporter is started",
        who="the host", fails="closed: it may never have run",
    ),
    "devices": About(
        closed_while="it has no power device", set_by="`[[host.device]]`", opens_when="one is added", who="a person",
        fails="closed: nothing can be proven",
    ),
    "woken": About(
        closed_while="saving woke it, and it was not heard within `boot_grace`", set_by="`[saving]`",
        opens_when="it is heard, or a person acts: `fencectl on`, `off` or `restart HOST`", who="the host, a person",
        fails="closed: it had no work when it went to sleep, so nobody waits for its fence",
    ),
    "attempts": About(
        closed_while="that many automatic operations sent an OFF within the window", set_by="`[gates.attempts]`",
        opens_when="the window has passed; find out why; by hand", who="time, a person",
        fails="closed: one more changes nothing",
    ),
    "cooldown": About(
        closed_while="an automatic operation on it ended a moment ago, or back-off after a failure",
        set_by="`[gates] cooldown`", opens_when="the time is over; or by hand", who="time, a person",
        fails="closed: it may be booting",
    ),
    "alive_but_silent": About(
        closed_while="the host itself answers (a TCP port, its proxy agent), or was not probed yet (where it has no "
        "address to probe, the gate is open and says so); or it sent a stale beat within its grace "
        "([below](#stale-is-not-silent)); or one of its reporters is not late yet "
        "([below](#several-reporters-of-one-host))",
        set_by="`[detection] probe_ports`, `alive_but_silent`",
        opens_when="it answers no more: its reporter is dead, or counts wrong, restart it", who="the host, a person",
        fails="closed until it was probed; open where there is nothing to probe: most hosts have no address that "
        "answers, and the other gates hold",
        is_of_silence=True,
    ),
    "observers": About(
        closed_while="fewer failure domains than needed looked at the host just now, reached a control over its "
        "network, and saw it silent ([below](#observers))",
        set_by="`[detection] observers`, `references`, `probe_ports`; `[daemon] domain`; `[look]` of a proxy",
        opens_when="the missing observers look and reach a control: start their proxies, mend their networks, or name "
        "`references`",
        who="the observers, a person",
        fails="closed: who reaches nobody over a network knows nothing of a host there; open where there is nothing to "
        "look at",
        is_of_silence=True,
    ),
    "live_evidence": About(
        closed_while="another system says that it lives, that people work on it, or that it shuts down, with a kind "
        "that counts ([below](#evidence))",
        set_by="`[gates] live_evidence`",
        opens_when="what was said expires, or is taken back; ask that system, or leave its kind out of "
        "`live_evidence` and reload",
        who="that system, time, a person",
        fails="open: a source that says nothing, or died, must not forbid every fence; `explain` and `status` name "
        "sources that fell silent",
    ),
    "connectivity": About(
        closed_while="a large share of its cluster is overdue, or all of it, however small",
        set_by="`[gates.connectivity]`", opens_when="they are heard: check the network of the cluster; "
        "`fencectl maintenance` for those that stay down", who="other hosts, a person",
        fails="closed: the network is likelier than so many deaths",
    ),
    "storm": About(
        closed_while="many hosts of one of its failure domains fell silent together ([below](#storms))",
        set_by="`[gates.storm]`",
        opens_when="they are heard, or a person looked: `fencectl release DOMAIN=VALUE --reason R`",
        who="other hosts, a person",
        fails="open: a host in no domain is judged by the other gates",
    ),
    "budget": About(
        closed_while="that many hosts of the cluster or the fleet were fenced within the window, or have not "
        "come back; "
        "with [several shards](#the-budget-of-several-shards), in all of them",
        set_by="`[gates.budget]`",
        opens_when="the window has passed, or they come back: find out what kills them; by hand",
        who="time, a person", fails="closed: also while another shard draws",
    ),
    "quiet": About(
        closed_while="of a [drill](operations.md#drills) alone: another host is drilled, or suspect, being "
        "fenced or failed",
        set_by="", opens_when="that is over, or `--force` (not beside a drill)", who="time, a person",
        fails="closed: a drill can wait",
    ),
    "concurrency": About(
        closed_while="that many automatic operations run",
        set_by="`[gates] concurrency`", opens_when="one of them ends",
        who="time", fails="closed: the next one comes soon",
    ),
    "release_grace": About(
        closed_while="the host was silent through an outage, a hold of many or our start, or got power back and was "
        "never proven off: it may still boot",
        set_by="`[detection] release_grace`, `boot_grace`", opens_when="the time is over; or by hand",
        who="time, a person", fails="closed: slow booters are not shot", is_of_silence=True,
    ),
}  # fmt: skip
