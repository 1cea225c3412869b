"""A real Argo CD, the real operator as a process, and Git, on a real API server; nodes and gateway are played (`played.py`)."""

from __future__ import annotations

import json
from collections.abc import Iterator

import pytest
import yaml
from e2e.argocd.argocd import ArgoCD, eventually
from e2e.argocd.gitserver import GitServer
from played import Nodes, gateway
from servers.control_plane import REPOSITORY, control_plane, controller_manager
from story import CHART, SYSTEM, TEAM, Story
from wiring.conftest import make_nodes
from wiring.operator_process import Cluster, operators


@pytest.fixture(scope="module")
def story(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Story]:
    """The chart installed by Argo CD from Git, the operator running; no pool yet."""
    servers, files = tmp_path_factory.mktemp("control-plane"), tmp_path_factory.mktemp("argocd")
    settings = yaml.safe_load((REPOSITORY / "argocd" / "values.yaml").read_text())["configs"]["cm"]
    with (
        GitServer(files) as git,
        control_plane(servers) as server,
        controller_manager(server),
        Nodes(server, [TEAM, SYSTEM]) as nodes,
        gateway(server, TEAM) as counting,
        ArgoCD(files, server.kubeconfig, settings) as argo,
        operators(Cluster(server, TEAM), files) as replicas,
    ):
        make_nodes(server)
        server.kubectl("create", "namespace", TEAM)
        operator = replicas.spawn(namespace=SYSTEM, watch_namespaces=json.dumps([TEAM]))
        tale = Story(argo, git, nodes, counting, operator)
        git.commit("the chart", chart_files())
        tale.adds(CHART)
        eventually("the operator is ready", operator.ready, tale.words)
        yield tale


def chart_files() -> dict[str, str]:
    """The chart as it stands in the tree."""
    root = REPOSITORY / "charts" / "slicewise"
    return {str(path.relative_to(REPOSITORY)): path.read_text() for path in sorted(root.rglob("*")) if path.is_file()}
