"""Planted bugs in what a standby answers, and whom fencectl follows with a token."""

from typing import Final

from tests.planted.bug import Bug

API: Final = "tests/api/test_controllers.py"
CLIENTS: Final = "tests/api/test_several_controllers.py"
FOLLOWED: Final = f"{CLIENTS}::test_whom_it_follows"

CLIENT_BUGS: Final = (
    Bug(
        name="a standby accepts a change",
        rule="S20",
        file="api/border.py",
        old="        if route.is_change and not route.is_restricting:\n",
        new="        if route.is_change and not route.is_restricting and route.is_body_needed:\n",
        killers=(f"{API}::test_a_standby_changes_nothing_and_names_the_controller_that_acts[endMaintenance]",),
    ),
    Bug(
        name="a standby names the active controller to strangers",
        rule="access",
        file="api/border.py",
        old="        call = await _admit(route, services, request)\n"
        "        if route.is_change and not route.is_restricting:\n"
        "            await refuse_at_standby(call)\n",
        new="        if route.is_change and not route.is_restricting:\n"
        "            await refuse_at_standby(call)\n"
        "        call = await _admit(route, services, request)\n",
        killers=(f"{API}::test_a_standby_names_nobody_to_a_caller_without_the_role",),
    ),
    Bug(
        name="a standby's refusal has no rule, so nobody follows it",
        rule="interface",
        file="api/problems.py",
        old="                rule=STANDBY,\n",
        new="                rule=None,\n",
        killers=(f"{API}::test_a_standby_changes_nothing_and_names_the_controller_that_acts[disarm]",),
    ),
    Bug(
        name="an operator hands a shard over",
        rule="access",
        file="api/routes.py",
        old="        handle=controllers.hand_over,\n        role=Role.ADMIN,\n",
        new="        handle=controllers.hand_over,\n        role=Role.OPERATOR,\n",
        killers=(f"{API}::test_a_hand_over_that_can_not_be_is_refused",),
    ),
    Bug(
        name="a token follows a standby from https to http",
        rule="access",
        file="cli/fencectl/following.py",
        old='    if source.startswith("https:") and not target.startswith("https:"):\n',
        new='    if source.startswith("https:") and not target.startswith("http"):\n',
        killers=(f"{CLIENTS}::test_a_token_is_not_sent_from_https_to_http", f"{FOLLOWED}[https to http on loopback]"),
    ),
    Bug(
        name="the active address is followed more than once",
        rule="access",
        file="cli/fencectl/controllers.py",
        old="                    may_follow = False\n",
        new="                    may_follow = len(faults) < 3\n",
        killers=(f"{CLIENTS}::test_it_follows_once",),
    ),
    Bug(
        name="a standby that is reached over http sends a token anywhere",
        rule="access",
        file="cli/fencectl/following.py",
        old='    if source.startswith("http:") and not is_on_loopback(source):\n',
        new='    if source.startswith("http:") and not is_on_loopback(source) and not has_ca_file:\n',
        killers=(f"{FOLLOWED}[http]",),
    ),
    Bug(
        name="a certificate of any authority gets the token",
        rule="access",
        file="cli/fencectl/following.py",
        old='    if target.startswith("https:") and not has_ca_file:\n',
        new='    if target.startswith("http:") and not has_ca_file:\n',
        killers=(f"{FOLLOWED}[any authority]",),
    ),
    Bug(
        name="a repeated change has another key",
        rule="interface",
        file="cli/fencectl/controllers.py",
        old="body=body, key=key)\n",
        new="body=body, key=uuid.uuid4().hex)\n",
        killers=(f"{CLIENTS}::test_a_change_that_is_repeated_keeps_its_key",),
    ),
    Bug(
        name="the change itself finds out that a controller is frozen",
        rule="interface",
        file="cli/fencectl/controllers.py",
        old="        if self._current is None and self.has_several:\n",
        new="        if self._current is None and not self._listed:\n",
        killers=(f"{CLIENTS}::test_one_that_accepts_connections_and_never_answers_stops_nothing",),
    ),
    Bug(
        name="watch begins anew at another controller",
        rule="interface",
        file="cli/fencectl/session.py",
        old='                stream = self.client.stream("events", last_id=last_id)\n',
        new='                stream = self.client.stream("events", last_id=None)\n',
        killers=(f"{CLIENTS}::test_watch_goes_on_at_the_other_after_the_last_event",),
    ),
)
