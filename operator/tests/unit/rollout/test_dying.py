"""What a canary's worker did before it went away speaks against it."""

from __future__ import annotations

from judged import judged, runs, until, wanted


def test_failures_of_a_canary_that_dies_of_them_give_it_up() -> None:
    run = judged(rate=40, canary={"steps": [{"weight": 50, "window": "60s"}]})
    until(run, "Analysing")
    runs(run, 5)
    run.broken.add(wanted(run))
    for name in [name for name, pod in run.pods.items() if pod.revision == wanted(run)]:
        del run.pods[name]
    run.tick()
    run.tick()
    run.operate()
    rollout = run.status["rollout"]
    assert (rollout["phase"], rollout["abortReason"]) == ("RollingBack", "TooManyErrors")
    assert rollout["verdict"]["canary"]["failed"] > 0
