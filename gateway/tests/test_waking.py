"""A request that waited in vain hears how far the workers are: the operator's words through a real agent and a real edge."""

from __future__ import annotations

import json
import time
from pathlib import Path

import pytest
from rig.agent import gateway_pod
from rig.edge import edge_pod
from rig.envoy import STABLE, route, until
from rig.worker import StartWorkers
from servers.control_plane import ApiServer

from slicewise.api.labels import ANNOTATION_WAKING
from slicewise.envoy import GatewayModel, render_gateway
from slicewise.pool.observed import FetchProgress, ObservedPod
from slicewise.pool.waking import describe_waking
from slicewise_gateway.edge.waking import Waking

ONE = GatewayModel("chat", (route(STABLE),))
PLAIN = "No worker can take the request now; try again later."


def loads(created_at: float) -> ObservedPod:
    return ObservedPod("w", "u", "r", "a", node="n", created_at=created_at, fetch=FetchProgress(47, 100))


async def test_who_waited_in_vain_hears_the_state_the_share_and_a_time_where_one_is_known(
    tmp_path: Path, start_workers: StartWorkers
) -> None:
    workers = await start_workers(1)
    workers[0].ready = False
    async with edge_pod(tmp_path, ONE, {f"chat-{STABLE}": workers}, cache=False, HOLD_SECONDS=0.2) as pod:
        file = Path(pod.rig.model.directory) / "waking.json"

        async def told() -> tuple[str, int]:
            answer = await pod.ask()
            error = json.loads(answer.body)["error"]
            assert (answer.status, error["code"], error["type"]) == (503, "no_worker", "server_error")
            return error["message"], int(answer.headers["Retry-After"])

        assert await told() == (PLAIN, 5)
        file.write_text(describe_waking([loads(time.time())], None))
        share = "No worker can take the request now: a worker is loading the weights, 40 % are loaded; "
        assert await told() == (f"{share}try again later.", 5)
        file.write_text(describe_waking([loads(time.time())], 250.0))
        message, after = await told()
        assert message == f"{share}by its last starts it serves in about {after} s."
        assert 5 < after <= 250
        file.write_text("{")
        assert await told() == (PLAIN, 5)


async def test_the_agent_hands_on_what_the_operator_writes_and_takes_it_back(
    tmp_path: Path, control: ApiServer
) -> None:
    async with gateway_pod(tmp_path, control, ONE) as pod:
        file = Path(pod.rig.model.directory) / "waking.json"
        said = describe_waking([loads(1000.0)], 20.0)
        for annotations in ({ANNOTATION_WAKING: said}, {}):
            pod.cluster.config(render_gateway(pod.rig.model).files, annotations)

            async def handed(wanted: str = annotations.get(ANNOTATION_WAKING, "")) -> bool:
                return file.exists() and file.read_text() == wanted

            await until(handed)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", PLAIN),
        ("[]", PLAIN),
        ('{"state": 1}', PLAIN),
        ('{"state": "Unheard"}', PLAIN),
        ('{"state":"NoWorker"}', "No worker can take the request now: the pool has no worker yet; try again later."),
        (
            '{"state":"Starting","percent":true,"readyAt":990}',
            "No worker can take the request now: a worker is starting; try again later.",
        ),
        (
            '{"state":"LoadingWeights","percent":101,"readyAt":99999}',
            "No worker can take the request now: a worker is loading the weights; try again later.",
        ),
        (
            '{"state":"Starting","readyAt":1012}',
            "No worker can take the request now: a worker is starting; by its last starts it serves in about 12 s.",
        ),
    ],
)
def test_what_cannot_be_true_is_not_said(text: str, words: str) -> None:
    assert Waking.parse(text).words(1000.0) == words
