"""What `status.conditions` says: one result a condition, from the facts of a reconcile. `summary.py` puts them together. Pure."""
