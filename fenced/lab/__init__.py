"""A virtual rack on this machine: emulated outlets and BMCs, hosts whose processes really die."""
