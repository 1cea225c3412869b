"""`spec.model`: what is served and where its weights come from."""

from __future__ import annotations

from dataclasses import replace
from typing import Annotated, Final

from pydantic import Field

from slicewise.api.rules import Older, Rule, cel_matches, cel_string, matches
from slicewise.api.split import COUNT, FIRST_PART, MOST_PARTS, SPLIT, is_first_part, is_split, parts_of
from slicewise.api.v1alpha1.base import ApiModel, LocalObjectReference, map_by, once
from slicewise.api.v1alpha1.scalars import Flag, text_rule

_HOST: Final = r"([A-Za-z0-9._-]+|\[[0-9a-fA-F:]+\])(:[0-9]{1,5})?"
# What stands for a character is % and two digits, in every form; control characters have none.
_ENCODED: Final = "%[2-9A-Fa-f][0-9A-Fa-f]"
_ADDRESS: Final = f"([!-$&-~]|{_ENCODED})+"
_NAME: Final = f'([!-"$&->@-~]|{_ENCODED})+'
"""The name of a file: printable, # and ? encoded."""
_FORMS: Final = (
    f"hf://[A-Za-z0-9._-]{{1,96}}/[A-Za-z0-9._-]{{1,96}}@([A-Za-z0-9._-]|{_ENCODED}){{1,100}}/{_NAME}",
    f"https?://{_HOST}/{_ADDRESS}",
    f"s3://[a-z0-9][a-z0-9.-]{{1,61}}[a-z0-9]/{_NAME}",
    f"oci://{_HOST}/[a-z0-9]+([._/-]+[a-z0-9]+)*(:[A-Za-z0-9_.-]+)?@sha256:[0-9a-f]{{64}}",
    f"pvc://[a-z0-9]([-a-z0-9.]*[a-z0-9])?/{_NAME}",
)
_SOURCE: Final = f"^({'|'.join(_FORMS)})$"
_INSTEAD: Final = (
    "hf://org/repo@revision/file.gguf, https://host/file.gguf, s3://bucket/key, oci://host/repo@sha256:… or "
    "pvc://claim/path, with special characters encoded as in %20; passwords go to credentialsSecretRef"
)
_is_source = matches(_SOURCE)
_OLDER_FORMS: Final = (
    'hf://[A-Za-z0-9._-]{1,96}/[A-Za-z0-9._-]{1,96}@[A-Za-z0-9._%-]{1,100}/[!-"$->@-~]+',
    f"https?://{_HOST}/[!-~]+",
    "s3://[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]/[!-~]+",
    "pvc://[a-z0-9]([-a-z0-9.]*[a-z0-9])?/[!-~]+",
)
"""Of pools that were written before special characters had to be encoded."""
_is_older_source = matches(f"^({'|'.join(_OLDER_FORMS)})$")
_AS_IT_WAS: Final = "workers of the present revision go on with it, a new revision refuses it"

_NO_BLANK: Final = Rule(
    cel="!self.contains(' ')",
    holds=lambda text: " " not in text,
    message="'{value}' has a blank: write each as %20, {encoded}",
    expects="no blanks: write each as %20",
    values={
        "value": ("self", lambda text: text),
        "encoded": ("self.replace(' ', '%20')", lambda text: text.replace(" ", "%20")),
    },
)
_FORM: Final = Rule(
    cel=f"self.contains(' ') || {cel_matches(_SOURCE)}",
    holds=lambda text: " " in text or _is_source(text),
    message=f"'{{value}}' is not a source of weights: write {_INSTEAD}",
    expects=f"a source of weights: {_INSTEAD}",
    older=Older(_is_older_source, _AS_IT_WAS),
)

CONTENT_ADDRESSED: Final = "^(oci://.*@sha256:[0-9a-f]{64}|hf://[^@]*@[0-9a-f]{40}/.*)$"
"""Sources that can never name other bytes."""

_is_content_addressed = matches(CONTENT_ADDRESSED)


ModelName = Annotated[
    str,
    Field(max_length=128),
    text_rule(
        "^[A-Za-z0-9][A-Za-z0-9._:/-]*$",
        "a model's name",
        "letters, digits and . _ : / -, such as chat-small",
    ),
]


