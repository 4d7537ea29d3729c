"""The floor under every fence: so many process starts and nothing else. Run as a program, as small as possible.

`python -I -S starts.py HOW COUNT AT_ONCE PROGRAM` prints wall seconds and its own processor seconds. HOW is `asyncio`
(create_subprocess_exec, three pipes) or `spawn` (os.posix_spawn, the same pipes, no event loop).
"""

import asyncio
import os
import sys
import time

PARAMETERS = b"action=status\nplug=1\nstate_name=/nonexistent\noff_ms=0\n"


async def by_asyncio(count: int, at_once: int, program: str) -> None:
    slots = asyncio.Semaphore(at_once)

    async def one() -> None:
        async with slots:
            process = await asyncio.create_subprocess_exec(
                program, stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE,
                start_new_session=True,
            )  # fmt: skip
            out, _ = await process.communicate(PARAMETERS)
            if not out.startswith(b"Status:"):
                raise SystemExit(f"{program} did not do its work")

    await asyncio.gather(*(one() for _ in range(count)))


def by_spawn(count: int, at_once: int, program: str) -> None:
    left = count
    running: list[tuple[int, int]] = []
    while left or running:
        while left and len(running) < at_once:
            running.append(_spawn(program))
            left -= 1
        pid, out = running.pop(0)
        if not os.read(out, 4096).startswith(b"Status:"):
            raise SystemExit(f"{program} did not do its work")
        os.close(out)
        os.waitpid(pid, 0)


def _spawn(program: str) -> tuple[int, int]:
    stdin, stdin_write = os.pipe()
    stdout_read, stdout = os.pipe()
    stderr_read, stderr = os.pipe()
    actions = [(os.POSIX_SPAWN_DUP2, fd, target) for target, fd in enumerate((stdin, stdout, stderr))]
    pid = os.posix_spawn(program, [program], {}, file_actions=actions, setpgroup=0)
    os.write(stdin_write, PARAMETERS)
    for fd in (stdin, stdin_write, stdout, stderr, stderr_read):
        os.close(fd)
    return pid, stdout_read


def main() -> None:
    how, count, at_once, program = sys.argv[1], int(sys.argv[2]), int(sys.argv[3]), sys.argv[4]
    began, used = time.monotonic(), time.process_time()
    if how == "asyncio":
        asyncio.run(by_asyncio(count, at_once, program))
    else:
        by_spawn(count, at_once, program)
    print(time.monotonic() - began, time.process_time() - used)


if __name__ == "__main__":
    main()
