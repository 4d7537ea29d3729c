"""For each alert of fenced.rules.yml: series with which it fires, and series with which it does not."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

Series = tuple[tuple[str, str], ...]
"""Names with labels, and values a minute in the notation of promtool."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Case:
    """`minutes`: when it is looked at."""

    minutes: int
    fires: Series
    calm: Series


CASES: Final[Mapping[str, Case]] = {
    "FencedDown": Case(
        minutes=5,
        fires=(('fenced_leader{instance="a"}', "0x90"),),
        calm=(
            ('fenced_leader{instance="a"}', "1x90"),
            ('fenced_leader{instance="b"}', "0x90"),
        ),
    ),
    "FencedTwoClaims": Case(
        minutes=3,
        fires=(
            ('fenced_shard_leader{instance="a",shard="main"}', "1x90"),
            ('fenced_shard_leader{instance="b",shard="main"}', "1x90"),
        ),
        calm=(
            ('fenced_shard_leader{instance="a",shard="main"}', "1x90"),
            ('fenced_shard_leader{instance="b",shard="main"}', "0x90"),
        ),
    ),
    "FencedNoStandby": Case(
        minutes=15,
        fires=(
            ('fenced_shard_leader{instance="a",shard="main"}', "1x90"),
            ('fenced_shard_leader{instance="b",shard="main"}', "0x90"),
            ('fenced_bus_connected{instance="a"}', "1x90"),
            ('fenced_bus_connected{instance="b"}', "0x90"),
        ),
        calm=(
            ('fenced_shard_leader{instance="a",shard="main"}', "1x90"),
            ('fenced_shard_leader{instance="b",shard="main"}', "0x90"),
            ('fenced_bus_connected{instance="a"}', "1x90"),
            ('fenced_bus_connected{instance="b"}', "1x90"),
        ),
    ),
    "FencedStandbyBehind": Case(
        minutes=5,
        fires=(('fenced_standby_lag_records{instance="b",shard="main"}', "5000x90"),),
        calm=(('fenced_standby_lag_records{instance="b",shard="main"}', "3x90"),),
    ),
    "FencedStoreSlow": Case(
        minutes=15,
        fires=(
            ('fenced_store_transaction_seconds_bucket{instance="a",le="1.0"}', "0x90"),
            ('fenced_store_transaction_seconds_bucket{instance="a",le="2.5"}', "0+60x90"),
            ('fenced_store_transaction_seconds_bucket{instance="a",le="+Inf"}', "0+60x90"),
        ),
        calm=(
            ('fenced_store_transaction_seconds_bucket{instance="a",le="1.0"}', "0+60x90"),
            ('fenced_store_transaction_seconds_bucket{instance="a",le="2.5"}', "0+60x90"),
            ('fenced_store_transaction_seconds_bucket{instance="a",le="+Inf"}', "0+60x90"),
        ),
    ),
    "JournalSlow": Case(
        minutes=20,
        fires=(
            ('fenced_journal_append_seconds_bucket{instance="a",le="0.5"}', "0x90"),
            ('fenced_journal_append_seconds_bucket{instance="a",le="1.0"}', "0+60x90"),
            ('fenced_journal_append_seconds_bucket{instance="a",le="+Inf"}', "0+60x90"),
        ),
        calm=(
            ('fenced_journal_append_seconds_bucket{instance="a",le="0.5"}', "0+60x90"),
            ('fenced_journal_append_seconds_bucket{instance="a",le="1.0"}', "0+60x90"),
            ('fenced_journal_append_seconds_bucket{instance="a",le="+Inf"}', "0+60x90"),
        ),
    ),
    "FencedNotArmed": Case(
        minutes=70,
        fires=(
            ('fenced_armed{instance="a"}', "0x90"),
            ('fenced_leader{instance="a"}', "1x90"),
        ),
        calm=(
            ('fenced_armed{instance="a"}', "1x90"),
            ('fenced_leader{instance="a"}', "1x90"),
            ('fenced_armed{instance="b"}', "0x90"),
            ('fenced_leader{instance="b"}', "0x90"),
        ),
    ),
    "PausedForLong": Case(
        minutes=70,
        fires=(('fenced_held_hosts{instance="a",gate="paused"}', "2x90"),),
        calm=(('fenced_held_hosts{instance="a",gate="paused"}', "0x90"),),
    ),
    "FencedDeaf": Case(
        minutes=5,
        fires=(('fenced_bus_connected{instance="a"}', "0x90"),),
        calm=(('fenced_bus_connected{instance="a"}', "1x90"),),
    ),
    "FencedMute": Case(
        minutes=5,
        fires=(('fenced_outbox_pending{instance="a"}', "4x90"),),
        calm=(('fenced_outbox_pending{instance="a"}', "0x90"),),
    ),
    "FencedHostMute": Case(
        minutes=3,
        fires=(('fenced_outbox_stuck_hosts{instance="a"}', "1x90"),),
        calm=(('fenced_outbox_stuck_hosts{instance="a"}', "0x90"),),
    ),
    "ReloadRefused": Case(
        minutes=8,
        fires=(('fenced_config_last_reload_successful{instance="a"}', "0x90"),),
        calm=(('fenced_config_last_reload_successful{instance="a"}', "1x90"),),
    ),
    "CertificateEnds": Case(
        minutes=70,
        fires=(('fenced_certificate_expiry_seconds{instance="a",role="own",file="x"}', "100000x90"),),
        calm=(('fenced_certificate_expiry_seconds{instance="a",role="own",file="x"}', "9000000x90"),),
    ),
    "HostNotFenced": Case(
        minutes=4,
        fires=(('fenced_hosts{instance="a",state="failed"}', "1x90"),),
        calm=(('fenced_hosts{instance="a",state="failed"}', "0x90"),),
    ),
    "FenceStuck": Case(
        minutes=40,
        fires=(
            ('fenced_hosts{instance="a",state="fencing"}', "1x90"),
            ('fenced_operations_in_flight{instance="a"}', "1x90"),
        ),
        calm=(
            ('fenced_hosts{instance="a",state="fencing"}', "1x90"),
            (
                'fenced_operations_in_flight{instance="a"}',
                "1 2 1 0 1 2 1 0 1 2 1 0 1 2 1 0 1 2 1 0 1 2 1 0 1 2 1 0 1 2 1 0 1 2 1 0 1 2 1 0 1 2 1 0 1 2 1 0",
            ),
        ),
    ),
    "HostHeld": Case(
        minutes=15,
        fires=(('fenced_held_hosts{instance="a",gate="witness"}', "1x90"),),
        calm=(('fenced_held_hosts{instance="a",gate="witness"}', "0x90"),),
    ),
    "GateClosedForLong": Case(
        minutes=4,
        fires=(('fenced_gate_closed_seconds{instance="a",gate="connectivity"}', "4000x90"),),
        calm=(('fenced_gate_closed_seconds{instance="a",gate="connectivity"}', "60x90"),),
    ),
    "FencedStorm": Case(
        minutes=2,
        fires=(('fenced_storms{instance="a",domain="rack"}', "1x90"),),
        calm=(('fenced_storms{instance="a",domain="rack"}', "0x90"),),
    ),
    "NotFenceable": Case(
        minutes=20,
        fires=(('fenced_fenceable_hosts{instance="a",level="none"}', "3x90"),),
        calm=(('fenced_fenceable_hosts{instance="a",level="none"}', "0x90"),),
    ),
    "CheckNotRunning": Case(
        minutes=70,
        fires=(('fenced_leader{instance="a"}', "1x90"),),
        calm=(
            ('fenced_leader{instance="a"}', "1x90"),
            ('fenced_fenceable_share{instance="a"}', "0.98x90"),
        ),
    ),
    "HostLeftOff": Case(
        minutes=4,
        fires=(('fenced_left_off_hosts{instance="a"}', "1x90"),),
        calm=(('fenced_left_off_hosts{instance="a"}', "0x90"),),
    ),
    "RedundancyLost": Case(
        minutes=15,
        fires=(('fenced_redundancy_lost_hosts{instance="a"}', "1x90"),),
        calm=(('fenced_redundancy_lost_hosts{instance="a"}', "0x90"),),
    ),
    "TooFewHostsAwake": Case(
        minutes=10,
        fires=(('fenced_saving_short_hosts{instance="a",cluster="c1"}', "1x90"),),
        calm=(('fenced_saving_short_hosts{instance="a",cluster="c1"}', "0x90"),),
    ),
    "SleeperDidNotComeBack": Case(
        minutes=15,
        fires=(('fenced_saving_actions_total{instance="a",action="wake",result="failed"}', "0x10 1x80"),),
        calm=(('fenced_saving_actions_total{instance="a",action="wake",result="failed"}', "0x90"),),
    ),
    "NoDrillSucceeded": Case(
        minutes=70,
        fires=(('fenced_drill_last_success_timestamp_seconds{instance="a",host="spare-1"}', "-2600000x90"),),
        calm=(('fenced_drill_last_success_timestamp_seconds{instance="a",host="spare-1"}', "0x90"),),
    ),
    "DrillFailed": Case(
        minutes=15,
        fires=(('fenced_drills_total{instance="a",result="failed"}', "0x10 1x80"),),
        calm=(('fenced_drills_total{instance="a",result="failed"}', "0x90"),),
    ),
    "ObserverMissing": Case(
        minutes=15,
        fires=(('fenced_observers{instance="a",domain="r1",state="missing"}', "1x90"),),
        calm=(('fenced_observers{instance="a",domain="r1",state="missing"}', "0x90"),),
    ),
    "BeatsNotUnderstood": Case(
        minutes=45,
        fires=(('fenced_bus_messages_total{instance="a",kind="health",result="malformed"}', "0+5x90"),),
        calm=(('fenced_bus_messages_total{instance="a",kind="health",result="malformed"}', "7x90"),),
    ),
    "ClocksApart": Case(
        minutes=10,
        fires=(('fenced_clock_ahead_seconds{instance="a"}', "-300x90"),),
        calm=(('fenced_clock_ahead_seconds{instance="a"}', "2x90"),),
    ),
    "WouldBeFalseFence": Case(
        minutes=2,
        fires=(('fenced_would_be_fences{instance="a",outcome="heard"}', "1x90"),),
        calm=(('fenced_would_be_fences{instance="a",outcome="heard"}', "0x90"),),
    ),
}
