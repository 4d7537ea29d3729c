"""Planted bugs of the HTTP servers' doors: what strangers and readers may take of the daemon.

Knows text, runs nothing.
"""

from typing import Final

from tests.planted.bug import Bug

BODIES: Final = "tests/api/test_bodies.py"
STRANGERS: Final = "tests/api/test_strangers.py"
CONNECTIONS: Final = "tests/api/test_connections.py"
EVENTS: Final = "tests/api/test_events.py"

DOOR_BUGS: Final = (
    Bug(
        name="all who ask at once are served in one turn of the loop",
        rule="S15",
        file="net/door.py",
        old="        while self._waiting and let_in < REQUESTS_A_TURN:\n",
        new="        while self._waiting:\n",
        killers=(f"{CONNECTIONS}::test_however_many_ask_at_once_few_begin_in_a_turn_of_the_loop",),
    ),
    Bug(
        name="while more wait to be accepted nobody else has a turn",
        rule="S15",
        file="net/door.py",
        old="            await asyncio.sleep(0)  # one a turn",
        new="            await asyncio.sleep(0) if self._most == 0 else None  # one a turn",
        killers=(f"{CONNECTIONS}::test_however_many_ask_at_once_few_begin_in_a_turn_of_the_loop",),
    ),
    Bug(
        name="strangers may have all connections",
        rule="S15",
        file="net/door.py",
        old="            if len(self._strangers) >= self._strangers_most:\n",
        new="            if len(self._strangers) >= self._most:\n",
        killers=(f"{CONNECTIONS}::test_strangers_are_few_and_take_nothing_of_those_who_were_let_in",),
    ),
    Bug(
        name="a crowd of strangers pushes out who comes from elsewhere",
        rule="S15",
        file="net/door.py",
        old="key=lambda guest: (-of[guest.source], guest.since)",
        new="key=lambda guest: (of[guest.source] > len(self._guests), guest.since)",
        killers=(f"{CONNECTIONS}::test_a_crowd_of_strangers_makes_way_before_one_from_elsewhere",),
    ),
    Bug(
        name="a stranger's connection stays open",
        rule="S15",
        file="net/door.py",
        old="                if response.status in CLOSING or (is_refused and not guest.is_let_in):\n",
        new="                if response.status == 500:\n",
        killers=(f"{BODIES}::test_the_connection_of_a_stranger_ends_with_his_answer[headers0-401]",),
    ),
    Bug(
        name="bodies are unpacked while they are parsed",
        rule="S15",
        file="net/bodies.py",
        old="        auto_decompress=False,\n",
        new="        auto_decompress=True,\n",
        killers=(f"{BODIES}::test_bombs_cost_no_more_than_bodies_of_their_size",),
    ),
    Bug(
        name="strangers use up what those with a token may ask",
        rule="S15",
        file="api/border.py",
        old="        _limit(services, services.failures, source(request.remote))\n",
        new="        for role in (1, 2, 3):\n"
        "            for held, digest in services.access._digests:\n"
        "                if held == role:\n"
        "                    _limit(services, services.limit, digest.hex())\n",
        killers=(f"{STRANGERS}::test_strangers_use_up_nothing_of_those_who_have_a_token",),
    ),
    Bug(
        name="a stream outlives its token",
        rule="S15",
        file="api/server.py",
        old="    services.streams.end(lambda principal: not services.access.is_valid(principal))\n",
        new="",
        killers=(f"{EVENTS}::test_streams_of_a_token_that_is_gone_or_means_less_end_at_once",),
    ),
    Bug(
        name="a token that was taken away while the body came still acts",
        rule="S19",
        file="api/border.py",
        old="    if route.role is not None and not services.access.is_valid(principal):\n",
        new="    if route.role is not None and principal.role < 0:\n",
        killers=(f"{STRANGERS}::test_what_was_asked_with_a_token_that_is_gone_is_not_done",),
    ),
)
