"""Rack PDUs played by net-snmp's snmpd with the tables of each vendor's MIB.

The numbers are repeated here on purpose, so that an error in the driver's table shows up.
"""

import json
import os
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from fenced.model.inventory import DeviceSpec, Secret
from tests.drivers.programs import spec_of
from tests.drivers.snmp import pdu_agent
from tests.needs import find

COMMUNITY = "pr1vate-c0mmunity"
READ_ONLY = "publ1c-c0mmunity"
SIGNING, ENCRYPTING = "s1gning-passphrase", "encrypt1ng-passphrase"
OUTLETS = range(1, 9)


@dataclass(frozen=True, slots=True, kw_only=True)
class Family:
    """`{n}` in a path is the outlet.

    `pending`: an object and its value for a scheduled command. `control`: an object that follows the commands;
    `control_values`: its values for on and off.
    """

    model: str
    identity: str
    state: str
    on: int
    off: int
    command_on: tuple[str, int]
    command_off: tuple[str, int]
    quiet: Mapping[str, int]
    pending: tuple[str, int] | None
    between: int
    first: int = 0
    control: str = ""
    control_values: tuple[int, int] = (0, 0)

    def objects(self) -> dict[str, int]:
        """All outlets on."""
        made: dict[str, int] = {}
        for n in self.numbers():
            made |= {path.format(n=n): value for path, value in self.quiet.items()}
            made |= {self.command_on[0].format(n=n): self.rest, self.command_off[0].format(n=n): self.rest}
            made[self.state.format(n=n)] = self.on
            if self.control:
                made[self.control.format(n=n)] = self.control_values[0]
        return made

    @property
    def rest(self) -> int:
        """The value of a command's object, which does not count if the state has another object."""
        return {"eaton": -1, "vertiv": 8, "sentry3": 0, "sentry4": 0}.get(self.model, self.on)

    def effects(self) -> dict[str, dict[str, dict[str, int]]]:
        made: dict[str, dict[str, dict[str, int]]] = {}
        for n in self.numbers():
            for (path, value), state in ((self.command_on, self.on), (self.command_off, self.off)):
                effect = made.setdefault(path.format(n=n), {})[str(value)] = {self.state.format(n=n): state}
                if self.control:
                    effect[self.control.format(n=n)] = self.control_values[state != self.on]
        return made

    def numbers(self) -> list[int]:
        return [n - 1 + self.first for n in OUTLETS]


APC2 = "1.3.6.1.4.1.318.1.1.26.9.2"
APC = "1.3.6.1.4.1.318.1.1.12.3"
APC_OLD = "1.3.6.1.4.1.318.1.1.4.4.2.1"
RARITAN = "1.3.6.1.4.1.13742.6.4.1.2.1"
RARITAN_OLD = "1.3.6.1.4.1.13742.4.1.2.2.1.3"
EATON = "1.3.6.1.4.1.534.6.6.7.6.6.1"
EATON_OLD = "1.3.6.1.4.1.534.6.6.6.1.2.2.1"
CPS2 = "1.3.6.1.4.1.3808.1.1.6.6.1"
CPS = "1.3.6.1.4.1.3808.1.1.3.3"
DELL = "1.3.6.1.4.1.674.10903.200.2.200.130.1"
SENTRY3 = "1.3.6.1.4.1.1718.3.2.3.1"
SENTRY4 = "1.3.6.1.4.1.1718.4.1.8"
VERTIV = "1.3.6.1.4.1.21239.5.2.3.5.1"