Source = Annotated[str, Field(max_length=2048), _NO_BLANK, _FORM]
Digest = Annotated[
    str,
    Field(max_length=80),
    text_rule(
        "^sha256:[0-9a-f]{64}$",
        "a digest",
        "sha256: and the 64 small hexadecimal digits that sha256sum prints",
    ),
]

_DIGEST_NEEDED: Final = Rule(
    cel=f"has(self.digest) || {cel_matches(CONTENT_ADDRESSED, 'self.source')}",
    holds=lambda model: model.digest is not None or _is_content_addressed(model.source),
    message="digest is required because '{source}' can change: write digest: sha256:<what sha256sum prints>, or name "
    "the source by its content, hf://org/repo@<commit of 40 digits>/file.gguf or oci://host/repo@sha256:…",
    expects="digest, or a source that is addressed by its content",
    values={"source": ("self.source", lambda model: model.source)},
    field="digest",
)
_IS_SPLIT: Final = cel_matches(f"^{SPLIT}$", "self.source")
_IS_FIRST: Final = cel_matches(f"^{FIRST_PART}$", "self.source")
_WHOLE_FILE: Final = Rule(
    cel=f"!{_IS_SPLIT}",
    holds=lambda adapter: not is_split(adapter.source),
    message="'{source}' is one part of a split file, and an adapter is one whole file: merge them with "
    "llama-gguf-split --merge FIRST-PART MERGED, and name the merged file",
    expects="one whole file: merge split files with llama-gguf-split --merge",
    values={"source": ("self.source", lambda adapter: adapter.source)},
    field="source",
    older=Older(lambda _adapter: True, _AS_IT_WAS),
)
_SPLIT_RULES: Final = (
    replace(
        _DIGEST_NEEDED,
        # What a split model needs says the rule about its digests.
        cel=f"{_IS_SPLIT} || has(self.digests) || {_DIGEST_NEEDED.cel}",
        holds=lambda model: is_split(model.source) or model.digests is not None or _DIGEST_NEEDED.holds(model),
    ),
    Rule(
        cel=f"!{_IS_SPLIT} || {_IS_FIRST}",
        holds=lambda model: not is_split(model.source) or is_first_part(model.source),
        message=f"'{{source}}' is not the first of at most {MOST_PARTS} parts of a split model: name the first one, "
        "as in model-00001-of-00003.gguf",
        expects=f"the first part of a split model, of {MOST_PARTS} parts at most",
        values={"source": ("self.source", lambda model: model.source)},
        field="source",
        older=Older(lambda _model: True, _AS_IT_WAS),
    ),
    Rule(
        cel=f"!{_IS_FIRST} || (!has(self.digest) && (has(self.digests) ? "
        f"self.digests.size() == int(self.source.find({cel_string(COUNT)}).substring(4, 9)) : "
        f"{cel_matches(CONTENT_ADDRESSED, 'self.source')}))",
        holds=lambda model: not is_first_part(model.source) or _digests_fit(model),
        message="'{source}' is the first part of a split model: write digests, one sha256:… for each part in their order, and "
        "no digest; {found} found",
        expects="digests of a split model: one for each part, and no digest",
        values={
            "source": ("self.source", lambda model: model.source),
            "found": (
                "string(has(self.digests) ? self.digests.size() : 0)",
                lambda model: str(len(model.digests or ())),
            ),
        },
        field="digests",
        older=Older(lambda model: model.digests is None, _AS_IT_WAS),
    ),
    Rule(
        cel=f"!has(self.digests) || {_IS_SPLIT}",
        holds=lambda model: model.digests is None or is_split(model.source),
        message="digests are of the parts of a split model, and '{source}' does not name one: write digest, or name the first "
        "part, as in model-00001-of-00003.gguf",
        expects="digests where the source is the first part of a split model",
        values={"source": ("self.source", lambda model: model.source)},
        field="digests",
    ),
)
"""Of a model: its source is one file, or the first part of a split one."""


