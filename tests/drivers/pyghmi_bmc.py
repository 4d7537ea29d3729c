"""`python pyghmi_bmc.py PORT USER PASSWORD`: the BMC of pyghmi, on loopback only; its own program binds everything."""

import sys

from pyghmi.ipmi.bmc import Bmc


class Chassis(Bmc):  # type: ignore[misc]
    """Switched on."""

    power = "on"

    def get_power_state(self) -> str:
        return self.power

    def power_off(self) -> None:
        self.power = "off"

    def power_on(self) -> None:
        self.power = "on"


if __name__ == "__main__":
    Chassis({sys.argv[2]: sys.argv[3]}, port=int(sys.argv[1]), address="::ffff:127.0.0.1").listen()
