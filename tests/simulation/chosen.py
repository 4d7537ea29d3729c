"""The fixed seeds of the simulation. `python -m tests.simulation.cover` chooses them.

Those below 1000 come from the first 600; those from 1000 on have several controllers, and hold each kind of line twice.
Those from 7000 on have observers, those from 9000 on other systems that speak, and second reporters.
"""

from typing import Final

FIXED: Final = (
    1, 2, 3, 5, 6, 7, 9, 11, 14, 19, 20, 25, 28, 29, 33, 35, 63, 71, 74, 80, 96, 101, 109, 117, 139, 145, 147, 180, 186,
    191, 197, 200, 210, 212, 214, 225, 275, 279, 280, 284, 293, 299, 306, 330, 335, 351, 354, 356, 360, 364, 381, 419,
    421, 435, 444, 452, 461, 462, 465, 485, 523, 531, 537, 563, 566, 578, 581, 584, 589, 591, 592,
    1000, 1015, 1018, 1021, 1027, 1033, 1063, 1066, 1075, 1078, 1087, 1105, 1111, 1153, 1174, 1183, 1189, 1198, 1204,
    1219, 1237, 1258, 1264, 1279, 1282, 1297, 1336, 1360, 1417, 1492, 4501,
    7004, 7010, 7016, 7040, 7056, 7064, 7066, 7070, 7158, 7164, 7172,
    9012, 9040, 9064, 9116, 9368, 9568,
)  # fmt: skip
