"""How OpenAI writes down how likely the tokens of an answer were.

The numbers are natural logarithms of what the model itself held likely: before temperature, penalties and bias, before
`top_k`, `top_p` and `min_p`, and before a schema made tokens impossible. So they can be compared between requests.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import chain
from typing import Any

from slicewise_worker.engine.request import Chances
from slicewise_worker.engine.tokenizer import Tokenizer


def chat_logprobs(chances: Sequence[Chances], tokenizer: Tokenizer) -> dict[str, Any]:
    """Return `logprobs` of a choice of `/v1/chat/completions`."""

    def entry(token: int, logprob: float) -> dict[str, Any]:
        data = tokenizer.written(token)
        return {"token": data.decode("utf-8", "replace"), "logprob": logprob, "bytes": list(data)}

    content = [
        entry(place.token, place.logprob)
        | {"top_logprobs": [entry(*other) for other in zip(place.likeliest, place.logprobs, strict=True)]}
        for place in chances
    ]
    return {"content": content, "refusal": None}


def completion_logprobs(chances: Sequence[Chances], tokenizer: Tokenizer, offset: int) -> dict[str, Any]:
    """Return `logprobs` of a choice of `/v1/completions`; `offset`: characters of the prompt in front of the answer."""

    def name(token: int) -> str:
        data = tokenizer.written(token)
        try:
            return data.decode()
        except UnicodeDecodeError:
            # Part of a character: two such tokens must not have one name.
            return "bytes:" + "".join(f"\\x{byte:02x}" for byte in data)

    def top(place: Chances) -> Iterator[tuple[int, float]]:
        # The token that came is there too, also where others were likelier.
        return chain(zip(place.likeliest, place.logprobs, strict=True), [(place.token, place.logprob)])

    return {
        "tokens": [name(place.token) for place in chances],
        "token_logprobs": [place.logprob for place in chances],
        "top_logprobs": [{name(token): logprob for token, logprob in top(place)} for place in chances],
        "text_offset": [offset + place.start for place in chances],
    }
