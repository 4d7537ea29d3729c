"""`CN=fenced-a`: how the proxy's file writes the name of a client certificate. One rule: names match wholly (S12)."""

from typing import Final

from fenced.config.mistakes import Mistakes, Where

COMMON_NAME: Final = "CN="


def common_names(names: tuple[str, ...], where: Where, mistakes: Mistakes) -> frozenset[str]:
    """The names without `CN=`; each that is written otherwise is a mistake."""
    for index, name in enumerate(names):
        if not name.startswith(COMMON_NAME) or name == COMMON_NAME:
            mistakes.error(where.item(index), "must be the common name of a certificate, as CN=fenced-a", value=name)
    return frozenset(name.removeprefix(COMMON_NAME) for name in names)
