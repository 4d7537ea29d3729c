"""All planted bugs. `old` occurs exactly once in its file, so that a bug with a moved place is noticed at once."""

from typing import Final

from tests.planted.bugs_access import ACCESS_BUGS
from tests.planted.bugs_agents import AGENT_BUGS
from tests.planted.bugs_arming import ARMING_BUGS
from tests.planted.bugs_budget import BUDGET_BUGS
from tests.planted.bugs_clients import CLIENT_BUGS
from tests.planted.bugs_controllers import CONTROLLER_BUGS
from tests.planted.bugs_counting import COUNTING_BUGS
from tests.planted.bugs_deciding import DECIDING_BUGS
from tests.planted.bugs_decisions import DECISION_BUGS
from tests.planted.bugs_devices import DEVICE_BUGS
from tests.planted.bugs_dividing import DIVIDING_BUGS
from tests.planted.bugs_doors import DOOR_BUGS
from tests.planted.bugs_drills import DRILL_BUGS
from tests.planted.bugs_evidence import EVIDENCE_BUGS
from tests.planted.bugs_floors import FLOOR_BUGS
from tests.planted.bugs_glances import GLANCE_BUGS
from tests.planted.bugs_hearing import HEARING_BUGS
from tests.planted.bugs_looks import LOOK_BUGS
from tests.planted.bugs_names import NAME_BUGS
from tests.planted.bugs_neighbours import NEIGHBOUR_BUGS
from tests.planted.bugs_observers import OBSERVER_BUGS
from tests.planted.bugs_outbox import OUTBOX_BUGS
from tests.planted.bugs_owed import OWED_BUGS
from tests.planted.bugs_own_health import OWN_HEALTH_BUGS
from tests.planted.bugs_page import PAGE_BUGS
from tests.planted.bugs_paths import PATH_BUGS
from tests.planted.bugs_postgres import POSTGRES_BUGS
from tests.planted.bugs_power import POWER_BUGS
from tests.planted.bugs_proxies import PROXY_BUGS
from tests.planted.bugs_putting_to_sleep import PUTTING_TO_SLEEP_BUGS
from tests.planted.bugs_records import RECORD_BUGS
from tests.planted.bugs_reporters import REPORTER_BUGS
from tests.planted.bugs_saving import SAVING_BUGS
from tests.planted.bugs_shards import SHARD_BUGS
from tests.planted.bugs_shown import SHOWN_BUGS
from tests.planted.bugs_sleep_orders import SLEEP_ORDER_BUGS
from tests.planted.bugs_sleepers import SLEEPER_BUGS
from tests.planted.bugs_soft_offs import SOFT_OFF_BUGS
from tests.planted.bugs_standing import STANDING_BUGS
from tests.planted.bugs_storms import STORM_BUGS
from tests.planted.bugs_trials import TRIAL_BUGS
from tests.planted.bugs_units import UNIT_BUGS
from tests.planted.bugs_wakes import WAKE_BUGS
from tests.planted.bugs_words import WORD_BUGS

BUGS: Final = (
    POWER_BUGS
    + CONTROLLER_BUGS
    + COUNTING_BUGS
    + DECIDING_BUGS
    + DECISION_BUGS
    + DEVICE_BUGS
    + DIVIDING_BUGS
    + AGENT_BUGS
    + DOOR_BUGS
    + DRILL_BUGS
    + ACCESS_BUGS
    + ARMING_BUGS
    + BUDGET_BUGS
    + CLIENT_BUGS
    + EVIDENCE_BUGS
    + SAVING_BUGS
    + FLOOR_BUGS
    + GLANCE_BUGS
    + HEARING_BUGS
    + LOOK_BUGS
    + NAME_BUGS
    + NEIGHBOUR_BUGS
    + OBSERVER_BUGS
    + OUTBOX_BUGS
    + OWED_BUGS
    + OWN_HEALTH_BUGS
    + PAGE_BUGS
    + PATH_BUGS
    + POSTGRES_BUGS
    + PROXY_BUGS
    + PUTTING_TO_SLEEP_BUGS
    + RECORD_BUGS
    + REPORTER_BUGS
    + SHARD_BUGS
    + SHOWN_BUGS
    + UNIT_BUGS
    + SLEEP_ORDER_BUGS
    + WAKE_BUGS
    + SOFT_OFF_BUGS
    + SLEEPER_BUGS
    + STANDING_BUGS
    + STORM_BUGS
    + TRIAL_BUGS
    + WORD_BUGS
)
