"""Checks [saving] for each cluster where it is enabled: whether any host could ever sleep, and who can't.

Each cluster inherits [saving] key by key, so a finding blames the place that set the key: the cluster's own table, or
the main file, where what concerns several clusters is reported once. What depends on hosts is only told where no
mistake hides one of them.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Final

from fenced.config.build import BuiltDevice, BuiltHost
from fenced.config.checks.draft import Draft
from fenced.config.checks.finding import Finding, Once, once_for_all, warning
from fenced.config.durations import format_duration
from fenced.config.entries import Entry
from fenced.config.inventory_tables import ClusterTable
from fenced.config.mistakes import Where
from fenced.model.addresses import is_loopback
from fenced.model.power import Kind
from fenced.model.settings import SavingSettings

NAMES_MAX: Final = 5
VETO_SECONDS_MIN: Final = 5.0
SOFT_TIMEOUT_SECONDS_MIN: Final = 60.0
WITNESSES_MORE: Final = 2
"""Beside `witness.hosts`, so many hosts of the fleet stay heard (S24)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Group:
    """The hosts of one cluster, or those of none. `sleepers`: those that their own keys let sleep."""

    entry: Entry[ClusterTable] | None
    settings: SavingSettings
    hosts: Sequence[BuiltHost]
    sleepers: Sequence[BuiltHost]

    @property
    def name(self) -> str:
        return self.entry.table.name if self.entry is not None else "the hosts without a cluster"


def check(draft: Draft) -> Iterator[Finding]:
    groups = [group for group in _groups(draft) if group.settings.is_enabled]
    for group in groups:
        yield from _times(draft, group)
        yield from _reporters(draft, group)
    if not groups or not _is_sure_of_hosts(draft):
        return
    peopled = [group for group in groups if group.hosts]
    yield from _nobody(draft, peopled)
    for group in peopled:
        if group.sleepers:
            yield from _sizes(draft, group)
            yield from _proxies(draft, group)
        if any(_can_sleep(built, group) for built in group.sleepers):
            yield from _unable(draft, group)


def _groups(draft: Draft) -> Iterator[Group]:
    of_cluster: dict[str, list[BuiltHost]] = {}
    for built in draft.hosts:
        of_cluster.setdefault(built.host.cluster, []).append(built)
    for name, entry in draft.entries.clusters.items():
        yield _group(entry, draft.settings.saving(entry.table.saving), of_cluster.get(name, []))
    if "" in of_cluster:
        yield _group(None, draft.settings.saving(), of_cluster[""])


def _group(entry: Entry[ClusterTable] | None, settings: SavingSettings, hosts: list[BuiltHost]) -> Group:
    return Group(entry=entry, settings=settings, hosts=hosts, sleepers=[built for built in hosts if _may_sleep(built)])


def _may_sleep(built: BuiltHost) -> bool:
    host = built.host
    return (
        host.may_sleep
        and host.settings.automatic
        and not (host.is_protected or host.is_own_machine or host.is_beside_broker or host.is_beside_store)
    )


def _is_sure_of_hosts(draft: Draft) -> bool:
    """Whether no mistake hides a host, its cluster or device, or what lets it sleep."""
    entries = draft.entries
    return (
        entries.is_whole
        and not {"datacenter", "cluster", "host"} & entries.nameless
        and not any((entries.hosts_apart, entries.clusters_apart, entries.datacenters_apart))
        and all(entry.is_sure_of("name", "automatic") for entry in entries.all_datacenters)
        and all(entry.is_sure_of("name", "datacenter", "automatic") for entry in entries.all_clusters)
        and all(
            built.host.cluster == built.entry.table.cluster
            and built.entry.is_sure_of("cluster", "saving", "protected", "automatic", "device")
            for built in draft.hosts
        )
    )


