"""A token of the HTTP API, as a line of `tokens_file` defines it. A value only; `fenced.api.access` compares tokens."""

from dataclasses import dataclass
from typing import Final

from fenced.model.inventory import Secret

ROLES: Final = ("viewer", "operator", "admin")
REPORTER: Final = "reporter"


@dataclass(frozen=True, slots=True, kw_only=True)
class ApiToken:
    """`role`: one of ROLES, or REPORTER, which may only report the health of the host `reports`.

    `person`: whom the token names in the journal; "": nobody. `until`: wall time (UNIX seconds) from which on it is
    refused; None: never.
    """

    role: str
    secret: Secret
    person: str = ""
    reports: str = ""
    until: float | None = None

    @property
    def owner(self) -> str:
        """Return what the line says before the token, without the expiry."""
        if self.role == REPORTER:
            return f"{REPORTER}={self.reports}"
        return f"{self.role}@{self.person}" if self.person else self.role
