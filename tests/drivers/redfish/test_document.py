"""docs/redfish.md names every option, message and identity of the driver."""

from pathlib import Path

from fenced.drivers.redfish.driver import DESCRIPTION
from fenced.drivers.redfish.vendors import IDENTITY_PLACES, MESSAGES

DOCUMENT = Path(__file__).parents[3] / "docs" / "redfish.md"


def test_options_messages_and_identities_are_in_the_document() -> None:
    text = DOCUMENT.read_text()
    options = text.partition("## Options")[2].partition("\n## ")[0]
    assert {option.name for option in DESCRIPTION.options} == {
        line.split("`")[1] for line in options.splitlines() if line.startswith("| `") and "`options`" not in line
    }
    messages = text.partition("## Messages")[2].partition("\n## ")[0]
    for message in MESSAGES.values():
        line = next(line for line in messages.splitlines() if f"`{message.name}`" in line)
        assert message.source.split(";")[0].split(",")[0].split(" (")[0] in line
    for place in IDENTITY_PLACES:
        assert f"| `{'.'.join(place.path)}` |" in text
