"""IPMI 2.0 over LAN (RMCP+): one session a call, Chassis Status and Chassis Control.

    device ─> settings ─> driver ─> visit ─> line ─> UDP            ─> Power, or DeviceError
                            │         ├── login      Open Session, RAKP 1 to 4
                            │         └── session    sealed requests and answers
                            ├── commands             what to send, what the answers mean
                            └── identity ─> fru      GUIDs and serial numbers

`packets` lays out datagrams and `cipher` seals them. These two, `commands`, `fru`, `login` and `session` are pure:
no socket, clock or randomness. Time is in `visit`, sockets are in `line`.
"""
