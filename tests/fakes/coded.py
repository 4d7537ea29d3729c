"""Checks that what a fake store keeps could be stored: it goes through the codec, and must come back equal."""

from fenced.journal import codec
from fenced.ports.journal import Batch, Said


def check(batch: Batch) -> None:
    """Check that everything in the batch can be stored and read back as equal objects."""
    for entry in batch.entries:
        assert codec.load_record(codec.dump_record(entry.record)) == entry.record
    for host in batch.snapshots:
        assert codec.load_host(codec.dump_host(host)) == host
    for operation in batch.operations:
        assert codec.load_operation(codec.dump_operation(operation)) == operation
    if batch.fleet is not None:
        assert codec.load_fleet(codec.dump_fleet(batch.fleet)) == batch.fleet


def check_said(said: Said) -> None:
    """Check the same for a word."""
    assert codec.load_word(codec.dump_word(said)) == said
