"""The daemon's .deb: the program and its dependencies in a private folder, units, users, examples and documents."""

from collections.abc import Sequence
from pathlib import Path
from typing import Final

import manual
import python
import sbom
from deb import Control, architecture, compressed, pack
from source import ROOT, SUMMARY, put

from fenced.cli.fencectl import main as fencectl
from fenced.cli.fencectl.shells import script
from fenced.cli.main import main as fenced

NAME: Final = "fenced"
SITE: Final = "usr/lib/fenced"
COMMANDS: Final = {"fenced": "fenced.cli.main", "fencectl": "fenced.cli.fencectl"}
LAUNCHER: Final = """\
#!/usr/bin/python3 -IS
import sys

sys.path.insert(0, "/{site}")
from {module} import main

main()
"""
"""-I and -S: nothing of the environment, of a home folder or of another installation of Python packages is imported."""
COMPLETIONS: Final = {
    "bash": "usr/share/bash-completion/completions/fencectl",
    "zsh": "usr/share/zsh/vendor-completions/_fencectl",
    "fish": "usr/share/fish/vendor_completions.d/fencectl.fish",
}
"""Where Debian's shells look for completions."""
UNITS: Final = (
    "fenced.service",
    "fenced@.service",
    "fenced-proxy.service",
    "fenced-renew.service",
    "fenced-renew.timer",
)
DESCRIPTION: Final = """\
fenced listens to heartbeats on an MQTT bus, decides when a host must be
fenced, cuts the power on all of its redundant devices, reads back that they
are off, announces that, and gives the power back.
.
This package also holds the proxy agent (fenced proxy) and the program for
operators (fencectl). It brings the Python packages that it needs in a folder
of its own. Nothing is started before you configure it: fenced setup."""


def site(wheel: Path, wheels: Sequence[Path], tree: Path) -> Path:
    """Make the folder of packages below `tree`, with bytecode; return it."""
    made = tree / SITE
    python.unpack([wheel, *wheels], made)
    python.compile_all(made, f"/{SITE}")
    return made


def build(wheels: Sequence[Path], bill: str, tree: Path, out: Path, *, revision: str, compression: str) -> Path:
    """Add everything, and the bill of materials, to the folder of packages, and pack it; return the .deb."""
    about = tree / "usr/share/doc" / NAME
    for command, module in COMMANDS.items():
        put(tree / "usr/bin" / command, LAUNCHER.format(site=SITE, module=module), mode=0o755)
    for unit in UNITS:
        put(tree / "usr/lib/systemd/system" / unit, (ROOT / "systemd" / unit).read_bytes())
    _put_help(tree)
    put(tree / "usr/lib/sysusers.d/fenced.conf", users("fenced", "fenced-proxy"))
    for path in (ROOT / "config").rglob("*.*"):
        if path.is_file() and not path.name.startswith("beat"):
            put(about / "examples" / path.relative_to(ROOT / "config"), path.read_bytes())
    for path in [
        ROOT / "README.md",
        *(ROOT / "docs").glob("*.md"),
        *(ROOT / "docs/runbooks").glob("*.md"),
        *(ROOT / "docs").glob("*.json"),
    ]:
        put(about / path.relative_to(ROOT), path.read_bytes())
    put(about / "copyright", _copyright(sorted(sbom.packages(tree / SITE), key=lambda each: each.name)))
    put(about / "fenced.cdx.json", bill)
    control = Control(
        name=NAME,
        architecture=architecture(),
        summary="fencing daemon that proves that a host is off",
        description=DESCRIPTION,
        fields={
            "Depends": f"python3 (>= 3.11), python3 (<< 3.12), libc6 (>= {python.glibc(wheels)}), libgcc-s1, "
            "libstdc++6, systemd | systemd-standalone-sysusers | systemd-sysusers",
            "Recommends": "fence-agents, mosquitto",
            "Suggests": "fenced-beat",
        },
    )
    return pack(control, tree, out, revision=revision, compression=compression)


def _put_help(tree: Path) -> None:
    """Add man pages, and what the shells complete."""
    for program, group in (("fenced", fenced), ("fencectl", fencectl)):
        for name, page in manual.pages(program, group):
            put(tree / "usr/share/man/man1" / f"{name}.gz", compressed(page.encode()))
    for shell, place in COMPLETIONS.items():
        put(tree / place, script(shell, fencectl) + "\n")


def users(*names: str) -> str:
    """Return the lines of the services' users that are in this package."""
    lines = (ROOT / "systemd/fenced.sysusers.conf").read_text(encoding="utf-8").splitlines(keepends=True)
    return "".join(line for line in lines if line.split()[1] in names)


def _copyright(vendored: Sequence[sbom.Package]) -> str:
    head = f"""\
{SUMMARY}

fenced is licensed under the Apache License, Version 2.0; on Debian its text is in
/usr/share/common-licenses/Apache-2.0.

Copyright 2026 the authors of fenced. The Python packages below, which this package brings with it, belong to their
authors. Their licenses and notices, where their authors ship them, are in the folder NAME-VERSION.dist-info of each,
below /{SITE}:

"""
    lines = (f"{each.name} {each.version}: {sbom.license_of(each)}\n" for each in vendored if each.name != NAME)
    return head + "".join(lines)
