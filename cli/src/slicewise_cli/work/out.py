"""Where commands write: standard output for what was asked for, standard error for what is told besides."""

from __future__ import annotations

import sys

from rich.console import Console
from rich.text import Text


def console() -> Console:
    """Return a console on standard output: colours on a terminal, else plain text that is never wrapped."""
    if sys.stdout.isatty():
        return Console(highlight=False)
    return Console(file=sys.stdout, highlight=False, no_color=True, width=10_000, legacy_windows=False)


def warn(sentence: str) -> None:
    """Tell something on standard error that does not end the command."""
    Console(stderr=True, highlight=False).print(Text(f"warning: {sentence}", "yellow"), soft_wrap=True)


def say(text: str) -> None:
    """Print text as it is: data, or a sentence."""
    sys.stdout.write(f"{text}\n")
    sys.stdout.flush()
