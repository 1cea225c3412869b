"""Imported for what it does: a property is judged by what it finds, not by how busy the machine is.

A profile that the command line asks for stays.
"""

from __future__ import annotations

from hypothesis import HealthCheck, settings

if settings.get_current_profile_name() == "default":
    settings.register_profile("patient", deadline=None, suppress_health_check=[HealthCheck.too_slow])
    settings.load_profile("patient")
