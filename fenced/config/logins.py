"""Who keeps a device's login: the daemon, or its proxy under a name. Knows no driver; reads no secret.

One rule: a login is kept in one place, whole.
"""

import re
from typing import Final

from fenced.config.inventory_tables import DeviceTable
from fenced.config.mistakes import Mistakes, Where

CREDENTIAL: Final = re.compile(r"at-proxy:([A-Za-z0-9][A-Za-z0-9._-]{0,252})", re.ASCII)
LOGIN_KEYS: Final = ("username", "password_file", "password_env", "password_credential", "secrets")


def credential(table: DeviceTable, where: Where, mistakes: Mistakes) -> str:
    """The name under which the proxy keeps the login; "" where it keeps none."""
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
            mistakes.error(where.key(key), "the proxy keeps the whole login: give this or credential", unit="login")
    return found[1]
