"""What a test needs from the machine. Missing: the test is skipped and the summary says so; under CI it fails."""

import os
import shutil

import pytest

SEARCHED = os.pathsep.join([os.environ.get("PATH", os.defpath), "/usr/sbin", "/sbin", "/usr/lib/postgresql/15/bin"])


def find(program: str) -> str | None:
    """The program's path, also where only root's PATH looks."""
    return shutil.which(program, path=SEARCHED)


def needs(*programs: str) -> pytest.MarkDecorator:
    """Marks a test or module that runs these programs for real."""
    missing = [program for program in programs if find(program) is None]
    if missing and os.environ.get("CI"):
        return pytest.mark.usefixtures("missing_" + "programs_under_ci")
    return pytest.mark.skipif(
        bool(missing), reason=f"not installed: {', '.join(missing)} (make test installs them as root)"
    )


def needs_root() -> pytest.MarkDecorator:
    """Marks a test that makes network namespaces."""
    return pytest.mark.skipif(os.geteuid() != 0, reason="needs root for network namespaces")
