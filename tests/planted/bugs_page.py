"""The page: sessions, forms, roles, and what a person must have typed."""

from typing import Final

from tests.planted.bug import Bug

PAGE: Final = "api/page"
SESSIONS: Final = "tests/page/test_sessions.py"
WIDER: Final = ("tests/page",)

PAGE_BUGS: Final = (
    Bug(
        name="a cookie needs no signature",
        rule="page",
        file=f"{PAGE}/sessions.py",
        old="return Session(principal=principal, cookie=cookie, ends=ends) if is_genuine and wall_now < ends else None",
        new="return Session(principal=principal, cookie=cookie, ends=ends) if wall_now < ends else None",
        killers=(f"{SESSIONS}::test_a_forged_cookie_opens_nothing",),
        wider=WIDER,
    ),
    Bug(
        name="a session never ends",
        rule="page",
        file=f"{PAGE}/sessions.py",
        old="if is_genuine and wall_now < ends else None",
        new="if is_genuine else None",
        killers=(f"{SESSIONS}::test_a_session_ends_after_twelve_hours_unless_it_is_used",),
        wider=WIDER,
    ),
    Bug(
        name="a form needs no token",
        rule="page",
        file=f"{PAGE}/border.py",
        old='    if not sessions.is_from_form(session, fields.pop(TOKEN_FIELD, "")):',
        new='    if not sessions.is_from_form(session, fields.pop(TOKEN_FIELD, "")) and not fields:',
        killers=(f"{SESSIONS}::test_a_form_needs_its_token_and_its_origin",),
        wider=WIDER,
    ),
    Bug(
        name="a form of another session is obeyed",
        rule="page",
        file=f"{PAGE}/sessions.py",
        old="        of_session = session.principal.digest if session.cookie else None\n",
        new="        of_session = None\n        session = Session(principal=session.principal)\n",
        killers=(f"{SESSIONS}::test_a_form_needs_its_token_and_its_origin",),
        wider=WIDER,
    ),
    Bug(
        name="a form may come from a page of another site",
        rule="page",
        file=f"{PAGE}/border.py",
        old="    services.browsers.refuse_foreign_origin(request)\n",
        new="",
        killers=(f"{SESSIONS}::test_a_form_needs_its_token_and_its_origin",),
        wider=WIDER,
    ),
    Bug(
        name="every form has the same token",
        rule="page",
        file=f"{PAGE}/sessions.py",
        old="        salt = secrets.token_hex(NONCE_BYTES)\n",
        new='        salt = "0"\n',
        killers=(f"{SESSIONS}::test_each_form_has_another_token",),
        wider=WIDER,
    ),
    Bug(
        name="the login leads to any site",
        rule="page",
        file=f"{PAGE}/entrance.py",
        old='return text if is_ours and not parts.scheme and not parts.netloc else "/"',
        new='return text or "/"',
        killers=(f"{SESSIONS}::test_the_login_leads_to_no_other_site[//evil.example]",),
        wider=WIDER,
    ),
    Bug(
        name="an operator confirms off",
        rule="page",
        file=f"{PAGE}/actions.py",
        old="    if route.role is not None and not visit.may(route.role):\n",
        new="    if route.role is None:\n",
        killers=("tests/page/test_actions.py::test_a_form_has_the_role_of_its_route",),
        wider=WIDER,
    ),
    Bug(
        name="power is cut without the name typed",
        rule="page",
        file=f"{PAGE}/host.py",
        old='    if act.is_typed and form.get("typed", "").strip() != name:\n',
        new='    if act.is_typed and not form.get("typed", name).strip():\n',
        killers=("tests/page/test_actions.py::test_power_is_cut_only_with_the_name_typed",),
        wider=WIDER,
    ),
    Bug(
        name="a form that is sent twice is obeyed twice",
        rule="page",
        file=f"{PAGE}/actions.py",
        old="key=_key(visit, fields)",
        new="key=None",
        killers=("tests/page/test_actions.py::test_a_form_that_is_sent_twice_is_obeyed_once",),
        wider=WIDER,
    ),
    Bug(
        name="a stream forgets what happened since the page was drawn",
        rule="page",
        file=f"{PAGE}/live.py",
        old="    messages = visit.call.control.watch(after=after)\n",
        new="    messages = visit.call.control.watch(after=None)\n",
        killers=("tests/page/test_live.py::test_nothing_is_lost_between_the_page_and_its_stream",),
        wider=WIDER,
    ),
    Bug(
        name="text of others is markup",
        rule="page",
        file=f"{PAGE}/drawing.py",
        old="autoescape=True",
        new="autoescape=False",
        killers=("tests/page/test_pages.py::test_what_others_wrote_is_text_and_nothing_else",),
        wider=WIDER,
    ),
    Bug(
        name="a tag outlives its answer",
        rule="page",
        file="api/border.py",
        old="return tags.tag_of(call.control.version(), clocks, call.request.path_qs)",
        new="return tags.tag_of(clocks, call.request.path_qs)",
        killers=("tests/api/test_filters.py::test_a_tag_changes_with_its_answer[hosts]",),
        wider=("tests/api",),
    ),
)
