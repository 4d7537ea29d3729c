"""Planted bugs in how a host's reporter judges an order to shut down."""

from typing import Final

from tests.planted.bug import Bug

BEAT: Final = "beat/fenced_beat.py"
ORDERS: Final = "tests/beat/test_orders.py"
OBEYING: Final = "tests/beat/test_obeying.py"
TAKING: Final = "tests/beat/test_taking.py"
WORKLOADS: Final = "tests/beat/test_workloads.py"
WHERE: Final = (ORDERS, TAKING, WORKLOADS, OBEYING)

SLEEP_ORDER_BUGS: Final = (
    Bug(
        name="a host obeys an order for another boot",
        rule="S24",
        file=BEAT,
        old="        if order.boot != self._settings.boot:\n",
        new='        if order.boot == "":\n',
        killers=(f"{ORDERS}::test_another_boot_is_not_obeyed", f"{OBEYING}::test_another_boot"),
        wider=WHERE,
    ),
    Bug(
        name="a host obeys an order with an old token",
        rule="S24",
        file=BEAT,
        old="        if order.token <= self._highest:\n",
        new="        if order.token == self._highest:\n",
        killers=(f"{ORDERS}::test_an_old_token_is_not_obeyed_even_if_its_own_order_was_refused",),
        wider=WHERE,
    ),
    Bug(
        name="the tokens of orders are compared by their sequence alone",
        rule="S24",
        file=BEAT,
        old="        if order.token <= self._highest:\n",
        new="        if order.token[1] <= self._highest[1]:\n",
        killers=(f"{ORDERS}::test_an_old_token_is_not_obeyed_even_if_its_own_order_was_refused",),
        wider=WHERE,
    ),
    Bug(
        name="a host forgets the highest token of an order when its reporter restarts",
        rule="S24",
        file=BEAT,
        old="                self._highest = parse_token(read_file(self._file, FILE_BYTES_MAX).strip())\n",
        new="                parse_token(read_file(self._file, FILE_BYTES_MAX).strip())\n",
        killers=(f"{ORDERS}::test_the_token_outlives_the_program",),
        wider=WHERE,
    ),
    Bug(
        name="a host obeys an order after its time",
        rule="S24",
        file=BEAT,
        old="        if age > order.within:\n",
        new="        if age > WITHIN_MAX_SECONDS:\n",
        killers=(f"{ORDERS}::test_it_counts_from_the_sending_of_the_heartbeat",),
        wider=WHERE,
    ),
    Bug(
        name="an order counts from when it came, not from the heartbeat that it names",
        rule="S24",
        file=BEAT,
        old="        age = uptime() - sent\n",
        new="        age = uptime() - max(sent, uptime())\n",
        killers=(f"{ORDERS}::test_it_counts_from_the_sending_of_the_heartbeat",),
        wider=WHERE,
    ),
    Bug(
        name="a host with work obeys an order",
        rule="S24",
        file=BEAT,
        old='        return "" if count == 0 else f"{count} workloads run here"\n',
        new='        return "" if count is not None else "nobody says how many workloads run here"\n',
        killers=(f"{WORKLOADS}::test_work_keeps_a_host_awake",),
        wider=WHERE,
    ),
    Bug(
        name="work that began while a host said that it stops is not noticed",
        rule="S24",
        file=BEAT,
        old="        why = self._orders.why_not(order)\n        if self._waiting.is_stopping:\n",
        new='        why = ""\n        if self._waiting.is_stopping:\n',
        killers=(f"{TAKING}::test_work_that_began_meanwhile_keeps_it_awake",),
        wider=WHERE,
    ),
    Bug(
        name="an old workloads file counts as no work",
        rule="S24",
        file=BEAT,
        old="        if age > WORKLOADS_INTERVALS * self._settings.interval:\n",
        new="        if age > WITHIN_MAX_SECONDS * self._settings.interval:\n",
        killers=(f"{WORKLOADS}::test_an_old_file_says_nothing",),
        wider=WHERE,
    ),
    Bug(
        name="a workloads file from the future is young",
        rule="S24",
        file=BEAT,
        old="        if age < -AHEAD_MAX_SECONDS:\n",
        new="        if age < -WITHIN_MAX_SECONDS:\n",
        killers=(f"{WORKLOADS}::test_a_file_from_the_future_says_nothing",),
        wider=WHERE,
    ),
    Bug(
        name="a host obeys an order that the broker kept",
        rule="S24",
        file=BEAT,
        old="        if first & 0x01:\n",
        new="        if first & 0x80:\n",
        killers=(f"{ORDERS}::test_which_packets_bring_an_order[5]",),
        wider=WHERE,
    ),
    Bug(
        name="a host obeys orders that anybody on the network can send",
        rule="S24",
        file=BEAT,
        old="        elif not settings.is_tls and not is_loopback(settings.address):\n",
        new="        elif not settings.is_tls and not settings.address:\n",
        killers=(f"{ORDERS}::test_off_loopback_orders_need_tls",),
        wider=WHERE,
    ),
    Bug(
        name="a host reads the orders for other hosts",
        rule="access",
        file="setup/broker.py",
        old='f"pattern read {topic}/command/%u"',
        new='f"pattern read {topic}/command/+"',
        killers=("tests/setup/test_access_list.py::test_a_host_writes_for_itself_and_reads_its_own_orders",),
        wider=("tests/setup/test_access_list.py",),
    ),
    Bug(
        name="a reporter that says busy shows a sign of life",
        rule="S14",
        file="core/heard/evidence.py",
        old="NO_LIFE: Final = frozenset({MAINTENANCE, DRAINED, SHUTTING_DOWN, IDLE, BUSY})\n",
        new="NO_LIFE: Final = frozenset({MAINTENANCE, DRAINED, SHUTTING_DOWN, IDLE})\n",
        killers=("tests/core/test_evidence.py::test_what_is_said_of_sleep_is_no_sign_of_life[busy]",),
        wider=("tests/core/test_evidence.py",),
    ),
)
