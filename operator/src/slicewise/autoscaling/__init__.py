"""How many workers a pool needs by its load. Pure: no I/O, no clock, and no other part of the operator is imported."""
