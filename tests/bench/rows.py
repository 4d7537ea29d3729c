"""All rows, in the order in which they run."""

from tests.bench import heartbeats, memory, neighbours, race, redundant, silence, starting, storm, warm

ROWS = (
    redundant.ROW,
    race.ROW,
    storm.ROW,
    neighbours.ROW,
    heartbeats.ROW,
    memory.ROW,
    starting.ROW,
    silence.ROW,
    warm.ROW,
)
