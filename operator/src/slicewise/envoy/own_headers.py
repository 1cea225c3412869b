"""Which headers with our prefix a listener takes from outside. Pure."""

from __future__ import annotations

from typing import Final

from slicewise.envoy.discovery import Json, typed

_OURS: Final = "x-slicewise-"


def drop_own_headers(*kept: str) -> Json:
    """Return what removes all headers of ours from requests but `kept`, which begin with different letters, and all of Envoy's."""
    return typed(
        "envoy.http.early_header_mutation.header_mutation",
        "envoy.extensions.http.early_header_mutation.header_mutation.v3.HeaderMutation",
        mutations=[
            {"remove_on_match": {"key_matcher": {"prefix": "x-envoy-", "ignore_case": True}}},
            *(
                {"remove_on_match": {"key_matcher": {"safe_regex": {"regex": f"(?i){ours}"}}}}
                for ours in _all_but(*kept)
            ),
        ],
    )


def _all_but(*headers: str) -> list[str]:
    """Return regular expressions for our headers except these, which begin with different letters.

    Envoy's engine has no look-ahead, so letter by letter, and takes programs of 100 instructions, so one for each.
    """
    words = {header.removeprefix(_OURS) for header in headers}
    letters = "".join(sorted(word[0] for word in words))
    return [f"{_OURS}([^{letters}].*)?", *(f"{_OURS}{word[0]}{_none_but(word[1:])}" for word in sorted(words))]


def _none_but(word: str) -> str:
    shorter = "|".join(f"{word[:index]}([^{letter}].*)?" for index, letter in enumerate(word))
    return f"({shorter}|{word}.+)"
