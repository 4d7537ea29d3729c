"""What survives a restart: frozen states, records, and `evolve`, which folds a record into a state.

    record -> evolve(state, record) -> state        live, at a replay, and in the simulation

`state`, `fleet_state` and `records` are values. `evolve` is the only writer; `evolve_*` are its parts. `machine` is the table
of host states and of the records that lead from one to the next. `outcome`, `words` and `standing` read states and answer
questions about them. Stored values live for years: add fields with defaults, never rename them.
"""
