"""Checks a device's `options` and `secrets` against its driver's description.

Knows no driver by name. It reports what a native driver would refuse, and what an agent would ignore or misread. An
agent that runs only on other machines may be of another version there, so its findings are warnings.
"""

import difflib
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any, Final

from fenced.config import option_shapes
from fenced.config.build import BuiltDevice, BuiltHost
from fenced.config.checks import device_addresses
from fenced.config.checks.draft import Draft
from fenced.config.checks.finding import Finding, error, keys, once_for_all, warning
from fenced.config.mistakes import Where
from fenced.config.option_shapes import PINNED_THERE
from fenced.model.booleans import said, spelled
from fenced.model.drivers import DriverDescription, Effect, Option, OptionKind, decided
from fenced.model.inventory import Secret
from fenced.model.option_values import Lent, lent, pins_among, plain, why_misshapen

LEFT_OUT: Final = "is left out: without the agent's metadata its text for false is unknown; give that text in quotes"
PASSWORD_KEYS: Final = ("password_file", "password_env", "password_credential")

_KEY_OPTIONS: Final = {"address": "ip", "username": "username"}
"""Keys of a device that become parameters of an agent, and their names there."""
_SPOKEN_OF: Final = re.compile(r"^(debug_file|debug|verbose|verbose_level)$")


def of_host(draft: Draft, built: BuiltHost) -> Iterator[Finding]:
    for device in built.devices:
        yield from _of_device(device, is_run_here=draft.may_run_here(device.device, built.host))


def _of_device(built: BuiltDevice, *, is_run_here: bool) -> Iterator[Finding]:
    """Check names, values, missing and duplicate options, and options that change what OFF proves."""
    description, entry = built.description, built.entry
    if description is None:
        return
    given = _given(built, is_run_here=is_run_here)
    where = entry.where
    rests_on = keys(entry, "driver", "address", "username", "options", "secrets")
    faulty = option_shapes.faults(given.options, is_agent=description.is_agent)
    wrong = {where.key("options").key(key).path for key in faulty}
    wrong.update(finding.where.path for finding in device_addresses.of_device(built) if finding.is_error)
    for finding in _of_options(description, given, where):
        if finding.is_error:
            wrong.add(finding.where.path)
        yield replace(finding, rests_on=rests_on)
    for finding in _values(description, given, where):
        # One mistake per value is enough.
        if finding.where.path not in wrong:
            yield replace(finding, rests_on=rests_on)


