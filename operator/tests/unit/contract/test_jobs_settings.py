"""What the operator renders into the pods of jobs is what `slicewise-jobs` reads: the environment, parsed by its own settings."""

from __future__ import annotations

from pathlib import PurePosixPath
from typing import Any

import pytest
from builders import make_observed, make_pool

from slicewise.api import ports
from slicewise.api.v1alpha1 import CONDITIONS, ConditionType
from slicewise.pool.plan import plan_pool
from slicewise_jobs.decisions.server import Trouble
from slicewise_jobs.settings import ApiSettings, DatabaseSettings, DispatchSettings

PREFIX = "SLICEWISE_JOBS_"
JOBS: dict[str, Any] = {"databaseSecretRef": {"name": "jobs-db"}}


def rendered(name: str, jobs: dict[str, Any] = JOBS, **spec: Any) -> dict[str, Any]:
    plan = plan_pool(make_pool(jobs=jobs, **spec), make_observed(), 0.0)
    found = {(item["kind"], item["metadata"]["name"]): item for item in plan.children or ()}
    return dict(found["Deployment", name]["spec"]["template"]["spec"])


def read(container: dict[str, Any], kind: type[DatabaseSettings], monkeypatch: pytest.MonkeyPatch) -> Any:
    """Return the settings that a container's program reads; a typo in a name fails, which would be ignored in silence."""
    names = {item["name"].removeprefix(PREFIX).lower() for item in container["env"]}
    assert names <= set(kind.model_fields)
    for item in container["env"]:
        monkeypatch.setenv(item["name"], item["value"])
    return kind.read()


def test_the_api_reads_everything_that_is_rendered(monkeypatch: pytest.MonkeyPatch) -> None:
    jobs = {**JOBS, "keepFor": "36h", "maxBacklogJobs": 7, "maxBacklogBytes": "2Mi", "allowLoss": True}
    limits = {"limits": {"maxBodyBytes": "2Mi"}}
    model = {"name": "small", "source": f"hf://org/repo@{'0' * 40}/q8.gguf", "chat": False}
    pod = rendered("chat-jobs", jobs, gateway=limits, model=model)
    settings = read(pod["containers"][0], ApiSettings, monkeypatch)
    assert (settings.port, settings.internal_port) == (ports.JOBS_PORT, ports.JOBS_INTERNAL_PORT)
    assert (settings.pool, settings.model, settings.chat) == ("default/chat", "small", False)
    assert (settings.max_body_bytes, settings.keep_seconds) == (2 << 20, 36 * 3600)
    assert (settings.max_backlog_jobs, settings.max_backlog_bytes, settings.allow_loss) == (7, 2 << 20, True)


def test_a_dispatcher_reads_everything_that_is_rendered(monkeypatch: pytest.MonkeyPatch) -> None:
    jobs = {**JOBS, "slots": 3, "requestTimeout": "90s", "maxAttempts": 2}
    settings = read(rendered("chat-jobs-dispatch", jobs)["containers"][0], DispatchSettings, monkeypatch)
    assert str(settings.gateway_url) == f"http://chat-jobs-gateway.default.svc:{ports.GATEWAY_JOBS_PORT}/"
    assert (settings.api_host, settings.api_port) == ("chat-jobs.default.svc", ports.JOBS_INTERNAL_PORT)
    assert settings.internal_port == ports.DISPATCH_PORT
    assert (settings.slots, settings.request_seconds, settings.max_attempts) == (3, 90, 2)
    assert settings.allow_loss is False


@pytest.mark.parametrize("name", ["chat-jobs", "chat-jobs-dispatch"])
def test_migrations_use_the_database_of_the_program_behind_them(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    pod = rendered(name)
    settings = read(pod["initContainers"][0], DatabaseSettings, monkeypatch)
    mounts = {item["mountPath"] for item in pod["initContainers"][0]["volumeMounts"]}
    assert PurePosixPath(settings.database_url_file) == PurePosixPath("/etc/slicewise/jobs/url")
    assert str(settings.database_url_file.parent) in mounts
    assert settings.database_ca_file is not None
    assert str(settings.database_ca_file.parent) in mounts


def test_the_defaults_of_the_resource_are_those_of_the_programs(monkeypatch: pytest.MonkeyPatch) -> None:
    api = read(rendered("chat-jobs")["containers"][0], ApiSettings, monkeypatch)
    dispatch = read(rendered("chat-jobs-dispatch")["containers"][0], DispatchSettings, monkeypatch)
    for settings, kind, names in (
        (api, ApiSettings, ("keep_seconds", "max_backlog_jobs", "max_backlog_bytes", "max_body_bytes", "allow_loss")),
        (dispatch, DispatchSettings, ("slots", "request_seconds", "max_attempts", "max_result_bytes", "drain_seconds")),
    ):
        for name in names:
            assert getattr(settings, name) == kind.model_fields[name].default, name


def test_the_bounds_of_the_resource_are_within_those_of_the_programs(monkeypatch: pytest.MonkeyPatch) -> None:
    most = {**JOBS, "slots": 256, "maxAttempts": 100, "keepFor": "8760h", "maxBacklogJobs": 10_000_000}
    for jobs in (most, {**JOBS, "slots": 1, "maxAttempts": 1, "keepFor": "1m", "maxBacklogBytes": "1Mi"}):
        limits = {"limits": {"maxBodyBytes": "16Mi"}}
        read(rendered("chat-jobs", jobs, gateway=limits)["containers"][0], ApiSettings, monkeypatch)
        dispatch = rendered("chat-jobs-dispatch", jobs, gateway=limits)
        read(dispatch["containers"][0], DispatchSettings, monkeypatch)


def test_the_operator_knows_every_word_that_the_programs_say_of_their_standing() -> None:
    declared = {reason.value for reason in CONDITIONS[ConditionType.JOBS_AVAILABLE].reasons}
    assert {trouble.value for trouble in Trouble} | {"Available"} <= declared
