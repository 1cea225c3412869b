"""The GPU slices of a pool's workers, as the DCGM exporter sees them; joined by pod."""

from __future__ import annotations

from dashboards.panels import OF_PODS, Panel, graph, query


def _of_device(metric: str) -> str:
    """Return a metric of the DCGM exporter for the slices of the pool's workers, by pod and slice.

    The exporter's own ServiceMonitor calls the pod that has the slice `exported_pod`; one that honours labels calls it `pod`.
    """
    named = f'label_replace({metric}, "pod", "$1", "exported_pod", "(.+)")'
    placed = f'label_replace({named}, "namespace", "$1", "exported_namespace", "(.+)")'
    workers = f"max by (namespace, pod) (slicewise_worker_build_info{{{OF_PODS}}})"
    return f"max by (pod, GPU_I_PROFILE) ({placed} * on (namespace, pod) group_left () {workers})"


def devices() -> list[Panel]:
    """Return the panels."""
    legend = "{{pod}} {{GPU_I_PROFILE}}"
    return [
        graph(
            "Compute",
            "Part of the time in which the slice computed. DCGM has no utilisation of slices (DCGM_FI_DEV_GPU_UTIL).",
            "percentunit",
            query(_of_device("DCGM_FI_PROF_GR_ENGINE_ACTIVE"), legend),
        ),
        graph(
            "Tensor cores",
            "Part of the time in which they computed.",
            "percentunit",
            query(_of_device("DCGM_FI_PROF_PIPE_TENSOR_ACTIVE"), legend),
        ),
        graph(
            "Memory bandwidth",
            "Part of the time in which the slice's memory was read or written.",
            "percentunit",
            query(_of_device("DCGM_FI_PROF_DRAM_ACTIVE"), legend),
        ),
        graph(
            "Memory",
            "Of the slice, used and free.",
            "mbytes",
            query(_of_device("DCGM_FI_DEV_FB_USED"), f"{legend} used"),
            query(_of_device("DCGM_FI_DEV_FB_FREE"), f"{legend} free"),
        ),
    ]
