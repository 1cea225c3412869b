"""Errors that end a command: one sentence that names the problem, the value and what to do."""

from __future__ import annotations


class CommandError(Exception):
    """The command failed. The text is for the user; `code` is the exit code."""

    def __init__(self, sentence: str, code: int = 1) -> None:
        super().__init__(sentence)
        self.code = code
