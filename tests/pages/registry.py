"""Which test runs the commands of which page: one line for each heading with blocks of shell commands.

A test gets its blocks from `shell`, and only the test that this table names may ask for them. So a block that is moved
to another page or heading changes a line here and nothing else. Commands run as they are on the page, except for
`FILLED`.
"""

from dataclasses import dataclass
from typing import Final

from tests.pages.blocks import all_blocks

INSTALLED: Final = "tests/system/test_first_install.py"
PACKAGES: Final = "tests/system/test_packages.py"
TOUR: Final = "tests/house/test_tour.py"
DESK: Final = "tests/pages/test_desk.py"
SAVING: Final = "tests/pages/test_power_saving.py"
STORY: Final = "tests/lab/test_story.py"
TWO: Final = "tests/lab/test_takeover.py"
NAP: Final = "tests/lab/test_saving.py"
IPMI: Final = "tests/drivers/ipmi/test_real.py"


@dataclass(frozen=True, slots=True)
class Run:
    """`by`: the file of the test for all blocks below the heading, or one for each of them, in order."""

    page: str
    heading: str
    by: tuple[str, ...]


def _run(page: str, heading: str, *by: str) -> Run:
    return Run(page, heading, by)


RUNS: Final = {
    "make": _run("README.md", "See it", DESK),
    "tour": _run("README.md", "Five minutes with a real broker", TOUR),
    "install": _run("docs/first-install.md", "1. Install", PACKAGES, DESK),
    "set up": _run("docs/first-install.md", "2. Set up", INSTALLED),
    "heartbeats": _run("docs/first-install.md", "3. Heartbeats", INSTALLED),
    "power devices": _run("docs/first-install.md", "4. Power devices", INSTALLED),
    "watch": _run("docs/arming.md", "1. Watch", INSTALLED),
    "arm for operators": _run("docs/arming.md", "2. Arm for operators", INSTALLED),
    "arm a cluster": _run("docs/arming.md", "3. The first cluster", INSTALLED),
    "back": _run("docs/arming.md", "Back", INSTALLED),
    "later": _run("docs/first-install.md", "Later", INSTALLED),
    "beat by hand": _run("docs/operations.md", "First install", INSTALLED),
    "journal": _run("docs/operations.md", "The daemon itself", INSTALLED),
    "archives": _run("docs/operations.md", "Certificates", INSTALLED),
    "backup": _run("docs/operations.md", "The store", INSTALLED),
    "upgrade": _run("docs/upgrade.md", "With the package", PACKAGES),
    "upgrade by pip": _run("docs/upgrade.md", "Without the package", INSTALLED),
    "upgraded": _run("docs/upgrade.md", "Afterwards", INSTALLED),
    "back up all": _run("docs/disaster-recovery.md", "What to back up", INSTALLED),
    "store lost": _run("docs/disaster-recovery.md", "The store is lost", INSTALLED),
    "broker lost": _run("docs/disaster-recovery.md", "The broker is lost", INSTALLED),
    "authority lost": _run("docs/disaster-recovery.md", "The authority is lost, or its key was read", INSTALLED),
    "take over": _run("docs/high-availability.md", "Another machine takes over", INSTALLED),
    "its account": _run("docs/high-availability.md", "2. Names, accounts and certificates", INSTALLED),
    "second controller": _run("docs/high-availability.md", "3. The second controller", INSTALLED),
    "instances": _run("docs/high-availability.md", "Several processes on one machine", INSTALLED),
    "its work": _run("docs/high-availability.md", "What you see and do", INSTALLED),
    "database": _run("docs/postgresql.md", "Make the database", INSTALLED),
    "promises": _run("docs/postgresql.md", "What the database promises", INSTALLED),
    "move": _run("docs/postgresql.md", "Move an installation", INSTALLED),
    "take over with a database": _run("docs/postgresql.md", "Another machine takes over", INSTALLED),
    "proxy": _run("docs/proxies.md", "Set one up", INSTALLED),
    "proxy's certificates": _run("docs/proxies.md", "Certificates, without a restart", INSTALLED),
    "proxy's store": _run("docs/proxies.md", "The daemon's store is new", INSTALLED),
    "plug": _run("docs/proxies.md", "A plug that accepts no command any more", INSTALLED),
    "trusted": _run("docs/checking.md", "Trusted again", INSTALLED),
    "fencectl": _run("docs/fencectl.md", "fencectl", INSTALLED),
    "confirm-off": _run("docs/fencectl.md", "confirm-off", INSTALLED),
    "prove sleepers": _run("docs/power-saving.md", "Begin", SAVING),
    "a scheduler": _run("docs/power-saving.md", "A scheduler takes part", SAVING),
    "metrics": _run("docs/metrics.md", "Metrics", INSTALLED),
    "fingerprint": _run("docs/redfish.md", "Options", INSTALLED),
    "ipmi": _run("docs/ipmi.md", "BMCs over IPMI", IPMI),
    "lab": _run("docs/lab.md", "The lab", STORY),
    "two controllers in the lab": _run("docs/lab.md", "Two controllers", TWO),
    "saving in the lab": _run("docs/lab.md", "Power saving", NAP),
    "look at the lab": _run("docs/lab.md", "Looking at it", STORY),
    "import": _run("docs/migration.md", "Migration", DESK),
    "pacemaker": _run("docs/migration.md", "From Pacemaker", DESK),
    "ovirt": _run("docs/migration.md", "From oVirt", DESK),
    "medik8s": _run("docs/migration.md", "From medik8s", DESK),
    "agents": _run("docs/fence-agents.md", "Fence agents", DESK),
    "formal model": _run("docs/formal-model.md", "Run them", DESK),
    "soak": _run("docs/safety.md", "How it is tested", DESK),
}


