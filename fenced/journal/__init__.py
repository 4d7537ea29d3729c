"""The store: records, snapshots, lease and outbox in a database, through SQLAlchemy Core.

`database` implements the port; `sqlite` (a file, for one daemon) and `postgres` own connections and transactions.
"""
