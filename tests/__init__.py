"""Tests of fenced: core (plain functions), engine (virtual time), adapters (real counterparts), end to end."""