@dataclass(frozen=True, slots=True)
class Filled:
    """What a test replaces in the commands of an entry, and why it must. `by` may name values that the test knows."""

    called: str
    text: str
    by: str
    why: str


FILLED: Final = (
    Filled("install", "/opt/fenced", "{folder}", "the test writes nothing outside its folder"),
    Filled("install", "/usr/bin/", "{folder}/", "the test writes nothing outside its folder"),
    Filled("proxy's store", "ID", "{store}", "every store has an id of its own"),
    Filled("plug", "PLUG", "{plug}", "the refusal names it"),
    Filled("journal", "4-118", "{operation}", "every store counts its own operations"),
    Filled("ipmi", "-H 10.0.0.17", "-H 127.0.0.1 -p {port}", "the BMC of the test"),
    Filled("lab", "fenced lab  ", "fenced lab --hosts 2 --proxies 1", "a smaller lab costs less"),
    Filled("two controllers in the lab", "2  ", "2 --hosts 2 --proxies 1", "a smaller lab costs less"),
    Filled("saving in the lab", "--saving  ", "--saving --hosts 4 --proxies 1", "a smaller lab costs less"),
    Filled("look at the lab", "8470", "{api}", "the lab takes other ports where these are taken"),
    Filled("look at the lab", "1883", "{broker}", "the lab takes other ports where these are taken"),
    Filled(
        "agents",
        "fenced agents",
        "fenced agents --agent-path {folder}",
        "to ask all agents takes a quarter of a minute",
    ),
    Filled("formal model", "seeds 400", "seeds 1", "400 take minutes"),
    Filled("formal model", "tests.formal  ", "tests.formal --pending 0  ", "the bound of the page takes minutes"),
    Filled("formal model", "--rules", "--rules --pending 0", "the bound of the page takes a quarter of a minute"),
)


def shell(called: str, by: str, **values: object) -> list[str]:
    """Return the shell blocks of an entry that this test file runs (`by`: its `__name__`), in the order of the page.

    `values`: what `FILLED` names for this entry. A text that is not in the commands any more is a mistake of the table.
    """
    run = RUNS[called]
    blocks = [block.text for block in all_blocks() if is_of(block.page, block.heading, run) and block.language == "sh"]
    mine = f"{by.replace('.', '/')}.py"
    listed = run.by * len(blocks) if len(run.by) == 1 else run.by
    found = [text for text, file in zip(blocks, listed, strict=True) if file == mine]
    assert found, f"{called}: the registry names no block that {mine} runs"
    for filled in (filled for filled in FILLED if filled.called == called):
        assert len(run.by) > 1 or any(filled.text in text for text in found), f"{called}: no {filled.text} any more"
        found = [
            text.replace(filled.text, filled.by.format(**values)) if filled.text in text else text for text in found
        ]
    return found


def is_of(page: str, heading: str, run: Run) -> bool:
    """Return whether a heading is that of the entry."""
    return (run.page, run.heading) == (page, heading)
