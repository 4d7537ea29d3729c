"""Faults between the parts: the broker, the hosts' messages, the daemon's own link, the proxies.

Everything is mended at the end of the trouble, except what was lost or reported wrongly.
"""

from tests.simulation.draft import Draft

SLOW_SECONDS = (2, 4, 10)
WAYS = ("dead", "hangs", "cut", "cut on the way there", "cut on the way back", "loses its disk")
DEATHS = ("dies after it sent", "crashes", "crashes, its agents live")
STARTS = ("restarts", "reboots", "restarts with an empty disk")


def bus(draft: Draft) -> None:
    """The broker, or one direction of the daemon's connection to it."""
    begins, ends = draft.dice.choice(
        (("lost", "back"), ("refuses", "takes"), ("unheard", "works"), ("swallows", "works"),
         ("acknowledges after 2", "acknowledges after 0.01"), ("acknowledges after 8", "acknowledges after 0.01"))
    )  # fmt: skip
    draft.passing(f"bus {begins}", f"bus {ends}")


def refused_topics(draft: Draft) -> None:
    """The broker's access list loses a host, the daemon's own topic, or the fleet's events; for a while,
    or for good.
    """
    name = draft.dice.choice((draft.host(), draft.host(), "fenced-a", "event"))
    if draft.dice.random() < 0.5:
        draft.once(f"bus refuses topics of {name}")
    else:
        draft.passing(f"bus refuses topics of {name}", f"bus takes topics of {name}")


def one_daemon(draft: Draft) -> None:
    """One direction between the broker and one daemon, or the link between a daemon and a proxy;
    no other notices it.
    """
    daemon, name = draft.dice.choice(("fenced-a", *draft.rack.other_daemons)), draft.proxy()
    if name is not None and draft.dice.random() < 0.5:
        draft.passing(f"proxy {name} cut from {daemon}", f"proxy {name} works")
    else:
        draft.passing(f"bus {draft.dice.choice(('unheard by', 'swallows of'))} {daemon}", "bus works")


def link(draft: Draft) -> None:
    """The daemon's own network."""
    draft.passing("link cut", "link back", most=60.0)


def island(draft: Draft) -> None:
    """Over the hosts' network only what runs on the daemon's machine reaches it; its devices are on another network."""
    but = draft.rack.own_machine or draft.host()
    draft.passing(f"all but {but}: is cut off", f"all but {but}: is back")


def post(draft: Draft) -> None:
    """The hosts' messages on their way."""
    what = draft.dice.choice(("loses 30%", "loses 80%", "repeats 50%", "delays up to 8", "delays up to 40"))
    draft.passing(f"post {what}", "post works")


def one_hosts_post(draft: Draft) -> None:
    """The messages of a single host."""
    what = draft.dice.choice(("loses 100%", "loses 80%", "delays up to 8", "delays up to 40"))
    draft.passing(f"post {draft.host()} {what}", "post works")


def bridge(draft: Draft) -> None:
    """A bridge holds the messages of all hosts or of one, and releases them at once, as if they were new."""
    of = draft.dice.choice(("", f" {draft.host()}"))
    draft.passing(f"post keeps back{of}", "post lets go")


def kept(draft: Draft) -> None:
    """The broker retains the last messages and gives them to each subscriber, for ever."""
    draft.once("post keeps the last")


def old_message(draft: Draft) -> None:
    """A message of an earlier run of the host arrives now."""
    draft.once(f"{draft.host()} beats as boot 1")


def proxy_way(draft: Draft) -> None:
    """A proxy that is unreachable or can't work."""
    if (name := draft.proxy()) is not None:
        what = draft.dice.choice(WAYS)
        draft.passing(f"proxy {name} {what}", f"proxy {name} works")


def proxy_slow(draft: Draft) -> None:
    """Calls arrive late, or answers do."""
    if (name := draft.proxy()) is not None:
        seconds = draft.dice.choice(SLOW_SECONDS)
        what = draft.dice.choice((f"slow {seconds}", f"answers {seconds} late"))
        draft.passing(f"proxy {name} {what}", f"proxy {name} works")


def proxy_death(draft: Draft) -> None:
    """Its agent dies, and comes back in one of several ways."""
    if (name := draft.proxy()) is not None:
        how, back = draft.dice.choice(DEATHS), draft.dice.choice(STARTS)
        start = draft.moment()
        draft.at(start, f"proxy {name} {how}")
        draft.at(draft.until(start, most=30.0), f"proxy {name} {back}")
        draft.faults += 1


def proxy_clock(draft: Draft) -> None:
    """Its clock jumps, which a proxy's clock must not do."""
    if (name := draft.proxy()) is not None:
        draft.once(f"proxy {name} clock jumps {draft.dice.choice((-60, -15, 15, 600))}")
