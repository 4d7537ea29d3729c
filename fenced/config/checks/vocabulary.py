"""What one driver means by the names of options, looked up once for each name, however many devices give it.

Knows names only, no value and no place. An agent accepts - for _, in any case, and plug and port for each other.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Final

from fenced.model.drivers import DriverDescription, Option, OptionRule, rules_of
from fenced.model.option_values import Lent, Shape, lent, plain, shapes_of

_MAKES_SPEAK: Final = re.compile(r"^(debug_file|debug|verbose|verbose_level)$")
_PASSWORDS: Final = frozenset({"password_script", "passwd_script", "identity_file"})


@dataclass(frozen=True, slots=True, kw_only=True)
class Meaning:
    """What one name means to one driver. `option`: None if the driver has none of this name.

    `rules`, `shapes`: for the option under all its names. `is_undecided`: the option is there, or may be, and nobody
    reviewed it. `is_password`: it takes the place of the password. `makes_speak`: it makes agents print what they send.
    """

    option: Option | None
    plain: str
    rules: tuple[OptionRule, ...]
    shapes: tuple[Shape, ...]
    lent: Lent | None
    is_undecided: bool
    is_password: bool
    makes_speak: bool


@dataclass(slots=True, kw_only=True)
class Vocabulary:
    """The names of one driver's options, and of the keys of a device that set them.

    `set_by`: those keys. `required`: each option that a device must give, and its names in plain spelling.
    """

    description: DriverDescription
    set_by: frozenset[str]
    required: tuple[tuple[Option, frozenset[str]], ...]
    _meanings: dict[str, Meaning] = field(default_factory=dict)

    @classmethod
    def of(cls, description: DriverDescription) -> "Vocabulary":
        return cls(
            description=description,
            set_by=frozenset(option.set_by for option in description.options),
            required=tuple(_required(description)),
        )

    def meaning(self, name: str) -> Meaning:
        found = self._meanings.get(name)
        if found is None:
            found = self._meanings[name] = self._look_up(name)
        return found

    def _look_up(self, name: str) -> Meaning:
        description, spelled = self.description, plain(name)
        names = _names(description, name)
        return Meaning(
            option=_find(description, name),
            plain=spelled,
            rules=rules_of(description.rules, names),
            shapes=shapes_of(description.shapes, names),
            lent=lent(name),
            is_undecided=_is_undecided(description, names),
            is_password=spelled in _PASSWORDS,
            makes_speak=_MAKES_SPEAK.fullmatch(spelled) is not None,
        )


def _required(description: DriverDescription) -> Iterator[tuple[Option, frozenset[str]]]:
    """Yield required options with their names, old ones included."""
    for option in description.options:
        if option.is_required and not option.is_deprecated:
            old = (other.name for other in description.options if other.renamed_to == option.name)
            yield option, frozenset(map(plain, (option.name, *old)))


def _find(description: DriverDescription, name: str) -> Option | None:
    """Find an option by name; an agent accepts - for _, and plug and port for each other."""
    found = description.option(name)
    if found is None and description.is_agent:
        same = [option for option in description.options if plain(option.name) == plain(name)]
        if not same and name in description.plug_options:
            same = [option for option in description.options if option.name in description.plug_options]
        found = same[0] if same else None
    return found


def _names(description: DriverDescription, name: str) -> tuple[str, ...]:
    """Return all names of the option, this one included."""
    option = next((option for option in description.options if plain(option.name) == plain(name)), None)
    return (name,) if option is None else (name, option.name, *option.also)


def _is_undecided(description: DriverDescription, names: tuple[str, ...]) -> bool:
    """Whether an agent has, or may have, an option without a review; unknown options are reported separately."""
    is_there = description.is_open_ended or len(names) > 1
    return is_there and not any(plain(name) in description.rules for name in names)
