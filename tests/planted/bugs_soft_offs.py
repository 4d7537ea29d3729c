"""Planted bugs in asking a host to shut down: in the drivers, at the proxy, and in the engine."""

from typing import Final

from tests.planted.bug import Bug

IPMI: Final = "tests/drivers/ipmi/test_soft_off.py"
REDFISH: Final = "tests/drivers/redfish/test_soft_off.py"
PROXY: Final = "tests/proxy/test_soft_offs.py"
ENGINE: Final = "tests/engine/test_soft_offs.py"

SOFT_OFF_BUGS: Final = (
    Bug(
        name="a soft off becomes a ForceOff where no other is offered",
        rule="S24",
        file="drivers/redfish/driver.py",
        old='SOFT_OFF: Final = ("GracefulShutdown",)',
        new='SOFT_OFF: Final = ("GracefulShutdown", "ForceOff")',
        killers=(f"{REDFISH}::test_a_bmc_that_offers_none_says_what_it_offers",),
        wider=(REDFISH,),
    ),
    Bug(
        name="a soft off presses the power button",
        rule="S24",
        file="drivers/redfish/driver.py",
        old='SOFT_OFF: Final = ("GracefulShutdown",)',
        new='SOFT_OFF: Final = ("PushPowerButton", "GracefulShutdown")',
        killers=(f"{REDFISH}::test_it_sends_a_graceful_shutdown_alone",),
        wider=(REDFISH,),
    ),
    Bug(
        name="a soft off over ipmi cuts the power",
        rule="S24",
        file="drivers/ipmi/driver.py",
        old="        await self._command(spec, CHASSIS_SOFT_OFF, Power.OFF, timeout_seconds)",
        new="        await self._command(spec, CHASSIS_CONTROLS[Power.OFF], Power.OFF, timeout_seconds)",
        killers=(f"{IPMI}::test_the_operating_system_is_asked_and_no_power_is_cut",),
        wider=(IPMI,),
    ),
    Bug(
        name="the task of a soft off is followed until its host is down",
        rule="S24",
        file="drivers/redfish/driver.py",
        old="            if reset_type not in SOFT_OFF:\n",
        new="            if reset_type:\n",
        killers=(f"{REDFISH}::test_its_task_is_not_followed",),
        wider=(REDFISH,),
    ),
    Bug(
        name="a soft off that failed is sent again",
        rule="S6",
        file="proxy/calls.py",
        old="                    await soft_off(driver, spec, timeout_seconds=seconds, on_started=on_started)\n",
        new="                    try:\n"
        "                        await soft_off(driver, spec, timeout_seconds=seconds / 2, on_started=on_started)\n"
        "                    except DeviceError:\n"
        "                        await soft_off(driver, spec, timeout_seconds=seconds / 2, on_started=on_started)\n",
        killers=(f"{PROXY}::test_errors_come_back_as_they_were",),
        wider=(PROXY,),
    ),
    Bug(
        name="a proxy cuts the power for a soft off",
        rule="S24",
        file="proxy/calls.py",
        old="                if call.what is What.SOFT_OFF:\n                    await soft_off(",
        new="                if call.what is What.SOFT_OFF and not spec.nodename:\n                    await soft_off(",
        killers=(f"{PROXY}::test_the_host_is_asked_and_its_power_stays",),
        wider=(PROXY,),
    ),
    Bug(
        name="an older proxy is sent an off in place of a soft off",
        rule="S24",
        file="proxy/client.py",
        old="            await self._command(proxy, spec, What.SOFT_OFF, permit)\n",
        new="            try:\n"
        "                await self._command(proxy, spec, What.SOFT_OFF, permit)\n"
        "            except DeviceError:\n"
        "                await self._command(proxy, spec, What.OFF, permit)\n",
        killers=(f"{PROXY}::test_an_older_proxy_does_not_support_it_and_is_sent_nothing_harder",),
        wider=(PROXY,),
    ),
    Bug(
        name="no floor is asked for a soft off",
        rule="S21",
        file="proxy/calls.py",
        old="        if floor is not None and (why := floor.why_not(token.epoch, call.holder)) is not None:\n",
        new="        if call.what is not What.SOFT_OFF and floor is not None"
        " and (why := floor.why_not(token.epoch, call.holder)) is not None:\n",
        killers=(f"{PROXY}::test_a_floor_that_rises_stops_one_whose_program_has_started",),
        wider=(PROXY,),
    ),
    Bug(
        name="a soft off is claimed under no token",
        rule="S5",
        file="proxy/calls.py",
        old="        await self._claim(call, permit)\n",
        new="        if call.what is not What.SOFT_OFF:\n            await self._claim(call, permit)\n",
        killers=(f"{PROXY}::test_a_token_not_above_the_highest_is_refused_also_after_kill_9",),
        wider=(PROXY,),
    ),
    Bug(
        name="a soft off that waits at a proxy keeps the plug from an off",
        rule="S24",
        file="proxy/calls.py",
        old="            plug.gives_way.reschedule(asyncio.get_running_loop().time())\n",
        new="",
        killers=(f"{PROXY}::test_one_that_waits_for_its_turn_gives_way_to_an_off",),
        wider=(PROXY,),
    ),
    Bug(
        name="a soft off that gets the plug waits in front of an off",
        rule="S24",
        file="proxy/calls.py",
        old="        self._check_rank(call, token, plug)\n        async with AsyncExitStack()",
        new="        async with AsyncExitStack()",
        killers=(f"{PROXY}::test_one_that_gets_the_plug_does_not_wait_in_front_of_an_off",),
        wider=(PROXY,),
    ),
    Bug(
        name="a soft off goes before the reads of a fence",
        rule="S24",
        file="proxy/slots.py",
        old="    READ = 2\n    SOFT_OFF = 3\n",
        new="    SOFT_OFF = 2\n    READ = 3\n",
        killers=(f"{PROXY}::test_everything_else_goes_first",),
        wider=(PROXY,),
    ),
    Bug(
        name="a soft off that waits in the engine keeps the plug from an on",
        rule="S24",
        file="engine/workers.py",
        old="            if is_of_plug or is_fence:\n",
        new="            if is_fence:\n",
        killers=(f"{ENGINE}::test_one_that_waits_gives_way_to_an_on_of_its_plug",),
        wider=(ENGINE,),
    ),
    Bug(
        name="a soft off that waits in the engine holds the session that a fence needs",
        rule="S24",
        file="engine/workers.py",
        old="            if is_of_plug or is_fence:\n",
        new="            if is_of_plug:\n",
        killers=(f"{ENGINE}::test_one_that_waits_gives_way_to_a_fence_at_its_unit[an off]",),
        wider=(ENGINE,),
    ),
    Bug(
        name="a soft off goes on without the lease",
        rule="S20",
        file="engine/effects.py",
        old="        if command.what is not What.OFF:\n            self._ons[task]",
        new="        if command.what is What.ON:\n            self._ons[task]",
        killers=(f"{ENGINE}::test_without_the_lease_it_is_killed_with_the_ons_and_an_off_is_not",),
        wider=(ENGINE,),
    ),
    Bug(
        name="the engine sends an off for a soft off",
        rule="S24",
        file="engine/effects.py",
        old="                is_soft=command.what is What.SOFT_OFF,\n",
        new="",
        killers=(f"{ENGINE}::test_it_is_sent_as_what_it_is_and_once",),
        wider=(ENGINE,),
    ),
    Bug(
        name="a host is waited for that nobody asked to shut down",
        rule="S24",
        file="engine/effects.py",
        old="            if command.what is What.SOFT_OFF and not exc.may_be_done:\n",
        new="            if command.what is What.SOFT_OFF and exc.may_be_done is None:\n",
        killers=(f"{ENGINE}::test_a_failure_says_whether_the_host_may_have_been_asked",),
        wider=(ENGINE,),
    ),
)
