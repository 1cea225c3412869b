"""What `get`, `explain`, `slices` and `history` print, word for word; plain, as into a file."""

from __future__ import annotations

import io
import json
from typing import Any

import pytest
import samples
import yaml
from builders import MIG
from inline_snapshot import snapshot
from rich.console import Console

from slicewise.api.v1alpha1 import EngineSpec
from slicewise_cli.options import Form
from slicewise_cli.tables import renderable
from slicewise_cli.view.data import dump
from slicewise_cli.view.explain import Surroundings, explain, explanation_lines
from slicewise_cli.view.lines import Block, Lines, Tree
from slicewise_cli.view.pool import read_pool
from slicewise_cli.view.revisions import Undo, history_table, plan_undo, read_history, undo_lines
from slicewise_cli.view.slices import read_quotas, read_slices, slice_map
from slicewise_cli.view.tree import change_line, pool_table, pool_tree
from slicewise_cli.view.words import duration, number, percent

ENGINE = EngineSpec().model_dump(mode="json", by_alias=True, exclude_none=True)


def printed(what: Block | Lines | Tree) -> str:
    console = Console(file=io.StringIO(), width=10_000, no_color=True, highlight=False)
    console.print(renderable(what), soft_wrap=not isinstance(what, Tree))
    text = console.file.getvalue()
    assert "\x1b" not in text
    return "\n" + text


def tree(pool: dict[str, Any], pods: list[dict[str, Any]] | None) -> str:
    return printed(pool_tree(read_pool(pool, pods), samples.NOW))


def test_a_pool_that_serves() -> None:
    assert tree(samples.idle(), samples.workers()[:3]) == snapshot("""\

chat  namespace team-a, model chat-small, http://chat.team-a.svc
├── 3 of 3 ready  AllWorkersReady: 3 of 3 workers are ready
├── zone a  1 of 1 ready, floor 1
├── zone b  1 of 1 ready, floor 1
├── zone c  1 of 1 ready, floor 1
└── revision 6f9c4d00  stable, 100 % of the requests
    ├── a  node-a  chat-a-6f9c4d00-x  ready
    ├── b  node-b  chat-b-6f9c4d00-x  ready
    └── c  node-c  chat-c-6f9c4d00-x  ready
""")


def test_a_canary_that_is_judged() -> None:
    assert tree(samples.rolling(verdict=samples.VERDICT), samples.workers()) == snapshot("""\

chat  namespace team-a, model chat-small, http://chat.team-a.svc
├── 3 of 3 ready  RolloutInProgress: the canary is judged
├── zone a  1 of 1 ready, floor 1
├── zone b  1 of 1 ready, floor 1
├── zone c  1 of 1 ready, floor 1
├── rollout  Analysing, step 1 of 2, 5 % of the requests, for 1 min
│   ├── gate  undecided: 31 requests so far, about 260 more needed; at 2 requests/s and 25 % that takes about 9 minutes
│   ├── requests  canary 31, stable 590, 2 a second together
│   ├── p95  1 of 30 are above 600ms (3.3 %); at most 5 % may be above 600ms; 1 still running beyond it; evidence against 0.41 of 500, for 2.9 of 100
│   ├── errors  0 of 31 failed (0 %); at most 1 % may; evidence against 0.87 of 250, for 1.3 of 100
│   ├── stable  evidence that the canary is worse 0.8 of 250
│   ├── not counted  2 refused with a 4xx (stable 40), 1 left by their clients (stable 9); evidence that it refuses more 1.2 of 500
│   └── left  about 8 min 50 s, 260 more requests
├── revision 91bd0200  canary, 5 % of the requests
│   └── a  node-a  chat-a-91bd0200-y  ImagePullBackOff: no such image
└── revision 6f9c4d00  stable, 95 % of the requests
    ├── a  node-a  chat-a-6f9c4d00-x  ready
    ├── b  node-b  chat-b-6f9c4d00-x  ready
    └── c  node-c  chat-c-6f9c4d00-x  ready
""")


def test_a_canary_that_was_given_up() -> None:
    assert tree(samples.rolled_back(), samples.workers()[:3]) == snapshot("""\

chat  namespace team-a, model chat-small, http://chat.team-a.svc
├── 3 of 3 ready  RolledBack: revision 91bd0200 was given up: 67 requests, 12 above 600ms. Change the spec to try again
├── zone a  1 of 1 ready, floor 1
├── zone b  1 of 1 ready, floor 1
├── zone c  1 of 1 ready, floor 1
├── rollout  RolledBack, for 1 min
│   └── 67 requests, 12 above 600ms
├── revision 6f9c4d00  stable, 100 % of the requests
│   ├── a  node-a  chat-a-6f9c4d00-x  ready
│   ├── b  node-b  chat-b-6f9c4d00-x  ready
│   └── c  node-c  chat-c-6f9c4d00-x  ready
└── revision 91bd0200  given up
""")


