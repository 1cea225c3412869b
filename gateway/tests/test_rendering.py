"""The configuration as a value: equal for equal pools, accepted by Envoy, and deaf to strings that try to be more than strings."""

from __future__ import annotations

import json
import subprocess
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from rig.envoy import CANARY, PROGRAM, STABLE, route

from slicewise.envoy import (
    Backend,
    Cors,
    EdgeEndpoint,
    GatewayModel,
    Jobs,
    ResponseCache,
    RevisionRoute,
    TenantKeys,
    TenantShare,
    Timeouts,
    render_gateway,
)

PLAIN = GatewayModel("chat", (route(STABLE, 95), route(CANARY, 5)))
FULL = replace(
    PLAIN,
    edge=EdgeEndpoint(),
    cache=ResponseCache(),
    tenant_keys=TenantKeys("keys"),
    shares=(TenantShare("acme", 4), TenantShare("nightly", batch=True)),
    affinity=True,
    requests_per_minute=600,
    replicas=3,
    cors=Cors(("https://app.example.com",)),
    p95_seconds=0.6,
    otlp=("collector.example", 4317),
)


def in_one_file(model: GatewayModel) -> dict[str, Any]:
    """Return a bootstrap that holds all parts: Envoy's validation does not read the files that a bootstrap names."""
    files = {name: json.loads(text) for name, text in render_gateway(model).files.items()}
    whole: dict[str, Any] = files["bootstrap.json"]
    whole.pop("dynamic_resources")

    def plain(name: str) -> list[dict[str, Any]]:
        return [{key: value for key, value in found.items() if key != "@type"} for found in files[name]["resources"]]

    listeners = plain("lds.json")
    for listener in listeners:
        manager = listener["filter_chains"][0]["filters"][0]["typed_config"]
        if "rds" in manager:
            path = manager.pop("rds")["config_source"]["path_config_source"]["path"]
            manager["route_config"] = {"validate_clusters": True, **plain(Path(path).name)[0]}
        for filter_ in manager["http_filters"]:
            if "config_discovery" in filter_:
                source = filter_.pop("config_discovery")["config_source"]["path_config_source"]
                filter_["typed_config"] = plain(Path(source["path"]).name)[0]["typed_config"]
    whole["static_resources"]["clusters"] += plain("cds.json")
    whole["static_resources"]["listeners"] = listeners
    return whole


WITH_JOBS = [replace(model, jobs=Jobs.of("chat-jobs.demo.svc", 900)) for model in (PLAIN, FULL)]


