"""The byte-pair vocabulary of the made models, trained on `prose.txt` and written into GGUF as a GPT-2 tokenizer.

Byte level, so that any text a client sends can be tokenized. Used by `make.py`; writes no file itself.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from itertools import islice, product
from pathlib import Path

import gguf
from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers

PROSE = Path(__file__).with_name("prose.txt")

END = "<|end|>"
SYSTEM = "<|system|>"
USER = "<|user|>"
ASSISTANT = "<|assistant|>"
CONTROL = (END, SYSTEM, USER, ASSISTANT)

CHAT_TEMPLATE = (
    "{% for message in messages %}"
    "{{ '<|' + message['role'] + '|>' + message['content'] | trim + '<|end|>' }}"
    "{% endfor %}"
    "{% if add_generation_prompt %}{{ '<|assistant|>' }}{% endif %}"
)


@dataclass(frozen=True, slots=True)
class Vocabulary:
    """A trained tokenizer: `tokens[i]` is the text of token `i` in GPT-2's byte alphabet."""

    tokens: tuple[str, ...]
    merges: tuple[str, ...]
    tokenizer: Tokenizer

    def encode(self, text: str) -> list[int]:
        """Return the ids of `text`, without control tokens."""
        ids: list[int] = self.tokenizer.encode(text, add_special_tokens=False).ids
        return ids


def paragraphs() -> list[str]:
    """Return the paragraphs of the prose, one answer each."""
    return [" ".join(block.split()) for block in PROSE.read_text(encoding="utf-8").split("\n\n") if block.strip()]


def train(size: int) -> Vocabulary:
    """Return a vocabulary of at most `size` tokens: control tokens, the 256 bytes, then merges by frequency."""
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=size,
        special_tokens=list(CONTROL),
        initial_alphabet=sorted(pre_tokenizers.ByteLevel.alphabet()),
        show_progress=False,
    )
    # The leading blank makes the first word of a paragraph the same token as anywhere else in it.
    tokenizer.train_from_iterator([f" {text}" for text in paragraphs()], trainer)
    state = json.loads(tokenizer.to_str())["model"]
    ordered = sorted(state["vocab"].items(), key=lambda item: item[1])
    merges = (" ".join(pair) if isinstance(pair, list) else pair for pair in state["merges"])
    return Vocabulary(tuple(text for text, _ in ordered), tuple(merges), tokenizer)


def made_words(count: int, known: frozenset[str]) -> tuple[str, ...]:
    """Return `count` tokens that are not `known`: words of syllables, half of them after a blank, so that a search of the vocabulary
    takes as long as in that of a trained model."""
    syllables = ["".join(parts) for parts in product(("", *"bcdfglmnprstvw"), "aeiou", ("", *"lnrst"))]
    spelled = (
        before + "".join(parts)
        for length in (2, 3)
        for parts in product(syllables, repeat=length)
        for before in ("", "Ġ")
    )
    return tuple(islice((word for word in dict.fromkeys(islice(spelled, 4 * count)) if word not in known), count))


def write(
    writer: gguf.GGUFWriter,
    vocabulary: Vocabulary,
    extra: tuple[str, ...],
    size: int,
    *,
    control: frozenset[str] = frozenset(),
    template: str = CHAT_TEMPLATE,
) -> None:
    """Write the tokenizer, `extra` plain tokens that no text tokenizes to, and padding up to `size` tokens.

    Those of `extra` that are in `control` are control tokens, which a tokenizer finds in a text and writes as nothing.
    """
    tokens = [*vocabulary.tokens, *extra]
    kinds = [gguf.TokenType.CONTROL] * len(CONTROL) + [gguf.TokenType.NORMAL] * (len(tokens) - len(CONTROL))
    for token in control:
        kinds[tokens.index(token)] = gguf.TokenType.CONTROL
    padding = size - len(tokens)
    if padding < 0:
        raise ValueError(f"{len(tokens)} tokens do not fit a vocabulary of {size}")
    tokens += [f"[PAD{index}]" for index in range(padding)]
    kinds += [gguf.TokenType.UNUSED] * padding
    writer.add_tokenizer_model("gpt2")
    writer.add_tokenizer_pre("gpt-2")
    writer.add_token_list(tokens)
    writer.add_token_types(kinds)
    writer.add_token_merges(list(vocabulary.merges))
    writer.add_bos_token_id(CONTROL.index(END))  # llama.cpp's default would be some token of ours
    writer.add_eos_token_id(CONTROL.index(END))
    writer.add_add_bos_token(False)
    writer.add_chat_template(template)
