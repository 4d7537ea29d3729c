"""What observers saw of a silent host: the daemon itself, and proxies that look on its behalf (design.md#detection).

An observer counts only if in the same second it reached a control over the same network: another host that is heard, or
a reference. Without one its "silent" says nothing, because its own network may be down.
"""

from dataclasses import dataclass
from enum import Enum

from fenced.model.names import ENGINE, ProxyName


class Saw(Enum):
    """What an observer says of a host over one network."""

    ALIVE = "alive"
    SILENT = "silent"
    UNKNOWN = "unknown"


@dataclass(frozen=True, slots=True, kw_only=True)
class Observer:
    """Somebody who can look: the daemon (`engine`) or a proxy. `domain`: its failure domain; "": not known. `own`:
    addresses of its own machine, which it reaches without a network: for it they are no controls."""

    name: ProxyName
    domain: str
    own: frozenset[str] = frozenset()

    @property
    def words(self) -> str:
        """Its name and its domain, as people read them."""
        who = "the daemon" if self.name == ENGINE else str(self.name)
        return f"{who} ({self.domain})" if self.domain else who


@dataclass(frozen=True, slots=True, kw_only=True)
class Target:
    """One address of a host. `network`: its key in `addresses`, "" for `address`. `controls`: addresses on the same
    network that an observer must reach, too."""

    network: str
    address: str
    controls: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Look:
    """What one observer saw of one target. `at`: when its answer came, on the steady clock. `control`: the control that
    it reached in the same second; "": none. `milliseconds`: None if there was no answer. `why`: what answered, or what
    kept the observer from looking. `is_by_agent`: a proxy agent on the host answered, at an address of its own: that
    shows life, and nothing of this network. `control_fault`: in a trial look, why no control answered; "" beside a
    `control` that is "": the observer is older, and does not say."""

    observer: Observer
    network: str
    target: str
    saw: Saw
    at: float
    control: str = ""
    milliseconds: float | None = None
    why: str = ""
    is_by_agent: bool = False
    control_fault: str = ""
