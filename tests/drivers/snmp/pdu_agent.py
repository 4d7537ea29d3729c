"""Outlet tables for net-snmp's snmpd; objects and the effects of commands are on disk.

Run by snmpd as `python pdu_agent.py DIRECTORY` for reading (`pass_persist`), and once for each command as
`python pdu_agent.py DIRECTORY -s OID TYPE VALUE` (`pass`): snmpd ends a persistent program after each SET, and its
objects are then briefly missing. So nothing is kept in memory. It is started often, so it imports next to nothing.

The files of DIRECTORY have lines of words. objects: `oid integer`. effects: `oid value`, followed by what the command
changes, `oid integer` for each. commands: `oid value` for each received SET.
"""

import os
import sys


def key(oid: str) -> tuple[int, ...]:
    return tuple(int(part) for part in oid.strip(".").split("."))


def lines(path: str) -> list[list[str]]:
    with open(path, encoding="ascii") as file:
        return [line.split() for line in file]


def load(path: str) -> dict[str, int]:
    return {oid: int(value) for oid, value in lines(path)}


def save(path: str, objects: dict[str, int]) -> None:
    """Write atomically: a reader may come at any moment."""
    with open(f"{path}.new", "w", encoding="ascii") as new:
        new.writelines(f"{oid} {value}\n" for oid, value in objects.items())
    os.replace(f"{path}.new", path)


def found(directory: str, oid: str, *, is_next: bool) -> list[str]:
    objects = load(f"{directory}/objects")
    name = oid.strip(".")
    if is_next:
        name = min((other for other in objects if key(other) > key(oid)), key=key, default="")
    return [f".{name}", "integer", str(objects[name])] if name in objects else ["NONE"]


def command(directory: str, oid: str, value: str) -> list[str]:
    name, number = oid.strip("."), value.split()[-1]
    effects = {words[1]: words[2:] for words in lines(f"{directory}/effects") if words[0] == name}
    if not effects:
        return ["not-writable"]
    with open(f"{directory}/commands", "a", encoding="ascii") as log:
        log.write(f"{name} {number}\n")
    if number not in effects:
        return ["wrong-value"]
    changed = effects[number]
    save(
        f"{directory}/objects",
        load(f"{directory}/objects") | dict(zip(changed[::2], map(int, changed[1::2]), strict=True)),
    )
    return []


def serve(directory: str) -> None:
    while line := sys.stdin.readline().strip():
        match line:
            case "PING":
                answer = ["PONG"]
            case "get" | "getnext":
                answer = found(directory, sys.stdin.readline().strip(), is_next=line == "getnext")
            case _:
                answer = ["NONE"]
        print("\n".join(answer), flush=True)


def main(directory: str, arguments: list[str]) -> None:
    match arguments:
        case []:
            serve(directory)
        case ["-s", oid, _, value]:
            print("\n".join(command(directory, oid, value)))
        case ["-g" | "-n" as how, oid]:
            answer = found(directory, oid, is_next=how == "-n")
            print("" if answer == ["NONE"] else "\n".join(answer))


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2:])
