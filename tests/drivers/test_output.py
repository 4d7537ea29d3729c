"""What is kept of a program's output, and what may be shown."""

import base64

from hypothesis import given
from hypothesis import strategies as st

from fenced.drivers.output import Collector, Output, last_lines
from fenced.model.text import Mask

PASSWORD = "pa ss&'w/ord"


def test_secrets_are_masked_in_the_forms_in_which_programs_print_them() -> None:
    mask = Mask([PASSWORD, "community"], username="fence")
    said = [
        f"Sending: -P {PASSWORD}",
        "https://fence:pa%20ss%26%27w%2Ford@bmc",
        "Authorization: Basic " + base64.b64encode(f"fence:{PASSWORD}".encode()).decode(),
        "ipmitool -P 'pa ss&'\"'\"'w/ord'",
        "snmpget -c community",
    ]
    masked = mask("\n".join(said))
    assert masked.count("***") == 5
    assert "ord" not in masked.replace("password", "")


def test_a_line_that_lost_its_start_is_not_shown_for_it_may_hold_half_a_secret() -> None:
    collector = Collector(10)
    collector.take(b"x" * 10 + b"--password=" + b"hunter2" * 600 + b"\nlast\n")
    output = collector.output()
    assert output.is_cut
    assert last_lines(Mask(["hunter2" * 600]), output) == "last"


def test_only_the_last_lines_are_shown_printable_and_short() -> None:
    output = Output(head=b"one\n\ntwo\n\x1b[31mthree\x07\n" + b"f" * 1000 + b"\n")
    assert last_lines(Mask([]), output) == "two | [31mthree | " + "f" * 240


def test_no_output_shows_its_text_in_a_traceback() -> None:
    assert "hunter2" not in repr(Output(head=b"hunter2"))


@given(st.lists(st.binary(max_size=40), max_size=40), st.integers(0, 200))
def test_head_and_tail_are_the_start_and_the_end_of_the_output(pieces: list[bytes], kept: int) -> None:
    collector = Collector(kept)
    for piece in pieces:
        collector.take(piece)
    output, said = collector.output(), b"".join(pieces)
    assert output.head == said[:kept]
    assert output.is_cut == (len(said) > kept)
    assert said[kept:].endswith(output.tail)
    assert output.tail == said[kept:]  # less than the tail's bound
