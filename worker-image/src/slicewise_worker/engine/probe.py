"""Texts that a tokenizer must get through before its model is served; read by the dry run, whose crash is harmless."""

from __future__ import annotations

from slicewise_worker.engine.segments import SEGMENT_CHARACTERS

_RUNS = ("a", "A", "1", " ", "\n", "\t ", ".", "$", "'s", "漢", "ก", "👍", "\0", "\ufffd", "x  ", "aд漢1_-é ")

PROBES = tuple((run * SEGMENT_CHARACTERS)[:SEGMENT_CHARACTERS] for run in _RUNS)
"""A run of each kind of character, as long as a tokenizer ever gets one."""
