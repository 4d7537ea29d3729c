"""Units elsewhere, to which an address may lead by mistake."""

from fenced.model.names import HostName
from tests.world.machines import FAR_SECONDS, Machine, Plug


def stranger(plug: Plug, *, is_on: bool, read_seconds: float = FAR_SECONDS) -> Plug:
    """Return a unit of the same kind elsewhere, slower by default, with an unmanaged machine on it."""
    machine = Machine(name=HostName("stranger"), address="", tell=lambda machine, text: None)
    unit = Plug(
        device=plug.device,
        plug_id=plug.plug_id,
        kind=plug.kind,
        machine=machine,
        is_on=is_on,
        read_seconds=read_seconds,
    )
    machine.plugs[unit.device] = unit
    return unit
