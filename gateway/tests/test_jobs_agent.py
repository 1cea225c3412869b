"""A pool takes jobs, and takes none again, while its gateway runs: by the agent, without a new pod. On a real Envoy and API server."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from rig.agent import serving_pod
from rig.edge import is_listening
from rig.envoy import STABLE, route, until
from rig.worker import StartWorkers
from servers.control_plane import ApiServer

from slicewise.envoy import GatewayModel, Jobs

ONE = GatewayModel("chat", (route(STABLE),))
NOWHERE = Jobs.of("chat-jobs.invalid", 900)
"""As before the first pod that accepts jobs is ready: the name has no address."""


async def test_jobs_come_and_go_in_a_gateway_that_runs_and_a_name_without_address_holds_up_nothing(
    tmp_path: Path, control: ApiServer, start_workers: StartWorkers
) -> None:
    workers = await start_workers(1)
    async with serving_pod(tmp_path, control, ONE, workers) as pod:
        plain = pod.program(pod.rig.model)
        await pod.said(programmed=True, running=plain.version)
        port = pod.rig.model.ports.jobs
        assert not is_listening(port)
        with_jobs = pod.program(replace(pod.rig.model, jobs=NOWHERE))
        assert with_jobs.bootstrap_version == plain.bootstrap_version
        await pod.said(programmed=True, running=with_jobs.version)
        status, body, headers = await pod.rig.ask("/jobs")
        assert (status, body["error"]["code"], headers["Retry-After"]) == (503, "jobs_unavailable", "1")
        url = f"http://127.0.0.1:{port}/v1/chat/completions"
        async with pod.rig.session.post(url, data=b"{}", headers={"x-slicewise-tenant": "acme"}) as answer:
            assert answer.status == 200
        assert workers[0].headers["x-slicewise-tenant"] == "acme"
        longer = pod.program(replace(pod.rig.model, jobs=Jobs.of("chat-jobs.invalid", 60)))
        await pod.said(programmed=True, running=longer.version)
        pod.program(pod.rig.model)
        await pod.said(programmed=True, running=plain.version)
        assert (await pod.rig.ask("/jobs"))[0] == 404

        async def is_closed() -> bool:
            return not is_listening(port)

        await until(is_closed, what="the port for dispatchers is closed")
        assert (await pod.rig.ask())[0] == 200
