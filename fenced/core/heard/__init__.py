"""Holds what the daemon heard and read since its start. A restart loses it, which costs time and never safety.

`checks` has the last results of each path to a device, `claims` the machine that each device says it belongs to.
"""
