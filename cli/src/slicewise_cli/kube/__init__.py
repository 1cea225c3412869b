"""The API server: how it is reached, read, written and watched."""
