"""The API: what clients of a pool ask for, and what dispatchers and the cluster do."""
