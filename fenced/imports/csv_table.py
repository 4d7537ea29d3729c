"""Import a table with a header row: one row for each device, or one for each host without devices.

Commas, semicolons and tabs separate columns. `option:NAME` and `secret:NAME` are columns for further parameters. An
unknown column is reported with its place; a row without a host is, too.
"""

import csv
import io
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Final

from fenced.drivers.catalogue import natives
from fenced.imports import agents
from fenced.imports.agents import AgentDevice, is_secret, why_not_power
from fenced.imports.shape import (
    LEVEL_MAX,
    Device,
    Host,
    Imported,
    Losses,
    NotImported,
    Value,
    device_name,
    numbered,
    report_unfenceable,
    usable,
)
from fenced.model.booleans import said
from fenced.model.drivers import OptionKind
from fenced.model.inventory import Secret

_OF_HOST: Final = ("host", "address", "cluster", "datacenter", "rack", "aliases", "roles", "identity", "protected")
_OF_DEVICE: Final = (
    "device", "driver", "level", "kind", "device_address", "username", "password", "password_file", "plug", "proxies",
    "options",
)  # fmt: skip
_SYNONYMS: Final = {
    "name": "host", "hostname": "host", "host_name": "host", "ip": "address", "device_name": "device",
    "user": "username", "login": "username", "device_ip": "device_address", "bmc": "device_address",
    "bmc_address": "device_address", "port": "plug", "outlet": "plug", "agent": "driver", "order": "level",
    "data_center": "datacenter", "role": "roles", "alias": "aliases",
}  # fmt: skip
_LISTS: Final = {"aliases", "roles", "proxies"}
_NATIVE: Final = {"ipmi", "redfish", "snmp_outlet"}


