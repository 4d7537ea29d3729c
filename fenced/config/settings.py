"""Merges settings: `[defaults]`, [power] and [detection] < data centre < cluster < host < device; [saving] < cluster.

Equal settings are one shared object, however many hosts have them.
"""

from collections.abc import Mapping
from dataclasses import fields
from typing import Any, Final, TypeVar

from pydantic import BaseModel

from fenced.config.gate_tables import GatesTable
from fenced.config.inventory_tables import Overrides
from fenced.config.saving_table import SavingTable, WakingTable
from fenced.config.tables import MainTables, PowerOfOne, RaceTable
from fenced.model.power import Action
from fenced.model.settings import (
    CheckSettings,
    DaemonSettings,
    DetectionSettings,
    GateSettings,
    HostSettings,
    PowerSettings,
    RaceSettings,
    Reference,
    SavingSettings,
)

SharedType = TypeVar("SharedType")

_SUFFIXES: Final = ("", "_seconds", "_percent")


def set_keys(table: BaseModel, model: type[BaseModel] = Overrides) -> dict[str, Any]:
    """Return the keys that this table sets and `model` has."""
    known = model.model_fields
    return {key: getattr(table, key) for key in table.model_fields_set if key in known}


class Settings:
    """The settings of the main file, and those of hosts and devices that follow."""

    def __init__(self, main: MainTables) -> None:
        self._main = main
        tables = (main.power, main.detection, main.defaults)
        self.base: dict[str, Any] = {
            key: getattr(table, key)
            for table in tables
            for key in type(table).model_fields
            if key in Overrides.model_fields
        }
        self._hosts: dict[tuple[frozenset[tuple[str, Any]], SavingSettings], HostSettings] = {}
        self._shared: dict[object, Any] = {}
        self._saving = self.saving()

    def of_host(self, *overrides: Mapping[str, Any], saving: SavingSettings | None = None) -> HostSettings:
        """Return the settings of a host with these overrides, weakest first. `saving`: that of its cluster, if any."""
        merged: dict[str, Any] = {}
        for override in overrides:
            merged.update(override)
        saving = saving or self._saving
        key = frozenset(merged.items()), saving
        settings = self._hosts.get(key)
        if settings is None:
            settings = self._hosts[key] = self.shared(self._build({**self.base, **merged}, saving))
        return settings

    def saving(self, cluster: SavingTable | None = None) -> SavingSettings:
        """Return [saving] with the keys that this cluster sets."""
        main = self._main.saving
        if cluster is None:
            return self.shared(_saving(main))
        waking = main.waking.model_copy(update=set_keys(cluster.waking, WakingTable))
        return self.shared(_saving(main.model_copy(update={**set_keys(cluster, SavingTable), "waking": waking})))

    def of_device(self, host: HostSettings, override: Mapping[str, Any]) -> PowerSettings:
        """Return [power] for a device of this host."""
        if not override:
            return host.power
        given = {_field(PowerSettings, key): value for key, value in override.items()}
        own = {field.name: getattr(host.power, field.name) for field in fields(PowerSettings)}
        return self.shared(PowerSettings(**{**own, **given}))

    def shared(self, value: SharedType) -> SharedType:
        """Return the first equal value, so that equal values are one object."""
        found: SharedType = self._shared.setdefault(value, value)
        return found

    def daemon(self, name: str) -> DaemonSettings:
        """Return the settings of the whole daemon."""
        main = self._main
        return DaemonSettings(
            name=name,
            site=main.daemon.site,
            is_armed_by_file=main.daemon.armed,
            shutdown_grace_seconds=main.daemon.shutdown_grace,
            startup_quiet_seconds=main.detection.startup_quiet,
            bus_settle_seconds=main.detection.bus_settle,
            announce_wait_seconds=main.bus.announce_wait,
            request_max_age_seconds=main.bus.request_max_age,
            accept_requests=main.bus.accept_requests,
            lease_ttl_seconds=main.store.lease_ttl,
            domain=main.daemon.domain,
            observers=main.detection.observers,
            references=tuple(
                Reference(network=network, address=address) for network, address in main.detection.references
            ),
            keep_seconds=main.store.keep,
            agent_processes=main.power.agent_processes,
            has_warm_agents=main.power.warm_agents,
            race=_race(main.race),
            gates=_gates(main.gates),
            check=CheckSettings(interval_seconds=main.check.interval, per_unit_pause_seconds=main.check.per_unit_pause),
        )

    def _build(self, merged: Mapping[str, Any], saving: SavingSettings) -> HostSettings:
        power = {_field(PowerSettings, key): merged[key] for key in PowerOfOne.model_fields}
        detection = {
            name: merged[key] for key in merged if (name := _field(DetectionSettings, key)) in _NAMES[DetectionSettings]
        }
        return HostSettings(
            power=self.shared(PowerSettings(**power)),
            detection=self.shared(DetectionSettings(**detection)),
            saving=saving,
            fence_action=Action(merged["fence_action"]),
            automatic=merged["automatic"],
        )


def _field(model: type, key: str) -> str:
    """Return the field of the model for this key of the file: the key itself, or the key with its unit."""
    return next((key + suffix for suffix in _SUFFIXES if key + suffix in _NAMES[model]), key)


_NAMES: Final[dict[type, frozenset[str]]] = {
    model: frozenset(field.name for field in fields(model)) for model in (PowerSettings, DetectionSettings)
}


def _race(table: RaceTable) -> RaceSettings:
    return RaceSettings(
        stagger_seconds=table.stagger,
        preference_grace_seconds=table.preference_grace,
        parallel=table.parallel,
        probe_timeout_seconds=table.probe_timeout,
    )


def _saving(table: SavingTable) -> SavingSettings:
    return SavingSettings(
        is_enabled=table.enabled,
        reserve=table.reserve,
        min_on=table.min_on,
        asleep_at_most_percent=table.asleep_at_most,
        idle_for_seconds=table.idle_for,
        awake_for_seconds=table.awake_for,
        pause_seconds=table.pause,
        veto_seconds=table.veto,
        soft_off_by="device" if table.soft_off == "device" else "reporter",
        soft_timeout_seconds=table.soft_timeout,
        retry_after_seconds=table.retry_after,
        proven_on_seconds=table.proven_on,
        consent=table.consent,
        waking_cluster=table.waking.cluster,
        waking_rack=table.waking.rack,
        waking_fleet=table.waking.fleet,
        watch_interval_seconds=table.watch,
    )


def _gates(table: GatesTable) -> GateSettings:
    return GateSettings(
        attempts_count=table.attempts.count,
        attempts_per_seconds=table.attempts.per,
        cooldown_seconds=table.cooldown,
        witness_hosts=table.witness.hosts,
        witness_wait_seconds=table.witness.wait,
        connectivity_share_percent=table.connectivity.share,
        connectivity_at_least=table.connectivity.at_least,
        storm_domains=table.storm.domains,
        storm_hosts=table.storm.hosts,
        storm_per_seconds=table.storm.per,
        storm_cooldown_seconds=table.storm.cooldown,
        storm_mtbf_seconds=table.storm.mtbf,
        storm_max_seconds=table.storm.max,
        budget_hosts=table.budget.hosts,
        budget_percent=table.budget.percent,
        budget_at_most=table.budget.at_most,
        budget_per_seconds=table.budget.per,
        budget_unrecovered=table.budget.unrecovered,
        concurrency=table.concurrency,
        live_evidence=table.live_evidence,
    )
