"""The script's commands and the words of records for power saving (S24).

Knows hosts and their work, and requests of operators about saving; not what the daemon should do with either.
"""

from collections.abc import Sequence

from fenced.core.durable import records as r
from fenced.model.names import HostName
from fenced.model.power import Action, Power
from fenced.ports.control import Control
from tests.world.machines import Machine


def machine(machine: Machine, words: Sequence[str]) -> bool:
    """`HOST ...`; return whether the words are known."""
    match words:
        case ["has", number, "workloads"]:
            machine.workloads = int(number)
        case ["says", "nothing", "of", "its", "work"]:
            machine.workloads = None
        case ["shuts", "down", "in", seconds]:
            machine.shutdown_seconds = float(seconds)
        case ["ignores", "a", "shutdown"]:
            machine.shutdown_seconds = None
        case ["is", "shut", "down", "by", "hand"]:
            machine.shutdown_seconds = 20.0 if machine.shutdown_seconds is None else machine.shutdown_seconds
            machine.asked_to_shut_down()
        case ["starts", "by", "itself"]:
            machine.is_meddled = True
            for plug in machine.plugs.values():
                plug.turn(Power.ON)
        case _:
            return False
    return True


async def ask(control: Control, words: Sequence[str]) -> str | None:
    """`person sleeps HOST`, `person wakes N of CLUSTER`; return what the answer says besides, None: no such words.

    Raises Refused, NotFound, Unavailable.
    """
    match words:
        case ["sleeps", host]:
            await control.act(HostName(host), Action.SLEEP, by="person", reason="told", is_forced=False)
            return ""
        case ["wakes", hosts, "of", cluster]:
            found = await control.wake(cluster, int(hosts), by="person", reason="told")
            return f"hears: {' '.join(found.hosts) or 'nobody'} wake, {found.short} short"
        case _:
            return None


def of_sleep(record: r.SleepRecord) -> str:
    """Return the words for a record of a host."""
    match record:
        case r.SleepAnnounced():
            return "SLEEP ANNOUNCED"
        case r.WorkHeard() if record.source:
            return f"is busy after it was asked to shut down, says {record.source}"
        case r.WorkHeard():
            return f"has {record.workloads} workloads after it was asked to shut down"
        case r.HostSlept():
            return "SLEEPS"
        case r.SleepFailed():
            return "SLEEP FAILED" + (", nothing was sent" if record.is_never_sent else "")
        case r.WakeWanted():
            return f"is wanted awake by {record.by}"
        case r.HostWoken():
            lied = f", distrusts {' '.join(record.distrusted)}" if record.distrusted else ""
            how = "alive" if record.is_alive else "has power"
            return f"WOKEN ({how}{'' if record.is_ours else ', not by us'}{lied})"
        case r.WakeFailed():
            return "WAKE FAILED"


def of_capacity(record: r.CapacityChanged) -> str:
    """Return the words for what a cluster lacks."""
    return f"{record.cluster} lacks {record.short} idle hosts" if record.short else f"{record.cluster} has enough again"
