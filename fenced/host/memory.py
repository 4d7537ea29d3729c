"""Returns memory to the system after a large load: reading ten thousand hosts takes twice what remains of them.

It uses glibc's malloc_trim and does nothing where the C library lacks it.
"""

import ctypes
import gc


def give_back() -> None:
    """Collect garbage, and let the C library return free pages to the system."""
    gc.collect()
    try:
        trim = ctypes.CDLL(None).malloc_trim
    except (OSError, AttributeError):
        return
    trim(0)