def _given(built: BuiltDevice, *, is_run_here: bool) -> "Given":
    table, spec = built.entry.table, built.device.spec
    password_key = next((key for key in PASSWORD_KEYS if getattr(table, key)), "")
    set_by = {
        "address": ("address", table.address),
        "username": ("username", table.username),
        "password_file": (password_key, password_key),
    }
    return Given(
        options=table.options,
        secrets=dict(spec.secrets),
        keys={key: said for key, said in set_by.items() if said[1]},
        is_at_proxy=bool(spec.credential),
        is_run_here=is_run_here,
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class Given:
    """What one device says. `keys`: by an option's `set_by`, the key of the device that is given for it, and its value.

    `is_at_proxy`: its login is kept by the proxy. `is_run_here`: this machine's own drivers may serve it.
    """

    options: Mapping[str, Any]
    secrets: Mapping[str, Secret]
    keys: Mapping[str, tuple[str, str]]
    is_at_proxy: bool
    is_run_here: bool


def _of_options(description: DriverDescription, given: Given, where: Where) -> Iterator[Finding]:
    if description.is_agent:
        yield from _proof(description, given, where)
    yield from _lent(given, where)
    if description.is_open_ended:
        for key, value in given.options.items():
            if value is False:
                yield _warning(where.key("options").key(str(key)), LEFT_OUT, unit="option")
    else:
        yield from _Checker(description=description, given=given, where=where).check()


def _proof(description: DriverDescription, given: Given, where: Where) -> Iterator[Finding]:
    """Check by the reviewed table alone, which holds for every version of the agent, wherever it runs (S1)."""
    for key, value in given.options.items():
        place = where.key("options").key(str(key))
        names = _names(description, str(key))
        rule = decided(description.rules, names, value)
        if rule is not None and rule.effect is Effect.BREAKS:
            yield error(place, f"is refused: {rule.why}", value=value, unit="option")
        elif rule is not None and rule.effect is Effect.WEAKENS:
            yield _warning(place, f"weakens what OFF proves: {rule.why}", value=value, unit="option")
        elif value is not False and _is_undecided(description, names):
            yield _warning(place, "is not reviewed: make sure that OFF still means off with it", unit="option")
    for name in given.secrets:
        rule = decided(description.rules, _names(description, name), name)
        if rule is not None and rule.effect is Effect.BREAKS:
            yield error(where.key("secrets").key(name), f"is refused: {rule.why}", unit="secret")


def _values(description: DriverDescription, given: Given, where: Where) -> Iterator[Finding]:
    """Check by name alone, as all machines that run the agent do: a value in a command must be one word."""
    if not description.shapes:
        return
    said = [(where.key("options").key(str(key)), str(key), value) for key, value in given.options.items()]
    said += [
        (where.key(given.keys[key][0]), name, given.keys[key][1])
        for key, name in _KEY_OPTIONS.items()
        if key in given.keys
    ]
    for place, name, value in said:
        text = {True: "1", False: ""}[value] if isinstance(value, bool) else str(value)
        text = text if description.is_agent else text.strip()
        why = why_misshapen(description.shapes, _names(description, name), text)
        if why and isinstance(value, str | int | float):
            yield error(place, why, value=value, unit="option")
    for name, secret in given.secrets.items():
        why = why_misshapen(description.shapes, _names(description, name), secret.reveal())
        if why:
            yield error(where.key("secrets").key(name), why, unit="secret")


def _lent(given: Given, where: Where) -> Iterator[Finding]:
    """Warn of programs and files of the machine that serves the device: a proxy allows only those in its own file."""
    options = where.key("options")
    places = [(str(key), options.key(str(key))) for key in given.options]
    places += [(name, where.key("secrets").key(name)) for name in given.secrets]
    for key, place in places:
        what = lent(key)
        if what is not None:
            key_there = "options" if what is Lent.PROGRAM else "file_dirs"
            yield _warning(
                place, f"names {what.value}: a proxy refuses it unless {key_there} in its own file allows it"
            )
    if given.is_at_proxy:
        for key in pins_among([str(key) for key in given.options]):
            yield _warning(options.key(key), PINNED_THERE)


def _warning(where: Where, reason: str, *, value: object = None, unit: str = "") -> Finding:
    """Warn once per option, however many devices set it."""
    within_device = where.path.rpartition("]")[2]
    return warning(where, reason, value=value, unit=unit, once=once_for_all("devices", within_device, reason))


@dataclass(frozen=True, slots=True, kw_only=True)
class _Checker:
    """Checks one device against the description of its driver or agent."""

    description: DriverDescription
    given: Given
    where: Where

    def check(self) -> Iterator[Finding]:
        for key, value in self.given.options.items():
            yield from self._option(str(key), value)
        for name in self.given.secrets:
            yield from self._secret(name)
        yield from self._keys()
        yield from self._required()

    def _tell(self, where: Where, reason: str, *, value: object = None, unit: str = "") -> Finding:
        """Return an error, or a warning if the agent runs only elsewhere, perhaps in another version."""
        if self.description.is_agent and not self.given.is_run_here:
            return _warning(where, f"{reason} (to this machine's version of the agent)", value=value, unit=unit)
        return error(where, reason, value=value, unit=unit)

    def _option(self, key: str, value: object) -> Iterator[Finding]:
        option = self._find(key)
        where = self.where.key("options").key(key)
        if option is None:
            yield self._tell(where, self._unknown(key), value=value, unit="option")
            return
        if option.is_deprecated:
            use = f"deprecated: use {option.renamed_to}" if option.renamed_to else "deprecated, no replacement"
            yield _warning(where, use, value=value, unit="option")
        if self.description.is_agent and _SPOKEN_OF.fullmatch(plain(key)):
            yield _warning(where, "makes agents print secrets: remove it", value=value, unit="option")
        yield from self._twice(option, key, value, where)
        why = why_not(option, value, is_agent=self.description.is_agent)
        if why:
            yield self._tell(where, why, value=value, unit=option.kind.value)
        elif (
            option.kind is OptionKind.BOOLEAN
            and option.default is True
            and said(value) is False
            and self.description.is_agent
        ):
            yield _warning(
                where,
                "is passed as 0, but the agent's default is on, and some agents only check whether it is given",
                value=value,
            )

    def _secret(self, name: str) -> Iterator[Finding]:
        where = self.where.key("secrets").key(name)
        option = self._find(name)
        is_known = option is not None if self.description.is_agent else name in self.description.secrets
        if not is_known:
            known = ", ".join(self.description.secrets) or "none"
            yield self._tell(where, f"{self.description.name} takes no such secret; it takes: {known}", unit="secret")

    def _keys(self) -> Iterator[Finding]:
        """An agent must have the parameters that keys of the device become."""
        known = {option.set_by for option in self.description.options}
        for set_by, (key, value) in self.given.keys.items():
            if self.description.is_agent and set_by not in known:
                shown = value if set_by == "address" else None
                yield self._tell(
                    self.where.key(key), f"{self.description.name} has no parameter for it: remove it", value=shown
                )

    def _required(self) -> Iterator[Finding]:
        for option in self.description.options:
            if option.is_required and not option.is_deprecated and not self._is_given(option):
                key = option.set_by or f"options.{option.name}"
                yield self._tell(self.where.key(key), f"is missing: {self.description.name} needs it", unit="option")

    def _is_given(self, option: Option) -> bool:
        """Whether it is given: under this or an old name, by a key of the device, as a secret, or at the proxy."""
        names = {option.name} | {old.name for old in self.description.options if old.renamed_to == option.name}
        plains = {plain(name) for name in names}
        is_login = option.set_by in {"username", "password_file"} or option.name in self.description.secrets
        return (
            option.set_by in self.given.keys
            or any(plain(str(key)) in plains for key in (*self.given.options, *self.given.secrets))
            or (is_login and self.given.is_at_proxy)
            or (
                option.set_by == "password_file"
                and any(_is_password(str(key)) for key in (*self.given.options, *self.given.secrets))
            )
        )

    def _twice(self, option: Option, key: str, value: object, where: Where) -> Iterator[Finding]:
        by_key, said = self.given.keys.get(option.set_by, ("", ""))
        if by_key and str(value) != said:
            yield self._tell(where, f"{by_key} has another value; give only one of them", value=value, unit="option")
        elif option.name in self.given.secrets:
            yield self._tell(where, "is also given as a secret; give only one of them", unit="option")

    def _find(self, name: str) -> Option | None:
        """Find an option by name; an agent accepts - for _, and plug and port for each other."""
        found = self.description.option(name)
        if found is None and self.description.is_agent:
            same = [option for option in self.description.options if plain(option.name) == plain(name)]
            if not same and name in self.description.plug_options:
                same = [option for option in self.description.options if option.name in self.description.plug_options]
            found = same[0] if same else None
        return found

    def _unknown(self, key: str) -> str:
        if key.startswith("pcmk_"):
            return "belongs to Pacemaker and has no effect here: remove it"
        known = [option.name for option in self.description.options if not option.is_deprecated]
        near = difflib.get_close_matches(key, known, n=1, cutoff=0.7)
        if near:
            return f"unknown option of {self.description.name}; did you mean {near[0]}?"
        if self.description.is_agent:
            return f"unknown option; `fenced agents {self.description.name}` lists the known ones"
        return f"unknown option; {self.description.name} has {', '.join(sorted(known)) or 'none'}"


def _is_undecided(description: DriverDescription, names: tuple[str, ...]) -> bool:
    """Whether an agent has, or may have, an option without a review; unknown options are reported separately."""
    is_there = description.is_open_ended or len(names) > 1
    return is_there and not any(plain(name).lower() in description.rules for name in names)


def _names(description: DriverDescription, key: str) -> tuple[str, ...]:
    """Return all names of the option, this one included."""
    option = next((option for option in description.options if plain(option.name) == plain(key)), None)
    return (key,) if option is None else (key, option.name, *option.also)


def why_not(option: Option, value: object, *, is_agent: bool) -> str:
    """Return why the value is wrong; "" if it is right. An agent reads text, so equivalent text is right for it."""
    text = str(value).strip()
    why = ""
    if option.kind is OptionKind.BOOLEAN:
        if not (isinstance(value, bool) or (is_agent and said(value) is not None)):
            why = "must be true or false, without quotes"
    elif isinstance(value, bool):
        why = f"must be {'text' if option.kind is OptionKind.TEXT else 'a number'}"
        if is_agent and option.kind is OptionKind.TEXT and not option.choices:
            is_known = value or spelled(value, default=option.default) is not None
            why = "" if is_known else "takes text: give the agent's text for false in quotes, or leave it out"
    elif option.kind is OptionKind.TEXT:
        if not (isinstance(value, str) or is_agent or option.choices):  # a choice may look like a number
            why = "must be text in quotes"
    else:
        why = _why_no_number(option, value, text, is_agent=is_agent)
    if not why and option.choices and text not in option.choices:
        why = f"must be one of: {', '.join(option.choices)}"
    return why


def _why_no_number(option: Option, value: object, text: str, *, is_agent: bool) -> str:
    is_whole = option.kind is OptionKind.INTEGER
    what = "a whole number" if is_whole else "a number"
    if isinstance(value, str) and not is_agent:
        return f"must be {what}, without quotes"
    try:
        number: float = int(text) if is_whole else float(text)
    except ValueError:
        return f"must be {what}"
    if option.least is not None and number < option.least:
        return f"must be at least {option.least:g}"
    if option.most is not None and number > option.most:
        return f"must be at most {option.most:g}"
    return ""


def _is_password(key: str) -> bool:
    return plain(key) in {"password_script", "passwd_script", "identity_file"}
