"""The tables of the proxy agent's database, and the steps from each schema to the next.

A schema that was released is never changed: state.py applies the missing steps when the agent starts.
"""

from typing import Final

from fenced.model.names import MAIN_SHARD

SCHEMA_VERSION: Final = 2

SCHEMA_1: Final = (
    "CREATE TABLE meta (name TEXT PRIMARY KEY, value TEXT NOT NULL) WITHOUT ROWID",
    "CREATE TABLE plug (plug TEXT PRIMARY KEY, epoch INTEGER NOT NULL, sequence INTEGER NOT NULL) WITHOUT ROWID",
    """CREATE TABLE command (plug TEXT NOT NULL, epoch INTEGER NOT NULL, sequence INTEGER NOT NULL, what TEXT NOT NULL,
       not_after REAL NOT NULL, machine_boot TEXT NOT NULL, pid INTEGER, pid_started TEXT,
       PRIMARY KEY (plug, epoch, sequence)) WITHOUT ROWID""",
)
MIGRATIONS: Final = (
    SCHEMA_1,
    (
        "ALTER TABLE command ADD COLUMN store TEXT NOT NULL DEFAULT ''",
        f"ALTER TABLE command ADD COLUMN shard TEXT NOT NULL DEFAULT '{MAIN_SHARD}'",
        # Commands of stores before the adopted one have negative epochs; which store it was is not known.
        "UPDATE command SET store = coalesce((SELECT value FROM meta WHERE name = 'store'), '') WHERE epoch >= 0",
        """CREATE TABLE floor (store TEXT NOT NULL, shard TEXT NOT NULL, epoch INTEGER NOT NULL, holder TEXT NOT NULL,
           since INTEGER NOT NULL, PRIMARY KEY (store, shard)) WITHOUT ROWID""",
    ),
)
"""From each schema to the next, beginning with an empty file. No floor is made of old tokens: one that is far too high
closes its plug, and would close all of them."""