def _digests_fit(model: PlainModelSpec) -> bool:
    if model.digest is not None:
        return False
    if model.digests is None:
        return _is_content_addressed(model.source)
    return len(model.digests) == len(parts_of(model.source))


MOST_TEMPLATE: Final = 30_000
"""Characters of a chat template. In four bytes each they still fit one variable of a pod, of which Linux takes 128 KiB."""
_NO_ZERO: Final = Rule(
    cel=r"!self.contains('\x00')",
    holds=lambda text: "\0" not in text,
    message="the character behind the first {before} is U+0000, which cannot be given to a worker: remove it",
    expects="no character U+0000",
    values={"before": (r"self.indexOf('\x00')", lambda text: text.find("\0"))},
)

MOST_ADAPTERS: Final = 8


class AdapterSpec(ApiModel):
    """A LoRA that changes the model, for requests with its name."""

    name: ModelName
    """What clients send as `model`."""
    source: Source
    """As `source` of the model: one GGUF file."""
    digest: Digest | None = None
    """As `digest` of the model."""
    credentials_secret_ref: LocalObjectReference | None = None
    """As `credentialsSecretRef` of the model, which is not used for it."""

    rules = (_DIGEST_NEEDED, _WHOLE_FILE)


class PlainModelSpec(ApiModel):
    """A model without adapters."""

    name: ModelName | None = None
    """What clients send as `model`. Default: the pool's name."""
    aliases: (
        Annotated[
            tuple[ModelName, ...],
            Field(max_length=16, json_schema_extra={"x-kubernetes-list-type": "set"}),
            once(),
        ]
        | None
    ) = None
    """Other names that clients may send as `model`; answers carry `name`. For a change of names without a failed request."""
    chat: Flag = True
    """Whether `/v1/chat/completions` is served. That needs a chat template that works. `false` is for models meant for completions
    only."""
    chat_template: Annotated[str, Field(min_length=1, max_length=MOST_TEMPLATE), _NO_ZERO] | None = None
    """Chat template in Jinja, taken instead of the model file's."""
    source: Source
    """Where the weights are: `hf://org/repo@revision/file.gguf`, `https://host/file.gguf`, `s3://bucket/key`,
    `oci://host/repo@sha256:…` or `pvc://claim/path`; of a split model the first part, `…-00001-of-00003.gguf`. Blanks and special
    characters are percent-encoded in all of them, as in `pvc://models/My%20Model.gguf`."""
    digest: Digest | None = None
    """SHA-256 of the file: `sha256:` and 64 hexadecimal digits. Required unless the source is addressed by its
    content: `hf://` with a commit of 40 digits, or `oci://`."""
    digests: Annotated[tuple[Digest, ...], Field(min_length=1, max_length=MOST_PARTS)] | None = None
    """As `digest`, of each part of a split model in their order."""
    credentials_secret_ref: LocalObjectReference | None = None
    """Secret in the pool's namespace with what the source asks for: `token` (hf, https); `username` and `password`
    (https, oci); `accessKeyId`, `secretAccessKey`, `sessionToken`, `region` (s3); `endpoint` (s3, hf,
    oci); `tokenHost` (oci), where the token server is not the registry; `ca.crt`, an authority to trust besides the public ones."""

    rules = (
        *_SPLIT_RULES,
        Rule(
            cel="!has(self.chatTemplate) || self.chat",
            holds=lambda model: model.chat_template is None or model.chat,
            message="chat is {chat}, so that no chat template is used: leave chatTemplate out, or write chat: true",
            expects="no chatTemplate where chat is false",
            values={"chat": ("string(self.chat)", lambda model: str(model.chat).lower())},
            field="chatTemplate",
        ),
    )


class ModelSpec(PlainModelSpec):
    """The model that the pool serves. A change starts a new revision."""

    adapters: (
        Annotated[
            tuple[AdapterSpec, ...],
            Field(max_length=MOST_ADAPTERS, json_schema_extra=map_by("name")),
            once("name"),
        ]
        | None
    ) = None
    """LoRA adapters, fetched and loaded beside the model. Names differ from `name` and `aliases`."""
