"""How many histories a state machine plays: few and always the same in CI, many fresh ones in a soak.

The same commit plays the same histories, unless HYPOTHESIS_PROFILE=soak asks for others.
"""

import os

from hypothesis import HealthCheck, Phase, settings

SOAK_TIMES = 50


def histories(examples: int, steps: int) -> settings:
    """Return settings for a state machine that plays so many histories of so many steps in CI."""
    is_soak = os.environ.get("HYPOTHESIS_PROFILE") == "soak"
    return settings(
        max_examples=examples * (SOAK_TIMES if is_soak else 1),
        stateful_step_count=steps,
        derandomize=not is_soak,
        database=None,
        phases=[Phase.generate],
        deadline=None,
        suppress_health_check=list(HealthCheck),
    )