def test_a_rollout_that_is_held_without_pods_to_see() -> None:
    pool = samples.changed(samples.rolling(held=True), annotations={"slicewise.dev/rollout-request": "pause:x:y"})
    assert tree(pool, None) == snapshot("""\

chat  namespace team-a, model chat-small, http://chat.team-a.svc
├── 3 of 3 ready  RolloutInProgress: the canary is judged
├── zone a  1 of 1 ready, floor 1
├── zone b  1 of 1 ready, floor 1
├── zone c  1 of 1 ready, floor 1
├── rollout  Analysing, step 1 of 2, 5 % of the requests, for 1 min, held: undecided at its deadline
├── request pause:x:y
├── revision 91bd0200  canary, 5 % of the requests
├── revision 6f9c4d00  stable, 95 % of the requests
└── workers are not shown: listing pods in team-a is not allowed
""")


def test_a_pool_that_the_operator_has_not_seen() -> None:
    pool = samples.idle()
    pool["status"] = {"observedGeneration": -1}
    assert tree(pool, []) == snapshot("""\

chat  namespace team-a, model chat
└── waiting for the operator to reconcile generation 2
""")


def test_many_pools_are_a_table() -> None:
    pools = [read_pool(pool, ()) for pool in (samples.idle(), samples.rolling(), samples.rolled_back())]
    assert printed(pool_table(pools, samples.NOW, with_namespace=True)) == snapshot("""\

NAMESPACE  NAME  MODEL       REVISION  READY  ROLLOUT           STATUS             AGE
team-a     chat  chat-small  6f9c4d00  3/3    -                 AllWorkersReady    1 d
team-a     chat  chat-small  6f9c4d00  3/3    Analysing 1/2 5%  RolloutInProgress  1 d
team-a     chat  chat-small  6f9c4d00  3/3    RolledBack        RolledBack         1 d
""")


def test_a_watch_without_a_terminal_prints_a_line_a_change() -> None:
    lines = [
        change_line(read_pool(pool, ())) for pool in (samples.rolling(verdict=samples.VERDICT), samples.rolled_back())
    ]
    assert lines == snapshot(
        [
            "team-a/chat  3/3 ready  Analysing 1/2 5%  Undecided: 31 requests, 1 slow, 0 failed  RolloutInProgress: the canary is judged",
            "team-a/chat  3/3 ready  RolledBack  RolledBack: revision 91bd0200 was given up: 67 requests, 12 above 600ms. Change the spec to try again",
        ]
    )


def test_the_map_of_slices() -> None:
    other = samples.worker("train-0", "", "b")
    other["metadata"]["labels"] = {}
    nodes = [samples.node("a", offered=1), samples.node("b"), samples.node("c", unschedulable=True)]
    rows = read_slices(nodes, [*samples.workers(), other])
    assert printed(slice_map(rows)) == snapshot("""\

ZONE  NODE    SLICE                   MEMORY  FREE  HELD BY
a     node-a  nvidia.com/mig-1g.10gb  9728Mi  0/1   [team-a/chat 6f9c4d00 chat-a-6f9c4d00-x] [team-a/chat 91bd0200 chat-a-91bd0200-y] [unhealthy]
b     node-b  nvidia.com/mig-1g.10gb  9728Mi  0/2   [team-a/chat 6f9c4d00 chat-b-6f9c4d00-x] [team-a/train-0]
c     node-c  nvidia.com/mig-1g.10gb  9728Mi  0/2   [team-a/chat 6f9c4d00 chat-c-6f9c4d00-x] [cordoned]

nvidia.com/mig-1g.10gb: 0 of 5 free, 1 unhealthy
""")


def test_why_a_canary_was_given_up_and_what_would_change_it() -> None:
    pool = read_pool(samples.rolled_back(), samples.workers())
    quotas = [
        {
            "metadata": {"name": "gpus"},
            "status": {"hard": {f"requests.{MIG}": "3", "pods": "10"}, "used": {f"requests.{MIG}": "3"}},
        }
    ]
    around = Surroundings(read_slices([samples.node("a")], samples.workers()), read_quotas(quotas, MIG))
    assert printed(explanation_lines(explain(pool, around))) == snapshot("""\

chat is not ready (RolledBack): revision 91bd0200 was given up: 67 requests, 12 above 600ms. Change the spec to try again

Stalled=True RolledBack
  revision 91bd0200 was given up: 67 requests, 12 above 600ms. Change the spec to try again
  The latest revision was taken back; nothing happens until the spec changes or a retry is requested.
  what would change it:
    - another spec: a better version, or `kubectl slicewise undo chat` for the one that serves
    - `kubectl slicewise retry chat`, if the cause was not the version

slices of nvidia.com/mig-1g.10gb
  zone a: 0 of 2 free

quota gpus
  0 of 10 pods are used

quota gpus
  3 of 3 requests.nvidia.com/mig-1g.10gb are used
  what would change it:
    - a higher ResourceQuota in namespace team-a, or a lower spec.replicas
""")


