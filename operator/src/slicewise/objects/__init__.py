"""Reads objects as the API server sends them into the values that decisions use. Pure."""
