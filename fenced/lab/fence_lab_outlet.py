"""The fence agent for the lab's outlets. It follows the fence-agent contract; the lab copies it to `fence_lab_outlet`.

Runs under `python -IS` with few imports of the standard library, so it starts in milliseconds. Parameters are
`name=value` lines on standard input. `off` succeeds only after the outlet was read back OFF. Exit status: 0 success
(status: ON), 2 status OFF, 1 anything else.
"""

import socket
import sys
import time

METADATA = """<?xml version="1.0" ?>
<resource-agent name="fence_lab_outlet" shortdesc="Fence agent for the emulated outlets of fenced lab">
<longdesc>Switches one outlet of an emulated power distribution unit of `fenced lab`. Not for real devices.</longdesc>
<vendor-url></vendor-url>
<parameters>
<parameter name="action" unique="0" required="1">
<content type="string" default="off" /><shortdesc lang="en">Fencing action</shortdesc></parameter>
<parameter name="ip" unique="0" required="1">
<content type="string" /><shortdesc lang="en">Address of the unit</shortdesc></parameter>
<parameter name="ipport" unique="0" required="0">
<content type="integer" default="2300" /><shortdesc lang="en">TCP port of the unit</shortdesc></parameter>
<parameter name="username" unique="0" required="1">
<content type="string" /><shortdesc lang="en">Login name</shortdesc></parameter>
<parameter name="password" unique="0" required="1">
<content type="string" /><shortdesc lang="en">Password</shortdesc></parameter>
<parameter name="plug" unique="0" required="1">
<content type="string" /><shortdesc lang="en">Number of the outlet</shortdesc></parameter>
<parameter name="login_timeout" unique="0" required="0">
<content type="second" default="5" /><shortdesc lang="en">Wait for the login</shortdesc></parameter>
<parameter name="shell_timeout" unique="0" required="0">
<content type="second" default="10" /><shortdesc lang="en">Wait for one answer</shortdesc></parameter>
<parameter name="power_timeout" unique="0" required="0">
<content type="second" default="5" /><shortdesc lang="en">Wait for the outlet to change</shortdesc></parameter>
</parameters>
<actions>
<action name="on" automatic="0" />
<action name="off" />
<action name="status" />
<action name="list" />
<action name="monitor" />
<action name="metadata" />
<action name="validate-all" />
</actions>
</resource-agent>
"""

DEFAULTS = {"action": "off", "ipport": "2300", "login_timeout": "5", "shell_timeout": "10", "power_timeout": "5"}
OBSOLETE = {"ipaddr": "ip", "login": "username", "passwd": "password", "port": "plug", "option": "action"}
POLL_SECONDS = 0.05
INPUT_MAX_CHARACTERS = 65536


class AgentError(Exception):
    """Anything that makes the action fail. Its text goes to standard error and never contains the password."""


def main() -> int:
    """Return the exit status."""
    try:
        return _act(_read_parameters(sys.stdin.read(INPUT_MAX_CHARACTERS)))
    except (AgentError, OSError) as error:
        sys.stderr.write(f"Failed: {error}\n")
        return 1


def _read_parameters(text: str) -> dict[str, str]:
    given = dict(DEFAULTS)
    for raw in text.splitlines():
        line = raw.strip()
        if not line or line.startswith("#") or "=" not in line:
            continue
        name, _, value = line.partition("=")
        if len(value) > 1 and value[0] == value[-1] == '"':
            value = value[1:-1]
        given[OBSOLETE.get(name, name)] = value
    return given


def _act(given: dict[str, str]) -> int:
    action = given["action"]
    if action == "metadata":
        sys.stdout.write(METADATA)
        return 0
    if action not in {"on", "off", "status", "list", "monitor", "validate-all"}:
        raise AgentError(f"Unrecognised action '{action}'")
    _validate(given, is_plug_needed=action in {"on", "off", "status"})
    if action == "validate-all":
        return 0
    with Unit(given) as unit:
        if action == "list":
            sys.stdout.write("".join(f"{line}\n" for line in unit.list()))
        elif action == "status":
            power = unit.ask(f"status {given['plug']}")
            sys.stdout.write(f"Status: {power.upper()}\n")
            return 0 if power == "on" else 2
        elif action in {"on", "off"}:
            _switch(unit, given, action)
    return 0


def _validate(given: dict[str, str], *, is_plug_needed: bool) -> None:
    needed = ["ip", "username", "password", *(["plug"] if is_plug_needed else [])]
    missing = [name for name in needed if not given.get(name)]
    if missing:
        raise AgentError(f"You have to set {', '.join(missing)}")
    for name in ("ipport", "login_timeout", "shell_timeout", "power_timeout"):
        if not given[name].isdecimal():
            raise AgentError(f"{name} must be a whole number")
    if is_plug_needed and not given["plug"].isdecimal():
        raise AgentError("plug must be the number of an outlet")


def _switch(unit: "Unit", given: dict[str, str], action: str) -> None:
    if unit.ask(f"status {given['plug']}") == action:
        sys.stdout.write(f"Success: Already {action.upper()}\n")
        return
    unit.ask(f"{action} {given['plug']}")
    end = time.monotonic() + int(given["power_timeout"])
    while unit.ask(f"status {given['plug']}") != action:
        if time.monotonic() > end:
            raise AgentError(f"Timed out waiting to power {action.upper()}")
        time.sleep(POLL_SECONDS)
    sys.stdout.write(f"Success: Powered {action.upper()}\n")


class Unit:
    """A session with a unit, logged in."""

    def __init__(self, given: dict[str, str]) -> None:
        try:
            timeout = int(given["login_timeout"])
            self._socket = socket.create_connection((given["ip"], int(given["ipport"])), timeout=timeout)
        except OSError as exc:
            raise AgentError(f"Unable to connect/login to fencing device: {exc}") from exc
        self._answers = self._socket.makefile("r", encoding="utf-8", newline="\n")
        self.ask(f"login {given['username']} {given['password']}")
        self._socket.settimeout(int(given["shell_timeout"]))

    def __enter__(self) -> "Unit":
        return self

    def __exit__(self, *_: object) -> None:
        self._answers.close()
        self._socket.close()

    def ask(self, line: str) -> str:
        """Return the unit's answer to one line. Raises AgentError for an error, silence or a lost connection."""
        self._socket.sendall(line.encode() + b"\n")
        answer = self._line()
        if answer.startswith("error"):
            raise AgentError(f"The unit answered: {answer.removeprefix('error').strip()}")
        return answer

    def list(self) -> list[str]:
        lines = [self.ask("list")]
        while lines[-1] != ".":
            lines.append(self._line())
        return lines[:-1]

    def _line(self) -> str:
        try:
            line = self._answers.readline(4096)
        except TimeoutError as exc:
            raise AgentError("Connection timed out") from exc
        if not line:
            raise AgentError("Connection lost")
        return line.strip()


if __name__ == "__main__":
    sys.exit(main())
