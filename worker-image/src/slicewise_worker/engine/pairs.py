"""A query and a document as the tokens that a reranker takes: in the model's words, or with its separators where it has none."""

from __future__ import annotations

import re
from array import array
from collections.abc import Callable
from itertools import chain

from slicewise_worker.engine.binding import api
from slicewise_worker.engine.llama import Model

_PLACES = re.compile(r"\{(query|document)\}")


class Pairs:
    """Makes pairs for one model. May be used from any thread."""

    def __init__(self, model: Model) -> None:
        """Read the model's words for a pair (`tokenizer.chat_template.rerank`) and its separators."""
        self._tokenizer = tokenizer = model.tokenizer
        template = api.llama_model_chat_template(model.pointer, b"rerank")
        self._between = self._separators()
        self._parts: list[tuple[str, bool]] | None = None
        """The parts of the template, and whether each is a control token."""
        if template:
            marks = "|".join(re.escape(text) for text in sorted(tokenizer.special_texts, key=len, reverse=True))
            parts = re.split(f"({marks})" if marks else r"(?!)", template.decode("utf-8", "replace"))
            self._parts = [(part, part in tokenizer.special_texts) for part in parts if part]

    def _separators(self) -> array[int]:
        vocabulary = self._tokenizer.pointer
        end, between = api.llama_vocab_eos(vocabulary), api.llama_vocab_sep(vocabulary)
        tokens = [end if end >= 0 else between] if api.llama_vocab_get_add_eos(vocabulary) else []
        tokens += [between] if api.llama_vocab_get_add_sep(vocabulary) or not tokens else []
        return array("i", [token for token in tokens if token >= 0])

    def pair(self, query: str, document: str, most: int, wanted: Callable[[], bool]) -> array[int]:
        """Return the tokens of one pair; nothing in the two texts is a control token. Raises as `Tokenizer.text_only` does."""
        if self._parts is None:
            (head, tail), plain = self._tokenizer.frame, self._tokenizer.text_only
            return head + plain(query, most, wanted) + self._between + plain(document, most, wanted) + tail
        texts = {"query": query, "document": document}
        made = (
            self._tokenizer.control(part)
            if special
            else self._tokenizer.text_only(_PLACES.sub(lambda place: texts[place[1]], part), most, wanted)
            for part, special in self._parts
        )
        return array("i", chain.from_iterable(made))
