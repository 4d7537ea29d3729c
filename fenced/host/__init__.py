"""What runs on a host or probes one: heartbeats, liveness probes, the identity of this machine."""
