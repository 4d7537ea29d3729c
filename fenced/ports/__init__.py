"""Protocols for the outside world as the engine sees it, and the errors that cross them.

`app` connects the adapters.
"""
