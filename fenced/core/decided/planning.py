"""What a fence of a host would do: its devices, level by level, each with the first proxies that could reach it."""

from fenced.core.durable.decision import Plan, PlannedDevice
from fenced.core.reach.candidates import expand
from fenced.core.work import HostWork
from fenced.model.inventory import Device
from fenced.model.power import Action

THROUGH_MAX = 4
DEVICES_MAX = 16


def planned(work: HostWork, action: Action) -> Plan:
    """Return the plan with the proxies that can serve now, in order of preference."""
    by_level = sorted(work.host.devices, key=lambda device: device.level)
    return Plan(action=action, devices=tuple(_planned(work, device) for device in by_level[:DEVICES_MAX]))


def _planned(work: HostWork, device: Device) -> PlannedDevice:
    fleet = work.fleet
    found = expand(device, work.host, fleet.inventory, fleet.why_candidate_barred)
    through = [name for tier in found.tiers for name in tier]
    return PlannedDevice(
        name=device.name, level=device.level, driver=device.spec.driver, through=tuple(through[:THROUGH_MAX]),
        more=max(len(through) - THROUGH_MAX, 0),
    )  # fmt: skip
