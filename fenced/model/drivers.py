"""Descriptions of drivers: their options, what they control, what they can detect. Values only: no device is reached.

The configuration is checked against these descriptions, so a mistake is found when the file is read and not when a host
must be fenced. The documents and `fenced agents` are generated from them.
"""

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field
from enum import Enum
from typing import Final, Protocol

from fenced.model.option_values import Shapes
from fenced.model.power import Kind


class OptionKind(Enum):
    """The type of an option's value."""

    TEXT = "text"
    INTEGER = "integer"
    NUMBER = "number"
    BOOLEAN = "boolean"


@dataclass(frozen=True, slots=True, kw_only=True)
class Option:
    """One key of `options = {}`. `choices`: empty = any value of the kind. `renamed_to`: the name to use instead.

    `set_by`: the device key that sets this option ("" = only `options`); giving both is an error. `also`: other names
    that an agent accepts for it.
    """

    name: str
    about: str = ""
    kind: OptionKind = OptionKind.TEXT
    choices: tuple[str, ...] = ()
    default: str | int | float | bool | None = None
    least: float | None = None
    most: float | None = None
    is_required: bool = False
    is_deprecated: bool = False
    renamed_to: str = ""
    set_by: str = ""
    also: tuple[str, ...] = ()


class Effect(Enum):
    """How an option affects the proof that a host is off."""

    NONE = "none"
    WEAKENS = "weakens it"
    BREAKS = "breaks it"


_GRAVITY: Final = {Effect.NONE: 0, Effect.WEAKENS: 1, Effect.BREAKS: 2}


@dataclass(frozen=True, slots=True, kw_only=True)
class OptionRule:
    """The review's verdict on one option of an agent.

    `name`: lower case, with _ for -. `values`: the rule holds for these values only; empty: for all.
    """

    name: str
    effect: Effect
    why: str = ""
    values: frozenset[str] = frozenset()

    def concerns(self, value: object) -> bool:
        """Return whether the rule applies to this value. A plain `false` sets nothing, unless it is in `values`."""
        return str(value).strip().lower() in self.values if self.values else value is not False


OptionRules = Mapping[str, tuple[OptionRule, ...]]
"""By option name, in lower case and with _ for -."""


def decided(rules: OptionRules, names: Collection[str], value: object) -> OptionRule | None:
    """Return the gravest rule for this value of an option under any of its names, or None if there is no rule.

    Agents accept - for _, and some ignore case.
    """
    return gravest(rules_of(rules, names), value)


def rules_of(rules: OptionRules, names: Collection[str]) -> tuple[OptionRule, ...]:
    """Return all rules for an option, under any of its names."""
    return tuple(rule for name in names for rule in rules.get(name.replace("-", "_").lower(), ()))


def gravest(rules: Collection[OptionRule], value: object) -> OptionRule | None:
    """Return the gravest of one option's rules for this value, or None if none applies."""
    if not rules:
        return None
    found = [rule for rule in rules if rule.concerns(value)]
    return max(found, key=lambda rule: _GRAVITY[rule.effect], default=None)


@dataclass(frozen=True, slots=True, kw_only=True)
class DriverDescription:
    """One driver, as the configuration and its users need to know it.

    `kind`: what it controls by default. `is_one_plug`: one address is one host, so no plug is needed. `plug_options`:
    the options that name the outlet or blade; `qualifiers`: options that distinguish plugs with the same number.
    `secrets`: names that `secrets = {}` may give besides the password. `can_identify`: it reads which machine the
    device belongs to. `settle_seconds`: how long a device counts as UNKNOWN after it was unreachable, rebooted or not
    ready, unless the user sets it. `is_open_ended`: options that are not listed are passed on.

    `family`: shared by drivers that reach the same device in the same way ("": the name). `address_options`,
    `port_options`: options that hold the unit's address; `address_schemes`: the address is a URL with one of these, the
    safest first. `is_agent`: a fence agent, of which other machines may have another version; `is_installed`: it is on
    this machine. `cautions`: warnings for its user, shown once. `needs_word`: why the user must set `cuts_power` ("":
    the driver was reviewed, or is native). `rules`: the review's verdicts on an agent's options; the effect of others
    is unknown. `apart_options`: where there is no address, the options that distinguish plugs with the same name.
    `shapes`: what the values of an agent's options must look like, in every version of the agent. `first_units`: by the
    option `model`, the unit of a chain for an outlet that names no unit. `offset_option`: the option whose value is
    added to an outlet's number; `object_options`: options that hold an object identifier with `{plug}` for the outlet's
    number. `speaks_tls`: the driver makes its own TLS connections, so the device's `tls` has an effect.
    `can_tell_ready`: it detects that the device has just started, so `check_ready` has an effect. `can_soft_off`: it
    can ask the host's operating system to shut down (S24).
    """

    name: str
    about: str
    kind: Kind
    options: tuple[Option, ...] = ()
    secrets: tuple[str, ...] = ()
    plug_options: tuple[str, ...] = ()
    qualifiers: tuple[str, ...] = ()
    default_port: int | None = None
    is_one_plug: bool = False
    is_address_needed: bool = True
    can_identify: bool = False
    is_open_ended: bool = False
    settle_seconds: float = 0.0
    family: str = ""
    address_options: tuple[str, ...] = ()
    port_options: tuple[str, ...] = ()
    address_schemes: tuple[str, ...] = ()
    is_agent: bool = False
    is_installed: bool = True
    cautions: tuple[str, ...] = ()
    needs_word: str = ""
    rules: OptionRules = field(default_factory=dict)
    shapes: Shapes = field(default_factory=dict)
    apart_options: tuple[str, ...] = ()
    first_units: tuple[tuple[str, int], ...] = ()
    offset_option: str = ""
    object_options: tuple[str, ...] = ()
    can_tell_ready: bool = False
    speaks_tls: bool = False
    can_soft_off: bool = False

    def first_unit(self, options: Mapping[str, object]) -> int | None:
        """Return the unit of a chain for an outlet that names none: 1 without models; None if the model is unknown."""
        return dict(self.first_units).get(str(options.get("model"))) if self.first_units else 1

    def option(self, name: str) -> Option | None:
        """Return the option of that name, or None if the driver has none."""
        return next((option for option in self.options if option.name == name), None)


class NoSuchDriver(Exception):
    """The driver does not exist or must not serve as a power device. The text says why and what to do."""


Describe = Callable[[str], DriverDescription]
"""Return the description of the named driver. Raises NoSuchDriver."""


class Catalogue(Protocol):
    """All available drivers."""

    def describing(self, names: Collection[str], *, agent_path: Sequence[str], state_dir: str) -> Describe:
        """Return a function that describes these drivers (agents along `agent_path`); others raise NoSuchDriver.

        May take a bounded time: all agents are asked for their metadata at once. `state_dir`:
        where their answers may be cached; it need not exist. Never raises.
        """
        ...

    def natives(self) -> Sequence[DriverDescription]:
        """The native drivers, by name."""
        ...
