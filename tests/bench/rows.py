"""All rows, in the order in which they run."""

from tests.bench import (
    heartbeats,
    ipmi,
    memory,
    neighbours,
    outlets,
    race,
    redfish,
    redundant,
    scenarios,
    silence,
    starting,
    storm,
    warm,
)

ROWS = (
    redundant.ROW,
    race.ROW,
    storm.ROW,
    neighbours.ROW,
    heartbeats.ROW,
    memory.ROW,
    starting.ROW,
    silence.ROW,
    redfish.AGENT_ROW,
    redfish.FLEET_ROW,
    outlets.ROW,
    ipmi.ROW,
    warm.ROW,
    scenarios.ROW,
)
