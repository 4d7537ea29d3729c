"""Tests of the API and of fencectl, over real sockets and real processes, with a fake engine."""
