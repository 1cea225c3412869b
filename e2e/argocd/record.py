"""Every state that Argo CD's applications go through, as a watch of the API server tells them: nothing in between is missed."""

from __future__ import annotations

import subprocess
import threading
from dataclasses import dataclass
from pathlib import Path
from typing import Final

_FIELDS: Final = (
    "{.metadata.name}",
    "{.status.sync.status}",
    "{.status.health.status}",
    "{.status.operationState.startedAt}",
)


@dataclass(frozen=True)
class State:
    """Of one application at one time."""

    app: str
    sync: str
    health: str
    operation: str
    """When the last sync began, by Argo CD's clock."""


class Record:
    """What a watch has told so far."""

    def __init__(self, kubectl: Path, kubeconfig: Path) -> None:
        """Begin at once; `kubeconfig`: its context names Argo CD's namespace."""
        words = ["get", "applications.argoproj.io", "--watch", "-o", f"jsonpath={'|'.join(_FIELDS)}{{'\\n'}}"]
        self._process = subprocess.Popen(
            [kubectl, f"--kubeconfig={kubeconfig}", *words], stdout=subprocess.PIPE, text=True
        )
        self.states: list[State] = []
        self._thread = threading.Thread(target=self._follow, daemon=True)
        self._thread.start()

    def _follow(self) -> None:
        assert self._process.stdout is not None
        for line in self._process.stdout:
            app, sync, health, operation = line.rstrip("\n").split("|")
            self.states.append(State(app, sync, health, operation))

    def stop(self) -> None:
        """End the watch."""
        self._process.terminate()
        self._process.wait(timeout=20)
        self._thread.join(timeout=20)
        assert self._process.stdout is not None
        self._process.stdout.close()

    def of(self, app: str, since: int = 0) -> list[State]:
        """Return an application's states; `since`: a former `len(record.states)`."""
        return [state for state in self.states[since:] if state.app == app]
