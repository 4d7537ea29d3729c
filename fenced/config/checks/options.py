"""Checks a device's `options` and `secrets` against its driver's description.

Knows no driver by name. It reports what a native driver would refuse, and what an agent would ignore or misread. An
agent that runs only on other machines may be of another version there, so its findings are warnings.
"""

import difflib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any, Final

from fenced.config import option_shapes
from fenced.config.build import BuiltDevice, BuiltHost
from fenced.config.checks import device_addresses
from fenced.config.checks.draft import Draft
from fenced.config.checks.finding import Finding, error, keys, once_for_all, warning
from fenced.config.checks.vocabulary import Vocabulary
from fenced.config.mistakes import Where
from fenced.config.option_shapes import PINNED_THERE
from fenced.model.booleans import said, spelled
from fenced.model.drivers import DriverDescription, Effect, Option, OptionKind, gravest
from fenced.model.inventory import Secret
from fenced.model.option_values import Lent, pins_among, why_unlike

LEFT_OUT: Final = "is left out: without the agent's metadata its text for false is unknown; give that text in quotes"
PASSWORD_KEYS: Final = ("password_file", "password_env", "password_credential")

_PLAIN: Final = (str, int, float)
_KEY_OPTIONS: Final = {"address": "ip", "username": "username"}
"""Keys of a device that become parameters of an agent, and their names there."""


def of_host(draft: Draft, built: BuiltHost) -> Iterator[Finding]:
    for device in built.devices:
        if device.description is not None:
            words = draft.vocabulary(device.description)
            given = _given(device, is_run_here=draft.may_run_here(device.device, built.host))
            yield from _of_device(device, words, given)


def _of_device(built: BuiltDevice, words: Vocabulary, given: "Given") -> Iterator[Finding]:
    """Check names, values, missing and duplicate options, and options that change what OFF proves."""
    where = built.entry.where
    wrong: set[str] = set()
    for finding in _of_options(words, given, where):
        if finding.is_error:
            wrong.add(finding.where.path)
        yield _resting(finding, built)
    for finding in _values(words, given, where):
        # One mistake per value is enough.
        if finding.where.path not in wrong | _wrong_elsewhere(built, given):
            yield _resting(finding, built)


def _resting(finding: Finding, built: BuiltDevice) -> Finding:
    """Return the finding, which rests on all that a device says of its options."""
    return replace(finding, rests_on=keys(built.entry, "driver", "address", "username", "options", "secrets"))


def _wrong_elsewhere(built: BuiltDevice, given: "Given") -> set[str]:
    """Return the places of mistakes that are reported where the device is built, and by `device_addresses`."""
    options = built.entry.where.key("options")
    is_agent = built.description is not None and built.description.is_agent
    wrong = {options.key(key).path for key in option_shapes.faults(given.options, is_agent=is_agent)}
    wrong.update(finding.where.path for finding in device_addresses.of_device(built) if finding.is_error)
    return wrong


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


def _of_options(words: Vocabulary, given: Given, where: Where) -> Iterator[Finding]:
    description = words.description
    if description.is_agent:
        yield from _proof(words, given, where)
    yield from _lent(words, given, where)
    if description.is_open_ended:
        for key, value in given.options.items():
            if value is False:
                yield _warning(where.key("options").key(str(key)), LEFT_OUT, unit="option")
    else:
        yield from _Checker(words=words, given=given, where=where).check()


def _proof(words: Vocabulary, given: Given, where: Where) -> Iterator[Finding]:
    """Check by the reviewed table alone, which holds for every version of the agent, wherever it runs (S1)."""
    for key, value in given.options.items():
        meaning = words.meaning(str(key))
        rule = gravest(meaning.rules, value)
        if rule is not None and rule.effect is Effect.BREAKS:
            yield error(_option(where, key), f"is refused: {rule.why}", value=value, unit="option")
        elif rule is not None and rule.effect is Effect.WEAKENS:
            yield _warning(_option(where, key), f"weakens what OFF proves: {rule.why}", value=value, unit="option")
        elif value is not False and meaning.is_undecided:
            reason = "is not reviewed: make sure that OFF still means off with it"
            yield _warning(_option(where, key), reason, unit="option")
    for name in given.secrets:
        rule = gravest(words.meaning(name).rules, name)
        if rule is not None and rule.effect is Effect.BREAKS:
            yield error(_secret(where, name), f"is refused: {rule.why}", unit="secret")


def _values(words: Vocabulary, given: Given, where: Where) -> Iterator[Finding]:
    """Check by name alone, as all machines that run the agent do: a value in a command must be one word."""
    if not words.description.shapes:
        return
    for key, value in given.options.items():
        why = _why_misshapen(words, str(key), value)
        if why:
            yield error(_option(where, key), why, value=value, unit="option")
    for set_by, name in _KEY_OPTIONS.items():
        key, value = given.keys.get(set_by, ("", ""))
        why = _why_misshapen(words, name, value)
        if why:
            yield error(where.key(key), why, value=value, unit="option")
    for name, secret in given.secrets.items():
        why = why_unlike(words.meaning(name).shapes, secret.reveal())
        if why:
            yield error(_secret(where, name), why, unit="secret")


