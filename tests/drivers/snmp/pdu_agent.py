"""Outlet tables for net-snmp's snmpd; objects and the effects of commands are on disk.

Run by snmpd as `python pdu_agent.py DIRECTORY` for reading (`pass_persist`), and once for each command as
`python pdu_agent.py DIRECTORY -s OID TYPE VALUE` (`pass`): snmpd ends a persistent program after each SET, and its
objects are then briefly missing. So nothing is kept in memory. It imports nothing of the project.

DIRECTORY/objects: {oid: integer}; DIRECTORY/effects: {oid: {value: {oid: integer}}}; DIRECTORY/commands: one line
`oid value` for each received SET.
"""

import json
import os
import sys
from pathlib import Path


def key(oid: str) -> tuple[int, ...]:
    return tuple(int(part) for part in oid.strip(".").split("."))


def load(path: Path) -> dict[str, object]:
    loaded: dict[str, object] = json.loads(path.read_text())
    return loaded


def save(path: Path, objects: object) -> None:
    """Write atomically: a reader may come at any moment."""
    new = path.with_suffix(".new")
    new.write_text(json.dumps(objects))
    os.replace(new, path)


def found(directory: Path, oid: str, *, is_next: bool) -> list[str]:
    objects = load(directory / "objects")
    asked = key(oid)
    for name in sorted(objects, key=key):
        if key(name) > asked if is_next else key(name) == asked:
            return [f".{name}", "integer", str(objects[name])]
    return ["NONE"]


def command(directory: Path, oid: str, value: str) -> list[str]:
    name, number = oid.strip("."), value.split()[-1]
    effects = load(directory / "effects").get(name)
    if not isinstance(effects, dict):
        return ["not-writable"]
    with (directory / "commands").open("a") as log:
        log.write(f"{name} {number}\n")
    if number not in effects:
        return ["wrong-value"]
    save(directory / "objects", load(directory / "objects") | effects[number])
    return []


def serve(directory: Path) -> None:
    while line := sys.stdin.readline().strip():
        match line:
            case "PING":
                answer = ["PONG"]
            case "get" | "getnext":
                answer = found(directory, sys.stdin.readline().strip(), is_next=line == "getnext")
            case _:
                answer = ["NONE"]
        print("\n".join(answer), flush=True)


def main(directory: Path, arguments: list[str]) -> None:
    match arguments:
        case []:
            serve(directory)
        case ["-s", oid, _, value]:
            print("\n".join(command(directory, oid, value)))
        case ["-g" | "-n" as how, oid]:
            answer = found(directory, oid, is_next=how == "-n")
            print("" if answer == ["NONE"] else "\n".join(answer))


if __name__ == "__main__":
    main(Path(sys.argv[1]), sys.argv[2:])
