"""Jobs while a cluster is worked on: a rollout, a drain and a power cut lose none, and a result that was seen stays."""

from __future__ import annotations

from e2e.support.given import Given
from e2e.support.jobs import Jobs
from e2e.support.polling import patiently
from e2e.support.pool import model, zone_of
from e2e.support.story import Story
from e2e.support.then import Then
from e2e.support.trial_mariadb import SECRET
from e2e.support.when import When

TWO_OF_EACH = {"databaseSecretRef": {"name": SECRET}, "replicas": 2, "dispatchers": 2, "slots": 4}
DRAIN = ("--ignore-daemonsets", "--delete-emptydir-data", "--force", patiently(150))


def test_no_job_is_lost_in_a_rollout_a_drain_and_a_power_cut(
    story: Story, given: Given, when: When, then: Then
) -> None:
    given.a_mariadb()
    racks = given.racks(a="left", b="left", c="right")
    pool = given.a_pool("chat", model=model("wordy"), replicas=2, zones=racks, jobs=TWO_OF_EACH)
    then.says(pool, "JobsAvailable", "True", within=120)
    jobs = Jobs(given.a_client(), pool)

    with jobs.sent_all_the_time():
        when.edited(pool, model=model("wordy-v2"))
        then.is_ready(pool, within=240)
    jobs.send(4)
    texts = {job["result"]["choices"][0]["message"]["content"][:9] for job in jobs.are_done()}
    assert texts == {"Wordy one", "Wordy two"}

    node = next(pod["spec"]["nodeName"] for pod in pool.workers() if zone_of(pod) == "left")
    # Workers, gateway, the API of jobs and dispatchers: all that the pool has on the node.
    everything = f"--pod-selector=slicewise.dev/pool={pool.name}"
    with jobs.sent_all_the_time():
        when.kubectl("drain", node, everything, *DRAIN, within=160)
        then.is_ready(pool)
    jobs.are_done()
    story.nodes.uncordon(node)

    jobs.send(60)
    story.nodes.restart(next(pod["spec"]["nodeName"] for pod in pool.workers() if zone_of(pod) == "left"))
    jobs.are_done()
    then.is_ready(pool, within=150)
    then.says(pool, "JobsAvailable", "True")
