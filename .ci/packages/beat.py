"""The heartbeat's packages for hosts: a .deb and an .rpm of the same five files, for every processor."""

import shutil
from pathlib import Path
from typing import Final

from daemon import users
from deb import Control, pack
from source import ROOT, VERSION, environment, epoch, output, put

NAME: Final = "fenced-beat"
DESCRIPTION: Final = """\
Sends the heartbeats of this machine to the fencing daemon fenced, over MQTT
or HTTPS, and says when the machine shuts down. One file that needs Python 3.6
and nothing else. Nothing is started before you configure it: copy the archive
that fenced setup made for this host, and run its script."""
COPYRIGHT: Final = """\
fenced-beat is part of fenced.

Copyright 2026 the authors of fenced
License: Apache License, Version 2.0; its text is in /usr/share/common-licenses/Apache-2.0
"""
SPECIFICATION: Final = Path(__file__).with_name("fenced-beat.spec")


def tree(folder: Path) -> None:
    """Lay out the files as they are installed."""
    put(folder / "usr/bin/fenced-beat", (ROOT / "fenced/beat/fenced_beat.py").read_bytes(), mode=0o755)
    put(folder / "usr/lib/systemd/system/fenced-beat.service", (ROOT / "systemd/fenced-beat.service").read_bytes())
    put(folder / "usr/lib/sysusers.d/fenced-beat.conf", users("fenced-beat"))
    for example in ("beat.toml", "beat.sh"):
        put(folder / "usr/share/doc" / NAME / "examples" / example, (ROOT / "config" / example).read_bytes())


def deb(folder: Path, out: Path, *, revision: str, compression: str) -> Path:
    """Build the .deb; return its path."""
    tree(folder)
    put(folder / "usr/share/doc" / NAME / "copyright", COPYRIGHT)
    control = Control(
        name=NAME,
        architecture="all",
        summary="heartbeats of a host for the fencing daemon fenced",
        description=DESCRIPTION,
        fields={
            "Depends": "python3 (>= 3.6), systemd | systemd-standalone-sysusers | systemd-sysusers",
            "Multi-Arch": "foreign",
        },
    )
    return pack(control, folder, out, revision=revision, compression=compression)


def rpm(folder: Path, out: Path, *, revision: str) -> Path:
    """Build the .rpm; return its path. Needs rpmbuild."""
    root = folder / "root"
    tree(root)
    put(root / "usr/share/licenses" / NAME / "LICENSE", (ROOT / "LICENSE").read_bytes())
    values = {
        "_topdir": str(folder.absolute()),
        "_rpmdir": str(folder.absolute() / "rpms"),
        "_buildhost": "localhost",
        "beat_version": VERSION,
        "beat_revision": revision,
        "beat_root": str(root.absolute()),
        "use_source_date_epoch_as_buildtime": "1",
        "clamp_mtime_to_source_date_epoch": "1",
        "_binary_payload": "w9.gzdio",
    }
    command = ["rpmbuild", "-bb", "--quiet", "--target", "noarch"]
    for key, value in values.items():
        command += ["--define", f"{key} {value}"]
    output([*command, str(SPECIFICATION)], env=environment() | {"SOURCE_DATE_EPOCH": str(epoch())})
    (made,) = (folder / "rpms").rglob("*.rpm")
    return Path(shutil.copy(made, out))
