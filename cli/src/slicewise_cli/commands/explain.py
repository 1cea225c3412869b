"""`explain`: why a pool is in its state, from its status and workers and from the slices and quotas around it."""

from __future__ import annotations

from slicewise_cli.commands.answer import answer
from slicewise_cli.commands.options import Context, Kubeconfig, Namespace, Output, PoolName, run
from slicewise_cli.options import Form, Target


def explain(
    name: PoolName,
    output: Output = None,
    context: Context = None,
    namespace: Namespace = None,
    kubeconfig: Kubeconfig = None,
) -> None:
    """Explain why a pool is in its state, and what would change it."""
    run(_explain(Target(context, namespace, kubeconfig), name, output))


async def _explain(target: Target, name: str, output: Form | None) -> None:
    from slicewise_cli.kube import open_cluster, read_around, read_one, read_workers
    from slicewise_cli.view.explain import Surroundings, explain, explanation_lines
    from slicewise_cli.view.pool import read_pool
    from slicewise_cli.view.slices import read_quotas, read_slices

    async with open_cluster(target) as cluster:
        pool = read_pool(await read_one(cluster, name), await read_workers(cluster, name))
        nodes, pods, quotas = await read_around(cluster)
    rows = None if nodes is None or pods is None else read_slices(nodes, pods)
    bounds = None if quotas is None else read_quotas(quotas, pool.slice)
    explanation = explain(pool, Surroundings(rows, bounds))
    answer(explanation, output, lambda: explanation_lines(explanation))
