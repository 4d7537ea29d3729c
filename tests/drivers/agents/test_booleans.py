"""True and false for the parameters of every agent in Debian: passed correctly, or refused when the file is read."""

import pytest

from fenced.config.checks.options import why_not
from fenced.drivers.agents.descriptions import describe_agent
from fenced.drivers.agents.parameters import PASSWORD, agent_parameters
from fenced.drivers.agents.reviews import why_refused
from fenced.drivers.catalogue import Asked
from fenced.model.booleans import said
from fenced.model.drivers import OptionKind
from fenced.model.inventory import DeviceSpec
from fenced.model.names import PlugId, UnitId
from fenced.model.option_values import why_misshapen
from fenced.ports.devices import BadParameters
from tests.needs import needs


@needs("fence_ipmilan", "fence_redfish")
@pytest.mark.parametrize("value", [True, False, "yes", "no", "off", "0", 1, 0])
def test_a_boolean_for_any_parameter_of_debian_is_passed_or_refused_by_check_and_driver(
    debian: Asked, value: str | int
) -> None:
    """Only options that are off by default may be left out; check-config reports what the driver refuses."""
    seen = set()
    for agent, metadata in debian.items():
        if why_refused(agent, metadata):
            continue
        description = describe_agent(agent, metadata)
        for option in description.options:
            if option.set_by or option.choices or PASSWORD.search(option.name):
                continue
            text = "1" if value is True else "" if value is False else str(value)
            told = why_not(option, value, is_agent=True) or why_misshapen(description.shapes, [option.name], text)
            spec = DeviceSpec(
                driver=agent, plug_id=PlugId(""), unit_id=UnitId(""), options={option.name: value}, cuts_power=True
            )
            try:
                lines = agent_parameters(spec, "status", metadata).decode().splitlines()
            except BadParameters as exc:
                if "is refused: " not in str(exc):  # because of its effect on OFF
                    assert told, (agent, option.name, str(exc))
                continue
            seen.add(option.kind)
            is_said = any(line.startswith(f"{option.name.replace('-', '_')}=") for line in lines)
            is_boolean = option.kind is OptionKind.BOOLEAN
            assert is_said or (is_boolean and said(value) is False and option.default is not True), (agent, option.name)
            assert not told or not isinstance(value, bool), (agent, option.name, told)
    assert OptionKind.BOOLEAN in seen and OptionKind.TEXT in seen
