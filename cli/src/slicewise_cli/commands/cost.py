"""`cost`: what pools cost in this month, and what could be saved."""

from __future__ import annotations

from slicewise_cli.commands.answer import answer
from slicewise_cli.commands.get import Everywhere, MaybeName, one_or_all
from slicewise_cli.commands.options import Context, Kubeconfig, Namespace, Output, run
from slicewise_cli.options import Form, Target


def cost(
    name: MaybeName = None,
    everywhere: Everywhere = False,
    output: Output = None,
    context: Context = None,
    namespace: Namespace = None,
    kubeconfig: Kubeconfig = None,
) -> None:
    """Show what a pool costs (an hour, each request and token, tenants, idle slices, savings), or all pools as a table."""
    one_or_all(name, everywhere=everywhere)
    run(_cost(Target(context, namespace, kubeconfig), name, output, everywhere=everywhere))


async def _cost(target: Target, name: str | None, output: Form | None, *, everywhere: bool) -> None:
    from slicewise_cli.kube import open_cluster, read_around, read_many, read_one
    from slicewise_cli.view.cost import read_cost, read_free
    from slicewise_cli.view.cost_lines import cost_lines, cost_table
    from slicewise_cli.view.slices import read_slices

    async with open_cluster(target) as cluster:
        pools = [await read_one(cluster, name)] if name else await read_many(cluster, everywhere=everywhere)
        nodes, pods, _ = await read_around(cluster)
        where = "any namespace" if everywhere else f"namespace {cluster.namespace}"
    costs = [read_cost(pool) for pool in pools]
    # Who may not list nodes and pods sees the pools all the same.
    rows = read_slices(nodes, pods) if nodes is not None and pods is not None else ()
    free = [one for one in read_free(rows, nodes or (), pools) if one.free]
    if name:
        mine = ((pools[0].get("status") or {}).get("slice") or {}).get("resource")
        free = [one for one in free if one.resource == mine]
        answer({"pool": costs[0], "free": free}, output, lambda: cost_lines(costs[0], free))
        return
    answer(
        {"pools": costs, "free": free},
        output,
        lambda: cost_table(costs, free, with_namespace=everywhere) if costs else f"no pools in {where}",
    )
