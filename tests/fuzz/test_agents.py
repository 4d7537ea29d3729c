"""For any output and end of a fence agent: OFF needs two signs, no secret leaks, its metadata blocks nothing."""

import re
from typing import Any, Final

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from fenced.drivers.agents.driver import reading
from fenced.drivers.agents.failures import failure
from fenced.drivers.agents.metadata import AgentMetadata, MetadataError, parse_metadata
from fenced.drivers.agents.parameters import agent_parameters
from fenced.drivers.keeper.client import Ending, Finished
from fenced.drivers.output import Collector, Output
from fenced.model.inventory import DeviceSpec, Secret
from fenced.model.power import Power
from fenced.ports.devices import BadParameters, DeviceError
from tests.drivers.agents.test_parameters import as_an_agent_reads
from tests.drivers.programs import METADATA, spec_of
from tests.fuzz.given import fuzz, mutated

SECRET: Final = "Wr0ng&horse"
SAID: Final = (
    b"Status: OFF\n", b"Status: ON\n", b"status: off", b"Success: Powered OFF\n", b"Status: UNKNOWN\n", b"\n", b"\r",
    b"Status:\n OFF\n", b"x Status: OFF\n", b"Status: OFF x\n", b"Status: OFF", SECRET.encode(), b"usage: fence_x\n",
    b"Failed: Unable to obtain correct plug status or plug is not available\n", b"\x00", b"\xff",
    b"Connection timed out\n", b"401 Unauthorized\n",
)  # fmt: skip
STREAMS: Final = st.lists(st.sampled_from(SAID) | st.binary(max_size=30), max_size=8).map(b"".join)
KNOWN: Final = parse_metadata(METADATA.encode())


def outputs(kept: int) -> st.SearchStrategy[Output]:
    """A captured stream: whole, or its start and end."""

    def collected(text: bytes) -> Output:
        collector = Collector(kept)
        collector.take(text)
        return collector.output()

    return STREAMS.map(collected)


RUNS: Final = st.builds(
    Finished,
    ending=st.sampled_from(Ending),
    status=st.integers(-64, 255) | st.sampled_from([0, 1, 2]),
    is_clean=st.booleans(),
    was_fed=st.booleans(),
    why=st.sampled_from(["", "its keeper died"]),
    stdout=st.sampled_from([8, 64, 4096]).flatmap(outputs),
    stderr=outputs(64),
)


@fuzz(500)
@given(RUNS)
@example(Finished(ending=Ending.EXITED, status=2, stdout=Output(head=b"Status: O", tail=b"FF\n", is_cut=True)))
@example(Finished(ending=Ending.EXITED, status=2, stdout=Output(head=b"Status:", tail=b"OFF\n", is_cut=True)))
def test_off_is_an_exit_status_of_2_and_a_line_that_says_so(finished: Finished) -> None:
    power = reading(finished, is_off_by_exit_status=False)
    lines = re.split(rb"[\n\r]", finished.stdout.head + b"\n" + finished.stdout.tail)
    if power is Power.OFF:
        assert (finished.ending, finished.status) == (Ending.EXITED, 2)
        assert any(re.fullmatch(r"\s*status:\s*off\s*", line.decode("utf-8", "replace").lower()) for line in lines)
    if power is Power.ON:
        assert (finished.ending, finished.status) == (Ending.EXITED, 0)


@fuzz(300)
@given(finished=RUNS, action=st.sampled_from(["status", "on", "off"]))
def test_an_error_is_short_typed_and_without_the_secret(finished: Finished, action: str) -> None:
    error = failure(spec_of(password=Secret(SECRET)), action, finished, 5.0)
    assert isinstance(error, DeviceError)
    assert SECRET not in str(error)
    assert str(error).isprintable()
    assert len(str(error)) < 1200
    if action == "status" or finished.ending is Ending.NOT_STARTED:
        assert not error.may_be_done
    if not finished.is_clean and finished.ending is not Ending.NOT_STARTED:
        assert not error.is_end_known


BOMB: Final = """<?xml version="1.0" encoding="utf-16"?>
<!DOCTYPE x [<!ENTITY a "ha"><!ENTITY b "&a;&a;&a;">]><resource-agent name="&b;"/>"""


