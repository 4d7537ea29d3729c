"""A desk with one host for drills."""

from fenced.core import events as e
from fenced.model.names import HostName
from tests.core.desk import NODE, Desk, said
from tests.world.rack import Rack, Setting

OTHER = HostName("node-3")
ONE = ("bmc:1",)


def desk(*, devices: tuple[str, ...] = ("pdu-a:1", "pdu-b:1"), **settings: Setting) -> Desk:
    named = {name.replace("__", "."): value for name, value in settings.items()}
    return Desk(Rack(drills=(NODE,), devices=devices, settings=named))


def drill(at: Desk, *, name: HostName = NODE, force: bool = False) -> str:
    return said(at.do(e.DrillAsked(host=name, by="person", reason="monthly", is_forced=force)).answer)
