"""Outlets of rack PDUs over SNMP 1, 2c and 3.

    device ─> options ─> driver ─> unit ─> exchange ─> UDP    ─> Power, or DeviceError
                │                   │         ├── messages    bytes of versions 1 and 2c
                └────── tables ─────┘         └── users       bytes of version 3
              (objects and values
               of each vendor)

`driver` imports `unit` when it serves its first device: pysnmp, below `unit`, costs a daemon 60 ms and 16 MiB.
"""
