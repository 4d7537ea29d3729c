"""Agents that other users can replace: one warning that names the writable files and folders."""

import os
from pathlib import Path

import pytest

from fenced.config.agent_files import load_proxy
from fenced.config.agent_path import why_unsafe
from tests.config.files import OWN_MACHINE, load_files, write

AGENT = "#!/bin/sh\n"


def ground(directory: Path) -> Path:
    """A directory of agents below two others; only their owner can write to them."""
    agents = directory / "above" / "agents"
    agents.mkdir(parents=True)
    for path in (directory / "above", agents):
        path.chmod(0o755)
    write(agents, "fence_apc", AGENT, mode=0o755)
    return agents


def test_what_its_owner_alone_can_write_is_no_news(tmp_path: Path) -> None:
    assert why_unsafe([ground(tmp_path), tmp_path / "nowhere"]) == ""


@pytest.mark.parametrize(
    ("opened", "mode"),
    [
        ("above/agents/fence_apc", 0o757),
        ("above/agents", 0o757),
        ("above", 0o757),
        ("above/agents", 0o1777),
    ],
)
def test_what_others_can_write_is_a_warning(opened: str, mode: int, tmp_path: Path) -> None:
    agents = ground(tmp_path)
    (tmp_path / opened).chmod(mode)
    assert str(tmp_path / opened) in why_unsafe([agents])


def test_a_directory_above_with_the_sticky_bit_is_safe(tmp_path: Path) -> None:
    agents = ground(tmp_path)
    (tmp_path / "above").chmod(0o1777)
    assert why_unsafe([agents]) == ""


def test_a_group_of_others_can_write_as_well_but_root_s_is_root(tmp_path: Path) -> None:
    agents = ground(tmp_path)
    os.chown(agents, -1, os.getgid() or 12345)
    agents.chmod(0o775)
    assert why_unsafe([agents])
    if os.getuid() == 0:
        os.chown(agents, -1, 0)
        assert why_unsafe([agents]) == ""


def test_what_a_link_leads_to_counts(tmp_path: Path) -> None:
    agents = ground(tmp_path)
    shared = tmp_path / "shared"
    shared.mkdir()
    shared.chmod(0o777)
    write(shared, "apc", AGENT, mode=0o755)
    (agents / "fence_link").symlink_to(shared / "apc")
    assert str(shared) in why_unsafe([agents])


def test_the_daemon_and_the_proxy_get_a_warning(tmp_path: Path) -> None:
    agents = ground(tmp_path)
    agents.chmod(0o777)
    loaded = load_files(tmp_path, f'[daemon]\nagent_path = ["{agents}"]\n')
    assert [warning.path for warning in loaded.warnings].count("daemon.agent_path") == 1
    file = write(tmp_path, "proxy.toml", f'[proxy]\nname = "p"\nlisten = "127.0.0.1:1"\nagent_path = ["{agents}"]\n')
    proxy = load_proxy(file, own_machine=OWN_MACHINE, environ={})
    assert [warning.path for warning in proxy.warnings] == ["proxy.agent_path"]
