"""The lab's rack, devices and hosts: real sockets, real programs, processes that really die."""