FAMILIES = (
    Family(
        model="apc_rpdu2", identity="1.3.6.1.4.1.318.1.3.4.6", state=APC2 + ".3.1.5.{n}", on=2, off=1,
        command_on=(APC2 + ".4.1.5.{n}", 1), command_off=(APC2 + ".4.1.5.{n}", 2),
        quiet={APC2 + ".3.1.6.{n}": 2}, pending=(APC2 + ".3.1.6.{n}", 1), between=3, first=1,
    ),
    Family(
        model="apc", identity="1.3.6.1.4.1.318.1.3.4.5", state=APC + ".5.1.1.4.{n}", on=1, off=2,
        command_on=(APC + ".3.1.1.4.{n}", 1), command_off=(APC + ".3.1.1.4.{n}", 2),
        quiet={APC + ".5.1.1.5.{n}": 2, APC + ".5.1.1.2.{n}": 0}, pending=(APC + ".5.1.1.5.{n}", 1), between=4, first=1,
    ),
    Family(
        model="apc_masterswitch", identity="1.3.6.1.4.1.318.1.3.4.1", state=APC_OLD + ".3.{n}", on=1, off=2,
        command_on=(APC_OLD + ".3.{n}", 1), command_off=(APC_OLD + ".3.{n}", 2),
        quiet={APC_OLD + ".2.{n}": 2}, pending=(APC_OLD + ".2.{n}", 1), between=4, first=1,
    ),
    Family(
        model="raritan", identity="1.3.6.1.4.1.13742.6", state=RARITAN + ".3.1.{n}", on=7, off=8,
        command_on=(RARITAN + ".2.1.{n}", 1), command_off=(RARITAN + ".2.1.{n}", 0),
        quiet={}, pending=None, between=-1, first=1,
    ),
    Family(
        model="raritan_px1", identity="1.3.6.1.4.1.13742.1", state=RARITAN_OLD + ".{n}", on=1, off=0,
        command_on=(RARITAN_OLD + ".{n}", 1), command_off=(RARITAN_OLD + ".{n}", 0),
        quiet={}, pending=None, between=2, first=1,
    ),
    Family(
        model="eaton", identity="1.3.6.1.4.1.534.6.6.7", state=EATON + ".2.0.{n}", on=1, off=0,
        command_on=(EATON + ".4.0.{n}", 0), command_off=(EATON + ".3.0.{n}", 0),
        quiet={EATON + ".5.0.{n}": -1}, pending=(EATON + ".4.0.{n}", 20), between=2, first=1,
    ),
    Family(
        model="eaton_managed", identity="1.3.6.1.4.1.534.6.6.6", state=EATON_OLD + ".3.{n}", on=1, off=0,
        command_on=(EATON_OLD + ".3.{n}", 1), command_off=(EATON_OLD + ".3.{n}", 0),
        quiet={}, pending=None, between=2, first=0,
    ),
    Family(
        model="cyberpower_epdu2", identity="1.3.6.1.4.1.3808.1.1.6", state=CPS2 + ".4.1.5.{n}", on=1, off=2,
        command_on=(CPS2 + ".5.1.5.{n}", 1), command_off=(CPS2 + ".5.1.5.{n}", 2),
        quiet={CPS2 + ".4.1.6.{n}": 2}, pending=(CPS2 + ".4.1.6.{n}", 1), between=3, first=1,
    ),
    Family(
        model="cyberpower", identity="1.3.6.1.4.1.3808.1.1.3", state=CPS + ".5.1.1.4.{n}", on=1, off=2,
        command_on=(CPS + ".3.1.1.4.{n}", 1), command_off=(CPS + ".3.1.1.4.{n}", 2),
        quiet={CPS + ".5.1.1.5.{n}": 2}, pending=(CPS + ".5.1.1.5.{n}", 1), between=3, first=1,
    ),
    Family(
        model="dell_rpdu", identity="1.3.6.1.4.1.674.10903.200", state=DELL + ".2.1.4.{n}", on=1, off=2,
        command_on=(DELL + ".4.1.4.{n}", 1), command_off=(DELL + ".4.1.4.{n}", 2),
        quiet={DELL + ".2.1.5.{n}": 2}, pending=(DELL + ".2.1.5.{n}", 1), between=3, first=1,
    ),
    Family(
        model="sentry3", identity="1.3.6.1.4.1.1718.3", state=SENTRY3 + ".5.1.1.{n}", on=1, off=0,
        command_on=(SENTRY3 + ".11.1.1.{n}", 1), command_off=(SENTRY3 + ".11.1.1.{n}", 2),
        quiet={}, pending=(SENTRY3 + ".10.1.1.{n}", 10), between=4, first=1,
        control=SENTRY3 + ".10.1.1.{n}", control_values=(5, 4),
    ),
    Family(
        model="sentry4", identity="1.3.6.1.4.1.1718.4", state=SENTRY4 + ".3.1.1.1.1.{n}", on=1, off=2,
        command_on=(SENTRY4 + ".5.1.2.1.1.{n}", 1), command_off=(SENTRY4 + ".5.1.2.1.1.{n}", 2),
        quiet={SENTRY4 + ".3.1.2.1.1.{n}": 0}, pending=(SENTRY4 + ".5.1.1.1.1.{n}", 8), between=0, first=1,
        control=SENTRY4 + ".5.1.1.1.1.{n}", control_values=(11, 10),
    ),
    Family(
        model="vertiv", identity="1.3.6.1.4.1.21239.42.1.32", state=VERTIV + ".4.{n}", on=1, off=2,
        command_on=(VERTIV + ".6.{n}", 2), command_off=(VERTIV + ".6.{n}", 4),
        quiet={VERTIV + ".5.{n}": 2, VERTIV + ".7.{n}": 0}, pending=(VERTIV + ".7.{n}", 5), between=4, first=1,
    ),
)  # fmt: skip


