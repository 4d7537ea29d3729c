"""The fixed seeds of the simulation, chosen by `python -m tests.simulation.cover` from the first 600 for what they cover."""

from typing import Final

FIXED: Final = (
    1, 2, 3, 5, 6, 7, 9, 11, 14, 19, 20, 25, 28, 29, 33, 35, 63, 71, 74, 80, 96, 101, 109, 117, 139, 145, 147, 180, 186,
    191, 197, 200, 210, 212, 214, 225, 275, 279, 280, 284, 293, 299, 306, 330, 335, 351, 354, 356, 360, 364, 381, 419,
    421, 435, 444, 452, 461, 462, 465, 485, 523, 531, 537, 563, 566, 578, 581, 584, 589, 591, 592,
)  # fmt: skip
