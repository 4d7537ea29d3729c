"""The steps of the model of one fence, in words. The two devices are called A and B."""

from tests.formal.model import Action, Does, World


def named(world: World, action: Action) -> str:
    """Return one step in words."""
    device = "AB"[action.device]
    command = next((it for it in world.devices[action.device].commands if it.token == action.token), None)
    power = "" if command is None else f"{'ON' if command.is_on else 'OFF'} {command.token} of {device}"
    old = "the daemon without the lease: " if action.is_stale else ""
    sends = "records and sends" if action.is_recorded else "sends without a record"
    words = {
        Does.BEGIN: f"records that {action.kind.name} begins",
        Does.JOIN: f"the operation becomes {action.kind.name}",
        Does.OFF: f"{sends} OFF to {device} by path {action.path + 1}",
        Does.ON: f"{sends} ON to {device} by path {action.path + 1}",
        Does.READ: f"takes {device} as read OFF",
        Does.FENCE: "records fenced",
        Does.ANNOUNCE: f"tells the bus {'fenced' if action.is_yes else 'not fenced'}",
        Does.WAIT: "announce_wait is over",
        Does.RESTORE: "records that power is given back",
        Does.GIVE_BACK: "stops; records that what was switched off is given back",
        Does.STOP: "stops; nothing more is sent",
        Does.END: f"records the end, {'fenced' if action.is_yes else 'not fenced'}",
        Does.REVOKE: "revokes fenced",
        Does.TAKEOVER: "dies or loses the lease; a daemon with a newer epoch goes on",
        Does.ARRIVE: f"a path takes {power}",
        Does.ACT: f"{power} acts",
        Does.LOSE: f"{power} is lost, refused or past its not_after",
        Does.HAND: f"somebody switches {device} {'ON' if action.is_yes else 'OFF'}",
    }
    return old + words[action.does]
