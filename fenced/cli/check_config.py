"""`fenced check-config`: report every mistake of a configuration in one run, and the proxies that serve a host.

Starts nothing and reaches no device. Exit 0: `fenced run` accepts the file. Exit 78: it does not,
or it has no such host.
"""

import json
import os
from collections.abc import Iterable, Iterator
from dataclasses import replace
from itertools import groupby
from pathlib import Path
from typing import Any, Final

import click

from fenced.app.own_machine import own_machine
from fenced.cli.asking import driver_catalogue
from fenced.cli.becoming import become
from fenced.config.load import Loaded, load
from fenced.config.mistakes import Mistake
from fenced.core.reach.candidates import Candidates, expand
from fenced.core.reach.domains import Place
from fenced.model.inventory import Device, Host, Inventory
from fenced.model.names import HostName

EXIT_CONFIG: Final = 78
"""EX_CONFIG of sysexits.h."""


@click.command()
@click.argument("file", type=click.Path(path_type=Path))
@click.option("--format", "output", type=click.Choice(["text", "json"]), default="text", help="Output format.")
@click.option(
    "--plan", "host_name", metavar="HOST", help="Show levels, devices and proxies of this host, in their order."
)
@click.option(
    "--user", metavar="NAME", help="Check with the rights of this user, as which the service runs. Needs root."
)
def command(file: Path, output: str, host_name: str | None, user: str | None) -> None:
    """Check a configuration and its inventory. Prints every mistake. Exits 0 without errors, else 78.

    \b
    fenced check-config /etc/fenced/fenced.toml --user fenced
    """
    catalogue, machine = driver_catalogue(), own_machine()
    if user is not None:
        become(user)
        click.echo(f"checked as {user}; what the sandbox of the unit hides from it was not checked", err=True)
    loaded = load(file, own_machine=machine, environ=os.environ, catalogue=catalogue, is_outside_unit=True)
    if host_name is not None:
        loaded = _with_unknown_host(loaded, file, host_name)
    plan = _plan(loaded, host_name) if host_name is not None else None
    if output == "json":
        click.echo(json.dumps(_as_json(loaded, plan), indent=2))
    else:
        for line in (*mistake_lines(loaded), *_plan_lines(plan)):
            click.echo(line)
    if loaded.errors:
        raise SystemExit(EXIT_CONFIG)


def mistake_lines(loaded: Loaded) -> Iterator[str]:
    """Yield all mistakes by file, and last the number of errors."""
    told = [(mistake, "") for mistake in loaded.errors] + [(mistake, "warning: ") for mistake in loaded.warnings]
    for file, mistakes in groupby(sorted(told, key=lambda item: item[0].file), key=lambda item: item[0].file):
        yield file
        yield from (f"  {kind}{mistake.sentence}" for mistake, kind in mistakes)
    yield f"{len(loaded.errors)} errors"


def _as_json(loaded: Loaded, plan: dict[str, Any] | None) -> dict[str, Any]:
    answer: dict[str, Any] = {
        "count": len(loaded.errors),
        "errors": [_mistake(mistake) for mistake in loaded.errors],
        "warnings": [_mistake(mistake) for mistake in loaded.warnings],
    }
    if plan is not None:
        answer["plan"] = plan
    return answer


def _mistake(mistake: Mistake) -> dict[str, str]:
    return {
        "file": mistake.file,
        "path": mistake.path,
        "value": mistake.value,
        "unit": mistake.unit,
        "reason": mistake.reason,
    }


def _with_unknown_host(loaded: Loaded, file: Path, name: str) -> Loaded:
    """Return the same, or one error instead of the configuration if it has no such host."""
    if loaded.configuration is None or HostName(name) in loaded.configuration.inventory.hosts:
        return loaded
    unknown = Mistake(
        file=str(file), path="--plan", value=name, unit="name", reason="no such host: the name must match exactly"
    )
    return replace(loaded, configuration=None, errors=(*loaded.errors, unknown))


def _plan(loaded: Loaded, name: str) -> dict[str, Any] | None:
    """Return None if there is no configuration to plan with."""
    if loaded.configuration is None:
        return None
    inventory = loaded.configuration.inventory
    host = inventory.hosts[HostName(name)]
    return {
        "host": host.name,
        "cluster": host.cluster,
        "datacenter": host.datacenter,
        "own_machine": host.is_own_machine,
        "own_machine_by": host.own_words if host.is_own_machine else "",
        "levels": [
            {"level": level, "devices": [_device(device, host, inventory) for device in _of_level(host, level)]}
            for level in host.levels
        ],
    }


def _of_level(host: Host, level: int) -> Iterable[Device]:
    return (device for device in host.devices if device.level == level)


def _device(device: Device, host: Host, inventory: Inventory) -> dict[str, Any]:
    candidates = expand(device, host, inventory, lambda proxy: None)
    return {
        "name": device.name,
        "kind": device.kind.value,
        "driver": device.spec.driver,
        "plug": device.spec.plug_id,
        "cuts_power": device.spec.cuts_power,
        "proxies": list(device.proxies),
        "tiers": [list(tier) for tier in candidates.tiers],
        "domains": _domains(candidates, Place(host=host, inventory=inventory)),
        "excluded": _excluded(candidates),
    }


def _domains(candidates: Candidates, place: Place) -> dict[str, dict[str, Any]]:
    """Return the failure domain of each candidate that has one, and whether the host shares it."""
    names = (name for tier in candidates.tiers for name in tier)
    return {
        str(name): {"domain": place.domain_of(name), "near": place.is_near(name)}
        for name in names
        if place.domain_of(name)
    }


def _excluded(candidates: Candidates) -> list[dict[str, str]]:
    return [{"proxy": exclusion.proxy, "why": exclusion.why} for exclusion in candidates.excluded]


def _plan_lines(plan: dict[str, Any] | None) -> Iterator[str]:
    if plan is None:
        return
    place = ", ".join(
        f"{what} {plan[key]}" for what, key in (("cluster", "cluster"), ("data centre", "datacenter")) if plan[key]
    )
    yield f"{plan['host']}{f' ({place})' if place else ''}"
    if plan["own_machine"]:
        yield f"  {plan['own_machine_by']}: this daemon never switches it"
    if not plan["levels"]:
        yield "  no power device: it can't be fenced"
    for level in plan["levels"]:
        yield f"  level {level['level']}"
        for device in level["devices"]:
            yield from _device_lines(device)


def _device_lines(device: dict[str, Any]) -> Iterator[str]:
    yield f"    {device['name']} ({device['kind']}), {device['plug']}"
    if device["cuts_power"]:
        yield f"      cuts_power = true: the operator vouches that {device['driver']} cuts the host's power"
    yield f"      proxies = {', '.join(device['proxies'])}"
    for number, tier in enumerate(device["tiers"], start=1):
        yield f"      {number}. {', '.join(_with_domain(name, device['domains'].get(name)) for name in tier)}"
    for excluded in device["excluded"]:
        yield f"      left out: {excluded['proxy']}, {excluded['why']}"


def _with_domain(name: str, found: dict[str, Any] | None) -> str:
    if found is None:
        return name
    return f"{name} [{found['domain']}{', shared with the host' if found['near'] else ''}]"
