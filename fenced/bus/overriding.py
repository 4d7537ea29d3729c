"""`@override` for methods that replace a library's: mypy then reports if the library drops or changes the method.

It does nothing at run time, because importing typing_extensions would slow the start of every program.
"""

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from typing_extensions import override
else:

    def override(method: object) -> object:
        return method


__all__ = ["override"]
