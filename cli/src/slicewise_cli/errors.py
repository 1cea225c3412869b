"""Trouble that ends a command: one sentence that names what is wrong, with what value, and what to do."""

from __future__ import annotations


class CommandError(Exception):
    """The command cannot be carried out. Its text is for the user; `code` is the exit code."""

    def __init__(self, sentence: str, code: int = 1) -> None:
        super().__init__(sentence)
        self.code = code
