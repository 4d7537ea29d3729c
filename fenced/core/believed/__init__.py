"""Whose word counts: devices that read OFF while their host lived (`trust`, S17), devices of two hosts (`sharing`)."""
