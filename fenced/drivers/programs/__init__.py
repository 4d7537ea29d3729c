"""Programs of their own: started by path, as processes apart from the daemon.

    keeper.client ── socket pair ──> keeper.py          started once by the daemon; forks and execs fence agents
    keeper.warm_agents ────────────> warm_template.py   one for each interpreter and its libraries; forks Python agents

`warm_template.py` extends `keeper.py` and imports it as the file beside it, so the two stay in one folder, where no
module may have the name of one in the standard library.

Keep them light. They import the standard library alone, and little of it: every module costs time at each fork and
memory in each agent. `warm_template.py` runs in the agents' interpreter, which may be another Python (3.9 or later).
"""

from pathlib import Path
from typing import Final

KEEPER: Final = Path(__file__).with_name("keeper.py")
WARM_TEMPLATE: Final = Path(__file__).with_name("warm_template.py")