def test_a_model_that_does_not_fit_is_explained_by_its_largest_part_and_not_by_the_weights() -> None:
    words = (
        "chat-a-x: the model does not fit: it needs 1121Mi, and the container's memory limit is 300Mi. The largest part is the "
        "context of parallelSequences 64 x contextTokens 32768: KV cache in f16 512Mi, buffers of a step 513Mi: lower contextTokens"
    )
    pool = samples.idle()
    pool["status"]["conditions"] = [
        samples.condition("Ready", "False", "WorkersNotReady", words),
        samples.condition("Stalled", "True", "ModelTooLarge", words),
    ]
    text = printed(explanation_lines(explain(read_pool(pool, None), Surroundings())))
    assert "The largest part is the context of parallelSequences 64 x contextTokens 32768" in text
    assert "the message has the parts" in text
    assert "- the setting that the message names beside the largest part, or a larger spec.slice" in text
    assert not any(blame in text for blame in ("quantisation", "weights alone", "smaller model"))


def test_why_a_rollout_does_not_go_on() -> None:
    pool = samples.rolling(
        verdict=samples.VERDICT | {"outlook": "at 2 requests/s a good version passes in about 11 minutes"}
    )
    assert printed(explanation_lines(explain(read_pool(pool, None), Surroundings()))) == snapshot("""\

chat is not ready (RolloutInProgress): the canary is judged

rollout of revision 91bd0200: Analysing
  undecided: 31 requests so far, about 260 more needed; at 2 requests/s and 25 % that takes about 9 minutes
  The new revision is judged.
  what would change it:
    - more requests: the gate needs them, not time
    - `kubectl slicewise promote chat` or `kubectl slicewise abort chat` decides it

what the gate can tell
  at 2 requests/s a good version passes in about 11 minutes

not checked: slices of nodes (listing nodes and pods of all namespaces is not allowed); quotas (listing resourcequotas in team-a is not allowed); workers (listing pods in team-a is not allowed)
""")


def test_the_kept_revisions_and_the_way_back() -> None:
    pool = samples.idle(model=samples.model("b"))
    kept = read_history(
        pool,
        [
            samples.revision(2, samples.CANARY, samples.model("b"), engine=ENGINE, slice={"resource": MIG}),
            samples.revision(1, samples.STABLE, samples.model("a"), engine=ENGINE, slice={"resource": MIG}),
        ],
    )
    assert printed(history_table(kept, samples.NOW)) == snapshot("""\

NUMBER  REVISION  ROLE    AGE   SLICE                   DIGEST        SOURCE
1       6f9c4d00  stable  10 d  nvidia.com/mig-1g.10gb  a123456789ab  https://models.example.com/a.gguf
2       91bd0200  -       9 d   nvidia.com/mig-1g.10gb  b123456789ab  https://models.example.com/b.gguf
""")
    way = plan_undo(pool, kept, 1)
    assert isinstance(way, Undo)
    assert printed(undo_lines(way)) == snapshot("""\

  spec.model.digest: sha256:b123456789abcdefb123456789abcdefb123456789abcdefb123456789abcdef → sha256:a123456789abcdefa123456789abcdefa123456789abcdefa123456789abcdef
  spec.model.source: https://models.example.com/b.gguf → https://models.example.com/a.gguf
""")


def test_data_has_the_same_numbers_in_both_forms() -> None:
    pool = read_pool(samples.rolling(verdict=samples.VERDICT), samples.workers())
    data = json.loads(dump(pool, Form.JSON))
    assert data == yaml.safe_load(dump(pool, Form.YAML))
    assert data["rollout"]["verdict"]["canary"] == {
        "requests": 31,
        "failed": 0,
        "timed": 30,
        "slow": 1,
        "refused": 2,
        "left": 1,
    }
    assert data["rollout"]["startedAt"] == samples.STARTED
    assert [revision["role"] for revision in data["revisions"]] == ["canary", "stable"]
    assert [revision["weight"] for revision in data["revisions"]] == [5, 95]
    assert "\n" not in dump(pool, Form.JSON, stream=True)


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(-3, "0 s"), (45, "45 s"), (60, "1 min"), (560, "9 min 20 s"), (11_100, "3 h 5 min"), (352_800, "4 d 2 h")],
)
def test_times_are_said_as_people_say_them(seconds: float, text: str) -> None:
    assert duration(seconds) == text


def test_a_share_of_nothing_is_not_zero() -> None:
    assert [percent(0, 0), percent(0, 9), percent(1, 31), percent(7, 20)] == ["none", "0 %", "3.2 %", "35 %"]
    assert [number(value) for value in (0.412, 3.14, 123.4, 12_345.0, 1e12)] == [
        "0.412",
        "3.14",
        "123",
        "12,345",
        "over a billion",
    ]
