"""What the operator renders is what the worker's programs read: the pod's environment, parsed by their own settings."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from builders import make_observed, make_pool
from pod_settings import environment, pod_spec

from slicewise.api.duration import duration_seconds
from slicewise.api.v1alpha1.gateway import GatewayLimits
from slicewise.manifests.settings_names import FETCH_PREFIX, SETTINGS, WORKER_PREFIX
from slicewise.pool.plan import plan_pool
from slicewise.settings import WorkerProxy
from slicewise_worker.settings import WorkerSettings
from slicewise_worker.weights.settings import FetchSettings

CLAIM = {"persistentVolumeClaim": {"template": {"accessModes": ["ReadWriteMany"], "size": "20Gi"}}}


def unknown(container: dict[str, Any], prefix: str, settings: type[WorkerSettings] | type[FetchSettings]) -> set[str]:
    """Variables that no setting reads: a typo would be ignored in silence."""
    names = {item["name"].removeprefix(prefix).lower() for item in container["env"]}
    return names - set(settings.model_fields)


def test_the_worker_reads_everything_that_is_rendered(monkeypatch: pytest.MonkeyPatch) -> None:
    engine = {
        "contextTokens": 512,
        "parallelSequences": 3,
        "kvCacheType": "q8_0",
        "promptChunkTokens": 32,
        "maxTokenGap": "1s500ms",
        "maxQueue": 7,
        "microBatchTokens": 16,
        "flashAttention": "Enabled",
        "threads": 3,
    }
    worker = pod_spec(replicas=3, engine=engine)["containers"][0]
    environment(worker, monkeypatch)
    settings = WorkerSettings.read()
    assert (settings.context_tokens, settings.parallel_sequences, settings.kv_cache_type) == (512, 3, "q8_0")
    assert (settings.prompt_chunk_tokens, settings.max_queue, settings.device) == (32, 7, "gpu")
    assert settings.max_token_gap_seconds == 1.5
    assert (settings.micro_batch_tokens, settings.flash_attention, settings.threads) == (16, "Enabled", 3)
    assert (settings.model_name, settings.pool, settings.zone) == ("chat", "default/chat", "a")
    assert unknown(worker, "SLICEWISE_WORKER_", WorkerSettings) == set()


HEALTH = {
    "memoryPressure": ("memory_pressure", "80%", 0.8),
    "memoryPressureFor": ("memory_pressure_seconds", "3s", 3),
    "watchdogPeriod": ("watchdog_seconds", "5s", 5),
    "stallAfter": ("stall_after_seconds", "30s", 30),
}


def health_settings(monkeypatch: pytest.MonkeyPatch, **health: str) -> dict[str, float]:
    """Return what the worker reads of `spec.health`."""
    container = pod_spec(replicas=3, **({"health": health} if health else {}))["containers"][0]
    environment(container, monkeypatch)
    settings = WorkerSettings.read()
    assert unknown(container, "SLICEWISE_WORKER_", WorkerSettings) == set()
    return {field: getattr(settings, name) for field, (name, _, _) in HEALTH.items()}


def test_a_worker_without_settings_of_health_has_those_of_a_pool_that_says_nothing(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Pods of revisions that an earlier version rendered have none."""
    usual = {field: value for field, (_, _, value) in HEALTH.items()}
    assert health_settings(monkeypatch) == usual
    assert health_settings(monkeypatch, **{field: text for field, (_, text, _) in HEALTH.items()}) == usual
    for name, _, _ in HEALTH.values():
        monkeypatch.delenv(f"SLICEWISE_WORKER_{name.upper()}")
    worker = WorkerSettings.read()
    assert {field: getattr(worker, name) for field, (name, _, _) in HEALTH.items()} == usual


@pytest.mark.parametrize(
    ("field", "text", "value"),
    [
        ("memoryPressure", "12.5%", 0.125),
        ("memoryPressure", "100%", 1),
        ("memoryPressureFor", "1500ms", 1.5),
        ("memoryPressureFor", "1m30s", 90),
        ("watchdogPeriod", "1s", 1),
        ("watchdogPeriod", "1m", 60),
        ("stallAfter", "2s", 2),
        ("stallAfter", "5m", 300),
    ],
)
def test_each_field_of_health_reaches_the_worker_lower_and_higher(
    monkeypatch: pytest.MonkeyPatch, field: str, text: str, value: float
) -> None:
    usual = {name: number for name, (_, _, number) in HEALTH.items()}
    assert health_settings(monkeypatch, **{field: text}) == usual | {field: value}


def test_aliases_and_a_model_without_chat_reach_the_worker(monkeypatch: pytest.MonkeyPatch) -> None:
    model = make_pool().spec.model.model_dump(by_alias=True, exclude_none=True)
    plain = pod_spec(replicas=3)["containers"][0]
    assert not {"SLICEWISE_WORKER_CHAT", "SLICEWISE_WORKER_MODEL_ALIASES"} & {item["name"] for item in plain["env"]}
    worker = pod_spec(replicas=3, model=model | {"aliases": ["old", "team/older:1"], "chat": False})["containers"][0]
    environment(worker, monkeypatch)
    settings = WorkerSettings.read()
    assert (settings.model_aliases, settings.chat) == (("old", "team/older:1"), False)
    assert unknown(worker, "SLICEWISE_WORKER_", WorkerSettings) == set()


