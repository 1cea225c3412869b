"""Versions of the tables, for alembic. A new version only adds: the programs of the version before go on meanwhile."""
