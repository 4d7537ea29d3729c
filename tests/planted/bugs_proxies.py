"""Planted bugs in what a proxy may do for a daemon: use of stored logins, lending, and closing a plug."""

from typing import Final

from tests.planted.bug import Bug

LENDING: Final = "tests/proxy/test_lending.py"
CLOSED: Final = "tests/proxy/test_closed_plugs.py"
PARAMETERS: Final = "tests/drivers/agents/test_parameters.py"
VALUES: Final = "tests/config/checks/test_option_values.py"

PROXY_BUGS: Final = (
    Bug(
        name="a value of an option is passed on as it is",
        rule="S1",
        file="drivers/agents/parameters.py",
        old="    _check_values(spec, lines, metadata)\n",
        new="",
        killers=(f"{PARAMETERS}::test_a_value_is_of_its_kind_under_each_name_of_its_option",),
        wider=(PARAMETERS,),
    ),
    Bug(
        name="values of options are known by one of their names",
        rule="S1",
        file="drivers/agents/values.py",
        old="    names: Collection[str] = {name}.union(*(parameter.names for parameter in parameters))",
        new="    names: Collection[str] = {name}",
        killers=(f"{PARAMETERS}::test_a_value_is_of_its_kind_under_each_name_of_its_option",),
        wider=(PARAMETERS,),
    ),
    Bug(
        name="an agent whose metadata was not read is taken to make no commands",
        rule="S1",
        file="drivers/agents/options.py",
        old="    is_any = not is_read(agent) and option not in PLUG_NAMES\n",
        new="    is_any = False\n",
        killers=("tests/drivers/test_catalogue.py::test_where_an_option_ends_up",),
    ),
    Bug(
        name="an inventory's values are not looked at",
        rule="S1",
        file="config/checks/options.py",
        old="    for finding in _values(words, given, where):\n",
        new="    for finding in ():\n",
        killers=(f"{VALUES}::test_a_value_that_could_become_something_else_is_a_mistake",),
        wider=(VALUES,),
    ),
    Bug(
        name="a caller says whom a stored login trusts",
        rule="S1",
        file="model/credentials.py",
        old="        if pinned:",
        new="        if False:",
        killers=(f"{LENDING}::test_whom_a_stored_login_trusts_is_never_the_caller_s",),
        wider=(LENDING,),
    ),
    Bug(
        name="a plug that is taken for the address goes anywhere",
        rule="S1",
        file="model/credentials.py",
        old="    if PLUG_IS_ADDRESS in names:",
        new="    if False:",
        killers=(f"{LENDING}::test_a_plug_that_is_taken_for_the_address_is_held_against_the_list",),
        wider=(LENDING,),
    ),
    Bug(
        name="a proxy lends a file that is none",
        rule="S15",
        file="net/given_files.py",
        old="stat.S_ISREG(found.st_mode) and ",
        new="",
        killers=(f"{LENDING}::test_only_files_in_named_folders_are_lent_and_every_refusal_has_one_text",),
        wider=(LENDING,),
    ),
    Bug(
        name="a link leads out of what a proxy lends",
        rule="S1",
        file="net/given_files.py",
        old="    real = os.path.realpath(path)",
        new="    real = path",
        killers=(f"{LENDING}::test_only_files_in_named_folders_are_lent_and_every_refusal_has_one_text",),
        wider=(LENDING,),
    ),
    Bug(
        name="a program is lent unasked",
        rule="S1",
        file="proxy/lending.py",
        old="            if what is Lent.PROGRAM and plain(name) not in listed:",
        new="            if False:",
        killers=(f"{LENDING}::test_a_program_or_a_way_to_one_is_refused_unless_the_proxy_lists_it",),
        wider=(LENDING,),
    ),
    Bug(
        name="a token of nines closes a plug",
        rule="S5",
        file="proxy/state.py",
        old="        if token.epoch > EPOCH_MAX or token.sequence > SEQUENCE_MAX:",
        new="        if False:",
        killers=(f"{CLOSED}::test_no_token_closes_a_plug_for_good",),
        wider=(CLOSED,),
    ),
    Bug(
        name="a token's epoch may be any number of starts ahead",
        rule="S5",
        file="proxy/floors.py",
        old="    if not known or epoch - max(known) <= EPOCH_JUMP_MAX:",
        new="    if not known or epoch:",
        killers=(f"{CLOSED}::test_no_token_closes_a_plug_for_good",),
        wider=(CLOSED,),
    ),
    Bug(
        name="a not_after years ahead closes a plug",
        rule="S5",
        file="proxy/calls.py",
        old="        if permit.not_after - now > NOT_AFTER_AHEAD_SECONDS_MAX:",
        new="        if False:",
        killers=(f"{CLOSED}::test_no_not_after_closes_a_plug_for_longer_than_an_hour",),
        wider=(CLOSED,),
    ),
    Bug(
        name="a forgotten plug forgets what may still act",
        rule="S5",
        file="proxy/state.py",
        old='            "UPDATE command SET not_after = min(not_after, ?) WHERE plug = ?",\n'
        "            (now + NOT_AFTER_AHEAD_SECONDS_MAX, plug_id),",
        new='            "DELETE FROM command WHERE plug = ?",\n            (plug_id,),',
        killers=(f"{CLOSED}::test_what_may_still_act_keeps_a_forgotten_plug_closed",),
        wider=(CLOSED,),
    ),
)
