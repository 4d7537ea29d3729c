"""Where a device's login is kept: here, or at its proxy under a name. Reads no secret.

A login is kept whole in one of the two places.
"""

import re
from typing import Final

from fenced.config.inventory_tables import DeviceTable
from fenced.config.mistakes import Mistakes, Where

CREDENTIAL: Final = re.compile(r"at-proxy:([A-Za-z0-9][A-Za-z0-9._-]{0,252})", re.ASCII)
LOGIN_KEYS: Final = ("username", "password_file", "password_env", "password_credential", "secrets")


def credential(table: DeviceTable, where: Where, mistakes: Mistakes) -> str:
    """Return the name under which the proxy keeps the login; "" if it does not."""
    if not table.credential:
        return ""
    found = CREDENTIAL.fullmatch(table.credential)
    if found is None:
        mistakes.error(
            where.key("credential"),
            "must be at-proxy:NAME; NAME is letters, digits, '.', '_' and '-'",
            value=table.credential,
            unit="credential",
        )
        return ""
    for key in LOGIN_KEYS:
        if getattr(table, key):
            mistakes.error(
                where.key(key), "the proxy keeps the whole login: give either this or credential", unit="login"
            )
    return found[1]
