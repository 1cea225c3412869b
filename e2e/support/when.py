"""When: what users, machines and fate do."""

from __future__ import annotations

import json
import subprocess
from typing import Any

from e2e.support.api import Object
from e2e.support.network import Cut
from e2e.support.pool import Pool
from e2e.support.programs import ENVIRONMENT, ProgramError
from e2e.support.story import Story


class When:
    """The middle of a story."""

    def __init__(self, story: Story) -> None:
        self._story = story

    def applied(self, body: Object) -> Pool:
        """A pool is applied."""
        return self._story.apply(body)

    def refused(self, body: Object) -> str:
        """A pool is applied and the API server does not take it; returns its words."""
        try:
            self._story.apply(body)
        except ProgramError as error:
            return error.output
        raise AssertionError("the API server took it")

    def edited(self, pool: Pool, **spec: Any) -> None:
        """Fields of the spec are changed; None removes one."""
        self.kubectl("patch", f"ipool/{pool.name}", "--type=merge", "-p", json.dumps({"spec": spec}))

    def edited_strictly(self, pool: Pool, **spec: Any) -> None:
        """As `edited`, the way `kubectl edit` and `kubectl apply` do it: a field that does not exist is refused."""
        body = pool.object()
        for part, fields in spec.items():
            merged = {**body["spec"].get(part, {}), **fields} if isinstance(fields, dict) else fields
            body["spec"][part] = (
                {key: value for key, value in merged.items() if value is not None}
                if isinstance(merged, dict)
                else merged
            )
        self._story.kubectl("replace", "--validate=strict", "-f", "-", stdin=json.dumps(body))

    def nobody_reaches(self, pod: Object, port: int) -> Cut:
        """The network lets nobody through to a port of a pod."""
        cut = Cut(pod, port)
        self._story.undo.append(cut.heal)
        return cut

    def kubectl(self, *arguments: str, within: float = 120) -> str:
        """The user types a kubectl command."""
        return self._story.kubectl(*arguments, within=within)

    def kubectl_begins(self, *arguments: str) -> subprocess.Popen[str]:
        """The user types a kubectl command that takes its time; it is ended with the story."""
        program = subprocess.Popen(
            ["kubectl", "-n", self._story.namespace, *arguments],
            env=ENVIRONMENT,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        self._story.undo += [program.communicate, program.kill]  # undone from the end: killed, then read to its end
        return program

    def operator_killed(self) -> None:
        """All operator pods are killed at once, without a chance to say goodbye."""
        self._story.installation.kill()

    def leader_killed(self) -> None:
        """The operator pod that acts is killed; the other one is there."""
        self._story.installation.kill([self._story.installation.leader()])

    def operator_leaves(self) -> None:
        """The operator is scaled to 0."""
        self._story.undo.append(self.operator_returns)
        self._story.installation.scale(0)
        self._story.installation.has_pods(0)

    def operator_returns(self) -> None:
        """The operator is scaled to 2."""
        self._story.installation.scale(2)
        self._story.installation.has_pods(2)
