"""The caller of a request: the role, what proves it, and the name for the journal.

Parentheses in the journal's `by` hold what was proven. A claimed name never has any, so it can't look like a proof.
"""

import grp
import os
from dataclasses import dataclass
from enum import IntEnum
from http import HTTPStatus

from fenced.api.problems import Rejection
from fenced.model.text import claimed
from fenced.net.peers import OVERFLOW_ID, Peer


class Role(IntEnum):
    """What a caller may do; each may do what the lower ones may."""

    VIEWER = 1
    OPERATOR = 2
    ADMIN = 3

    @property
    def word(self) -> str:
        """Return the role as files and people write it."""
        return self.name.lower()


@dataclass(frozen=True, slots=True, kw_only=True)
class Principal:
    """The caller. `role` None: it may only report the health of the host `reports`.

    `digest`: SHA-256 of the token; `person`: whom the token names. `peer`: the program on the unix socket; `user`: the
    name of its user. `is_reading_only`: TCP without tokens, which may not change anything.
    """

    role: Role | None
    person: str = ""
    reports: str = ""
    digest: bytes | None = None
    peer: Peer | None = None
    user: str = ""
    is_reading_only: bool = False
    claimed_name: str = ""

    def by(self, said: str) -> str:
        """Return the name for the journal: what is proven, and beside it what the caller claims."""
        name = claimed(said or self.claimed_name)
        if self.peer is not None:
            return _beside(self.user, f"uid {self.peer.uid}", name)
        if self.person:
            return _beside(self.person, f"token, {self._role_word}", name)
        if self.digest is None:
            return name or "api"
        return f"{name} ({self._role_word})" if name else self._role_word

    def is_like(self, other: "Principal") -> bool:
        """Return whether both have the same rights and the same name."""
        return (self.role, self.person, self.reports) == (other.role, other.person, other.reports)

    def refusal(self, needed: Role) -> Rejection:
        """Return the 403 for a route that needs another role."""
        if self.is_reading_only:
            return Rejection(
                HTTPStatus.FORBIDDEN,
                "over TCP without tokens the API only reads; use the unix socket (api.socket) as root or a member of "
                "the daemon's group, or configure api.tokens_file",
                rule="tcp_writes",
            )
        if self.role is None:
            why = f"this token may only report the health of {self.reports}"
        elif self.peer is not None:
            why = f"uid {self.peer.uid} has {self.role.word}; run it as root, or use a token with the role"
        else:
            why = f"the token has {self.role.word}; use another token"
        return Rejection(HTTPStatus.FORBIDDEN, f"this needs the role {needed.word}, and {why}", rule="role")

    @property
    def _role_word(self) -> str:
        return "reporter" if self.role is None else self.role.word


def _beside(name: str, proof: str, claim: str) -> str:
    proven = f"{name} ({proof})" if name else proof
    return f"{proven} claiming {claim}" if claim and claim != name else proven


@dataclass(frozen=True, slots=True, kw_only=True)
class Owner:
    """The daemon's own user and group, which decide about the users of the socket."""

    uid: int
    group: int

    @classmethod
    def this_process(cls) -> "Owner":
        return cls(uid=os.geteuid(), group=os.getegid())

    def role_of(self, peer: Peer) -> Role | None:
        """Return the role of a user of the socket, or None.

        The daemon's own user is an admin like root: it may write the store and the tokens and signal the daemon anyway,
        and `fenced reload` in the unit runs as this user. A user who appears as OVERFLOW_ID may be anyone.
        """
        if peer.uid == OVERFLOW_ID:
            return None
        if peer.uid in (0, self.uid):
            return Role.ADMIN
        return Role.OPERATOR if self.group in peer.groups and self.group != OVERFLOW_ID else None

    def refusal(self, peer: Peer) -> Rejection:
        """Return the 403 for a user of the socket without a role."""
        return Rejection(
            HTTPStatus.FORBIDDEN,
            f"uid {peer.uid} is not in the group {self._group_name}, which the daemon runs as: let root run "
            f"`usermod -aG {self._group_name} USER` and log in again, or use a token",
            rule="group",
        )

    @property
    def _group_name(self) -> str:
        try:
            return grp.getgrgid(self.group).gr_name
        except KeyError:
            return str(self.group)
