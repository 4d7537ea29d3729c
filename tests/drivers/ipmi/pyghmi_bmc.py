"""`python pyghmi_bmc.py PORT USER PASSWORD FILE`: pyghmi's BMC on loopback alone; its own program binds all addresses.

The chassis is on while the file exists. Each request to shut down adds a line to the file `asked` beside it.
"""

import sys
from pathlib import Path

from pyghmi.ipmi.bmc import Bmc

IS_ON = Path(sys.argv[4])


class Chassis(Bmc):  # type: ignore[misc]
    """Its power is on while a file exists."""

    def get_power_state(self) -> str:
        return "on" if IS_ON.exists() else "off"

    def power_off(self) -> None:
        IS_ON.unlink(missing_ok=True)

    def power_shutdown(self) -> None:
        with IS_ON.with_name("asked").open("a") as asked:
            asked.write("1\n")

    def power_on(self) -> None:
        IS_ON.touch()


if __name__ == "__main__":
    Chassis({sys.argv[2]: sys.argv[3]}, port=int(sys.argv[1]), address="::ffff:127.0.0.1").listen()
