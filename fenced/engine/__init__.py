"""The shell around the core: one reactor makes decisions durable, then starts effects (race, workers, outbox)."""
