"""Build the packages into a folder: python .ci/packages [--out dist] [all, or some of: python daemon beat rpm]."""

import argparse
import hashlib
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Final

sys.dont_write_bytecode = True

import beat  # noqa: E402  # no bytecode in the source tree
import daemon  # noqa: E402
import python  # noqa: E402
import sbom  # noqa: E402
from source import ROOT, VERSION, NotBuilt, environment, output  # noqa: E402

KINDS: Final = ("python", "daemon", "beat", "rpm")


def main(arguments: Sequence[str]) -> int:
    """Return 0, or 1 after the reason why a package could not be built."""
    parser = argparse.ArgumentParser(prog=".ci/packages", description=__doc__)
    parser.add_argument("kinds", nargs="*", choices=[*KINDS, "all"], default="all")
    parser.add_argument("--out", type=Path, default=ROOT / "dist", help="where the packages go; default: dist")
    parser.add_argument("--wheels", type=Path, default=ROOT / "build/wheels", help="wheels of the dependencies")
    parser.add_argument("--offline", action="store_true", help="download nothing: --wheels holds all")
    parser.add_argument("--revision", action="append", help="of the packages; default: 1. More than one: for each")
    parser.add_argument("--compression", default="xz", help="of a .deb; none is quick, for tests")
    parser.add_argument("--lintian", action="store_true", help="check each .deb; an error of lintian fails the build")
    asked = parser.parse_args(arguments)
    kinds = KINDS if "all" in asked.kinds else tuple(asked.kinds)
    asked.out.mkdir(parents=True, exist_ok=True)
    try:
        with tempfile.TemporaryDirectory(prefix="fenced-packages-") as work:
            for made in _build(kinds, asked, Path(work)):
                if asked.lintian and made.suffix == ".deb":
                    output(["lintian", "--allow-root", "--fail-on", "error", str(made)], env=environment())
                digest = hashlib.sha256(made.read_bytes()).hexdigest()
                print(f"{digest}  {made}")
    except NotBuilt as exc:
        print(f"packages: {exc}", file=sys.stderr)
        return 1
    return 0


def _build(kinds: Sequence[str], asked: argparse.Namespace, work: Path) -> list[Path]:
    revisions, made = asked.revision or ["1"], []
    if {"python", "daemon"} & {*kinds}:
        is_wanted = "python" in kinds
        built = python.build(asked.out if is_wanted else work, is_archived=is_wanted)
        made += built if is_wanted else []
    if "daemon" in kinds:
        if not asked.offline:
            asked.wheels.mkdir(parents=True, exist_ok=True)
            python.download(built[0], asked.wheels)
        wheels = sorted(asked.wheels.glob("*.whl"))
        tree = work / "daemon"
        site = daemon.site(built[0], wheels, tree)
        bill = sbom.text(site, wheels)
        for revision in revisions:
            made.append(daemon.build(wheels, bill, tree, asked.out, revision=revision, compression=asked.compression))
        document = asked.out / f"fenced-{VERSION}.cdx.json"
        document.write_text(bill, encoding="utf-8")
        made.append(document)
    if "beat" in kinds:
        for revision in revisions:
            made.append(beat.deb(work / "beat", asked.out, revision=revision, compression=asked.compression))
    if "rpm" in kinds:
        for revision in revisions:
            made.append(beat.rpm(work / f"rpm-{revision}", asked.out, revision=revision))
    return made


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
