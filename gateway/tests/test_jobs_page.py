"""The commands and programs of docs/jobs.md do what the page says: through a real Envoy, on the real programs of jobs."""

from __future__ import annotations

import asyncio
import json
import sys
from pathlib import Path

from aiohttp import web
from rig.envoy import STABLE, route
from rig.jobs import running_jobs
from rig.worker import Worker, own_address
from servers.processes import free_port
from snippets import EVERY

from slicewise.envoy import GatewayModel, TenantKeys

KEY = "my-key-of-the-page"
PRELUDE = 'set -euo pipefail\ncurl() { command curl -sS --fail-with-body "$@"; }\n'
BLOCKS = {kind: "\n".join(each.text for each in EVERY if each.info == f"{kind} jobs") for kind in ("bash", "python")}


class Answering(Worker):
    """Answers as a model would that says the same to everybody."""

    async def _say(self, request: web.Request, body: bytes) -> web.StreamResponse:
        if request.path == "/v1/responses":
            content = [{"type": "output_text", "text": "Good day.", "annotations": []}]
            message = {"id": "msg_1", "type": "message", "role": "assistant", "status": "completed", "content": content}
            shown = {"id": "resp_x", "object": "response", "created_at": 1, "status": "completed", "output": [message]}
            return web.json_response(shown)
        message = {"role": "assistant", "content": "Good day."}
        choice = {"index": 0, "finish_reason": "stop", "message": message}
        return web.json_response({"id": "c", "object": "chat.completion", "created": 1, "choices": [choice]})


async def run(folder: Path, *words: str) -> str:
    """Run a program in a folder and return what it prints, while the gateway's workers go on answering."""
    process = await asyncio.create_subprocess_exec(
        *words, cwd=folder, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE
    )
    async with asyncio.timeout(120):
        printed, errors = await process.communicate()
    assert process.returncode == 0, f"{printed.decode()[-4000:]}\n{errors.decode()[-4000:]}"
    return printed.decode()


async def test_the_page_s_commands_and_programs_work_as_they_are(tmp_path: Path) -> None:
    assert BLOCKS["bash"].count("my-key") > 4
    assert BLOCKS["python"].count("my-key") == 1
    model = GatewayModel("chat", (route(STABLE),), tenant_keys=TenantKeys("keys"))
    worker = Answering(own_address(), free_port())
    await worker.start()
    folder = tmp_path / "reader"
    folder.mkdir()
    try:
        async with running_jobs(tmp_path, model, [worker], {"acme": KEY}) as rig:
            texts = {
                kind: text.replace("http://localhost:8080", rig.url).replace("my-key", KEY)
                for kind, text in BLOCKS.items()
            }
            printed = await run(folder, "bash", "-c", PRELUDE + texts["bash"])
            (folder / "program.py").write_text(texts["python"])
            shown = await run(folder, sys.executable, "program.py")
    finally:
        await worker.stop()
    assert "event: status\ndata: " in printed
    done, cancelled, listed = (json.loads(line) for line in printed.replace("}{", "}\n{").splitlines()[-3:])
    assert (done["status"], done["result"]["choices"][0]["message"]["content"]) == ("done", "Good day.")
    assert cancelled["status"] == "cancelled"
    assert [job["job_id"] for job in listed["data"]] == [cancelled["job_id"]]
    assert "completed BatchRequestCounts(completed=2, failed=0, total=2)" in shown
    assert {json.loads(line)["custom_id"] for line in shown.splitlines() if line.startswith("{")} == {"one", "two"}
    assert shown.splitlines()[-1] == "completed Good day."
