"""A pool whose workers compute on a GPU, by llama.cpp's backend for Vulkan on Mesa's device in software; then the device fails."""

from __future__ import annotations

from e2e.support.given import Given
from e2e.support.pool import Pool
from e2e.support.programs import HERE, run
from e2e.support.story import Story
from e2e.support.then import Then

IMAGE = "slicewise-worker:e2e-vulkan"
FAULTS = "/tmp/faults"
DEVICE = {
    "GGML_VK_VISIBLE_DEVICES": "0",  # llama.cpp takes no device in software by itself
    "LP_NUM_THREADS": "1",
    "GALLIVM_PERF": "no_opt",  # most of the time goes into shaders that compute a few tokens
    "VK_LAYER_PATH": "/opt/faults",
    "VK_INSTANCE_LAYERS": "VK_LAYER_SLICEWISE_faults",
    "VK_TEST_FAULTS": FAULTS,
}


def test_a_pool_computes_on_the_devices_of_its_slices_and_says_when_one_is_lost(
    story: Story, given: Given, then: Then
) -> None:
    run(HERE / "gpu/image.sh", within=300)
    env = [{"name": name, "value": value} for name, value in DEVICE.items()]
    engine = {"contextTokens": 512, "parallelSequences": 2, "image": IMAGE}
    health = {"stallAfter": "600s"}  # the first steps compile shaders, which a busy machine may take minutes for
    resources = {"requests": {"cpu": "50m", "memory": "256Mi"}, "limits": {"cpu": "2", "memory": "1Gi"}}
    spec = {"engine": engine, "health": health, "worker": {"env": env, "resources": resources}}
    pool = given.a_pool("chat", replicas=1, zones=None, **spec, within=300)
    then.says(pool, "ServingOnGPU", "True", "OnGPU")
    then.the_endpoint_answers(pool)
    (worker,) = pool.workers()
    name = worker["metadata"]["name"]
    assert "llvmpipe" in worker_says(story, pool, name)["device"]

    # As a GPU of AMD or Intel, it is seen to be lost at the next step.
    lose = f"open('{FAULTS}', 'w').write('lost\\n')"
    story.kubectl("exec", name, "-c", "worker", "--", "python3", "-c", lose)
    body = {"model": "chat", "prompt": "Hello", "max_tokens": 8}
    status, _ = story.api.post_through("services", f"http:{pool.name}:80", pool.namespace, "v1/completions", body)
    assert status != 200
    then.says(pool, "WorkersReady", "False", "DeviceFailed", words=["DeviceLost"])


def worker_says(story: Story, pool: Pool, name: str) -> dict[str, str]:
    status, said = story.api.get_through("pods", f"{name}:8080", pool.namespace, "v1/worker")
    assert status == 200, said
    return dict(said)
