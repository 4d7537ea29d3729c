"""What runs on or against a host: heartbeats, liveness probes, who this machine is."""
