"""The core's `replace` gives the same result as `dataclasses.replace`."""

import dataclasses

import pytest

from fenced.core.durable.fleet_state import FleetState
from fenced.core.durable.replacing import replace
from fenced.core.durable.state import HostState
from fenced.core.events import Health
from fenced.model.names import HostName
from fenced.model.power import State

HOST = HostState(name=HostName("node-1"))
BEAT = Health(host=HostName("node-1"), received=1.0, is_retained=False)


def test_it_gives_what_the_standard_library_gives() -> None:
    before = repr(HOST)
    assert replace(HOST, state=State.SUSPECT, since=2.0) == dataclasses.replace(HOST, state=State.SUSPECT, since=2.0)
    assert replace(HOST) == HOST
    assert replace(HOST) is not HOST
    assert replace(FleetState(), is_disarmed=True) == FleetState(is_disarmed=True)
    assert replace(BEAT, received=2.0) == dataclasses.replace(BEAT, received=2.0)
    assert repr(HOST) == before


def test_a_copy_is_frozen_as_well() -> None:
    with pytest.raises(dataclasses.FrozenInstanceError):
        replace(HOST, since=1.0).since = 2.0  # type: ignore[misc] # that is the point


def test_a_field_that_there_is_none_of_is_an_error() -> None:
    with pytest.raises(AttributeError, match="sinse"):
        replace(HOST, sinse=1.0)  # type: ignore[call-arg] # that is the point
