"""Reads `CN=fenced-a`, the name of a client certificate in the proxy's file. Names match wholly (S12)."""

from typing import Final

from fenced.config.mistakes import Mistakes, Where

COMMON_NAME: Final = "CN="


def common_names(names: tuple[str, ...], where: Where, mistakes: Mistakes) -> frozenset[str]:
    """Return the names without `CN=`; report any without it."""
    for index, name in enumerate(names):
        if not name.startswith(COMMON_NAME) or name == COMMON_NAME:
            mistakes.error(
                where.item(index), "must be the common name of a certificate, such as CN=fenced-a", value=name
            )
    return frozenset(name.removeprefix(COMMON_NAME) for name in names)
