"""The planted bugs: each a rule of DESIGN section 2 broken by a few characters, as a tired person might.

Knows text, runs nothing. One rule: `old` stands exactly once in its file, so that a bug whose place moved is noticed at once.
"""

from dataclasses import dataclass
from typing import Final

SIMULATION: Final = "tests/simulation/test_simulation.py"
STORIES: Final = "tests/golden/test_stories.py"
CORE: Final = "tests/core"


@dataclass(frozen=True, slots=True, kw_only=True)
class Bug:
    """`killers`: tests to try, in order, as pytest names them; the first that fails kills it."""

    name: str
    rule: str
    file: str
    old: str
    new: str
    killers: tuple[str, ...] = (CORE, STORIES, SIMULATION)


BUGS: Final = (
    Bug(
        name="unknown is taken as off",
        rule="S2",
        file="core/plan.py",
        old="if run.power is not Power.OFF or run.same_reads < power.stable_reads:",
        new="if run.power is Power.ON or run.same_reads < power.stable_reads:",
    ),
    Bug(
        name="one read proves off",
        rule="S1",
        file="core/plan.py",
        old="if run.power is not Power.OFF or run.same_reads < power.stable_reads:",
        new="if run.power is not Power.OFF:",
    ),
    Bug(
        name="one device of a level is forgotten",
        rule="S1",
        file="core/plan.py",
        old="    runs = [run for run in operation.devices if run.level == operation.level]\n    if all(",
        new="    runs = [run for run in operation.devices if run.level == operation.level]\n    if any(",
    ),
    Bug(
        name="a chassis that reads on does not contradict",
        rule="S1",
        file="core/plan.py",
        old="    chassis = [run for run in others if run.kind is Kind.CHASSIS and run.power is Power.ON]",
        new="    chassis = [run for run in others if run.kind is Kind.CHASSIS and run.power is Power.OFF]",
    ),
    Bug(
        name="a device that lied is believed again",
        rule="S17",
        file="core/plan.py",
        old="    if run.device in work.state.distrusted:\n        return False",
        new="    if run.device in work.state.distrusted:\n        pass",
    ),
    Bug(
        name="already off needs no hold",
        rule="S10",
        file="core/plan.py",
        old="    return (run.read_at or 0.0) - since >= power.already_off_hold_seconds - 1e-6",
        new="    return (run.read_at or 0.0) - since >= 0.0",
    ),
    Bug(
        name="life before the first off does not stop it",
        rule="S10",
        file="core/plan.py",
        old='    if not has_read_off:\n        stop(work, "the host was heard")',
        new='    if has_read_off:\n        stop(work, "the host was heard")',
    ),
    Bug(
        name="on does not wait for the announcement",
        rule="S8",
        file="core/plan.py",
        old="    if not operation.is_announcement_acknowledged and work.now < until:",
        new="    if not operation.is_announcement_acknowledged and work.now > until:",
    ),
    Bug(
        name="the gates are not looked at again before the first off of a level",
        rule="S10",
        file="core/plan.py",
        old="    if not operation.is_permitted and not _permit(work, operation):",
        new="    if False and not operation.is_permitted and not _permit(work, operation):",
    ),
    Bug(
        name="an on is sent while an earlier off may still land",
        rule="S5",
        file="core/steps.py",
        old="        and command.what is not what\n",
        new="        and command.what is what\n",
    ),
    Bug(
        name="a command does not say when it can act last",
        rule="S5",
        file="core/steps.py",
        old="    not_after = work.now + timeout + device.settle_seconds + SETTLE_MARGIN_SECONDS + queue_seconds(timeout)",
        new="    not_after = work.now + device.settle_seconds",
    ),
    Bug(
        name="an operation ends while its commands may still act",
        rule="S5",
        file="core/ending.py",
        old="    if open_until:\n        work.wake(min(",
        new="    if not open_until:\n        work.wake(min(",
    ),
    Bug(
        name="on is sent to a host that a person wants off",
        rule="S19",
        file="core/restore.py",
        old="    if work.state.is_on_forbidden:\n        finish(",
        new="    if not work.state.is_on_forbidden and False:\n        finish(",
    ),
    Bug(
        name="on is given up before the chassis had time to boot",
        rule="S9",
        file="core/restore.py",
        old="        verify = max(verify, settings.chassis_boot_timeout_seconds)",
        new="        verify = min(verify, settings.chassis_boot_timeout_seconds) / 10",
    ),
    Bug(
        name="the lease gate fails open",
        rule="S10",
        file="core/gates.py",
        old="    if left < LEASE_MARGIN_SECONDS:",
        new="    if left < -1e9:",
    ),
    Bug(
        name="the armed gate fails open",
        rule="S10",
        file="core/gates.py",
        old="    if fleet.state.is_disarmed:\n",
        new="    if fleet.state.is_disarmed and False:\n",
    ),
    Bug(
        name="the maintenance gate fails open",
        rule="S10",
        file="core/gates.py",
        old="    if state.maintenance is not None:\n",
        new="    if state.maintenance is None and False:\n",
    ),
    Bug(
        name="witness counts hosts that were heard before",
        rule="S10",
        file="core/gates.py",
        old="other_sight.heard_at > after:",
        new="other_sight.heard_at > 0.0:",
    ),
    Bug(
        name="gates count suspects in place of overdue hosts",
        rule="S10",
        file="core/fleet.py",
        old="            late = sum(1 for name in monitored if self.is_overdue(name, now))",
        new="            late = sum(1 for name in monitored if self.hosts[name].state is State.SUSPECT)",
    ),
    Bug(
        name="silence is counted over a bus outage",
        rule="S11",
        file="core/fleet.py",
        old="        self.total = self.now(at)\n        self.opened_at = None",
        new="        pass",
    ),
    Bug(
        name="a stall of ours is the hosts' silence",
        rule="S11",
        file="core/fleet.py",
        old="            self.opened_at += seconds",
        new="            pass",
    ),
    Bug(
        name="a retained message is life",
        rule="S10",
        file="core/detector.py",
        old="    if health.is_retained:\n        return False",
        new="    if health.is_retained and False:\n        return False",
    ),
    Bug(
        name="an old boot's message ends restoring",
        rule="S17",
        file="core/detector.py",
        old="        return is_new_boot or (health.boot is None and on_at is not None and health.received > on_at)",
        new="        return True",
    ),
    Bug(
        name="life of a fenced host revokes nothing",
        rule="S17",
        file="core/detector.py",
        old="        if not is_new_boot and health.received <= state.proof.at + late:",
        new="        if health.received <= state.proof.at + 1e9:",
    ),
    Bug(
        name="a fenced host that reads on is not revoked",
        rule="S17",
        file="core/watch.py",
        old="    on = [device for device in work.host.devices if powers.get(device.name) is Power.ON]",
        new="    on = [device for device in work.host.devices if powers.get(device.name) is Power.UNKNOWN]",
    ),
    Bug(
        name="one round of the watch makes a failed host fenced",
        rule="S1",
        file="core/watch.py",
        old="OFF_ROUNDS = 2",
        new="OFF_ROUNDS = 0",
    ),
    Bug(
        name="a resumed operation does not look at its age",
        rule="S13",
        file="core/recovery.py",
        old="    elif work.now >= operation.deadline:\n",
        new="    elif False:\n",
    ),
    Bug(
        name="a resumed restore does not look at its age",
        rule="S13",
        file="core/recovery.py",
        old="    if work.now < deadline:\n        return",
        new="    if True:\n        return",
    ),
    Bug(
        name="after a restart an unsent off is sent",
        rule="S13",
        file="core/recovery.py",
        old="    if not operation.is_off_sent:\n        stop(",
        new="    if operation.is_off_sent and False:\n        stop(",
    ),
    Bug(
        name="commands start before their records are durable",
        rule="S3",
        file="engine/reactor.py",
        old="        if collected.entries:\n            try:\n",
        new="        for decision, _ in decisions:\n            for command in decision.commands:\n"
        "                self._start(command)\n        if collected.entries:\n            try:\n",
    ),
    Bug(
        name="the token check of the worker is gone",
        rule="S5",
        file="engine/workers.py",
        old="        if plug.highest is not None and token <= plug.highest:",
        new="        if plug.highest is None and token is None:",
        killers=("tests/engine/test_workers.py",),
    ),
    Bug(
        name="a command whose turn came too late is sent",
        rule="S14",
        file="engine/workers.py",
        old="        if left < SHORTEST_ATTEMPT * timeout_seconds:",
        new="        if left < -1e9:",
        killers=("tests/engine/test_workers.py",),
    ),
    Bug(
        name="a command is sent without the lease",
        rule="S10",
        file="engine/workers.py",
        old="        if not self._has_lease():\n",
        new="        if False:\n",
        killers=("tests/engine/test_workers.py",),
    ),
    Bug(
        name="the proxy takes an old token",
        rule="S5",
        file="proxy/calls.py",
        old="            if plug.highest > token:",
        new="            if plug.highest > token and False:",
        killers=("tests/proxy",),
    ),
    Bug(
        name="the proxy forgets that it was restarted",
        rule="S5",
        file="proxy/calls.py",
        old="        if permit.boot != self._clock.life:",
        new="        if permit.boot != self._clock.life and False:",
        killers=("tests/proxy",),
    ),
    Bug(
        name="exit status 2 alone is off",
        rule="S2",
        file="drivers/fence_agent.py",
        old="        if says_off or is_off_by_exit_status:",
        new="        if not says_on:",
        killers=("tests/drivers/test_fence_agent.py",),
    ),
    Bug(
        name="powering off is off",
        rule="S2",
        file="drivers/redfish.py",
        old='POWER_STATES: Final = {"On": Power.ON, "Off": Power.OFF}',
        new='POWER_STATES: Final = {"On": Power.ON, "Off": Power.OFF, "PoweringOff": Power.OFF}',
        killers=("tests/drivers/test_redfish.py",),
    ),
    Bug(
        name="the target may be its own proxy",
        rule="S18",
        file="core/candidates.py",
        old="    if proxy.machine == host.name or _is_called(host, proxy.address):",
        new="    if proxy.machine == host.name:",
        killers=("tests/config/test_candidates.py",),
    ),
    Bug(
        name="an empty selection is everybody",
        rule="S12",
        file="core/match.py",
        old="    except BadMatch:\n        return False",
        new="    except BadMatch:\n        return True",
        killers=("tests/core",),
    ),
    Bug(
        name="a name matches by its short form",
        rule="S12",
        file="core/match.py",
        old="            return (str(host.name),)",
        new='            return (str(host.name), str(host.name).partition(".")[0])',
        killers=("tests/core",),
    ),
)