def _times(draft: Draft, group: Group) -> Iterator[Finding]:
    settings = group.settings
    if settings.veto_seconds < VETO_SECONDS_MIN:
        yield _short(
            draft, group, "veto", settings.veto_seconds,
            f"shorter than {format_duration(VETO_SECONDS_MIN)}: a host that gets work hardly has time to say so",
        )  # fmt: skip
    if settings.soft_timeout_seconds < SOFT_TIMEOUT_SECONDS_MIN:
        yield _short(
            draft, group, "soft_timeout", settings.soft_timeout_seconds,
            f"shorter than {format_duration(SOFT_TIMEOUT_SECONDS_MIN)}: a host that still shuts down then counts as "
            "silent, and may be fenced",
        )  # fmt: skip
    if settings.proven_on_seconds == 0:
        yield _short(
            draft, group, "proven_on", 0.0,
            "a host that never came back from an OFF may be put to sleep: nothing proves that it can be woken",
        )  # fmt: skip


def _short(draft: Draft, group: Group, key: str, seconds: float, reason: str) -> Finding:
    """Blame a duration, once for the place that sets it."""
    where = _place(draft, group, key)
    return warning(
        where,
        reason,
        value=format_duration(seconds),
        unit="duration",
        rests_on=_places(draft, group, "enabled", key),
        once=Once(key=where, merge=lambda found: found[0]),
    )


def _reporters(draft: Draft, group: Group) -> Iterator[Finding]:
    """A reporter obeys a shutdown only over mqtts://, or from a broker on its own machine."""
    bus = draft.configuration.bus
    if group.settings.soft_off_by != "reporter" or bus.scheme != "mqtt" or is_loopback(bus.host):
        return
    where = _place(draft, group, "soft_off")
    yield warning(
        where,
        "fenced beat shuts its host down only if it reaches the broker over mqtts://, and this daemon does not: see "
        "[bus] url",
        value="reporter",
        unit="word",
        rests_on=(*_places(draft, group, "enabled", "soft_off"), draft.where.key("bus").key("url")),
        once=Once(key=where, merge=lambda found: found[0]),
    )


def _nobody(draft: Draft, groups: Sequence[Group]) -> Iterator[Finding]:
    """An `enabled` by which no host at all can be asked is an error; if others can, the cluster is told."""
    useful = {
        _place(draft, group, "enabled")
        for group in groups
        if any(_can_sleep(built, group) for built in group.sleepers)
    }  # fmt: skip
    for group in groups:
        where, rests_on = _place(draft, group, "enabled"), _places(draft, group, "enabled", "soft_off")
        if not group.sleepers:
            yield warning(
                where,
                f"has no effect for {group.name}: each host is protected, not automatic, the machine of the daemon or "
                "the broker, or has saving = false",
                value=True,
                rests_on=(*rests_on, draft.where.key("defaults").key("automatic")),
                once=once_for_all("clusters", "no sleepers", where),
            )
        elif not any(_can_sleep(built, group) for built in group.sleepers):
            yield Finding(
                where=where,
                reason=_why_nobody(group),
                value=True,
                is_error=where not in useful,
                rests_on=rests_on,
                once=once_for_all("clusters", "nobody", where),
            )


def _why_nobody(group: Group) -> str:
    if not any(_chassis(built) for built in group.sleepers):
        return (
            f"no host of {group.name} has a chassis device, which sleep needs: add their BMCs, or set enabled = false"
        )
    return (
        f"no host of {group.name} can be asked to shut down, because the driver of no chassis device can: use one that "
        'can, such as redfish or ipmi, set soft_off = "reporter", or enabled = false'
    )


def _chassis(built: BuiltHost) -> list[BuiltDevice]:
    """Return the devices that are, or may be, a chassis."""
    return [
        device
        for device in built.devices
        if device.device.kind is Kind.CHASSIS or device.description is None or not device.is_sure_of_kind
    ]


def _can_sleep(built: BuiltHost, group: Group) -> bool:
    """Whether it has a chassis, and something can ask it to shut down. What a mistake hides counts as able."""
    return any(
        group.settings.soft_off_by == "reporter" or device.description is None or device.description.can_soft_off
        for device in _chassis(built)
    )


