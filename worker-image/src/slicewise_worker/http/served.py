"""What the endpoints for text serve, and under which names."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

from slicewise_worker.engine.loop import Engine
from slicewise_worker.engine.model_kind import Role
from slicewise_worker.http.chat_template import ChatTemplate
from slicewise_worker.http.errors import ApiError, shown
from slicewise_worker.http.intake import Intake
from slicewise_worker.http.response import Asked


@dataclass(frozen=True, slots=True)
class Served:
    """What the endpoints serve: one model on one engine."""

    model_name: str
    """The name in answers."""
    names: frozenset[str]
    """What clients may send as `model`: the name, its aliases and the adapters."""
    engine: Engine
    template: ChatTemplate
    intake: Intake
    adapters: tuple[str, ...] = ()
    """Names of adapters, which answers carry as they were sent."""

    @property
    def role(self) -> Role:
        """What the model is asked for."""
        return Role.TEXT

    def adapter(self, model: str) -> str | None:
        """Return the adapter that a client asks for by `model`; None where it asks for the model itself."""
        return model if model in self.adapters else None

    def name(self, asked: Asked) -> str:
        """Return the name in the answer."""
        return asked.generations[0].adapter or self.model_name

    def close(self) -> None:
        """End what is left once the engine has stopped."""
        self.template.close()


class Named(Protocol):
    """Whatever serves a model by its names."""

    @property
    def model_name(self) -> str:
        """The name in answers."""

    @property
    def names(self) -> frozenset[str]:
        """What clients may send as `model`."""

    @property
    def adapters(self) -> tuple[str, ...]:
        """Those of them that are adapters."""


def check_model(name: str, served: Named) -> None:
    """Raise `ApiError` if `name` is no name of the model that is served."""
    if name not in served.names:
        *most, last = (f"'{known}'" for known in (served.model_name, *served.adapters))
        serves = f"{', '.join(most)} and {last}" if most else last
        message = f"The model '{shown(name)}' does not exist here; this worker serves {serves}."
        raise ApiError(404, message, code="model_not_found", param="model")
