"""Random data centres with faults, played in virtual time: the same seed and commit give the same execution."""