@pytest.mark.parametrize("model", [PLAIN, FULL, *WITH_JOBS], ids=["plain", "full", "jobs", "full jobs"])
def test_envoy_accepts_every_part(tmp_path: Path, model: GatewayModel) -> None:
    for name in ("rtds.json", *(f"eds-rev-{found.revision}.json" for found in model.routes)):
        (tmp_path / name).write_text("{}")
    whole = tmp_path / "whole.json"
    whole.write_text(json.dumps(in_one_file(replace(model, directory=str(tmp_path)))))
    argv = [PROGRAM, "--mode", "validate", "-c", whole, "-l", "error"]
    done = subprocess.run(argv, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stderr[-2000:]


@pytest.mark.parametrize(
    ("model", "version", "bootstrap"),
    [(PLAIN, "b6b718bb4454", "06cd9dae5fbc"), (FULL, "dec03cda2e51", "d685773e020e")],
    ids=["plain", "full"],
)
def test_a_pool_without_jobs_has_the_bytes_that_it_had_before_there_were_jobs(
    model: GatewayModel, version: str, bootstrap: str
) -> None:
    """Else an upgrade would close its connections. Another wanted change of the configuration writes new names here."""
    rendered = render_gateway(model)
    assert (rendered.version, rendered.bootstrap_version) == (version, bootstrap)


def test_with_jobs_a_rollout_and_limits_change_no_listener_either() -> None:
    before = render_gateway(WITH_JOBS[1])
    moved = replace(WITH_JOBS[1], routes=(route(CANARY, 90), route("cccc3333", 10)), max_body_bytes=5)
    after = render_gateway(replace(moved, jobs=Jobs.of("chat-jobs.demo.svc", 60)))
    assert before.files["lds.json"] == after.files["lds.json"]
    assert before.bootstrap_version == after.bootstrap_version


@pytest.mark.parametrize("host", ["", "a b", "chat-jobs/x", "%REQ(A)%", "A", "-a", "a" * 254])
def test_a_host_of_jobs_that_is_more_than_a_name_is_refused(host: str) -> None:
    with pytest.raises(ValueError, match="not the name of a host"):
        Jobs.of(host, 900)


def test_an_attempt_of_a_job_ends_in_the_worker_before_the_gateway_and_there_before_the_dispatcher() -> None:
    for attempt in (1, 30, 900, 3600):
        chain = Jobs.of("chat-jobs", attempt).timeouts
        assert attempt > chain.gateway > chain.worker > 0


def test_equal_pools_give_equal_bytes_whatever_the_order_of_canaries() -> None:
    assert render_gateway(FULL) == render_gateway(replace(FULL))
    third = route("cccc3333", 0)
    one = render_gateway(replace(FULL, routes=(*FULL.routes, third)))
    other = render_gateway(replace(FULL, routes=(FULL.routes[0], third, FULL.routes[1])))
    assert {name: text for name, text in one.files.items() if name != "agent.json"} == {
        name: text for name, text in other.files.items() if name != "agent.json"
    }


def test_a_change_of_weight_changes_the_weights_and_nothing_else() -> None:
    before = render_gateway(FULL)
    after = render_gateway(replace(FULL, routes=(route(STABLE, 90), route(CANARY, 10))))
    changed = {name for name in before.files if before.files[name] != after.files[name]}
    assert changed == {"rtds.json", "agent.json"}, "the agent's file names the version"
    assert before.version != after.version
    assert before.bootstrap_version == after.bootstrap_version


def test_a_promotion_keeps_both_clusters_as_they_are() -> None:
    before = render_gateway(FULL)
    after = render_gateway(replace(FULL, routes=(route(CANARY, 100), route(STABLE, 0))))
    assert before.files["cds.json"] == after.files["cds.json"]
    assert before.files["lds.json"] == after.files["lds.json"]


def test_only_a_new_limit_needs_new_pods() -> None:
    assert render_gateway(FULL).bootstrap_version != render_gateway(replace(FULL, p95_seconds=0.7)).bootstrap_version
    assert render_gateway(FULL).bootstrap_version == render_gateway(replace(FULL, max_body_bytes=5)).bootstrap_version


def test_limits_of_size_and_time_change_no_listener_so_they_close_no_connection() -> None:
    before = render_gateway(FULL).files
    after = render_gateway(replace(FULL, max_body_bytes=5, timeouts=Timeouts.of(7))).files
    changed = {name for name in before if before[name] != after[name]}
    assert changed == {"rds.json", "rds-internal.json", "rtds.json", "agent.json"}


def test_the_histogram_has_an_edge_at_the_limit() -> None:
    settings = json.loads(render_gateway(replace(PLAIN, p95_seconds=0.617)).files["bootstrap.json"])["stats_config"]
    assert 617.0 in settings["histogram_bucket_settings"][0]["buckets"]


def test_each_link_of_the_time_out_chain_gives_up_before_the_one_in_front_of_it() -> None:
    for gateway in (0.5, 1, 2, 90, 3600):
        chain = Timeouts.of(gateway)
        assert chain.gateway > chain.worker > 0


@pytest.mark.parametrize("bad", ['"', "a\nb", "{{x}}", "%REQ(A)%", "$(id)", "a\0", "../x", "A", "", "a" * 64])
def test_a_name_that_is_more_than_a_name_is_refused(bad: str) -> None:
    with pytest.raises(ValueError, match="not a"):
        Backend(bad)
    with pytest.raises(ValueError, match="not a"):
        RevisionRoute(bad, 1, ())
    with pytest.raises(ValueError, match="not a"):
        replace(PLAIN, pool=bad)


@pytest.mark.parametrize("routes", [(), (route(STABLE, 0),), (route(STABLE), route(STABLE))])
def test_routes_that_envoy_could_not_follow_are_refused(routes: tuple[RevisionRoute, ...]) -> None:
    with pytest.raises(ValueError, match="at least one"):
        replace(PLAIN, routes=routes)
