"""Tests of fenced.config: real files in, a Configuration or all mistakes out."""
