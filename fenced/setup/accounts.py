"""The broker's accounts: a password file of Mosquitto, with the hash that its own tool writes.

Passwords are made here and hashed here, so none ever appears in an argument list. A hash can't be turned back: a
password is known only in the run that made it.
"""

import base64
import hashlib
import os
import secrets
from dataclasses import dataclass
from typing import Final

ITERATIONS: Final = 101
"""What mosquitto_passwd of Mosquitto 2.0 uses. More would add nothing: the passwords are random, 192 bits long."""
SALT_BYTES: Final = 12
PASSWORD_BYTES: Final = 24


@dataclass(frozen=True, slots=True, kw_only=True)
class Accounts:
    """Account -> line of the password file, in order, and the lines that are no account."""

    lines: dict[str, str]

    @classmethod
    def parse(cls, text: str) -> "Accounts":
        """Return the accounts of a password file."""
        return cls(lines={line.partition(":")[0]: line for line in text.splitlines() if line.strip()})

    def with_account(self, name: str, password: str) -> "Accounts":
        """Return them with this account, new or with a new password."""
        return Accounts(lines={**self.lines, name: f"{name}:{hashed(password)}"})

    def without(self, name: str) -> "Accounts":
        return Accounts(lines={other: line for other, line in self.lines.items() if other != name})

    def accepts(self, name: str, password: str) -> bool:
        """Return whether the account exists and has this password."""
        try:
            _, kind, iterations, salt, _ = self.lines[name].partition(":")[2].split("$")
            fits = hashed(password, salt=base64.b64decode(salt, validate=True))
        except (KeyError, ValueError):
            return False
        return kind == "7" and iterations == str(ITERATIONS) and self.lines[name] == f"{name}:{fits}"

    @property
    def text(self) -> str:
        return "".join(f"{line}\n" for line in self.lines.values())


def new_password() -> str:
    """Return a random password that needs no quoting anywhere."""
    return secrets.token_urlsafe(PASSWORD_BYTES)


def hashed(password: str, *, salt: bytes | None = None) -> str:
    """Return the hash as Mosquitto stores it: $7$ITERATIONS$SALT$PBKDF2-SHA512, both in base64."""
    salt = os.urandom(SALT_BYTES) if salt is None else salt
    digest = hashlib.pbkdf2_hmac("sha512", password.encode(), salt, ITERATIONS)
    return f"$7${ITERATIONS}${base64.b64encode(salt).decode()}${base64.b64encode(digest).decode()}"
