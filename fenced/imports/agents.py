"""Turn a fence agent's parameters, under old or new names, into a device of the inventory.

The device behaves as in the source: the agent stays, with its options. What fenced sets itself or refuses because it
breaks the proof of OFF is reported and left out. `native` replaces agents by drivers where the user wants that.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final

from fenced.drivers.agents.kinds import is_bmc
from fenced.drivers.agents.metadata import (
    ADDRESS_NAMES,
    PASSWORD_NAMES,
    PLUG_NAMES,
    USERNAME_NAMES,
    normal,
)
from fenced.drivers.agents.options import RESERVED, why_broken
from fenced.drivers.agents.parameters import PASSWORD, PASSWORD_REFERENCE, SECRET
from fenced.drivers.agents.reviews import DOUBTED, NO_POWER, REVIEWED
from fenced.imports.shape import Device, Losses, Value, device_name
from fenced.model.booleans import said
from fenced.model.inventory import Secret

RENAMED: Final = {"passwd_script": "password_script", "cmd_prompt": "command_prompt", "debug": "debug_file"}
"""Old names with the same meaning in every agent. Others, such as `secure`, stay; check-config names the new one."""
_REFERENCE: Final = ("_script", "_file", "_path")
_OLD_PLUGS: Final = {("fence_xvm", "domain"), ("fence_virt", "domain"), ("fence_openstack", "uuid")}
_SAME: Final = {("method", "onoff")}
"""What fenced does anyway."""


@dataclass(frozen=True, slots=True, kw_only=True)
class AgentDevice:
    """A fence agent with its parameters, as a source has them. `where`: its place there."""

    where: str
    name: str
    agent: str
    parameters: Mapping[str, str]
    level: int = 1
    plug: str = ""
    keys: Mapping[str, Value] = field(default_factory=dict)
    missing: tuple[str, ...] = ()
    """Secrets that the source only refers to, by the names of their parameters."""


def is_secret(name: str) -> bool:
    """Return whether a parameter of that name holds a secret, not the name of a file or program."""
    plain = normal(name).lower()
    if plain.endswith(_REFERENCE) or PASSWORD_REFERENCE.search(plain):
        return False
    return bool(PASSWORD.search(plain) or SECRET.search(plain))


def shown(name: str, value: str) -> str:
    """Return `name=value` for a report, without a secret value."""
    return f"{name}=***" if is_secret(name) else f"{name}={value}"


def why_not_power(agent: str) -> str:
    """Return why the agent can't be a power device; "" if it can."""
    if not agent.startswith("fence_"):
        return "is not a fence agent (fence_NAME), and fenced runs no other plugins"
    return f"does not cut power ({NO_POWER[agent]})" if agent in NO_POWER else ""


def build(given: AgentDevice, losses: Losses) -> Device:
    """Return the device. The caller has made sure that the agent can serve."""
    reader = _Reader(given, losses)
    for name, value in given.parameters.items():
        reader.take(name, value)
    for name in given.missing:
        reader.secrets.setdefault("password" if name in PASSWORD_NAMES else name, None)
    if given.plug:
        reader.options["plug"] = given.plug
    if given.agent not in REVIEWED:
        losses.lost(
            given.where,
            f"{given.agent} was not reviewed as an agent that cuts power"
            + (f": {DOUBTED[given.agent]}" if given.agent in DOUBTED else ""),
            "set cuts_power = true at its devices if you vouch for it",
        )
    return Device(
        name=device_name(given.name),
        driver=given.agent,
        level=given.level,
        address=reader.address,
        username=reader.username,
        secrets=reader.secrets,
        secret_stem=device_name(given.name),
        options=reader.options,
        keys=given.keys,
    )


class _Reader:
    """Sorts one device's parameters."""

    def __init__(self, given: AgentDevice, losses: Losses) -> None:
        self._given, self._losses = given, losses
        self.address = self.username = ""
        self.secrets: dict[str, Secret | None] = {}
        self.options: dict[str, Value] = {}

    def take(self, name: str, value: str) -> None:
        plain = normal(name).lower()
        plain = RENAMED.get(plain, plain)
        where = f"{self._given.where}, {name}"
        if plain in RESERVED:
            self._reserved(where, plain, value)
        elif not value or any(ord(char) < ord(" ") for char in value):
            why = "is empty" if not value else "has a line end or another control character"
            self._losses.lost(where, f"{why}: left out", "set it by hand if the agent needs it")
        elif plain in ADDRESS_NAMES:
            self.address = self._once(where, self.address, value)
        elif plain in USERNAME_NAMES:
            self.username = self._once(where, self.username, value)
        elif plain in PASSWORD_NAMES:
            self._secret(where, "password", value)
        elif is_secret(plain):
            self._secret(where, plain, value)
        elif plain in PLUG_NAMES or (self._given.agent, plain) in _OLD_PLUGS:
            if not self._given.plug:
                self.options["plug"] = self._once(where, str(self.options.get("plug", "")), value)
        else:
            self._option(where, plain, value)

    def _once(self, where: str, before: str, value: str) -> str:
        """The later of an old and a new name wins, as in the agent."""
        if before and before != value:
            self._losses.lost(where, "the agent's old and new name for it have different values: the last one is kept")
        return value

    def _secret(self, where: str, name: str, value: str) -> None:
        before = self.secrets.get(name)
        if before is not None and before.reveal() != value:
            self._losses.lost(where, "is given twice with different values: the last one is kept")
        self.secrets[name] = Secret(value)

    def _reserved(self, where: str, name: str, value: str) -> None:
        if (name, value.lower()) in _SAME or name in {"action", "option", "nodename", "node_name"}:
            self._losses.note(where, f"{name}={value}: left out, {RESERVED[name]}")
        elif name == "delay":
            self._losses.lost(
                where,
                f"delay={value}: fenced has no delay before OFF, its gates decide when",
                "nothing to do if the delay only kept two nodes from fencing each other",
            )
        else:
            self._losses.lost(where, f"{shown(name, value)}: left out, {RESERVED[name]}", "check that nothing needs it")

    def _option(self, where: str, name: str, value: str) -> None:
        agent = self._given.agent
        if why := why_broken(agent, {name}, value):
            if said(value) is False:
                self._losses.note(where, f"{name}={value}: left out, it is off anyway")
            else:
                self._losses.lost(
                    where, f"{name}={value}: left out, fenced refuses it: {why}", "make sure that OFF still works"
                )
            return
        if name in self.options and self.options[name] != value:
            self._losses.lost(where, "is given twice, under two names: the last one is kept")
        self.options[name] = value.lower() if name == "privlvl" else value  # agents ignore its case, the check does not


def needs_plug(agent: str) -> bool:
    """Return whether one device of this agent serves several hosts, each by its plug."""
    return not is_bmc(agent) and agent not in {"fence_dummy", "fence_lab_outlet"}