def test_a_chat_template_reaches_the_worker_to_the_letter(monkeypatch: pytest.MonkeyPatch) -> None:
    """The kubelet takes $(NAME) in a variable for the value of another one, and $$ for one $."""
    model = make_pool().spec.model.model_dump(by_alias=True, exclude_none=True)
    template = "{{ messages[0].content }}\n$(SLICEWISE_WORKER_POOL) costs $5, $$(HOME), $(nobody) 'ä' $\n"
    container = pod_spec(replicas=3, model=model | {"chatTemplate": template})["containers"][0]
    given = {item["name"]: item.get("value", "a") for item in container["env"]}
    variable = "SLICEWISE_WORKER_CHAT_TEMPLATE"
    assert "$(" not in given[variable].replace("$$", ""), "nothing in it is expanded"
    monkeypatch.setenv("SLICEWISE_WORKER_MODEL_NAME", "chat")
    monkeypatch.setenv(variable, given[variable].replace("$$", "$"))
    assert WorkerSettings.read().chat_template == template
    assert variable not in {item["name"] for item in pod_spec(replicas=3)["containers"][0]["env"]}
    longest = pod_spec(replicas=3, model=model | {"chatTemplate": "\U0001f9ca" * 30_000})["containers"][0]
    sizes = [len(f"{item['name']}={item.get('value')}".encode()) for item in longest["env"]]
    assert max(sizes) < 128 << 10, "Linux takes no longer variable"


@pytest.mark.parametrize("allowed", [True, False])
def test_whether_the_cpu_may_stand_in_for_a_gpu_reaches_workers_on_gpu_slices(
    monkeypatch: pytest.MonkeyPatch, allowed: bool
) -> None:
    def read(**spec: Any) -> bool:
        plan = plan_pool(make_pool(replicas=3, **spec), make_observed(allow_cpu=allowed), 0.0)
        deployment = next(item for item in plan.children or () if item["kind"] == "Deployment")
        with monkeypatch.context() as changed:
            environment(deployment["spec"]["template"]["spec"]["containers"][0], changed)
            return bool(WorkerSettings.read().allow_cpu)

    assert read() is allowed
    assert read(slice={"cpu": {"cores": 1, "memory": "1Gi"}}) is False


@pytest.mark.parametrize("logged", [True, False])
def test_whether_requests_are_logged_reaches_workers(monkeypatch: pytest.MonkeyPatch, logged: bool) -> None:
    plan = plan_pool(make_pool(replicas=3), make_observed(request_log=logged), 0.0)
    deployment = next(item for item in plan.children or () if item["kind"] == "Deployment")
    environment(deployment["spec"]["template"]["spec"]["containers"][0], monkeypatch)
    assert WorkerSettings.read().request_log is logged


def test_the_fetcher_reads_everything_that_is_rendered(monkeypatch: pytest.MonkeyPatch) -> None:
    model = make_pool().spec.model.model_dump(by_alias=True, exclude_none=True) | {
        "credentialsSecretRef": {"name": "k"}
    }
    fetch = pod_spec(replicas=3, cache=CLAIM, model=model)["initContainers"][0]
    environment(fetch, monkeypatch)
    settings = FetchSettings.read()
    assert (settings.source, settings.digest) == (model["source"], model["digest"])
    assert settings.cache_size_limit == 20 * 2**30
    assert (settings.pool, settings.allow_private) == ("default/chat", False)
    assert unknown(fetch, "SLICEWISE_FETCH_", FetchSettings) == set()


def test_the_fetcher_takes_the_proxy_of_the_installation(monkeypatch: pytest.MonkeyPatch) -> None:
    given = WorkerProxy(https="http://proxy.example:3128", noProxy=".svc").environment
    plan = plan_pool(make_pool(replicas=3), make_observed(worker_proxy=given), 0.0)
    deployment = next(item for item in plan.children or () if item["kind"] == "Deployment")
    spec = deployment["spec"]["template"]["spec"]
    environment(spec["initContainers"][0], monkeypatch)
    proxies = FetchSettings.read().proxies
    assert proxies.https
    assert (str(proxies.https.url), proxies.http, proxies.exempt) == ("http://proxy.example:3128", None, (".svc",))
    assert "PROXY" not in str(spec["containers"][0]["env"]), "who serves fetches nothing"


