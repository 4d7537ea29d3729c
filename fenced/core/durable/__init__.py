"""What survives a restart: frozen states, records, and `evolve`, which folds a record into a state.

    record -> evolve(state, record) -> state        live, in a replay, and in the simulation

`state`, `operation_state`, `fleet_state` and `records/` are values. `evolve` and `evolve_fleet` are the only writers;
the other `evolve_*` are parts of `evolve`. `machine` has the tables of states and phases, with the records that lead
from one to the next. `outcome`, `words` and `standing` answer questions about states. Stored values live for years: add
fields with defaults, never rename them.
"""
