"""Many clients of a broker at once, each with TLS and an account: `python -m tests.system.crowd PORT COUNT FILE...`.

Prints how many the broker accepted, keeps them connected until its standard input ends, and prints how many are left.
"""

import asyncio
import ssl
import sys
from pathlib import Path

CONNACK = 0x20
AT_ONCE = 50


def connect_packet(account: str, password: str, client_id: str) -> bytes:
    """Return a CONNECT of MQTT 3.1.1 (section 3.1) with user name, password and keep-alive of ten minutes."""

    def text(value: str) -> bytes:
        raw = value.encode()
        return len(raw).to_bytes(2, "big") + raw

    body = text("MQTT") + bytes([4, 0b1100_0010]) + (600).to_bytes(2, "big")
    body += text(client_id) + text(account) + text(password)
    assert len(body) < 128 * 128
    length = bytes([len(body)]) if len(body) < 128 else bytes([len(body) % 128 | 0x80, len(body) // 128])
    return b"\x10" + length + body


async def joined(
    port: int, context: ssl.SSLContext, account: str, password: str, client_id: str
) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    """Connect one client. Raises OSError, and ConnectionError if the broker refuses it."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port, ssl=context)
    writer.write(connect_packet(account, password, client_id))
    answer = await reader.readexactly(4)
    if answer[0] != CONNACK or answer[3] != 0:
        raise ConnectionError(f"refused with {answer[3]}")
    return reader, writer


async def main(port: int, count: int, folder: Path) -> None:
    """Connect the clients `crowd-0` ...; the folder has ca.crt, beat.crt, beat.key, and their common password."""
    context = ssl.create_default_context(cafile=str(folder / "ca.crt"))
    context.load_cert_chain(folder / "beat.crt", folder / "beat.key")
    password = (folder / "password").read_text().strip()
    gate = asyncio.Semaphore(AT_ONCE)

    async def one(number: int) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        async with gate:
            return await joined(port, context, f"crowd-{number}", password, f"thief-{number}")

    async with asyncio.TaskGroup() as group:
        tasks = [group.create_task(one(number)) for number in range(count)]
    clients = [task.result() for task in tasks]
    print(len(clients), flush=True)
    await asyncio.to_thread(sys.stdin.read)
    print(sum(not reader.at_eof() for reader, _ in clients), flush=True)
    for _, writer in clients:
        writer.close()


if __name__ == "__main__":
    asyncio.run(main(int(sys.argv[1]), int(sys.argv[2]), Path(sys.argv[3])))
