"""Tests of the engine's parts in virtual time: race, slots, workers, outbox, lease, reactor."""
