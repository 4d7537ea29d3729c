"""A fleet of Redfish BMCs that cost next to nothing, each on its own port. Run as a program, beside what is measured.

`python bmcs.py ALIVE DEAD` prints the ports as JSON and serves until its standard input ends. A dead one accepts
connections (the kernel does) and never answers, like a BMC whose service hangs.
"""

import asyncio
import json
import socket
import sys

ROOT = {"Systems": {"@odata.id": "/redfish/v1/Systems"}}
SYSTEMS = {"Members": [{"@odata.id": "/redfish/v1/Systems/1"}]}
RESET = "/redfish/v1/Systems/1/Actions/ComputerSystem.Reset"
BACKLOG = 64


class Bmc:
    """One machine."""

    def __init__(self) -> None:
        self.power = "On"

    def answer(self, line: bytes, body: bytes) -> bytes:
        method, path = line.decode().split(" ")[:2]
        if method == "POST":
            self.power = "Off" if json.loads(body)["ResetType"] == "ForceOff" else "On"
            return b"HTTP/1.1 204 No Content\r\n\r\n"
        action = {"target": RESET, "ResetType@Redfish.AllowableValues": ["On", "ForceOff"]}
        system = {"PowerState": self.power, "Actions": {"#ComputerSystem.Reset": action}}
        resources = {"/redfish/v1": ROOT, "/redfish/v1/Systems": SYSTEMS, "/redfish/v1/Systems/1": system}
        content = json.dumps(resources[path.rstrip("/")]).encode()
        return (
            b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n" % len(content) + content
        )


class Connection(asyncio.Protocol):
    """HTTP/1.1, as much as is needed."""

    def __init__(self, bmc: Bmc) -> None:
        self._bmc = bmc
        self._taken = b""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport

    def data_received(self, data: bytes) -> None:
        self._taken += data
        head, end, rest = self._taken.partition(b"\r\n\r\n")
        while end:
            lines = head.split(b"\r\n")
            lengths = [int(line[15:]) for line in lines if line[:15].lower() == b"content-length:"]
            length = lengths[0] if lengths else 0
            if len(rest) < length:
                return
            self._transport.write(self._bmc.answer(lines[0], rest[:length]))
            self._taken = rest[length:]
            head, end, rest = self._taken.partition(b"\r\n\r\n")


def listening() -> socket.socket:
    listener = socket.create_server(("127.0.0.1", 0), backlog=BACKLOG)
    listener.setblocking(False)
    return listener


async def main(alive: int, dead: int) -> None:
    loop = asyncio.get_running_loop()
    listeners = [listening() for _ in range(alive + dead)]
    for listener in listeners[:alive]:
        bmc = Bmc()
        await loop.create_server(lambda bmc=bmc: Connection(bmc), sock=listener, backlog=BACKLOG)  # type: ignore[misc]
    ports = [listener.getsockname()[1] for listener in listeners]
    print(json.dumps({"alive": ports[:alive], "dead": ports[alive:]}), flush=True)
    await asyncio.to_thread(sys.stdin.read)


if __name__ == "__main__":
    asyncio.run(main(int(sys.argv[1]), int(sys.argv[2])))
