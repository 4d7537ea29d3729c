"""Memory that was needed once: reading ten thousand hosts takes twice what remains of them.

Knows the C library, not who asks. One rule: where the library has no such function, nothing happens.
"""

import ctypes
import gc


def give_back() -> None:
    """Collect what nobody refers to, and let the C library return free pages to the system (glibc's malloc_trim)."""
    gc.collect()
    try:
        trim = ctypes.CDLL(None).malloc_trim
    except (OSError, AttributeError):
        return
    trim(0)
