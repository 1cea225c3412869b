"""`slices`: the map of every node's slices and the pods that hold them."""

from __future__ import annotations

from slicewise_cli.commands.answer import answer
from slicewise_cli.commands.options import Context, Kubeconfig, Namespace, Output, run
from slicewise_cli.errors import CommandError
from slicewise_cli.options import Form, Target


def slices(
    output: Output = None, context: Context = None, namespace: Namespace = None, kubeconfig: Kubeconfig = None
) -> None:
    """Show the slices of every node: which worker of which pool holds each one, and which are free or unhealthy."""
    run(_slices(Target(context, namespace, kubeconfig), output))


async def _slices(target: Target, output: Form | None) -> None:
    from slicewise_cli.kube import open_cluster, read_around
    from slicewise_cli.view.slices import read_slices, slice_map

    async with open_cluster(target) as cluster:
        nodes, pods, _ = await read_around(cluster)
    if nodes is None or pods is None:
        what = "nodes" if nodes is None else "pods of all namespaces"
        raise CommandError(
            f"slices: you may not list {what}. Ask for a ClusterRoleBinding to the role view, which allows listing pods, "
            "and for the right to list nodes"
        )
    rows = read_slices(nodes, pods)
    answer(rows, output, lambda: slice_map(rows))
