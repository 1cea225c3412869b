"""The agent's loop: wake, assemble, write, ask Envoy what it runs."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from contextlib import suppress
from dataclasses import replace
from typing import Final

import structlog

from slicewise_gateway.agent.envoy import EnvoyAdmin, EnvoyError, EnvoyState
from slicewise_gateway.agent.files import PROGRAMMED_FILE, WAKING_FILE, EnvoyFiles, read_mounted
from slicewise_gateway.agent.kube import ApiServer, Collection, Objects
from slicewise_gateway.agent.metrics import AgentMetrics
from slicewise_gateway.agent.report import Report, Wanted, judge
from slicewise_gateway.agent.writer import FileSet, Inputs, UnusableError, assemble, left_over, write
from slicewise_gateway.settings import GatewaySettings

log = structlog.get_logger(__name__)

_WAKING: Final = "slicewise.dev/waking"
"""Annotation of the ConfigMap."""
_LOOK_SECONDS: Final = 2.0
"""Between two looks at an Envoy that runs what it should."""
_IMPATIENT_SECONDS: Final = 0.1
_WARM_SECONDS: Final = 3.0
"""For how long the weights wait for a new cluster."""


class Agent:
    """Keeps Envoy's files current and knows what Envoy runs."""

    def __init__(self, settings: GatewaySettings, server: ApiServer, envoy: EnvoyAdmin, metrics: AgentMetrics) -> None:
        self._settings = settings
        self._server = server
        self._envoy = envoy
        self._metrics = metrics
        self._files = EnvoyFiles(settings.directory)
        self._inputs = Inputs()
        self._wake = asyncio.Event()
        self._collections: dict[str, Collection] = {}
        self._found: FileSet | None = None
        self._trouble = ""
        self.wanted: Wanted | None = None
        self.report: Report = judge(None, None, None)
        self.has_programmed = self._files.read(PROGRAMMED_FILE) is not None
        """Whether Envoy has ever had all of a configuration with endpoints; before that it cannot serve any client."""

    @property
    def in_touch(self) -> bool:
        """Whether the API server answers."""
        return bool(self._collections) and all(found.in_touch for found in self._collections.values())

    async def run(self) -> None:
        """Follow and write until cancelled; anything but the cluster's and Envoy's ordinary trouble is raised."""
        space = f"/namespaces/{self._settings.namespace}"
        self._collections["config"] = self._collection(
            f"/api/v1{space}/configmaps", _named(self._settings.config_map), self._take_config
        )
        self._collections["slices"] = self._collection(
            f"/apis/discovery.k8s.io/v1{space}/endpointslices",
            {"labelSelector": self._settings.endpoints_selector},
            self._take_slices,
        )
        async with asyncio.TaskGroup() as tasks:
            for found in list(self._collections.values()):
                tasks.create_task(found.follow())
            tasks.create_task(self._keep_writing())

    async def _keep_writing(self) -> None:
        while True:
            patience = _LOOK_SECONDS if self.report.programmed else _IMPATIENT_SECONDS
            with suppress(TimeoutError):
                await asyncio.wait_for(self._wake.wait(), patience)
            self._take_keys()
            if self._wake.is_set():
                self._wake.clear()
                await self._write()
            await self._look()

    async def _write(self) -> None:
        try:
            found = assemble(self._inputs)
        except UnusableError as error:
            self._say(str(error))
            return
        if found is None:
            return
        before = await self._state()
        self.wanted = found.wanted(before.refusals if before else {})
        try:
            written = await write(found, self._files, self._clusters_ready)
        except OSError as error:
            self._say(f"cannot write {error.filename}: {error.strerror}")
            return
        self._found = found
        self._say("")
        for complaint in found.complaints if written else ():
            log.warning("tenant key not usable", reason=complaint)
        if written:
            self._metrics.written.inc(len(written))
            log.info("files written", files=written, version=found.plan.version)

    async def _look(self) -> None:
        before = self.report
        self.report = judge(self.wanted, await self._state(), before.running, self._trouble)
        if self.report.reason != before.reason or self.report.wanted != before.wanted:
            log.info("report changed", reason=self.report.reason, message=self.report.message)
        if self.report.programmed and not self.has_programmed:
            self.has_programmed = True
            self._files.write(PROGRAMMED_FILE, "")
        if self.report.programmed and self._found is not None:
            for name in left_over(self._found, self._files):
                self._files.remove(name)
        self._metrics.show(self.report, self.wanted, in_touch=self.in_touch)

    async def _state(self) -> EnvoyState | None:
        try:
            return await self._envoy.state()
        except EnvoyError as error:
            log.debug("Envoy does not answer", error=str(error))
            return None

    async def _clusters_ready(self, version: str | None) -> None:
        with suppress(TimeoutError):
            async with asyncio.timeout(_WARM_SECONDS):
                while True:
                    state = await self._state()
                    if state and state.versions.get("cds.json") == version and not state.warming:
                        return
                    await asyncio.sleep(_IMPATIENT_SECONDS / 2)

    def _collection(self, path: str, selector: dict[str, str], changed: Callable[[Objects], None]) -> Collection:
        return Collection(self._server, path, selector, changed)

    def _take_config(self, objects: Objects) -> None:
        found = objects.get(self._settings.config_map)
        if found is None:
            # A deleted ConfigMap is no reason to stop serving.
            self._say(f"there is no ConfigMap {self._settings.config_map}")
            return
        annotations = (found.get("metadata") or {}).get("annotations") or {}
        try:
            self._files.write(WAKING_FILE, str(annotations.get(_WAKING) or ""))
        except OSError as error:  # it is for a message only
            log.warning("waking state not written", path=error.filename, error=error.strerror)
        self._inputs = replace(self._inputs, config=found.get("data") or {})
        self._wake.set()

    def _take_slices(self, objects: Objects) -> None:
        self._inputs = replace(self._inputs, slices=objects)
        self._wake.set()

    def _take_keys(self) -> None:
        """Read the mounted Secret again; the kubelet renews it without notice."""
        try:
            keys = read_mounted(self._settings.keys)
        except OSError as error:  # exchanged while it is read: next time
            log.warning("tenant keys not readable", path=error.filename, error=error.strerror)
            return
        if keys != self._inputs.keys:
            self._inputs = replace(self._inputs, keys=keys)
            self._wake.set()

    def _say(self, trouble: str) -> None:
        if trouble and trouble != self._trouble:
            log.error("configuration not applied", error=trouble)
        self._trouble = trouble


def _named(name: str) -> dict[str, str]:
    return {"fieldSelector": f"metadata.name={name}"}
