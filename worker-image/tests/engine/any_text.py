"""Tokenizes runs of all kinds with each pre-tokenizer named, on a stack of 2 MiB; a program of its own, because a crash ends it.

    python any_text.py VOCABULARY PRE-TOKENIZER …      ("-" is the vocabulary's own)

Prints a line before each text and one after, so that the last line says where it ended.
"""

from __future__ import annotations

import sys
import threading
from typing import Any

from slicewise_worker.engine.binding import api
from slicewise_worker.engine.llama import start_backend
from slicewise_worker.engine.tokenizer import Tokenizer

LENGTH = 7_000
"""Characters: 2.25 MB of stack, were they tokenized at once."""
STACK = 2 << 20
"""An eighth of what a worker's threads have."""

RUNS = {
    "small letters": "a",
    "capital letters": "A",
    "letters of both cases": "aA",
    "digits": "1",
    "letters and digits": "a1",
    "blanks": " ",
    "lines": "\n",
    "tabs and blanks": "\t ",
    "no-break blanks": "\u00a0",
    "pairs of blanks": "  x",
    "full stops": ".",
    "signs": "$",
    "apostrophes": "'s",
    "commas": "1,",
    "emoji": "😀",
    "families": "👨‍👩‍👧",
    "Chinese": "漢",
    "Japanese": "かカ",
    "Korean": "한",
    "Thai": "กำ",
    "Hindi": "स्व",
    "Arabic": "ال",
    "marks": "\u0301",
    "mixed scripts": "aд漢ا1_-é",  # noqa: RUF001
    "words": "a b ",
    "NUL": "\0",
    "no characters": "\ufffd",
    "surrogates": "\ud800",
    "end tokens": "</s><|endoftext|><|end|><eos>",
}


def load(path: str, pre: str) -> Any:
    """Load a vocabulary as if its file named the pre-tokenizer `pre`."""
    params = api.llama_model_default_params()
    params.vocab_only = True
    override = (api.llama_model_kv_override * 2)()
    if pre != "-":
        override[0].tag = api.LLAMA_KV_OVERRIDE_TYPE_STR
        override[0].key = b"tokenizer.ggml.pre"
        override[0].value.val_str = pre.encode()
        params.kv_overrides = override
    return api.llama_model_load_from_file(path.encode(), params)


def main() -> None:
    start_backend()
    threading.stack_size(STACK)
    for pre in sys.argv[2:]:
        model = load(sys.argv[1], pre)
        tokenizer = Tokenizer(model)
        for name, run in RUNS.items():
            text = (run * LENGTH)[:LENGTH]
            print(f"{pre}: {name}", flush=True)
            thread = threading.Thread(target=tokenizer.tokenize, args=(text,))
            thread.start()
            thread.join()
        api.llama_model_free(model)
        print(f"{pre}: done", flush=True)


if __name__ == "__main__":
    main()
