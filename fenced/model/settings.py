"""All settings that the core and the engine need, resolved and in seconds.

Defaults are those of configuration.md. `fenced.config` builds these; nothing here reads a file.
"""

from dataclasses import dataclass, field
from typing import Literal

from fenced.model.power import Action

LiveRemedy = Literal["alert", "soft_fence", "fence"]
SoftOffBy = Literal["device", "reporter"]


@dataclass(frozen=True, slots=True, kw_only=True)
class PowerSettings:
    """`[power]` for one device (global, datacenter, cluster, host and device keys merged)."""

    verify_interval_seconds: float = 1.0
    verify_timeout_seconds: float = 30.0
    stable_reads: int = 2
    already_off_hold_seconds: float = 10.0
    attempt_timeout_seconds: float = 20.0
    attempts: int = 3
    operation_timeout_seconds: float = 300.0
    restore_timeout_seconds: float = 600.0
    chassis_boot_timeout_seconds: float = 180.0
    sessions: int = 4


@dataclass(frozen=True, slots=True, kw_only=True)
class DetectionSettings:
    """`[detection]` for one host. Keys that hold for the daemon only are in DaemonSettings."""

    heartbeat_interval_seconds: float = 5.0
    missed_heartbeats: int = 3
    grace_seconds: float = 20.0
    grace_per_workload_seconds: float = 0.0
    grace_per_role_seconds: tuple[tuple[str, float], ...] = ()
    grace_max_seconds: float = 120.0
    boot_grace_seconds: float = 600.0
    release_grace_seconds: float = 600.0
    stopping_max_seconds: float = 600.0
    late_message_seconds: float = 30.0
    watch_interval_seconds: float = 60.0
    probe_timeout_seconds: float = 5.0
    probe_ports: tuple[int, ...] = (22,)
    alive_but_silent: LiveRemedy = "alert"
    on_report: LiveRemedy = "alert"


@dataclass(frozen=True, slots=True, kw_only=True)
class SavingSettings:
    """`[saving]` for the hosts of one cluster (S24). `reserve`: idle hosts that stay on. `asleep_at_most_percent`: of
    the cluster. `consent`: sources of evidence that must say `idle`. `proven_on_seconds` 0: not asked for.
    `waking_*`: how many may be on their way up at once."""

    is_enabled: bool = False
    reserve: int = 1
    min_on: int = 3
    asleep_at_most_percent: float = 50.0
    idle_for_seconds: float = 1800.0
    awake_for_seconds: float = 1800.0
    pause_seconds: float = 60.0
    veto_seconds: float = 30.0
    soft_off_by: SoftOffBy = "device"
    soft_timeout_seconds: float = 600.0
    retry_after_seconds: float = 21600.0
    proven_on_seconds: float = 90 * 86400.0
    consent: tuple[str, ...] = ()
    waking_cluster: int = 4
    waking_rack: int = 2
    waking_fleet: int = 20
    watch_interval_seconds: float = 600.0


@dataclass(frozen=True, slots=True, kw_only=True)
class HostSettings:
    """The settings of one host; hosts with equal settings share one object. The digest names `saving` on its own."""

    detection: DetectionSettings = field(default_factory=DetectionSettings)
    power: PowerSettings = field(default_factory=PowerSettings)
    saving: SavingSettings = field(default_factory=SavingSettings, repr=False)
    fence_action: Action = Action.RESTART
    automatic: bool = True


@dataclass(frozen=True, slots=True, kw_only=True)
class RaceSettings:
    """`[race]`."""

    stagger_seconds: float = 0.25
    preference_grace_seconds: float = 0.3
    parallel: int = 4
    probe_timeout_seconds: float = 5.0


@dataclass(frozen=True, slots=True, kw_only=True)
class GateSettings:
    """`[gates]`. `storm_mtbf_seconds`: of one host; 0: no statistical test. `storm_max_seconds` 0: no end by time."""

    attempts_count: int = 3
    attempts_per_seconds: float = 86400.0
    cooldown_seconds: float = 600.0
    witness_hosts: int = 1
    witness_wait_seconds: float = 5.0
    connectivity_share_percent: float = 50.0
    connectivity_at_least: int = 3
    storm_domains: tuple[str, ...] = ("rack", "cluster")
    storm_hosts: int = 3
    storm_per_seconds: float = 300.0
    storm_cooldown_seconds: float = 300.0
    storm_mtbf_seconds: float = 0.0
    storm_max_seconds: float = 0.0
    budget_hosts: int = 1
    budget_percent: float = 5.0
    budget_at_most: int = 10
    budget_per_seconds: float = 600.0
    budget_unrecovered: int = 10
    concurrency: int = 8
    live_evidence: tuple[str, ...] = ("storage_lease", "maintenance", "shutting_down")


@dataclass(frozen=True, slots=True, kw_only=True)
class CheckSettings:
    """`[check]`. `interval_seconds` 0 turns the check off."""

    interval_seconds: float = 0.0
    per_unit_pause_seconds: float = 5.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Reference:
    """An address that an observer must reach to count. `network`: as in a host's `addresses`; "": that of `address`."""

    address: str
    network: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class DaemonSettings:
    """Settings of the whole daemon. `address`: the URL of its API for others, or ""; no part of what two controllers
    must agree on, as is `domain`: the failure domain of the daemon's machine; "": not known. `observers`: how many
    domains must see a silent host as silent."""

    name: str
    address: str = field(default="", compare=False, repr=False)
    site: str = "site-1"
    is_armed_by_file: bool = False
    shutdown_grace_seconds: float = 30.0
    startup_quiet_seconds: float = 60.0
    bus_settle_seconds: float = 10.0
    announce_wait_seconds: float = 10.0
    request_max_age_seconds: float = 60.0
    accept_requests: tuple[str, ...] = ()
    domain: str = field(default="", repr=False)
    observers: int = field(default=2, repr=False)
    references: tuple[Reference, ...] = field(default=(), repr=False)
    lease_ttl_seconds: float = 15.0
    keep_seconds: float = 400 * 86400.0
    agent_processes: int = 32
    has_warm_agents: bool = True

    race: RaceSettings = field(default_factory=RaceSettings)
    gates: GateSettings = field(default_factory=GateSettings)
    check: CheckSettings = field(default_factory=CheckSettings)
