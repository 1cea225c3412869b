"""`get` without a watch, `explain` and `slices`: what is, read once."""

from __future__ import annotations

import time

from slicewise_cli.errors import CommandError
from slicewise_cli.kube.read import read_around, read_many, read_one, read_workers
from slicewise_cli.kube.target import open_cluster
from slicewise_cli.options import Form, Target
from slicewise_cli.render.data import dump
from slicewise_cli.render.explanation import explanation_text
from slicewise_cli.render.pool import pool_table, pool_tree
from slicewise_cli.render.slices import slice_map
from slicewise_cli.view.explain import Surroundings
from slicewise_cli.view.explain import explain as explain_pool
from slicewise_cli.view.pool import read_pool
from slicewise_cli.view.quota import read_quotas
from slicewise_cli.view.slices import read_slices
from slicewise_cli.work.out import console, say


async def get_one(target: Target, name: str, output: Form | None) -> None:
    """Print one pool."""
    async with open_cluster(target) as cluster:
        pool = read_pool(await read_one(cluster, name), await read_workers(cluster, name))
    if output:
        say(dump(pool, output))
    else:
        console().print(pool_tree(pool, time.time()))


async def get_many(target: Target, output: Form | None, *, everywhere: bool) -> None:
    """Print all pools."""
    async with open_cluster(target) as cluster:
        pools = [read_pool(pool, ()) for pool in await read_many(cluster, everywhere=everywhere)]
        where = "any namespace" if everywhere else f"namespace {cluster.namespace}"
    if output:
        say(dump(pools, output))
    elif pools:
        console().print(pool_table(pools, time.time(), with_namespace=everywhere), soft_wrap=True)
    else:
        say(f"no pools in {where}")


async def explain(target: Target, name: str, output: Form | None) -> None:
    """Print why a pool is as it is."""
    async with open_cluster(target) as cluster:
        pool = read_pool(await read_one(cluster, name), await read_workers(cluster, name))
        nodes, pods, quotas = await read_around(cluster)
    rows = None if nodes is None or pods is None else read_slices(nodes, pods)
    bounds = None if quotas is None else read_quotas(quotas, pool.slice)
    explanation = explain_pool(pool, Surroundings(rows, bounds))
    if output:
        say(dump(explanation, output))
    else:
        console().print(explanation_text(explanation), soft_wrap=True)


async def slices(target: Target, output: Form | None) -> None:
    """Print the map of slices."""
    async with open_cluster(target) as cluster:
        nodes, pods, _ = await read_around(cluster)
    if nodes is None or pods is None:
        what = "nodes" if nodes is None else "pods of all namespaces"
        raise CommandError(
            f"slices: you may not list {what}; the cluster role view with a ClusterRoleBinding allows pods, nodes need more"
        )
    rows = read_slices(nodes, pods)
    if output:
        say(dump(rows, output))
    else:
        console().print(slice_map(rows), soft_wrap=True)
