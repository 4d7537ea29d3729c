"""Tests of the core without an event loop: real objects, plain functions, time as a number."""
