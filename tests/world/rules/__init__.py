"""What must hold in every run, one class per rule, each checked against the truth of the world.

A rule sees the journal, the commands as they leave and act, the devices' answers and what the daemon could hear. It
never asks the program for its opinion. To add a rule: write the class, add it to `RULES`, break it in
tests/world/test_rules.py.
"""

from collections.abc import Callable
from typing import Final

from tests.world.rules.base import Rule, Truth
from tests.world.rules.booting import BootersAreSpared
from tests.world.rules.commands import CommandsAreNotRaced, NoCycle, NothingOutlivesItsDaemon, OwnMachine
from tests.world.rules.controllers import NothingIsLostWithTheStore, OneOwner, SuccessorAssumesNothing
from tests.world.rules.crash import AfterACrash
from tests.world.rules.deciding import DecisionsExplain
from tests.world.rules.drills import DrillsProve
from tests.world.rules.gates import AutomaticOff
from tests.world.rules.giving_back import NoOnAgainstAPerson, NothingIsForgotten
from tests.world.rules.listening import SilenceIsListened
from tests.world.rules.observing import EnoughSawItSilent
from tests.world.rules.pace import DeadlinesHold, NobodyIsDelayed, NobodyIsKeptFromBeingHeard
from tests.world.rules.proof import NamesAreWhole, PathsAgree, UnknownIsNotOff
from tests.world.rules.saving import SavingHarmsNobody
from tests.world.rules.showing import NoStaleFence
from tests.world.rules.trusting import AnnouncedIsOff
from tests.world.rules.vouching import VouchedHostsAreHeld
from tests.world.rules.watching import FencedIsWatched, HonestStayTrusted
from tests.world.rules.words import WordsHold

RULES: Final[tuple[type[Rule], ...]] = (
    UnknownIsNotOff, CommandsAreNotRaced, NoCycle, NothingIsForgotten, AutomaticOff, EnoughSawItSilent,
    SilenceIsListened, BootersAreSpared, VouchedHostsAreHeld, NamesAreWhole,
    AfterACrash, DeadlinesHold, NobodyIsDelayed, NothingOutlivesItsDaemon, FencedIsWatched, OwnMachine,
    NoOnAgainstAPerson,
    AnnouncedIsOff, PathsAgree, NobodyIsKeptFromBeingHeard, HonestStayTrusted,
    DrillsProve, NoStaleFence, DecisionsExplain,
    SavingHarmsNobody, OneOwner, SuccessorAssumesNothing, NothingIsLostWithTheStore, WordsHold,
)  # fmt: skip


def build(truth: Truth, find: Callable[[str, str], None]) -> list[Rule]:
    """Return one of each. `find(rule, text)` receives their findings."""
    return [rule(truth, find) for rule in RULES]
