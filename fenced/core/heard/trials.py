"""What observers saw of hosts that lived: the trial looks of the check, which show beforehand who could tell a death.

Values only, kept in memory: a restart loses them, which costs a round of the check and never safety. No gate reads
them: a host that is silent is looked at anew.
"""

from dataclasses import dataclass

from fenced.core.heard.looks import Saw
from fenced.model.names import ENGINE, BootId, ProxyName


@dataclass(frozen=True, slots=True, kw_only=True)
class TrialView:
    """What one observer saw of one address of a host that lived. `domain`: its failure domain; "": not known.

    `at`: when it answered, on the steady clock. `control`: the control that it reached; "": none. `why_blind`: why its
    silence would not count; "": it would. `silences`: in so many looks in a row it saw the living host silent, and
    nothing spoke against it. `was_false`: the looks before this one had shown already that it is a false witness.
    """

    observer: ProxyName
    domain: str
    network: str
    target: str
    at: float
    saw: Saw
    control: str = ""
    why_blind: str = ""
    silences: int = 0
    was_false: bool = False

    @property
    def words(self) -> str:
        """The observer and its domain, and over which network it looked."""
        who = "the daemon" if self.observer == ENGINE else str(self.observer)
        place = f" ({self.domain})" if self.domain else ""
        return f"{who}{place}{f' over the network {self.network}' if self.network else ''}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Trial:
    """The last trial look at one host. `boot`: the run of the host that was looked at.

    `able`: the failure domains whose silence would count; `needed`: how many of them its fence needs; `missing`: why
    the others would not.
    """

    at: float
    boot: BootId | None
    needed: int
    able: tuple[str, ...]
    missing: tuple[str, ...]
    views: tuple[TrialView, ...]

    @property
    def is_enough(self) -> bool:
        """Whether its death would be seen by enough failure domains."""
        return len(self.able) >= self.needed
