"""Requests over a unix socket, as another user: a real process that drops root before it connects."""

import asyncio
import json
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

PROGRAM = """
import http.client, json, os, socket, sys, encodings.idna
path, uid, gid, groups, requests = json.loads(sys.argv[1])
if uid is not None:
    os.setgroups(groups); os.setresgid(gid, gid, gid); os.setresuid(uid, uid, uid)
answers = []
for method, target, body, headers in requests:
    connection = http.client.HTTPConnection("localhost", timeout=20)
    connection.sock = socket.socket(socket.AF_UNIX)
    try:
        connection.sock.connect(path)
    except PermissionError:
        answers.append([0, {}])
        continue
    data = None if body is None else json.dumps(body)
    connection.request(method, target, body=data, headers={"Host": "any.example", **headers})
    response = connection.getresponse()
    text = response.read().decode()
    answers.append([response.status, json.loads(text) if text.startswith("{") else {}])
print(json.dumps(answers))
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class User:
    """Ids of a process; uid None: those of the test."""

    uid: int | None = None
    gid: int = 0
    groups: tuple[int, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """`status` 0: the kernel did not let the user connect."""

    status: int
    body: dict[str, Any]


Asked = tuple[str, str, dict[str, Any] | None, dict[str, str]]


async def ask(socket: Path, user: User, requests: Sequence[Asked]) -> list[Answer]:
    """Send the requests, each on its own connection."""
    words = json.dumps([str(socket), user.uid, user.gid, user.groups, requests])
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-c", PROGRAM, words, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE
    )
    try:
        async with asyncio.timeout(60):
            out, err = await process.communicate()
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()
    assert process.returncode == 0, err.decode()
    return [Answer(status=status, body=body) for status, body in json.loads(out)]
