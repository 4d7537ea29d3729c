"""Events of power saving (S24)."""

from typing import assert_never

from fenced.core.durable import records as r
from fenced.core.said.cloud_events import HOST, CloudEvents, Data
from fenced.model.moments import moment


def of(record: r.SleepRecord) -> CloudEvents:
    """Return the event of one record; that a sleeper is wanted has none before power is given, nor has work
    that is heard before the host is off."""
    match record:
        case r.SleepAnnounced():
            return [(HOST + "sleep_announced", {"at": moment(record.at)})]
        case r.HostSlept():
            slept: Data = {"token": str(record.token), "boot": record.boot, "devices": list(record.devices)}
            return [(HOST + "sleeping", slept)]
        case r.SleepFailed():
            return [(HOST + "sleep_failed", {"reason": record.why, "retry": moment(record.retry_at)})]
        case r.HostWoken():
            data: Data = {
                "reason": record.why, "alive": record.is_alive, "ours": record.is_ours, "boot": record.boot,
                "distrusted": list(record.distrusted),
            }  # fmt: skip
            return [(HOST + "woken", data)]
        case r.WakeFailed():
            return [(HOST + "wake_failed", {"reason": record.why})]
        case r.WakeWanted() | r.WorkHeard():
            return []
        case _:
            assert_never(record)
