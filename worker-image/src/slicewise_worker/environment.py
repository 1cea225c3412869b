"""Settings from the environment, by names in capital letters alone.

A pool's `envFrom` can bring in variables of any name. The operator sets every one of ours then, and an empty one counts as unset; a name in
other letters, which pydantic-settings would take for the same, must not fill its place.
"""

from __future__ import annotations

import os

from pydantic_settings import BaseSettings, EnvSettingsSource, PydanticBaseSettingsSource


class CapitalSettings(BaseSettings):
    """Settings that are read from variables in capital letters only; empty ones count as not set."""

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],  # noqa: ARG003 - the signature is the library's
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,
        file_secret_settings: PydanticBaseSettingsSource,
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        """Leave out what is written otherwise."""
        if isinstance(env_settings, EnvSettingsSource):
            env_settings.env_vars = {
                name.lower(): value for name, value in os.environ.items() if name == name.upper() and value
            }
        return init_settings, env_settings, dotenv_settings, file_secret_settings