def _why_misshapen(words: Vocabulary, name: str, value: object) -> str:
    if not isinstance(value, _PLAIN):
        return ""
    text = {True: "1", False: ""}[value] if isinstance(value, bool) else str(value)
    return why_unlike(words.meaning(name).shapes, text if words.description.is_agent else text.strip())


def _lent(words: Vocabulary, given: Given, where: Where) -> Iterator[Finding]:
    """Warn of programs and files of the machine that serves the device: a proxy allows only those in its own file."""
    for key in given.options:
        what = words.meaning(str(key)).lent
        if what is not None:
            yield _warning(_option(where, key), _refused_unless_allowed(what))
    for name in given.secrets:
        what = words.meaning(name).lent
        if what is not None:
            yield _warning(_secret(where, name), _refused_unless_allowed(what))
    if given.is_at_proxy:
        for key in pins_among([str(key) for key in given.options]):
            yield _warning(_option(where, key), PINNED_THERE)


def _refused_unless_allowed(what: Lent) -> str:
    key_there = "options" if what is Lent.PROGRAM else "file_dirs"
    return f"names {what.value}: a proxy refuses it unless {key_there} in its own file allows it"


def _option(where: Where, key: object) -> Where:
    return where.key("options").key(str(key))


def _secret(where: Where, name: str) -> Where:
    return where.key("secrets").key(name)


def _warning(where: Where, reason: str, *, value: object = None, unit: str = "") -> Finding:
    """Warn once per option, however many devices set it."""
    within_device = where.path.rpartition("]")[2]
    return warning(where, reason, value=value, unit=unit, once=once_for_all("devices", within_device, reason))


@dataclass(frozen=True, slots=True, kw_only=True)
class _Checker:
    """Checks one device against the description of its driver or agent."""

    words: Vocabulary
    given: Given
    where: Where

    @property
    def description(self) -> DriverDescription:
        return self.words.description

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
        meaning, is_agent = self.words.meaning(key), self.description.is_agent
        option = meaning.option
        if option is None:
            yield self._tell(_option(self.where, key), self._unknown(key), value=value, unit="option")
            return
        if option.is_deprecated:
            use = f"deprecated: use {option.renamed_to}" if option.renamed_to else "deprecated, no replacement"
            yield _warning(_option(self.where, key), use, value=value, unit="option")
        if is_agent and meaning.makes_speak:
            reason = "makes agents print secrets: remove it"
            yield _warning(_option(self.where, key), reason, value=value, unit="option")
        yield from self._twice(option, key, value)
        why = why_not(option, value, is_agent=is_agent)
        if why:
            yield self._tell(_option(self.where, key), why, value=value, unit=option.kind.value)
        elif option.kind is OptionKind.BOOLEAN and option.default is True and said(value) is False and is_agent:
            yield _warning(
                _option(self.where, key),
                "is passed as 0, but the agent's default is on, and some agents only check whether it is given",
                value=value,
            )

    def _secret(self, name: str) -> Iterator[Finding]:
        option = self.words.meaning(name).option
        is_known = option is not None if self.description.is_agent else name in self.description.secrets
        if not is_known:
            known = ", ".join(self.description.secrets) or "none"
            reason = f"{self.description.name} takes no such secret; it takes: {known}"
            yield self._tell(_secret(self.where, name), reason, unit="secret")

    def _keys(self) -> Iterator[Finding]:
        """An agent must have the parameters that keys of the device become."""
        for set_by, (key, value) in self.given.keys.items():
            if self.description.is_agent and set_by not in self.words.set_by:
                shown = value if set_by == "address" else None
                yield self._tell(
                    self.where.key(key), f"{self.description.name} has no parameter for it: remove it", value=shown
                )

    def _required(self) -> Iterator[Finding]:
        for option, names in self.words.required:
            if not self._is_given(option, names):
                key = option.set_by or f"options.{option.name}"
                yield self._tell(self.where.key(key), f"is missing: {self.description.name} needs it", unit="option")

    def _is_given(self, option: Option, names: frozenset[str]) -> bool:
        """Whether it is given: under this or an old name, by a key of the device, as a secret, or at the proxy."""
        said = [self.words.meaning(str(key)) for key in (*self.given.options, *self.given.secrets)]
        is_login = option.set_by in {"username", "password_file"} or option.name in self.description.secrets
        return (
            option.set_by in self.given.keys
            or any(meaning.plain in names for meaning in said)
            or (is_login and self.given.is_at_proxy)
            or (option.set_by == "password_file" and any(meaning.is_password for meaning in said))
        )

    def _twice(self, option: Option, key: str, value: object) -> Iterator[Finding]:
        by_key, said = self.given.keys.get(option.set_by, ("", ""))
        if by_key and str(value) != said:
            reason = f"{by_key} has another value; give only one of them"
            yield self._tell(_option(self.where, key), reason, value=value, unit="option")
        elif option.name in self.given.secrets:
            reason = "is also given as a secret; give only one of them"
            yield self._tell(_option(self.where, key), reason, unit="option")

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
