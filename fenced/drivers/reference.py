"""Writes docs/drivers.md from the descriptions of the native drivers. A test compares the two."""

import sys
import textwrap
from collections.abc import Iterator
from typing import Final

from fenced.drivers.catalogue import natives
from fenced.model.drivers import DriverDescription, Option

HEAD: Final = """\
# Drivers

<!-- Written by `python -m fenced.drivers.reference`; a test compares it with the code. Don't edit. -->

The native drivers: `driver = "NAME"` at a device, and its `options = {}`. Any program `fence_NAME` with the interface
of the ClusterLabs fence agents is a driver, too, if it was reviewed as a power agent or the operator vouches for it:
[fence-agents.md](fence-agents.md). The keys of a device are in [configuration.md](configuration.md).

## One plug, one host

`fenced check-config` compares the power devices of all hosts, across drivers and spellings:

| | Counts as the same |
|---|---|
| unit | every address that its name resolves to, IPv4 and IPv6. Lookups for the whole inventory may take two seconds; \
names that don't resolve are compared as text, with a warning |
| port | no port and the default one; http and https of a BMC |
| outlet | `7` and `07`; `1` and `1:1` if the first unit is 1 (for `snmp_outlet` depending on `model`); \
each outlet of a list; the native driver and an agent |
| Redfish system | its Id and its path; no `system` means the only one |
| BMC | Redfish, IPMI and the agents for BMCs at one address |

The same plug for two hosts, or for two devices of a level, is an error. Plugs that can't be compared (a virtual machine
by name and by UUID) give a warning that names both. If one BMC appears under different addresses and names, this check
does not find it: [the check](checking.md) compares what BMCs report about their machines and holds back OFF for both
hosts. Or give each host its `identity`, which two hosts may not share.
"""


def document() -> str:
    """Return the text of `docs/drivers.md`."""
    return "\n".join((HEAD, *(line for description in natives() for line in _section(description))))


def _section(description: DriverDescription) -> Iterator[str]:
    yield f"## `{description.name}`"
    yield ""
    text = f"{description.about[:1].upper()}{description.about[1:]}. " + " ".join(_facts(description))
    yield textwrap.fill(text, 120, break_long_words=False, break_on_hyphens=False)
    yield ""
    if description.options:
        yield "| Option | Kind | Default | Allowed | Meaning |"
        yield "|---|---|---|---|---|"
        yield from (_row(option) for option in description.options)
        yield ""


def _facts(description: DriverDescription) -> Iterator[str]:
    yield f"A {description.kind.value}."
    if description.address_schemes:
        yield f"`address` is a URL: {' or '.join(f'`{scheme}://`' for scheme in description.address_schemes)}."
    if description.default_port is not None:
        yield f"Default port {description.default_port}."
    if description.secrets:
        yield f"`secrets`: {', '.join(f'`{name}`' for name in description.secrets)}."
    yield "It can compare `identity`." if description.can_identify else "It can't compare `identity`."
    if description.settle_seconds:
        yield (
            f"After an outage its state counts as unknown for {description.settle_seconds:g} s; `settle` changes that."
        )


def _row(option: Option) -> str:
    default = "required" if option.is_required else _written(option.default)
    about = option.about
    if option.is_deprecated:
        about = f"deprecated, use `{option.renamed_to}`" if option.renamed_to else f"deprecated: {about}"
    if option.set_by:
        about += f" (or the key `{option.set_by}`)"
    cells = (f"`{option.name}`", option.kind.value, default, _allowed(option), about)
    return "| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |"


def _written(default: object) -> str:
    if default is None:
        return ""
    return f"`{str(default).lower() if isinstance(default, bool) else default}`"


def _allowed(option: Option) -> str:
    if option.choices:
        return ", ".join(option.choices)
    least = "" if option.least is None else f"{option.least:g}"
    most = "" if option.most is None else f"{option.most:g}"
    return (
        f"{least} to {most}".strip() if least and most else f"at least {least}" if least else most and f"at most {most}"
    )


if __name__ == "__main__":
    sys.stdout.write(document())