def test_a_pool_cannot_bring_a_proxy_in() -> None:
    """Not by name (the prefix is refused), and not by `envFrom`: an explicit variable wins, also an empty one."""
    model = {
        "env": [{"name": "HTTPS_PROXY", "value": "http://own.example:1"}],
        "envFrom": [{"secretRef": {"name": "mine"}}],
    }
    fetch = pod_spec(replicas=3, worker=model)["initContainers"][0]
    given = {item["name"]: item["value"] for item in fetch["env"] if item["name"].endswith("_PROXY")}
    ours = {f"SLICEWISE_FETCH_{name}": "" for name in ("HTTPS_PROXY", "HTTP_PROXY", "NO_PROXY")}
    assert given == {"HTTPS_PROXY": "http://own.example:1", **ours}


@pytest.mark.parametrize("case", [str.upper, str.lower, str.title], ids=["upper", "lower", "mixed"])
def test_no_object_that_a_pool_takes_variables_from_sets_one_of_ours(
    case: Callable[[str], str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """As the kubelet does: first the variables of `envFrom`, then the container's own over them."""
    spec = pod_spec(replicas=3, worker={"envFrom": [{"configMapRef": {"name": "mine"}}]})
    plain = pod_spec(replicas=3)
    for place, prefix, settings in (
        ("containers", "SLICEWISE_WORKER_", WorkerSettings),
        ("initContainers", "SLICEWISE_FETCH_", FetchSettings),
    ):
        expected = read(settings, plain[place][0], {}, monkeypatch)
        brought = {case(f"{prefix}{name}"): "7" for name in settings.model_fields}
        assert read(settings, spec[place][0], brought, monkeypatch) == expected


def read(
    settings: type[WorkerSettings] | type[FetchSettings],
    container: dict[str, Any],
    brought: dict[str, str],
    monkeypatch: pytest.MonkeyPatch,
) -> dict[str, Any]:
    """Return what the program reads, but for the name of the revision."""
    with monkeypatch.context() as patch:
        for name, value in brought.items():
            patch.setenv(name, value)
        environment(container, patch)
        return settings.read().model_dump(exclude={"revision"})


@pytest.mark.parametrize(("prefix", "settings"), [(WORKER_PREFIX, WorkerSettings), (FETCH_PREFIX, FetchSettings)])
def test_the_operator_knows_every_setting_of_the_programs(
    prefix: str, settings: type[WorkerSettings] | type[FetchSettings]
) -> None:
    assert SETTINGS[prefix] == tuple(name.upper() for name in settings.model_fields)


def test_a_pool_without_objects_of_variables_is_rendered_as_before() -> None:
    spec = pod_spec(replicas=3)
    empty = [
        item["name"]
        for container in (*spec["containers"], *spec["initContainers"])
        for item in container["env"]
        if item.get("value") == ""
    ]
    assert empty == [f"SLICEWISE_FETCH_{name}" for name in ("HTTPS_PROXY", "HTTP_PROXY", "NO_PROXY")]


def test_every_path_that_is_rendered_is_mounted() -> None:
    """A file named in the environment lies below a mount of the same container."""
    spec = pod_spec(replicas=3, cache=CLAIM)
    for container in (spec["containers"][0], spec["initContainers"][0]):
        mounts = [item["mountPath"] for item in container["volumeMounts"]]
        for item in container["env"]:
            if str(item.get("value", "")).startswith("/"):
                assert any(item["value"].startswith(path) for path in mounts), item
    volumes = {item["name"] for item in spec["volumes"]}
    assert {
        item["name"] for c in (spec["containers"][0], spec["initContainers"][0]) for item in c["volumeMounts"]
    } <= volumes


def test_the_worker_takes_the_longest_request_and_the_largest_body_that_a_pool_may_allow(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    limits = {"requestTimeout": "1h", "maxBodyBytes": "16Mi"}
    template = pod_spec(replicas=3, gateway={"limits": limits})
    assert template == pod_spec(replicas=3), "another limit starts no new revision"
    for beyond in ({"requestTimeout": "3601s"}, {"maxBodyBytes": str((16 << 20) + 1)}):
        with pytest.raises(AssertionError, match=next(iter(beyond))):
            make_pool(gateway={"limits": beyond})
    defaults = WorkerSettings(model_name="chat")
    assert (defaults.max_answer_seconds, defaults.max_body_bytes) == (3600, 16 << 20)
    environment(template["containers"][0], monkeypatch)
    rendered = WorkerSettings.read()
    assert (rendered.max_answer_seconds, rendered.max_body_bytes) == (3600, 16 << 20)
    assert rendered.default_answer_seconds == duration_seconds(GatewayLimits().request_timeout)


def test_the_worker_may_finish_its_longest_answer_before_it_is_killed() -> None:
    spec = pod_spec(replicas=3)
    values = {item["name"]: item.get("value") for item in spec["containers"][0]["env"]}
    longest = float(values["SLICEWISE_WORKER_MAX_ANSWER_SECONDS"]) + float(
        values["SLICEWISE_WORKER_DRAIN_DELAY_SECONDS"]
    )
    assert spec["terminationGracePeriodSeconds"] > longest
