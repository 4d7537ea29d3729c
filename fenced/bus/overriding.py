"""`@override` for the methods that replace one of a library: mypy then finds out when the library drops or changes it.

At run time it does nothing, for importing typing_extensions would cost a heartbeat program a tenth of its start.
"""

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from typing_extensions import override
else:

    def override(method: object) -> object:
        return method


__all__ = ["override"]