def import_csv(content: bytes, *, what: str) -> Imported:
    """Return the inventory of a table. Raises NotImported."""
    losses = Losses()
    rows = list(_rows(content, what, losses))
    hosts = [_host(group, losses) for group in _grouped(rows).values()]
    kept = usable(hosts, losses)
    report_unfenceable(kept, losses)
    datacenters: dict[str, str] = {}
    for row in rows:
        if datacenter := row.cells.get("datacenter", ""):
            cluster = row.cells.get("cluster", "")
            if not cluster:
                losses.lost(row.where, "a data centre without a cluster: left out", "a host is placed by its cluster")
            elif datacenters.setdefault(cluster, datacenter) != datacenter:
                losses.lost(
                    row.where, f"cluster {cluster} is in {datacenters[cluster]} already: left out", "correct it"
                )
    return Imported(
        hosts=kept,
        losses=losses.found,
        clusters={cluster: {"datacenter": datacenter} for cluster, datacenter in datacenters.items()},
        datacenters=tuple(dict.fromkeys(datacenters.values())),
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class _Row:
    where: str
    cells: Mapping[str, str]

    @property
    def name(self) -> str:
        return self.cells["host"]


def _grouped(rows: Sequence[_Row]) -> dict[str, list[_Row]]:
    groups: dict[str, list[_Row]] = {}
    for row in rows:
        groups.setdefault(row.name, []).append(row)
    return groups


def _rows(content: bytes, what: str, losses: Losses) -> Iterator[_Row]:
    try:
        text = content.decode("utf-8-sig")
    except UnicodeDecodeError as exc:
        raise NotImported(f"{what}: is not UTF-8; save the table as UTF-8") from exc
    first = text.split("\n", 1)[0]
    delimiter = max(",;\t", key=first.count)
    reader = csv.reader(io.StringIO(text), delimiter=delimiter, strict=True)
    try:
        header = [_column(cell) for cell in next(reader, [])]
        if "host" not in header:
            raise NotImported(f"{what}: the first row has no column `host`; name the columns in the first row")
        twice = sorted({column for column in header if column and header.count(column) > 1})
        if twice:
            raise NotImported(f"{what}: has the column {', '.join(twice)} twice; keep one")
        for column in header:
            if column and column not in (*_OF_HOST, *_OF_DEVICE) and not column.startswith(("option:", "secret:")):
                losses.lost(f"column {column}", "is unknown: left out", "write option:NAME for an option of the driver")
        for cells in reader:
            where = f"line {reader.line_num}"
            if not any(cell.strip() for cell in cells) or cells[0].lstrip().startswith("#"):
                continue
            if len(cells) > len(header):
                losses.lost(where, "has more cells than the header: the last ones are left out", "correct the row")
            row = {name: cell.strip() for name, cell in zip(header, cells, strict=False) if name and cell.strip()}
            if "host" in row:
                yield _Row(where=where, cells=row)
            else:
                losses.lost(where, "names no host: left out", "add the host", is_loud=True)
    except csv.Error as exc:
        raise NotImported(f"{what}: line {reader.line_num}: is no table: {exc}") from exc


def _column(cell: str) -> str:
    text = cell.strip().lower().replace(" ", "_").replace("-", "_")
    return _SYNONYMS.get(text, text)


def _host(rows: Sequence[_Row], losses: Losses) -> Host:
    keys: dict[str, Value] = {}
    cluster = ""
    for row in rows:
        for column in _OF_HOST:
            text = row.cells.get(column, "")
            if column in {"host", "datacenter"} or not text:
                continue
            if column == "cluster":
                before, cluster = cluster, cluster or text
                is_other = bool(before) and before != text
            else:
                value = _value(row, column, text, losses)
                is_other = value is not None and keys.setdefault(column, value) != value
            if is_other:
                losses.lost(
                    f"{row.where}, {column}", "another row of the host has another value: left out", "correct it"
                )
    devices = [device for row in rows if (device := _device(row, losses)) is not None]
    return Host(name=rows[0].name, where=rows[0].where, cluster=cluster, keys=keys, devices=numbered(tuple(devices)))


def _value(row: _Row, column: str, text: str, losses: Losses) -> Value | None:
    if column in _LISTS:
        return tuple(dict.fromkeys(text.replace(";", " ").replace(",", " ").split()))
    if column == "protected":
        flag = said(text)
        if flag is None:
            losses.lost(
                f"{row.where}, protected", f"{text!r} is neither yes nor no: left out", "correct it", is_loud=True
            )
        return flag
    return text


def _device(row: _Row, losses: Losses) -> Device | None:
    cells = row.cells
    if "driver" not in cells:
        given = sorted(name for name in cells if name not in _OF_HOST)
        if given:
            losses.lost(row.where, f"{', '.join(given)} without a driver: left out", "name the driver", is_loud=True)
        return None
    driver = cells["driver"]
    if driver not in _NATIVE and (why := why_not_power(driver)):
        losses.lost(row.where, f"{driver} {why}: left out", f"use {', '.join(sorted(_NATIVE))} or a fence agent",
                    is_loud=True)  # fmt: skip
        return None
    level = cells.get("level", "1")
    if not (level.isascii() and level.isdigit() and 1 <= int(level) <= LEVEL_MAX):
        losses.lost(f"{row.where}, level", f"{level!r} is not 1 to {LEVEL_MAX}: level 1", "correct it", is_loud=True)
        level = "1"
    keys: dict[str, Value] = {"kind": cells["kind"]} if "kind" in cells else {}
    if "proxies" in cells:
        keys["proxies"] = tuple(dict.fromkeys(cells["proxies"].replace(";", " ").replace(",", " ").split()))
    parameters = _parameters(row, losses)
    name = cells.get("device", f"{driver.removeprefix('fence_')}-{int(level)}" if int(level) > 1 else driver)
    if driver in _NATIVE:
        return replace(_native(row, name, parameters), level=int(level), keys=keys)
    built = agents.build(
        AgentDevice(
            where=row.where, name=name, agent=driver, level=int(level), keys=keys, plug=cells.get("plug", ""),
            parameters=parameters,
        ),
        losses,
    )  # fmt: skip
    return replace(
        built, secret_stem=device_name(f"{row.name}-{name}"), password_file=cells.get("password_file", ""),
        secrets={} if cells.get("password_file") and not cells.get("password") else built.secrets,
    )  # fmt: skip


def _parameters(row: _Row, losses: Losses) -> dict[str, str]:
    """Return the agent's parameters, under its own names."""
    cells = row.cells
    named = {"device_address": "ip", "username": "username", "password": "password"}
    parameters = {name: cells[column] for column, name in named.items() if column in cells}
    for item in filter(None, (each.strip() for each in cells.get("options", "").replace(",", ";").split(";"))):
        name, _, value = item.partition("=")
        parameters[name.strip()] = value.strip() or "1"
    for column, value in cells.items():
        if column.startswith(("option:", "secret:")):
            parameters[column.partition(":")[2]] = value
    if "password" in cells and "password_file" in cells:
        losses.lost(f"{row.where}, password_file", "a password is given, too: the file is left out", "keep one")
    return parameters


def _native(row: _Row, name: str, parameters: Mapping[str, str]) -> Device:
    """Return a device of a native driver: its own options, numbers and booleans without quotes."""
    cells = row.cells
    secrets = {key for key in parameters if is_secret(key) or f"secret:{key}" in cells} - {"password"}
    options = {
        key: _typed(cells["driver"], key, value)
        for key, value in parameters.items()
        if key not in {"ip", "username", "password", *secrets}
    }
    if "plug" in cells:
        options["plug"] = cells["plug"]
    has_file = "password_file" in cells and "password" not in cells
    return Device(
        name=device_name(name),
        driver=cells["driver"],
        address=cells.get("device_address", ""),
        username=cells.get("username", ""),
        secrets={
            **({"password": Secret(cells["password"])} if "password" in cells else {}),
            **{key: Secret(parameters[key]) for key in sorted(secrets)},
        },
        secret_stem=device_name(f"{row.name}-{name}"),
        password_file=cells.get("password_file", "") if has_file else "",
        options=options,
    )


def _typed(driver: str, name: str, value: str) -> Value:
    """Return the value as the driver's option takes it; a wrong one stays text, and check-config reports it."""
    option = next(each for each in natives() if each.name == driver).option(name)
    if option is not None and option.kind is OptionKind.BOOLEAN:
        flag = said(value)
        return value if flag is None else flag
    if option is not None and option.kind is OptionKind.INTEGER and value.removeprefix("-").isdecimal():
        return int(value)
    return value
