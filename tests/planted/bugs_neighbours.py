"""Planted bugs in what keeps a failing device, proxy or host from delaying another (S15)."""

from typing import Final

from tests.planted.bug import Bug


def neighbours(name: str) -> str:
    """Return a scene of tests/golden/test_neighbours.py as pytest spells it."""
    test = "tests/golden/test_neighbours.py::test_a_neighbours_fault_delays_no_host"
    return f"{test}[{name.replace(' ', '-')}]"


NEIGHBOUR_BUGS: Final = (
    Bug(
        name="failing devices may take every slot",
        rule="S15",
        file="engine/slots.py",
        old="        return failing is None or (self._failing_free > 0 and failing not in self._failing_held)",
        new="        return True",
        killers=("tests/engine/test_slots.py::test_failing_devices_hold_at_most_half",),
    ),
    Bug(
        name="failing devices may take every session of a unit",
        rule="S15",
        file="engine/workers.py",
        old="        await slots.acquire(priority, failing=failing)\n"
        "        held = _Held(slots=slots, failing=failing)",
        new="        await slots.acquire(priority)\n        held = _Held(slots=slots, failing=None)",
        killers=(
            neighbours("seven outlets of a common unit hang, again"),
            "tests/engine/test_failing_devices.py::test_devices_that_hang_at_each_command_leave_sessions_of_their_unit_to_the_others",
        ),
    ),
    Bug(
        name="a device that hangs at each command is well once it was read",
        rule="S15",
        file="engine/workers.py",
        old="        plug.failed_reads = 0\n",
        new="        plug.failed_reads = plug.failed_commands = 0\n",
        killers=(
            neighbours("programs for seven BMCs hang in the few slots of the daemon's machine, again"),
            "tests/engine/test_failing_devices.py::test_devices_that_hang_at_each_command_leave_sessions_of_their_unit_to_the_others",
        ),
    ),
    Bug(
        name="status goes before off",
        rule="S15",
        file="core/commands.py",
        old="PRIORITY_OFF = 0",
        new="PRIORITY_OFF = 9",
        killers=(
            "tests/engine/test_workers.py::test_a_proxy_gets_no_more_calls_at_once_than_its_bound_and_off_goes_first",
        ),
    ),
)
