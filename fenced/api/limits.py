"""How much one client may ask: a token bucket per client, for a bounded number of clients.

Knows no HTTP; time is handed in. One rule: memory never grows with the number of clients seen.
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
    """`per_second` requests of one client, and one second's worth at once.

    Past CLIENTS_MAX the longest silent client is forgotten.
    """

    def __init__(self, per_second: float) -> None:
        self.change(per_second)
        self._buckets: OrderedDict[str, _Bucket] = OrderedDict()

    def change(self, per_second: float) -> None:
        """Another limit from now on."""
        assert per_second > 0, "the configuration refuses 0"
        self._per_second = per_second

    @property
    def clients(self) -> int:
        return len(self._buckets)

    def wait_seconds(self, client: str, now: float) -> float:
        """0.0: go on, and this request is counted. Else how long until the next one may come."""
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
