"""What others see of a record: CloudEvents and the retained state of a host (interface.md#bus).

`announce` is the door; `host_events`, `operation_events` and `fleet_events` have the types and data of the events.
"""
