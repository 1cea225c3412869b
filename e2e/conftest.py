"""Stories on the real cluster: one at a time, each in a namespace of its own, each leaving the cluster as it was."""

from __future__ import annotations

import fcntl
import os
import re
import secrets
from collections.abc import Generator, Iterator
from pathlib import Path

import pytest
from e2e.support.api import Api
from e2e.support.dump import ARTIFACTS, dump
from e2e.support.given import Given
from e2e.support.installation import Installation
from e2e.support.lanes import Lanes
from e2e.support.polling import STORY_SECONDS
from e2e.support.programs import CACHE, CLUSTER, HERE, KUBECONFIG, run
from e2e.support.story import Story, clear, make_room
from e2e.support.then import Then
from e2e.support.when import When
from e2e.support.xdist_lanes import DealOut, NameAtOnce
from xdist.remote import Producer
from xdist.scheduler import Scheduling

_STORY = pytest.StashKey[Story]()
_LANES = pytest.StashKey[Lanes]()
_HERE = Path(__file__).parent
_FIRST = "test_install.py"
_LAST = "test_rights.py"


def pytest_sessionstart(session: pytest.Session) -> None:
    """With `-n`, in the process that reports."""
    plugins = session.config.pluginmanager
    terminal = plugins.get_plugin("terminalreporter")
    if terminal is not None and plugins.has_plugin("dsession"):
        plugins.register(NameAtOnce(terminal))


def pytest_xdist_make_scheduler(config: pytest.Config, log: Producer) -> Scheduling:
    """With `-n`, deal the tests out so."""
    return DealOut(config, log)


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Mark the stories; the fresh installation comes first, the look at what was used comes last."""
    order = {_FIRST: 0, _LAST: 2}
    mine = [item for item in items if "scenarios" in item.path.parts]
    for item in mine:
        item.add_marker(pytest.mark.cluster)
    for item in items:
        # The first of them, whichever that is, also waits for what all stand on.
        if item.get_closest_marker("cluster") and item.get_closest_marker("timeout") is None:
            item.add_marker(pytest.mark.timeout(STORY_SECONDS))
    ranked = iter(sorted(mine, key=lambda item: order.get(item.path.name, 1)))
    items[:] = [next(ranked) if "scenarios" in item.path.parts else item for item in items]
    if hasattr(config, "workerinput"):  # dealt out: what takes longest begins first
        items.sort(key=lambda item: _HERE not in item.path.parents)


@pytest.fixture(scope="session")
def lanes(tmp_path_factory: pytest.TempPathFactory) -> Lanes:
    """What the lanes know of each other."""
    return Lanes(tmp_path_factory)


@pytest.fixture(autouse=True)
def _remembered(lanes: Lanes, request: pytest.FixtureRequest) -> None:
    request.node.stash[_LANES] = lanes


@pytest.fixture(scope="session")
def cluster() -> Iterator[Api]:
    """The cluster with everything the stories stand on but the chart; one session at a time."""
    with (CACHE / f"e2e-{CLUSTER}.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        run(HERE / "cluster/pause.sh", "off", within=300)
        if not os.environ.get("SLICEWISE_E2E_AS_IS"):
            Installation.prepare()
        assert KUBECONFIG.exists(), f"no {KUBECONFIG}: make cluster"
        api = Api()
        make_room(api)
        clear(api)
        yield api


@pytest.fixture(scope="session")
def installed(cluster: Api) -> Installation:
    """The chart, with the images that were built last."""
    installation = Installation(cluster)
    installation.install()
    installation.has_pods(2)
    return installation


@pytest.fixture
def story(cluster: Api, request: pytest.FixtureRequest) -> Iterator[Story]:
    """A story without the chart; most take `given`, `when` and `then` instead."""
    name = re.sub(r"[^a-z0-9]+", "-", request.node.name.removeprefix("test_").lower()).strip("-")
    # Two names may begin alike, and a namespace of an earlier run takes its time to go.
    tale = Story(cluster, f"story-{name}"[:45].rstrip("-") + f"-{secrets.token_hex(4)}")
    request.node.stash[_STORY] = tale
    tale.nodes.put_back()
    tale.make_namespace(tale.namespace)
    yield tale
    tale.end()


@pytest.fixture
def given(story: Story, installed: Installation) -> Given:
    return Given(story)


@pytest.fixture
def when(story: Story) -> When:
    return When(story)


@pytest.fixture
def then(story: Story) -> Then:
    return Then(story)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(
    item: pytest.Item, call: pytest.CallInfo[None]
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Dump objects, events and logs of a story that failed, before anything is cleaned up."""
    report = yield
    lanes = item.stash.get(_LANES, None)
    if call.when == "teardown" and lanes is not None:
        lanes.over(item)
    tale = item.stash.get(_STORY, None)
    if report.failed and call.when == "call" and tale is not None:
        try:
            folder, short = dump(tale.api, tale.namespace, tale.namespace)
        except (Exception, pytest.fail.Exception) as problem:  # noqa: BLE001 - the test's time may end here, too
            folder, short = ARTIFACTS, f"could not be read: {problem!r}"
        report.sections.append((f"cluster, all of it in {folder}", short))
        for watch in tale.floors:
            report.sections.append(("ready workers over time", "\n".join(watch.story[-60:])))
    return report
