"""What the operator knows of the cluster: the cache that watches fill, and what is asked beside it (pods, claims, counters)."""
