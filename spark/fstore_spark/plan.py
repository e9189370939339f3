"""Reads plans and checks them against `plan.schema.json`, which FStore generates from its own schema of plans.

The checker supports the part of JSON Schema that is used there. It refuses unknown keywords and never ignores them.
"""

import json
import re
from pathlib import Path

SCHEMA = Path(__file__).with_name("plan.schema.json")
TYPES = {
    "object": lambda value: isinstance(value, dict),
    "array": lambda value: isinstance(value, list),
    "string": lambda value: isinstance(value, str),
    "number": lambda value: type(value) in (int, float),
    "integer": lambda value: type(value) is int or (type(value) is float and value.is_integer()),
    "boolean": lambda value: isinstance(value, bool),
    "null": lambda value: value is None,
}
LIMITS = {
    "minimum": lambda value, limit: value >= limit,
    "maximum": lambda value, limit: value <= limit,
    "exclusiveMinimum": lambda value, limit: value > limit,
    "exclusiveMaximum": lambda value, limit: value < limit,
}
NOTES = {"$schema", "description", "title"}


class PlanInvalid(ValueError):
    """The job cannot run this plan. The message names the path of the error in it."""


def _same(one, other):
    return one == other and isinstance(one, bool) == isinstance(other, bool)


def _shown(value):
    text = json.dumps(value)
    return text if len(text) <= 60 else text[:57] + "..."


def _check_object(value, schema, path):
    properties = schema.get("properties", {})
    more = schema.get("additionalProperties", True)
    for name in schema.get("required", []):
        if name not in value:
            raise PlanInvalid(f"{path}.{name} is missing")
    for name, item in value.items():
        place = f"{path}.{name}"
        if "propertyNames" in schema:
            check(name, schema["propertyNames"], f"{place} (its name)")
        if name in properties:
            check(item, properties[name], place)
        elif more is False:
            raise PlanInvalid(f"{place} is not known here")
        elif more is not True:
            check(item, more, place)


def _check_choice(value, choices, path):
    # If no choice matches, report the error of the choice that a constant in the value names, or the deepest error.
    wrong = []
    for choice in choices:
        words = {name: one["const"] for name, one in choice.get("properties", {}).items() if "const" in one}
        named = isinstance(value, dict) and all(_same(value.get(name), word) for name, word in words.items())
        try:
            return check(value, choice, path)
        except PlanInvalid as error:
            wrong.append((named, len(str(error).split(" ", 1)[0]), error))
    raise max(wrong, key=lambda one: one[:2])[2]


KEYWORDS = {
    *NOTES,
    *("type", "const", "enum", "oneOf", "anyOf", "pattern", "minItems", "items"),
    *("properties", "required", "additionalProperties", "propertyNames", *LIMITS),
}


def check(value, schema, path="plan"):
    """Checks a JSON value. Raises PlanInvalid, which names the path of the error."""
    if unknown := schema.keys() - KEYWORDS:
        raise PlanInvalid(f"{path} has a schema with {', '.join(sorted(unknown))}, which this job does not know")
    kinds = schema.get("type", [])
    kinds = [kinds] if isinstance(kinds, str) else kinds
    if kinds and not any(TYPES[kind](value) for kind in kinds):
        raise PlanInvalid(f"{path} is {_shown(value)}, expected {' or '.join(kinds)}")
    if "const" in schema and not _same(value, schema["const"]):
        raise PlanInvalid(f"{path} is {_shown(value)}, expected {_shown(schema['const'])}")
    if "enum" in schema and not any(_same(value, one) for one in schema["enum"]):
        raise PlanInvalid(f"{path} is {_shown(value)}, expected one of {', '.join(map(str, schema['enum']))}")
    if "pattern" in schema and isinstance(value, str) and not re.search(schema["pattern"].replace("\\d", "[0-9]"), value):
        raise PlanInvalid(f"{path} is {_shown(value)}, which does not match {schema['pattern']}")
    for name, holds in LIMITS.items():
        if name in schema and TYPES["number"](value) and not holds(value, schema[name]):
            raise PlanInvalid(f"{path} is {_shown(value)}, expected {name} {schema[name]}")
    if isinstance(value, list):
        if len(value) < schema.get("minItems", 0):
            raise PlanInvalid(f"{path} has {len(value)} items, expected at least {schema['minItems']}")
        for index, item in enumerate(value):
            check(item, schema.get("items", {}), f"{path}[{index}]")
    if isinstance(value, dict):
        _check_object(value, schema, path)
    for name in ("oneOf", "anyOf"):
        if name in schema:
            _check_choice(value, schema[name], path)


def read_plan(path):
    """Returns the plan in a file. Raises OSError, or PlanInvalid if this job cannot run it."""
    try:
        with open(path, encoding="utf-8") as file:
            plan = json.load(file)
    except ValueError as error:
        raise PlanInvalid(f"plan is no JSON: {error}") from error
    check(plan, json.loads(SCHEMA.read_text(encoding="utf-8")))
    return plan
