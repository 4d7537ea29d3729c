"""What was heard and read since our start. A restart loses it, which costs time and never safety.

`checks` holds the last results of each path to a device, `claims` which machine each device says that it belongs to.
"""
