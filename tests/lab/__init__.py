"""The lab's rack, devices and hosts: real sockets, real programs, real processes that really die."""
