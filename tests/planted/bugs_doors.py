"""Planted bugs in the HTTP servers' limits: what strangers and readers may take of the daemon."""

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
        killers=(f"{CONNECTIONS}::test_few_requests_begin_in_one_turn_of_the_loop",),
    ),
    Bug(
        name="while connections wait to be accepted nothing else has a turn",
        rule="S15",
        file="net/door.py",
        old="            await asyncio.sleep(0)  # one a turn",
        new="            await asyncio.sleep(0) if self._most == 0 else None  # one a turn",
        killers=(f"{CONNECTIONS}::test_few_requests_begin_in_one_turn_of_the_loop",),
    ),
    Bug(
        name="strangers may have all connections",
        rule="S15",
        file="net/door.py",
        old="            if len(self._strangers) >= self._strangers_most:\n",
        new="            if len(self._strangers) >= self._most:\n",
        killers=(f"{CONNECTIONS}::test_strangers_are_few_and_take_no_room_from_known_clients",),
    ),
    Bug(
        name="a crowd of strangers pushes out who comes from elsewhere",
        rule="S15",
        file="net/door.py",
        old="key=lambda guest: (-of[guest.source], guest.since)",
        new="key=lambda guest: (of[guest.source] > len(self._guests), guest.since)",
        killers=(f"{CONNECTIONS}::test_a_crowd_of_strangers_loses_its_own_connections_first",),
    ),
    Bug(
        name="a stranger's connection stays open",
        rule="S15",
        file="net/door.py",
        old="                if response.status in CLOSING or (is_refused and not guest.is_let_in):\n",
        new="                if response.status == 500:\n",
        killers=(f"{BODIES}::test_a_strangers_connection_ends_with_the_answer[headers0-401]",),
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
        old="        charge(services, services.failures, client_of(request))\n",
        new="        for digest in services.access._held:\n"
        "            charge(services, services.limit, digest.hex())\n",
        killers=(f"{STRANGERS}::test_strangers_use_up_nothing_of_token_holders",),
    ),
    Bug(
        name="a stream outlives its token",
        rule="S15",
        file="api/server.py",
        old="    services.streams.end(lambda principal: not services.is_valid(principal))\n",
        new="",
        killers=(f"{EVENTS}::test_streams_of_a_revoked_or_demoted_token_end_at_once",),
    ),
    Bug(
        name="a token that was taken away while the body came still acts",
        rule="S19",
        file="api/border.py",
        old="    if route.role is not None and not services.is_valid(principal):\n",
        new="    if route.role is not None and principal.role == 0:\n",
        killers=(f"{STRANGERS}::test_a_request_whose_token_was_revoked_is_not_carried_out",),
    ),
)
