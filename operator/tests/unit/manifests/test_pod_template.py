"""The pod template of a worker."""

from __future__ import annotations

from builders import make_observed, make_pool

from slicewise.pool.plan import plan_pool


def test_the_programs_run_behind_the_image_s_init_process_so_that_a_pod_deleted_while_it_starts_ends_at_once() -> None:
    plan = plan_pool(make_pool(), make_observed(), 0.0)
    pods = [item["spec"]["template"]["spec"] for item in plan.children or () if item["kind"] == "Deployment"]
    programs = [item for pod in pods for item in [*pod["initContainers"], *pod["containers"]]]
    assert {item["name"] for item in programs} == {"fetch", "worker", "seed", "envoy", "edge", "agent"}
    for item in programs:
        assert "command" not in item
        assert item["args"][0] in {"slicewise-fetch", "slicewise-worker", "slicewise-gateway", "envoy"}
