"""Sums the readiness of several shards up to that of the fleet. Each shard is judged by an engine of its own."""

from collections.abc import Iterable, Iterator, Mapping

from fenced.core.readiness.values import HOSTS_NAMED_MAX, ClusterReadiness, Figures, Finding, Found


def summed(name: str, shards: Mapping[str, ClusterReadiness]) -> ClusterReadiness:
    """Return the sum of a cluster or (`name` "") the fleet over shards, at least one.

    A shard without a selected host says nothing, unless none has one. `observed_seconds`: those of the shard that was
    observed for the shortest time.
    """
    chosen = {shard: one for shard, one in sorted(shards.items()) if one.figures.hosts} or dict(shards)
    figures = Figures()
    for one in chosen.values():
        figures.add(one.figures)
    return ClusterReadiness(
        name=name,
        observed_seconds=min(one.observed_seconds for one in chosen.values()),
        figures=figures,
        findings=(*_of_whole_shards(chosen), *_of_hosts(one.findings for one in chosen.values())),
    )


def _of_whole_shards(shards: Mapping[str, ClusterReadiness]) -> Iterator[Finding]:
    """Yield what concerns all hosts of a shard, with its name."""
    for shard, one in shards.items():
        for finding in one.findings:
            if not finding.count:
                text = finding.text if len(shards) == 1 else f"shard {shard}: {finding.text}"
                yield Finding(found=finding.found, text=text)


def _of_hosts(given: Iterable[Iterable[Finding]]) -> Iterator[Finding]:
    """Yield one finding of each kind, in the order of `Found`, with the hosts of all shards."""
    found: dict[Found, list[Finding]] = {}
    for finding in (one for findings in given for one in findings if one.count):
        found.setdefault(finding.found, []).append(finding)
    for kind in Found:
        if same := found.get(kind):
            hosts = sorted(host for one in same for host in one.hosts)
            yield Finding(
                found=kind,
                text=same[0].text,
                hosts=tuple(hosts[:HOSTS_NAMED_MAX]),
                count=sum(one.count for one in same),
            )
