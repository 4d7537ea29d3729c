"""Random data centres with faults in them, played in virtual time: one seed and one commit are one execution."""