@fuzz(400)
@given(mutated([METADATA.encode(), b"<resource-agent/>", b"note\n" + METADATA.encode()]) | st.binary(max_size=80))
@example(BOMB.encode("utf-16"))
@example(BOMB.replace("utf-16", "utf-8").encode("utf-16-le"))
@example(METADATA.replace("?>", ' encoding="utf-7"?>', 1).encode())
@example(METADATA.replace("?>", ' encoding="klingon"?>', 1).encode())
@example(METADATA.replace("?>", ' encoding="shift_jis"?>', 1).encode())
@example(b"<" + b"x" * 100_000 + b"/>")
def test_metadata_is_read_or_refused(text: bytes) -> None:
    try:
        metadata = parse_metadata(text)
    except MetadataError as exc:
        assert 0 < len(str(exc)) <= 300
        return
    assert_sound(metadata)


def assert_sound(metadata: AgentMetadata) -> None:
    """Texts of the agent itself, under the names that belong to them."""
    assert all(name and name == parameter.name for name, parameter in metadata.parameters.items())
    assert "hahaha" not in metadata.name, "an entity was expanded"


@pytest.mark.parametrize("encoding", ["utf-16", "utf-16-le", "utf-16-be", "utf-32"])
def test_entities_are_refused_in_every_encoding(encoding: str) -> None:
    with pytest.raises(MetadataError):
        parse_metadata(BOMB.encode(encoding))


@pytest.mark.parametrize(
    "text",
    [
        b"<resource-agent>" + b"<a>" * 300_000,
        b"<resource-agent>" + b"<a>" * 140_000 + b"</a>" * 140_000 + b"</resource-agent>",
        b"<resource-agent " + b"".join(b"a%d='' " % number for number in range(80_000)) + b"/>",
        b"<resource-agent>" + b"<parameter name='x'/>" * 40_000 + b"</resource-agent>",
        b"<resource-agent/>" + b" " * 2**20,
    ],
    ids=["open", "deep", "attributes", "parameters", "long"],
)
def test_large_metadata_is_read_or_refused(text: bytes) -> None:
    try:
        assert len(parse_metadata(text).parameters) <= 1
    except MetadataError as exc:
        assert len(str(exc)) <= 300


TEXTS: Final = st.text(max_size=12) | st.sampled_from(
    ["a\nb", "a\r", "\x85x", "\u2028", '"', '""', "#", "\ud800", " x ", "\ttab", "\xa0"]
)
VALUES: Final[st.SearchStrategy[Any]] = st.one_of(
    TEXTS, st.booleans(), st.integers(), st.floats(), st.none(), st.lists(st.integers(), max_size=1)
)
OPTION_NAMES: Final = TEXTS | st.sampled_from(
    ["ip", "plug", "port", "lanplus", "power-wait", "power_wait", "action", "passwd"]
)
SPECS: Final = st.builds(
    lambda options, address, username, password, nodename, secrets: spec_of(
        options=options, address=address, username=username, password=password, nodename=nodename, secrets=secrets
    ),
    options=st.dictionaries(OPTION_NAMES, VALUES, max_size=4),
    address=TEXTS,
    username=TEXTS,
    password=st.none() | TEXTS.map(Secret),
    nodename=TEXTS,
    secrets=st.lists(st.tuples(OPTION_NAMES, TEXTS.map(Secret)), max_size=2).map(tuple),
)


@fuzz(500)
@given(spec=SPECS, metadata=st.sampled_from([KNOWN, AgentMetadata()]))
@example(spec_of(options={"x": "\ud800"}), AgentMetadata())
@example(spec_of(password=Secret("\ud800")), AgentMetadata())
def test_no_value_gets_a_second_line_or_another_meaning(spec: DeviceSpec, metadata: AgentMetadata) -> None:
    try:
        written = agent_parameters(spec, "status", metadata)
    except BadParameters as exc:
        assert not exc.may_be_done
        return
    lines = written.decode().split("\n")
    assert lines.pop() == ""
    assert lines[0] == "action=status"
    read = as_an_agent_reads(written)
    assert len(read) == len(lines), "one line, one parameter"
    assert read["action"] == "status"
    known = {str(value) for value in spec.options.values() if isinstance(value, int | str)} | {"1", "status"}
    known |= {spec.address, spec.username, spec.nodename, *spec.all_secrets}
    floats = [value for value in spec.options.values() if isinstance(value, float)]
    assert all(value in known or floats for value in read.values()), "a value arrives as it was given"
