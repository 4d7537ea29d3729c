"""Which devices are not believed: those that read OFF while their host lived (`trust`, S17), those of two hosts (`sharing`)."""
