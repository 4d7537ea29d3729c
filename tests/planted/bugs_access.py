"""Planted bugs in who may do what (users of the socket, TCP without tokens, tokens), and in reloads."""

from typing import Final

from tests.planted.bug import Bug

SOCKET: Final = "tests/api/test_socket.py"
ACCESS: Final = "tests/api/test_access.py"
TOKENS: Final = "tests/config/test_tokens.py"
RELOAD: Final = "tests/config/test_reload.py"

ACCESS_BUGS: Final = (
    Bug(
        name="every user who can open the socket is an operator",
        rule="access",
        file="api/callers.py",
        old="        return Role.OPERATOR if self.group in peer.groups and self.group != OVERFLOW_ID else None\n",
        new="        return Role.OPERATOR\n",
        killers=(f"{SOCKET}::test_the_role_of_a_user",),
    ),
    Bug(
        name="a member of the group signs that a host is off",
        rule="access",
        file="api/callers.py",
        old="        if peer.uid in (0, self.uid):\n",
        new="        if peer.uid in (0, self.uid) or self.group in peer.groups:\n",
        killers=(f"{SOCKET}::test_the_role_of_a_user",),
    ),
    Bug(
        name="a user whom no namespace maps is taken for the daemon's",
        rule="access",
        file="api/callers.py",
        old="        if peer.uid == OVERFLOW_ID:\n",
        new="        if peer.uid == -1:\n",
        killers=(f"{SOCKET}::test_users_that_are_not_mapped_own_no_daemon",),
    ),
    Bug(
        name="the socket is open to all until its mode is set",
        rule="access",
        file="net/unix_socket.py",
        old="        os.fchmod(made.fileno(), 0o600)  #",
        new="        os.fchmod(made.fileno(), 0o777)  #",
        killers=(f"{SOCKET}::test_nobody_can_connect_before_the_mode_is_set",),
    ),
    Bug(
        name="a living daemon's socket is replaced",
        rule="access",
        file="net/unix_socket.py",
        old="    _refuse_living(path)\n    with",
        new="    with",
        killers=(f"{SOCKET}::test_a_dead_daemons_socket_is_replaced_and_a_living_ones_is_not",),
    ),
    Bug(
        name="a claimed name stands for the proven one",
        rule="access",
        file="api/callers.py",
        old="        if self.peer is not None:\n            return _beside(",
        new="        if self.peer is not None and not claimed:\n            return _beside(",
        killers=(f"{SOCKET}::test_the_journal_shows_the_proven_user_beside_the_claimed_one",),
    ),
    Bug(
        name="a claimed name looks like a proven one",
        rule="access",
        file="api/callers.py",
        old='.replace("(", "[").replace(")", "]")\n',
        new="\n",
        killers=(f"{SOCKET}::test_only_what_is_proven_stands_in_parentheses",),
    ),
    Bug(
        name="tcp without tokens acts",
        rule="access",
        file="api/access.py",
        old="        return Role.ADMIN if self.has_tcp_writes else Role.VIEWER\n",
        new="        return Role.ADMIN\n",
        killers=(f"{ACCESS}::test_tcp_without_tokens_only_reads",),
    ),
    Bug(
        name="an expired token still opens",
        rule="access",
        file="api/access.py",
        old="        if _ended(held, wall_now):\n            raise",
        new="        if _ended(held, 0.0):\n            raise",
        killers=(f"{ACCESS}::test_an_expired_token_opens_nothing",),
    ),
    Bug(
        name="a stream outlives the end of its token",
        rule="access",
        file="api/events.py",
        old="        if not call.services.is_valid(call.principal):\n",
        new="        if call.principal.digest == b'':\n",
        killers=(f"{ACCESS}::test_a_stream_ends_with_its_token",),
    ),
    Bug(
        name="once all tokens expired nobody needs one",
        rule="access",
        file="api/access.py",
        old="        for token in tokens:\n            key, new",
        new="        for token in (each for each in tokens if each.until is None):\n            key, new",
        killers=(f"{ACCESS}::test_with_expired_tokens_alone_tcp_stays_closed",),
    ),
    Bug(
        name="a host's token reports any host",
        rule="access",
        file="api/border.py",
        old='        return route.is_for_reporters and request.match_info.get("host") == principal.reports\n',
        new="        return route.is_for_reporters\n",
        killers=(f"{ACCESS}::test_a_hosts_token_reports_this_host_and_nothing_else",),
    ),
    Bug(
        name="a host's token reads and acts as a viewer's does",
        rule="access",
        file="api/border.py",
        old='        return route.is_for_reporters and request.match_info.get("host") == principal.reports\n',
        new='        return route.role is Role.VIEWER or request.match_info.get("host") == principal.reports\n',
        killers=(f"{ACCESS}::test_a_hosts_token_reports_this_host_and_nothing_else",),
    ),
    Bug(
        name="a token ends a day late",
        rule="access",
        file="config/tokens.py",
        old="timedelta(days=1)",
        new="timedelta(days=2)",
        killers=(f"{TOKENS}::test_every_form_of_a_line",),
    ),
    Bug(
        name="what reading a configuration raises ends the daemon",
        rule="access",
        file="app/reload.py",
        old="        except Exception as exc:  # border",
        new="        except OSError as exc:  # border",
        killers=(f"{RELOAD}::test_whatever_reading_raises_is_a_refused_reload_and_the_daemon_goes_on",),
    ),
    Bug(
        name="a request during a reload gets the verdict on an older reading",
        rule="access",
        file="app/reload.py",
        old="                waiting, self._waiting = self._waiting, []\n",
        new="                waiting = self._waiting\n",
        killers=(f"{RELOAD}::test_requests_that_come_during_a_reload_get_a_verdict_on_a_later_reading",),
    ),
    Bug(
        name="another daemon reloads its file and says that this one is in force",
        rule="access",
        file="app/reload.py",
        old="        if file and not _are_same(",
        new="        if not file and not _are_same(",
        killers=(f"{RELOAD}::test_a_daemon_that_reads_another_file_reloads_nothing",),
    ),
)
