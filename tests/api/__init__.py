"""The API and fencectl, over real sockets and real processes, in front of a fake engine."""
