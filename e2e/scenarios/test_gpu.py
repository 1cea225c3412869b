"""A pool whose workers compute on a GPU: llama.cpp's backend for Vulkan on Mesa's device in software. Then a device is lost."""

from __future__ import annotations

from e2e.support.given import Given
from e2e.support.polling import eventually
from e2e.support.pool import Pool
from e2e.support.story import Story
from e2e.support.then import Then
from e2e.support.when import When

IMAGE = "slicewise-worker:e2e-vulkan"
"""The worker's image with a driver, as docs/install.md says for GPUs of AMD and Intel; made by e2e/gpu/image.sh."""
FAULTS = "/tmp/faults"
DEVICE = {
    "GGML_VK_VISIBLE_DEVICES": "0",  # llama.cpp takes no device in software by itself
    "LP_NUM_THREADS": "1",
    "GALLIVM_PERF": "no_opt",  # most of the time goes into shaders that compute a few tokens
    "VK_LAYER_PATH": "/opt/faults",
    "VK_INSTANCE_LAYERS": "VK_LAYER_SLICEWISE_faults",
    "VK_TEST_FAULTS": FAULTS,
}
ANSWER_SECONDS = 20


def test_a_pool_computes_on_the_devices_of_its_slices_and_takes_another_where_one_is_lost(
    story: Story, given: Given, when: When, then: Then
) -> None:
    pool = a_pool_on_gpus(given)
    then.says(pool, "ServingOnGPU", "True", "OnGPU")
    then.the_endpoint_answers(pool)
    (worker,) = pool.workers()
    name = worker["metadata"]["name"]
    assert "llvmpipe" in worker_says(story, pool, name)["device"]

    lose = f"open('{FAULTS}', 'w').write('lost\\n')"
    when.kubectl("exec", name, "-c", "worker", "--", "python3", "-c", lose)
    body = {"model": "chat", "prompt": "Hello", "max_tokens": 8}
    status, _ = story.api.post_through("services", f"http:{pool.name}:80", pool.namespace, "v1/completions", body)
    assert status in {502, 503, 504}
    then.says(pool, "WorkersReady", "False", "DeviceFailed", words=["the device is lost", "another worker takes it"])

    then.is_ready(pool, within=300)  # on the other slice of the zone
    eventually("the worker on the lost device is gone", lambda: is_gone(pool, name), within=120)
    then.says(pool, "ServingOnGPU", "True", "OnGPU")
    then.the_endpoint_answers(pool)


def is_gone(pool: Pool, name: str) -> None:
    """The pod is no more, and another one serves in its place."""
    now = [worker["metadata"]["name"] for worker in pool.workers()]
    assert len(now) == 1, now
    assert now != [name]


def a_pool_on_gpus(given: Given) -> Pool:
    """A pool of one worker with the backend's driver and the layer that lets its device fail."""
    env = [{"name": name, "value": value} for name, value in DEVICE.items()]
    resources = {"requests": {"cpu": "50m", "memory": "256Mi"}, "limits": {"cpu": "2", "memory": "1Gi"}}
    return given.a_pool(
        "chat",
        replicas=1,
        zones=None,
        engine={"contextTokens": 512, "parallelSequences": 2, "image": IMAGE},
        health={"stallAfter": "600s"},  # the first steps compile shaders, which a busy machine may take minutes for
        worker={"env": env, "resources": resources},
        gateway={"limits": {"requestTimeout": f"{ANSWER_SECONDS}s"}},
        within=200,
    )


def worker_says(story: Story, pool: Pool, name: str) -> dict[str, str]:
    """What the worker tells the operator of itself."""
    status, said = story.api.get_through("pods", f"{name}:8080", pool.namespace, "v1/worker")
    assert status == 200, said
    return dict(said)
