"""A virtual rack on this machine: emulated outlets and BMCs, and hosts whose processes really die."""
