"""Warns of hosts whose heartbeats arrive under another name, from the running daemon's note."""

from collections.abc import Iterator

from fenced.config.checks.draft import Draft
from fenced.config.checks.finding import Finding, warning
from fenced.config.heard_as import noted


def check(draft: Draft) -> Iterator[Finding]:
    """Warn of each host that the daemon recently heard under another name."""
    sentences_of = noted(draft.configuration.state_dir)
    for built in draft.hosts:
        sentences = sentences_of.get(built.host.name, ())
        for sentence in sentences if isinstance(sentences, list) else ():
            yield warning(built.entry.where, f"the daemon noted: {sentence}", value=built.host.name, unit="name")
