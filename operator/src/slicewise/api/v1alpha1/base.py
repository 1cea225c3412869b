"""What all models of the API have in common."""

from __future__ import annotations

from typing import Any, ClassVar, Self

from pydantic import AfterValidator, BaseModel, ConfigDict, GetJsonSchemaHandler, ValidationInfo, model_validator
from pydantic.alias_generators import to_camel, to_snake
from pydantic_core import CoreSchema

from slicewise.api.rules import VALIDATIONS, Rule, broken
from slicewise.api.v1alpha1.scalars import ObjectName


def map_by(key: str) -> dict[str, Any]:
    """Return what makes a list a map of its items by `key`: of no two the same, and merged item by item."""
    return {"x-kubernetes-list-type": "map", "x-kubernetes-list-map-keys": [key]}


def once(key: str | None = None) -> AfterValidator:
    """Return the check that no two items of a list are the same, or have the same `key`, as the API server does by the list's type."""

    def check(items: tuple[Any, ...]) -> tuple[Any, ...]:
        names = [item if key is None else getattr(item, to_snake(key)) for item in items]
        twice = sorted({name for name in names if names.count(name) > 1})
        if twice:
            raise broken([("", f"{f'{key} ' if key else ''}'{twice[0]}' is there twice: write it once")])
        return items

    return AfterValidator(check)


class ApiModel(BaseModel):
    """A frozen part of the resource: snake_case here, camelCase on the wire.

    Unknown fields are ignored: the API server has pruned them, and a newer schema may know more than this code.
    """

    model_config = ConfigDict(
        alias_generator=to_camel,
        populate_by_name=True,
        frozen=True,
        extra="ignore",
        use_attribute_docstrings=True,
        # Warnings are errors, and a field named after a part of the model (`model`, `schema`) is no mistake here.
        protected_namespaces=(),
    )

    rules: ClassVar[tuple[Rule, ...]] = ()
    """Rules on several fields at once."""
    kubernetes: ClassVar[bool] = False
    """Whether it is a type of Kubernetes' own, which a user knows: it then goes without a description, for the schema's size."""

    @model_validator(mode="after")
    def _check_rules(self, info: ValidationInfo) -> Self:
        findings = [(rule.field or "", rule.explain(self)) for rule in self.rules if not rule.met(self, info)]
        if findings:
            raise broken(findings)
        return self

    @classmethod
    def __get_pydantic_json_schema__(cls, schema: CoreSchema, handler: GetJsonSchemaHandler) -> dict[str, Any]:
        """Add the object's rules to its schema."""
        result = handler.resolve_ref_schema(handler(schema))
        if cls.kubernetes:
            result.pop("description", None)
        if cls.rules:
            result[VALIDATIONS] = [rule.schema() for rule in cls.rules]
        return result


def exactly_one(forms: tuple[str, ...], attributes: tuple[str, ...], example: str) -> Rule:
    """Return the rule that exactly one of the members is there. `forms` are names on the wire, `attributes` in Python."""

    def present(value: Any) -> list[str]:
        return [form for form, name in zip(forms, attributes, strict=True) if getattr(value, name) is not None]

    count = " + ".join(f"(has(self.{form}) ? 1 : 0)" for form in forms)
    names = " + ".join(f"(has(self.{form}) ? ' {form}' : '')" for form in forms)
    return Rule(
        cel=f"{count} == 1",
        holds=lambda value: len(present(value)) == 1,
        message=f"exactly one of {', '.join(forms)} has to be there, found:{{found}}; write for example {example}",
        expects=f"exactly one of {', '.join(forms)}",
        values={
            "found": (
                f"({count} == 0 ? ' none' : {names})",
                lambda value: "".join(f" {form}" for form in present(value)) or " none",
            )
        },
    )


class LocalObjectReference(ApiModel):
    """Names an object in the pool's own namespace."""

    name: ObjectName
    """Name of the object."""
