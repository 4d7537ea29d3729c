"""The operator's page of our own drivers, written from what they say of themselves.

Knows no device. One rule: `docs/drivers.md` is exactly what this writes; a test compares them.
"""

import sys
from collections.abc import Iterator
from typing import Final

from fenced.drivers.catalogue import natives
from fenced.model.drivers import DriverDescription, Option

HEAD: Final = """\
# Drivers

<!-- Written by `python -m fenced.drivers.reference`; a test compares it with the code. Don't edit. -->

The drivers that fenced brings along: `driver = "NAME"` at a device, and what its `options = {}` may say. Any program
`fence_NAME` with the interface of the ClusterLabs fence agents is a driver, too, if it was reviewed as a power agent or a
person vouches for it: [fence-agents.md](fence-agents.md).
The keys of a device are in [configuration.md](configuration.md).

## One plug, one host

`fenced check-config` compares the power devices of all hosts, whatever drivers and words say them:

| | What is one |
|---|---|
| unit | all that its name resolves to, IPv4 and IPv6; two seconds in all for the whole inventory, \
names that don't resolve are compared as text with a warning |
| port | none and the usual one; http and https of a BMC |
| outlet | `7` and `07`; `1` and `1:1` where the first unit is 1 (of our `snmp_outlet` by its `model`); \
each of a list; by our driver and by an agent |
| Redfish system | by its Id and by its path; none is the only one |
| BMC | Redfish, IPMI and the agents of BMCs at one address |

The same plug for two hosts, or for two devices of a level, is a mistake. What can't be told apart, as a virtual machine by its
name and by its UUID, is a warning that names both. BMCs that differ in every address and name and are one all the same are not
found here: [the check](checking.md) compares what they say of their machines and holds both hosts' OFF back; or give each host
its `identity`, which no two hosts may share.
"""


def document() -> str:
    """`docs/drivers.md`."""
    return "\n".join((HEAD, *(line for description in natives() for line in _section(description))))


def _section(description: DriverDescription) -> Iterator[str]:
    yield f"## `{description.name}`"
    yield ""
    yield f"{description.about[:1].upper()}{description.about[1:]}. " + " ".join(_facts(description))
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
        yield f"Once it answers again it counts as unknown for {description.settle_seconds:g} s, unless `settle` says else."


def _row(option: Option) -> str:
    default = "required" if option.is_required else _written(option.default)
    about = option.about
    if option.is_deprecated:
        about = f"old name of `{option.renamed_to}`" if option.renamed_to else f"old: {about}"
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
