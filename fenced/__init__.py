"""fenced: an asynchronous, event-driven fencing daemon.

Read `docs/architecture.md` for the path of one event, then `fenced/core` (what is decided) and `fenced/engine` (how it
is made durable and carried out).
"""

__version__ = "0.1.0"
