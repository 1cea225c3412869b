"""What a campaign of kills has shown: the clients' log beside the tables at the end."""

from __future__ import annotations

import json
import os
import platform
import subprocess
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from itertools import pairwise
from pathlib import Path
from statistics import median

from jobs_rig.campaign import Campaign
from jobs_rig.product import ROOT

STUCK_SECONDS = 60.0


@dataclass(frozen=True, slots=True)
class Verdict:
    """Prompts of jobs with which something is wrong; all four are empty where nothing is."""

    lost: list[str]
    """Acknowledged, and without a result in the tables or an answer that a client saw."""
    twice: list[str]
    """Two ids for one key, or another answer now than the one that was seen first."""
    stuck: list[str]
    """Nothing happened to it for too long. A claim that was killed before the gateway heard of it counts, too: the table has it."""
    stray: list[str]
    """Ids of jobs in the tables that no client was told of."""
    longest: float
    """Seconds in which nothing happened to a job: between its acknowledgement, each begin of a run, and the answer at the client."""
    waited: tuple[float, float, float]
    """Median, 99th percentile and longest time from the acknowledgement to the answer."""
    server: str
    """The database's version."""
    seconds: float

    def good(self) -> bool:
        """Whether nothing is wrong."""
        return not (self.lost or self.twice or self.stuck or self.stray)


async def judge(campaign: Campaign) -> Verdict:
    """Return what the log and the tables say together."""
    accepted, seen = campaign.log.read()
    rows = await _rows(campaign)
    stored = {job_id: text for job_id, (text, _) in rows.items()}
    ids = {prompt: {value for _, value in told} for prompt, told in accepted.items()}
    known = {value for values in ids.values() for value in values}
    now = {prompt: {stored.get(each) for each in values} for prompt, values in ids.items()}
    gaps = {prompt: _longest_gap(told[0][0], campaign.began[prompt], seen[prompt]) for prompt, told in accepted.items()}
    claims = {
        prompt: max((rows[each][1] for each in values if each in rows), default=0) for prompt, values in ids.items()
    }
    unseen = {prompt: max(0, number - len(campaign.began[prompt])) for prompt, number in claims.items()}
    waits = sorted(seen[prompt][0][0] - told[0][0] for prompt, told in accepted.items() if seen[prompt])
    return Verdict(
        lost=[prompt for prompt in ids if None in now[prompt] or not seen[prompt]],
        twice=[
            prompt
            for prompt in ids
            if len(ids[prompt]) > 1 or len({text for _, text in seen[prompt]} | now[prompt]) > 1
        ],
        stuck=[prompt for prompt, gap in gaps.items() if gap > STUCK_SECONDS * (1 + unseen.get(prompt, 0))],
        stray=sorted(stored.keys() - known),
        longest=max(gaps.values()),
        waited=(median(waits), waits[len(waits) * 99 // 100], waits[-1]),
        server=(await campaign.rig.database.read("SELECT @@version"))[0][0],
        seconds=campaign.seconds,
    )


def _longest_gap(accepted: float, began: list[float], seen: list[tuple[float, str]]) -> float:
    times = [accepted, *(at for at in began if at > accepted), *(at for at, _ in seen[:1])]
    return max((after - before for before, after in pairwise(times)), default=0.0)


async def _rows(campaign: Campaign) -> dict[str, tuple[str | None, int]]:
    """Return id → the answer in the tables, None for a job that is not done, and how often it was claimed."""
    rows = await campaign.rig.database.read(
        "SELECT j.id, j.state, j.attempts, r.body FROM slicewise_jobs j LEFT JOIN slicewise_job_results r ON r.id = j.id"
    )
    return {f"job_{row.id.hex()}": (_text(row.body) if row.state == "done" else None, row.attempts) for row in rows}


def _text(body: bytes | None) -> str | None:
    return None if body is None else str(json.loads(body)["choices"][0]["message"]["content"])


def summary(campaign: Campaign, verdict: Verdict) -> str:
    """Return the closing text, with what is needed to make the run again."""
    jobs, asked = campaign.scale.jobs, campaign.gateway.asked.total()
    middle, high, last = verdict.waited
    kills = ", ".join(f"{what} {number}" for what, number in campaign.killed.items())
    numbers = " ".join(map(str, campaign.scale.kills.values()))
    settings = ", ".join(f"{name.lower()} {value}" for name, value in campaign.scale.dispatchers.items())
    return f"""Jobs while everything is killed: {"nothing lost" if verdict.good() else "FAILED"}

date      {datetime.now(UTC):%Y-%m-%d %H:%M} UTC
command   make soak-jobs KILL_JOBS={jobs} KILLS="{numbers}"
commit    {commit()}
machine   {os.cpu_count()} cores, {_memory_gib():.0f} GiB, {platform.machine()}, load {os.getloadavg()[2]:.1f} in the last 15 minutes
database  {verdict.server}
settings  2 dispatchers, an API; {settings}

jobs acknowledged                 {jobs:,}, of which {jobs // 10:,} were sent twice at once with one key
kill -9                           {kills}
time                              {verdict.seconds / 60:.1f} minutes
lost                              {len(verdict.lost)}
with two results, or two ids      {len(verdict.twice)}
stuck for more than {STUCK_SECONDS:g} s          {len(verdict.stuck)}
client and gateway saw nothing    for {verdict.longest:.1f} s of a job at most
in the tables, and never told of  {len(verdict.stray)}
runs                              {asked:,}, {asked - jobs:,} of them because of a kill ({asked / jobs:.4f} of the jobs)
requests cut off by a kill        {len(campaign.gateway.left):,}
answers to POST                   {_counted(campaign.answers)}
from 202 to the answer            median {middle:.1f} s, 99th percentile {high:.1f} s, longest {last:.1f} s
"""


def publish(text: str) -> None:
    """Print the closing text, and add it to the file that the environment names."""
    print(text, flush=True)
    if result := os.environ.get("SLICEWISE_SOAK_RESULT"):
        Path(result).parent.mkdir(parents=True, exist_ok=True)
        with Path(result).open("a", encoding="utf-8") as file:
            file.write(text)


def commit() -> str:
    """Return what was run."""
    return _git("rev-parse", "--short", "HEAD") + (
        " with changes" if _git("status", "--porcelain", "--", "jobs") else ""
    )


def _counted(answers: Mapping[int, int]) -> str:
    return ", ".join(f"{status}: {number:,}" for status, number in sorted(answers.items()))


def _git(*arguments: str) -> str:
    return subprocess.run(
        ["git", "-C", str(ROOT), *arguments], check=False, capture_output=True, text=True
    ).stdout.strip()


def _memory_gib() -> float:
    line = Path("/proc/meminfo").read_text(encoding="utf-8").splitlines()[0]
    return int(line.split()[1]) / (1 << 20)
