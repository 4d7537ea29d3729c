"""Classifies the failure of a fence agent by how it ended and what it printed.

The patterns come from the fencing library (EC_* in fencing.py) and from the agents that Debian ships. A failed command
may have been done, unless the agent says that it rejected its parameters before it connected (S2).
"""

import re
from dataclasses import dataclass
from typing import Final

from fenced.drivers.agents.parameters import mask_for
from fenced.drivers.keeper.client import Ending, Finished
from fenced.drivers.output import Output, last_lines
from fenced.model.inventory import DeviceSpec
from fenced.ports.devices import (
    BadParameters,
    DeviceError,
    DeviceNotReady,
    DeviceTimedOut,
    DeviceUnreachable,
    LoginRefused,
    NotSupported,
    StateNotReached,
)

EXIT_OFF: Final = 2
"""Exit status of `status` for a plug that is off, and of any action for a usage error."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Complaint:
    """A text and the failure it means. `is_nothing_sent`: agents print it before they connect to the device."""

    pattern: re.Pattern[str]
    kind: type[DeviceError]
    is_nothing_sent: bool = False


def _said(kind: type[DeviceError], *words: str, is_nothing_sent: bool = False) -> Complaint:
    return Complaint(pattern=re.compile("|".join(words), re.IGNORECASE), kind=kind, is_nothing_sent=is_nothing_sent)


NOISE: Final = re.compile(
    r"^.*parse error: ignoring.*$|^\d{4}-\d\d-\d\d [\d:,]+|^\s*file .*, line \d+.*$", re.IGNORECASE | re.MULTILINE
)
"""Lines to ignore: unknown options that the library skips, times (a millisecond may be 401), places in a traceback."""

COMPLAINTS: Final = (
    _said(NotSupported, r"unrecogni[sz]ed action", is_nothing_sent=True),
    # The agent needs a helper program (telnet, ssh, ipmitool ...) to connect.
    _said(NotSupported, r"command was not found or was not executable", is_nothing_sent=True),
    _said(
        BadParameters,
        r"you have to (set|enter|use)",
        r"the value you have entered for",
        r"missing (required|mandatory)",
        is_nothing_sent=True,
    ),
    _said(StateNotReached, r"timed? ?out waiting to power"),
    # The TLS handshake failed.
    _said(
        DeviceUnreachable,
        r"unsupported protocol",
        r"alert protocol version",
        r"handshake (failure|failed)",
        r"no (shared|common) cipher",
        r"wrong (ssl )?version number",
        r"(dh|ee|ca)[_ ](key|md)[_ ]too[_ ](small|weak)",
        r"unsafe legacy renegotiation",
        r"eof occurred in violation of protocol",
        r"unexpected eof while reading",
    ),
    _said(
        LoginRefused,
        r"login (denied|failed|incorrect)",
        r"(authentication|authorization|login) fail",
        r"unable to authenticate",
        r"unauthori[sz]ed",
        r"(?<![\d:=.,/])40[13]\b(?!\d)",
        r"(permission|access) denied",
        r"correct privileges",
        r"(incorrect|invalid|wrong) (password|credentials|user|access key)",
        r"certificate (verif\w* failed|problem)",
        r"certificate .{0,40}(expired|not trusted|(doesn't|does not) match)",
        r"no alternative certificate subject name",
        r"host key verification failed",
        r"hmac is invalid",
        r"unknown user ?name",
    ),
    _said(NotSupported, r"not supported", r"unsupported", r"not implemented"),
    _said(BadParameters, r"valid (choice|time|value)", r"not a valid", r"usage:"),
    _said(DeviceNotReady, r"node busy", r"insufficient resources", r"initiali[sz]ation in progress"),
    _said(
        DeviceUnreachable,
        r"connection refused",
        r"(failed|couldn't|unable) to connect to",
        r"no route",
        r"unreachable",
        r"name or service not known",
        r"could not resolve",
        r"name resolution",
    ),
    _said(DeviceTimedOut, r"timed? ?out"),
    _said(
        DeviceUnreachable,
        r"unable to (connect|establish)",
        r"failed to (connect|establish)",
        r"connection (lost|reset|closed|failed|aborted)",
    ),
)
"""Every failure exits with 1, so only the text tells them apart (fence-agent contract, B.3). The first match wins."""

UNTOLD: Final = Complaint(pattern=re.compile(""), kind=DeviceError)


def failure(spec: DeviceSpec, action: str, finished: Finished, timeout_seconds: float) -> DeviceError:
    """Return the error for a failed run, as precise as its text allows, with its last lines and without secrets."""
    said = last_words(spec, finished)
    may_be_done, is_end_known = finished.was_fed and action != "status", finished.is_clean
    if finished.ending is Ending.NOT_STARTED:
        return DeviceError(f"{spec.driver} did not start: {finished.why}", may_be_done=False)
    if finished.ending is Ending.LOST:
        return DeviceError(
            f"{spec.driver} {action}: {finished.why}; what it did is not known{said}",
            may_be_done=may_be_done,
            is_end_known=False,
        )
    if finished.ending is Ending.TIMED_OUT:
        left = "" if is_end_known else "; a process that it started does not die"
        return DeviceTimedOut(
            f"{spec.driver} {action} took longer than {timeout_seconds:g} s and was killed{left}{said}",
            may_be_done=may_be_done,
            is_end_known=is_end_known,
        )
    how = f"exited {finished.status}" if finished.status >= 0 else f"was killed by signal {-finished.status}"
    if finished.status == EXIT_OFF and action == "status":
        how += " without saying `Status: OFF`"
    elif finished.status == 0:
        how += ", but a process that it started does not die"
    found = complaint(finished.stderr, finished.stdout)
    return found.kind(
        f"{spec.driver} {action} {how}{said}",
        may_be_done=may_be_done and not found.is_nothing_sent,
        is_end_known=is_end_known,
    )


def complaint(*outputs: Output) -> Complaint:
    """Return the first complaint found, in standard error first, without the noise."""
    for output in outputs:
        text = NOISE.sub("", output.text)
        for found in COMPLAINTS:
            if found.pattern.search(text):
                return found
    return UNTOLD


def last_words(spec: DeviceSpec, finished: Finished) -> str:
    """Return the last lines of standard error, else of standard output, as the end of a sentence."""
    mask = mask_for(spec)
    said = last_lines(mask, finished.stderr) or last_lines(mask, finished.stdout)
    return f": {said}" if said else ""