@dataclass(frozen=True, slots=True, kw_only=True)
class Pdu:
    """A running unit. Its objects are on disk and may be changed at any time."""

    port: int
    directory: Path

    def spec(self, *, version: str = "2c", **options: Any) -> DeviceSpec:
        """Outlet 3 with the community, without ready_after."""
        given = {"plug": "3", "ready_after": 0, **({"version": version} if version != "2c" else {}), **options}
        return spec_of(
            "snmp_outlet",
            address=f"127.0.0.1:{self.port}",
            username="",
            password=Secret(COMMUNITY),
            options=given,
        )

    def user_spec(self, user: str, **options: Any) -> DeviceSpec:
        """The same with a user of version 3, named after its protocols: `sha256-aes`, `sha`, or `nobody`."""
        digest, _, cipher = user.partition("-")
        protocols: dict[str, Any] = {} if user == "nobody" else {"auth_protocol": digest}
        return spec_of(
            "snmp_outlet",
            address=f"127.0.0.1:{self.port}",
            username=user,
            password=None if user == "nobody" else Secret(SIGNING),
            options={"plug": "3", "ready_after": 0}
            | protocols
            | ({"privacy_protocol": cipher} if cipher else {})
            | options,
            secrets=(("privacy_password", Secret(ENCRYPTING)),) if cipher else (),
        )

    def put(self, oid: str, value: int | None) -> None:
        """Set an object as the hardware would; None removes it."""
        path = self.directory / "objects"
        objects = pdu_agent.load(path) | {oid: value}
        pdu_agent.save(path, {name: held for name, held in objects.items() if held is not None})

    def held(self, oid: str) -> object:
        return pdu_agent.load(self.directory / "objects")[oid]

    @property
    def commands(self) -> list[str]:
        path = self.directory / "commands"
        return path.read_text().splitlines() if path.exists() else []


USERS = {
    "md5-des": "MD5 {s} DES {e}", "sha-aes": "SHA {s} AES {e}", "sha224-aes": "SHA-224 {s} AES {e}",
    "sha256-aes": "SHA-256 {s} AES {e}", "sha384-aes192": "SHA-384 {s} AES-192 {e}",
    "sha512-aes256": "SHA-512 {s} AES-256 {e}", "sha-aes256": "SHA {s} AES-256 {e}", "sha": "SHA {s}", "nobody": "",
}  # fmt: skip
LEVELS = {True: "priv", False: "auth"}


@contextmanager
def snmpd(directory: Path, port: int, families: tuple[Family, ...], *, identity: str = "") -> Iterator[Pdu]:
    """Run a unit with the tables of these families and the sysObjectID of the first."""
    objects: dict[str, int] = {}
    effects: dict[str, Any] = {}
    for family in families:
        objects |= family.objects()
        effects |= family.effects()
    (directory / "objects").write_text(json.dumps(objects))
    (directory / "effects").write_text(json.dumps(effects))
    lines = [
        f"agentaddress udp:127.0.0.1:{port}",
        f"rwcommunity {COMMUNITY} 127.0.0.1",
        f"rocommunity {READ_ONLY} 127.0.0.1",
        f"sysobjectid .{identity or families[0].identity}",
    ]
    program = f"{sys.executable} -IS {pdu_agent.__file__} {directory}"
    roots = sorted({".".join(family.state.split(".")[:7]) for family in families})
    lines += [f"pass_persist .{root} {program}" for root in roots]
    lines += [f"pass .{oid} {program}" for oid in effects]
    for user, protocols in USERS.items():
        lines.append(f"createUser {user} {protocols.format(s=SIGNING, e=ENCRYPTING)}")
        lines.append(f"rwuser {user} {'noauth' if user == 'nobody' else LEVELS['-' in user]}")
    (directory / "snmpd.conf").write_text("\n".join(lines) + "\n")
    daemon = find("snmpd")
    assert daemon is not None
    running = subprocess.Popen(
        [daemon, "-f", "-r", "-Lf", str(directory / "log"), "-C", "-c", str(directory / "snmpd.conf")],
        cwd=directory,
        env={**os.environ, "SNMP_PERSISTENT_DIR": str(directory / "persistent"), "MIBS": ""},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    try:
        yield Pdu(port=port, directory=directory)
    finally:
        running.terminate()
        running.wait()
