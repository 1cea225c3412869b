"""A Git repository on loopback, served by Git's own smart-HTTP program, and commits to it."""

from __future__ import annotations

import os
import subprocess
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any


class GitServer:
    """One repository with one branch, `main`. Files are committed as a user would, and nothing but Git reads them."""

    def __init__(self, directory: Path) -> None:
        """`directory`: becomes the server's folder."""
        self._work = directory / "work"
        self._bare = directory / "served" / "pools.git"
        self._bare.mkdir(parents=True)
        self._git("init", "--quiet", "--bare", "--initial-branch=main", str(self._bare), at=directory)
        self._git("clone", "--quiet", str(self._bare), str(self._work), at=directory)
        self._git("checkout", "--quiet", "-b", "main")
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), _handler(self._bare.parent))
        self._thread = threading.Thread(target=self._server.serve_forever, daemon=True)
        self._thread.start()
        self.url = f"http://127.0.0.1:{self._server.server_address[1]}/pools.git"

    def commit(self, message: str, files: dict[str, str]) -> str:
        """Write files (an empty text removes one), commit and push, if that changes anything; returns the commit."""
        for name, text in files.items():
            path = self._work / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text) if text else path.unlink()
        self._git("add", "--all")
        if not self._git("status", "--porcelain"):
            return self.newest()
        self._git("commit", "--quiet", "-m", message)
        return self._push()

    def revert(self) -> str:
        """Revert the last commit and push; returns the new one."""
        self._git("revert", "--no-edit", "HEAD")
        return self._push()

    def _push(self) -> str:
        self._git("push", "--quiet", "origin", "main")
        return self.newest()

    def newest(self) -> str:
        """Return the newest commit."""
        return self._git("rev-parse", "HEAD").strip()

    def __enter__(self) -> GitServer:
        return self

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()

    def _git(self, *words: str, at: Path | None = None) -> str:
        who = ["-c", "user.name=Story", "-c", "user.email=story@example.com", "-c", "init.defaultBranch=main"]
        done = subprocess.run(["git", *who, *words], cwd=at or self._work, capture_output=True, text=True, check=False)
        assert done.returncode == 0, f"git {' '.join(words)}: {done.stderr}"
        return done.stdout


def _handler(root: Path) -> type[BaseHTTPRequestHandler]:
    program = subprocess.run(["git", "--exec-path"], capture_output=True, text=True, check=True).stdout.strip()

    class Handler(BaseHTTPRequestHandler):
        """Hands each request to `git http-backend`."""

        def do_GET(self) -> None:
            self._answer(b"")

        def do_POST(self) -> None:
            self._answer(self.rfile.read(int(self.headers.get("Content-Length") or 0)))

        def log_message(self, *_: Any) -> None:
            pass

        def _answer(self, body: bytes) -> None:
            path, _, query = self.path.partition("?")
            environment = {
                **os.environ,
                "GIT_PROJECT_ROOT": str(root),
                "GIT_HTTP_EXPORT_ALL": "1",
                "PATH_INFO": path,
                "QUERY_STRING": query,
                "REQUEST_METHOD": self.command,
                "CONTENT_TYPE": self.headers.get("Content-Type", ""),
                "CONTENT_LENGTH": str(len(body)),
                "HTTP_CONTENT_ENCODING": self.headers.get("Content-Encoding", ""),
                "GIT_PROTOCOL": self.headers.get("Git-Protocol", ""),
                "REMOTE_ADDR": "127.0.0.1",
            }
            done = subprocess.run(
                [f"{program}/git-http-backend"], input=body, env=environment, stdout=subprocess.PIPE, check=True
            )
            head, _, rest = done.stdout.partition(b"\r\n\r\n")
            headers = dict(line.decode().split(": ", 1) for line in head.split(b"\r\n"))
            self.send_response(int(headers.pop("Status", "200").split()[0]))
            for name, value in headers.items():
                self.send_header(name, value)
            self.send_header("Content-Length", str(len(rest)))
            self.end_headers()
            self.wfile.write(rest)

    return Handler
