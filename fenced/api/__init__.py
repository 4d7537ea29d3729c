"""The HTTP API for operators and programs.

It reaches the daemon through `ports.control` only; see `server.build_app`.
"""
