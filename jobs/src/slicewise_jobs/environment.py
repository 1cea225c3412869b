"""Settings from the environment, by names in capital letters alone: a variable in other letters must not fill the place of ours."""

from __future__ import annotations

import os

from pydantic import ValidationError
from pydantic_settings import BaseSettings, EnvSettingsSource, PydanticBaseSettingsSource


class SettingsError(ValueError):
    """Settings that are not valid, as one line that names each variable."""


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


def describe(error: ValidationError, prefix: str) -> str:
    """Return the variables that are not valid, each with its fault and without its value."""
    return "; ".join(
        f"{prefix}{'_'.join(str(part) for part in item['loc']).upper()}: {item['msg']}" for item in error.errors()
    )
