"""Rate limit: a token bucket per client, for a bounded number of clients.

It knows no HTTP, and the caller passes the time in. Memory never grows with the number of clients seen.
"""

from collections import OrderedDict
from dataclasses import dataclass
from typing import Final

CLIENTS_MAX: Final = 1024


@dataclass(slots=True, kw_only=True)
class _Bucket:
    left: float
    at: float


class RateLimit:
    """Allow one client `per_second` requests, and one second's worth in a burst.

    Beyond CLIENTS_MAX the client that was silent longest is forgotten.
    """

    def __init__(self, per_second: float) -> None:
        self.change(per_second)
        self._buckets: OrderedDict[str, _Bucket] = OrderedDict()

    def change(self, per_second: float) -> None:
        """Apply another limit from now on."""
        assert per_second > 0, "the configuration refuses 0"
        self._per_second = per_second

    @property
    def clients(self) -> int:
        return len(self._buckets)

    def wait_seconds(self, client: str, now: float) -> float:
        """Count this request and return 0.0, or return the seconds until the client's next one may come."""
        burst = max(1.0, self._per_second)
        bucket = self._buckets.pop(client, None) or _Bucket(left=burst, at=now)
        bucket.left = min(burst, bucket.left + max(0.0, now - bucket.at) * self._per_second)
        bucket.at = now
        self._buckets[client] = bucket
        while len(self._buckets) > CLIENTS_MAX:
            self._buckets.popitem(last=False)
        if bucket.left < 1.0:
            return (1.0 - bucket.left) / self._per_second
        bucket.left -= 1.0
        return 0.0
