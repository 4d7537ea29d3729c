"""What a driver says of itself: its options, what it controls, what it can tell. Values only; nothing here reaches a device.

The configuration is checked against these, so that a mistake is found when the file is read and not when a host must be
fenced. One rule: what a driver takes is written here once; the documents, `fenced agents` and the checks follow.
"""

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field
from enum import Enum
from typing import Final, Protocol

from fenced.model.option_values import Shapes
from fenced.model.power import Kind


class OptionKind(Enum):
    """What an option's value must be."""

    TEXT = "text"
    INTEGER = "integer"
    NUMBER = "number"
    BOOLEAN = "boolean"


@dataclass(frozen=True, slots=True, kw_only=True)
class Option:
    """One key of `options = {}`. `choices`: empty = any value of the kind. `renamed_to`: the name to use instead.

    `set_by`: the key of the device that sets it ("" = only `options`); it may not be given twice. `also`: what else an
    agent takes for its name.
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
    """What an option does to what OFF proves."""

    NONE = "none"
    WEAKENS = "weakens it"
    BREAKS = "breaks it"


_GRAVITY: Final = {Effect.NONE: 0, Effect.WEAKENS: 1, Effect.BREAKS: 2}


@dataclass(frozen=True, slots=True, kw_only=True)
class OptionRule:
    """What was decided of one option of an agent. `name`: in small letters, with _ for -. `values`: for these alone, empty:
    for all."""

    name: str
    effect: Effect
    why: str = ""
    values: frozenset[str] = frozenset()

    def concerns(self, value: object) -> bool:
        """Whether a device that says this value is meant. A plain `false` asks for nothing, but may be one of `values`."""
        return str(value).strip().lower() in self.values if self.values else value is not False


OptionRules = Mapping[str, tuple[OptionRule, ...]]
"""By the option's name, in small letters and with _ for -."""


def decided(rules: OptionRules, names: Collection[str], value: object) -> OptionRule | None:
    """The gravest rule that concerns this value of an option, by any of its names; None where nothing was decided of it.

    Agents take - for _, and some take capital letters for small ones.
    """
    found = [rule for name in names for rule in rules.get(name.replace("-", "_").lower(), ()) if rule.concerns(value)]
    return max(found, key=lambda rule: _GRAVITY[rule.effect], default=None)


@dataclass(frozen=True, slots=True, kw_only=True)
class DriverDescription:
    """One driver, as the configuration and people need to know it.

    `kind`: what it controls by default. `is_one_plug`: one address is one host, no plug is needed. `plug_options`: the
    options that say which outlet or blade; `qualifiers`: those that tell plugs of one number apart. `secrets`: names that
    `secrets = {}` may give besides the password. `can_identify`: reads what machine it belongs to (S10's neighbour, the
    identity check). `settle_seconds`: how long a device that was out of reach, rebooted or not ready counts as UNKNOWN
    after it answers again, where the user says nothing. `is_open_ended`: options that are not listed are passed on.

    `family`: the same word for drivers that reach one thing in one way ("": the name). `address_options`, `port_options`:
    options that say where the unit is; `address_schemes`: the address is a URL of one of these, the safest first.
    `is_agent`: a fence agent, which other machines may have in another version; `is_installed`: it is on this machine.
    `cautions`: what a user of it is told, once. `needs_word`: why a person must say that it cuts power ("": it was reviewed,
    or is ours). `rules`: what was decided of an agent's options; of one that has none nobody knows what it changes.
    `apart_options`: where there is no address, what else tells plugs of one name apart.
    `shapes`: what the values of an agent's options must look like, whatever version of it runs.
    `first_units`: by the option `model`, the unit of a chain that an outlet without one is on.
    `offset_option`: the option that says what is added to an outlet's number; `object_options`: those that say at which
    objects outlets are, with `{plug}` for the number.
    `speaks_tls`: over TLS of ours, so that the device's `tls` means something.
    `can_tell_ready`: it looks whether the device has just started, and `check_ready` means something.
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

    def first_unit(self, options: Mapping[str, object]) -> int | None:
        """The unit of a chain that an outlet without one is on: 1 where no model says another; None: nobody knows."""
        return dict(self.first_units).get(str(options.get("model"))) if self.first_units else 1

    def option(self, name: str) -> Option | None:
        """The option of that name; None where the driver has none."""
        return next((option for option in self.options if option.name == name), None)


class NoSuchDriver(Exception):
    """A driver that is not there, or that may not serve as a power device. The text says why and what to do."""


Describe = Callable[[str], DriverDescription]
"""The description of a driver by name. Raises NoSuchDriver."""


class Catalogue(Protocol):
    """All drivers that there are."""

    def describing(self, names: Collection[str], *, agent_path: Sequence[str], state_dir: str) -> Describe:
        """What describes these drivers, agents looked up along `agent_path`; others raise NoSuchDriver.

        May take a bounded time, for agents are asked what they take, all at once. `state_dir`: where what they said may
        be kept for the next time; it need not exist. Raises nothing.
        """
        ...

    def natives(self) -> Sequence[DriverDescription]:
        """The drivers of our own, by name."""
        ...
