"""Pack a folder as a .deb. The same folder gives the same bytes at any time, in any place, for any user."""

import gzip
from dataclasses import dataclass, field
from datetime import UTC, datetime
from email.utils import format_datetime
from hashlib import md5
from pathlib import Path
from typing import Final

from source import ROOT, VERSION, environment, epoch, maintainer, output, put

HERE: Final = Path(__file__).parent
SCRIPTS: Final = ("postinst", "prerm", "postrm")
GZIP_LEVEL: Final = 9


@dataclass(frozen=True, slots=True, kw_only=True)
class Control:
    """What the package says about itself. `fields` are those of its own, as Depends."""

    name: str
    architecture: str
    summary: str
    description: str
    fields: dict[str, str] = field(default_factory=dict)


def pack(control: Control, tree: Path, out: Path, *, revision: str, compression: str) -> Path:
    """Add documents, control files and checksums to `tree`, and pack it. Changes `tree`, which may be packed again."""
    name, version = control.name, f"{VERSION}-{revision}"
    about = tree / "usr/share/doc" / name
    put(about / "changelog.gz", compressed((ROOT / "CHANGELOG.md").read_bytes()))
    put(about / "changelog.Debian.gz", compressed(_changelog(name, version).encode()))
    put(tree / f"usr/share/lintian/overrides/{name}", (HERE / "debian" / name / "lintian-overrides").read_bytes())
    for script in SCRIPTS:
        if (source := HERE / "debian" / name / script).exists():
            put(tree / "DEBIAN" / script, source.read_bytes(), mode=0o755)
    for folder in (tree, *(path for path in tree.rglob("*") if path.is_dir())):
        folder.chmod(0o755)
    files = sorted(path for path in tree.rglob("*") if path.is_file() and "DEBIAN" not in path.parts)
    put(tree / "DEBIAN/md5sums", "".join(f"{_md5(path)}  {path.relative_to(tree)}\n" for path in files))
    put(tree / "DEBIAN/control", _control(control, version, sum(-(-path.stat().st_size // 1024) for path in files)))
    made = out / f"{name}_{version}_{control.architecture}.deb"
    command = ["dpkg-deb", "--root-owner-group", "--uniform-compression", f"-Z{compression}", "--build"]
    output([*command, str(tree), str(made)], env=environment())
    return made


def architecture() -> str:
    """Return what Debian calls this machine's processor."""
    return output(["dpkg", "--print-architecture"]).strip()


def _control(control: Control, version: str, kilobytes: int) -> str:
    fields = {
        "Package": control.name,
        "Version": version,
        "Architecture": control.architecture,
        "Maintainer": maintainer(),
        "Installed-Size": str(kilobytes),
        **control.fields,
        "Section": "admin",
        "Priority": "optional",
        "Description": control.summary + "".join(f"\n {line}" for line in control.description.splitlines()),
    }
    return "".join(f"{key}: {value}\n" for key, value in fields.items())


def _changelog(name: str, version: str) -> str:
    at = format_datetime(datetime.fromtimestamp(epoch(), UTC))
    text = "Built from the source tree; the changes are in changelog.gz."
    return f"{name} ({version}) unstable; urgency=medium\n\n  * {text}\n\n -- {maintainer()}  {at}\n"


def compressed(content: bytes) -> bytes:
    """Return the content as Debian wants documents: the same bytes every time."""
    return gzip.compress(content, GZIP_LEVEL, mtime=0)


def _md5(path: Path) -> str:
    return md5(path.read_bytes(), usedforsecurity=False).hexdigest()