def _unable(draft: Draft, group: Group) -> Iterator[Finding]:
    """Name the hosts of a cluster that can't sleep though others can."""
    bare = [built for built in group.sleepers if not _chassis(built)]
    deaf = [built for built in group.sleepers if _chassis(built) and not _can_sleep(built, group)]
    told = (
        (bare, "no chassis device, which sleep needs: add their BMC"),
        (deaf, "no chassis device whose driver can ask for a shutdown: use one that can, such as redfish or ipmi"),
    )
    for hosts, why in told:
        if hosts:
            yield warning(
                _place(draft, group, "enabled"),
                f"can't put these hosts of {group.name} to sleep: {_names(hosts)}; they have {why}, or set "
                "saving = false there",
                value=True,
                rests_on=_places(draft, group, "enabled", "soft_off"),
            )


def _sizes(draft: Draft, group: Group) -> Iterator[Finding]:
    """Each of these limits keeps every host of the cluster on, whatever the others say."""
    count, settings, gates = len(group.hosts), group.settings, draft.inventory.daemon.gates
    has = f"{group.name} has {count} host{'s' * (count != 1)}"
    if settings.min_on >= count:
        yield _never(draft, group, "min_on", settings.min_on, f"{has}, and so many stay on")
    if settings.reserve >= count:
        yield _never(draft, group, "reserve", settings.reserve, f"{has}, and so many idle ones stay on")
    if settings.asleep_at_most_percent * count < 100:
        percent = settings.asleep_at_most_percent
        yield _never(
            draft, group, "asleep_at_most", f"{percent:g}", f"{has}, and {percent:g} percent is none", unit="percent"
        )
    heard = gates.connectivity_at_least + 1
    if heard >= count:
        yield _never(draft, group, "enabled", True, f"{has}, and {heard} must stay heard (gates.connectivity.at_least)")
    heard = gates.witness_hosts + WITNESSES_MORE
    if heard >= len(draft.hosts):
        yield _never(
            draft, group, "enabled", True,
            f"there are {len(draft.hosts)} hosts in all, and {heard} must stay heard (gates.witness.hosts)",
        )  # fmt: skip


def _never(draft: Draft, group: Group, key: str, value: object, why: str, *, unit: str = "count") -> Finding:
    where, gates = _place(draft, group, key), draft.where.key("gates")
    return warning(
        where,
        f"{why}: none can ever sleep",
        value=value,
        unit=unit if key != "enabled" else "",
        rests_on=(
            *_places(draft, group, "enabled", key),
            gates.key("connectivity").key("at_least"),
            gates.key("witness").key("hosts"),
        ),
        once=once_for_all("clusters", where, why.partition("(")[2]),
    )


def _proxies(draft: Draft, group: Group) -> Iterator[Finding]:
    """A device keeps two candidates that are awake, so hosts that its cluster's proxies run on may have to stay on."""
    proxies = [proxy for proxy in draft.inventory.proxies.values() if group.entry and proxy.cluster == group.name]
    sleepers = {built.host.name for built in group.sleepers}
    if proxies and all(proxy.machine in sleepers for proxy in proxies):
        names = sorted(proxy.name for proxy in proxies)
        yield warning(
            _place(draft, group, "enabled"),
            f"all proxies of {group.name} ({_listed(names)}) run on hosts that may sleep: some of these hosts stay on, "
            "because each device keeps two proxies awake. Choose which: set saving = false there",
            value=True,
            rests_on=_places(draft, group, "enabled"),
        )


def _place(draft: Draft, group: Group, key: str) -> Where:
    """Return the place that sets this key for the cluster."""
    if group.entry is not None and key in group.entry.table.saving.model_fields_set:
        return group.entry.where.key("saving").key(key)
    return draft.where.key("saving").key(key)


def _places(draft: Draft, group: Group, *keys: str) -> tuple[Where, ...]:
    """Return every place that can set these keys for the cluster."""
    tables = [draft.where, *([group.entry.where] if group.entry is not None else [])]
    return tuple(table.key("saving").key(key) for table in tables for key in keys)


def _names(hosts: Sequence[BuiltHost]) -> str:
    return _listed([built.host.name for built in hosts])


def _listed(names: Sequence[str]) -> str:
    more = f" and {len(names) - NAMES_MAX} more" if len(names) > NAMES_MAX else ""
    return ", ".join(names[:NAMES_MAX]) + more
