"""Parses Avro schemas from JSON into types with resolved names: the twin of `src/definition/avro-schema.ts`.

A type is a tuple. Its first item is its kind, which is also the name of the reader's method without underscore.
"""

import re

PRIMITIVES = ("null", "boolean", "int", "long", "float", "double", "bytes", "string")
UNITS = {"timestamp-millis": 1, "timestamp-micros": 1_000, "timestamp-nanos": 1_000_000}
NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*", re.ASCII)
FULL_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*(?:\.[A-Za-z_][A-Za-z0-9_]*)*", re.ASCII)
MAX_DEPTH, MAX_FIXED, MAX_SCALE = 50, 65_536, 300


class SchemaInvalid(ValueError):
    """The schema is invalid, or FStore cannot read data of it."""


def parse_schema(schema):
    """Returns the type of an event, which must be a record. Raises SchemaInvalid."""
    kind = _Parser().parse(schema, "", 0)
    if kind[0] != "record":
        raise SchemaInvalid(kind[0])
    return kind


class _Parser:
    def __init__(self):
        self.named = {}

    def parse(self, schema, space, depth):
        if depth > MAX_DEPTH:
            raise SchemaInvalid("depth")
        if isinstance(schema, str):
            return self._reference(schema, space)
        if isinstance(schema, list):
            branches = [self.parse(one, space, depth + 1) for one in schema]
            if not branches or any(one[0] == "union" for one in branches):
                raise SchemaInvalid("union")
            return ("union", branches)
        if not isinstance(schema, dict):
            raise SchemaInvalid("type")
        return self._complex(schema, space, depth)

    def _reference(self, name, space):
        if name in PRIMITIVES:
            return (name,)
        found = None if "." in name or not space else self.named.get(f"{space}.{name}")
        found = found or self.named.get(name)
        if not found:
            raise SchemaInvalid(name)
        return found

    def _complex(self, schema, space, depth):
        kind, logical = schema.get("type"), schema.get("logicalType")
        if kind == "array":
            return ("array", self.parse(schema.get("items"), space, depth + 1))
        if kind == "map":
            return ("map", self.parse(schema.get("values"), space, depth + 1))
        if kind in ("record", "error"):
            return self._record(schema, space, depth)
        if kind == "enum":
            symbols = schema.get("symbols")
            if not isinstance(symbols, list) or not symbols or not all(isinstance(one, str) for one in symbols):
                raise SchemaInvalid("enum")
            return self._name(schema, space, ("enum", symbols))
        if kind == "fixed":
            size = _whole(schema.get("size"), MAX_FIXED)
            return self._name(schema, space, ("decimal", _scale(schema), size) if logical == "decimal" else ("fixed", size))
        inner = self.parse(kind, space, depth + 1)
        if inner[0] == "bytes" and logical == "decimal":
            return ("decimal", _scale(schema), None)
        if inner[0] == "int" and logical == "date":
            return ("date",)
        if inner[0] != "long" or not isinstance(logical, str):
            return inner
        if logical.startswith("local-timestamp"):
            raise SchemaInvalid(logical)
        return ("timestamp", UNITS[logical]) if logical in UNITS else inner

    def _record(self, schema, space, depth):
        fields = []
        record = self._name(schema, space, ("record", fields))
        if not isinstance(schema.get("fields"), list):
            raise SchemaInvalid("fields")
        inside = _full_name(schema, space).rpartition(".")[0]
        for field in schema["fields"]:
            name = field.get("name") if isinstance(field, dict) else None
            if not isinstance(name, str) or not NAME.fullmatch(name) or any(one == name for one, _ in fields):
                raise SchemaInvalid("field")
            fields.append((name, self.parse(field.get("type"), inside, depth + 1)))
        return record

    def _name(self, schema, space, kind):
        name = _full_name(schema, space)
        if name in self.named:
            raise SchemaInvalid(name)
        self.named[name] = kind
        return kind


def _full_name(schema, space):
    name, namespace = schema.get("name"), schema.get("namespace")
    if not isinstance(name, str):
        raise SchemaInvalid("name")
    own = namespace if isinstance(namespace, str) else space
    full = name if "." in name or own == "" else f"{own}.{name}"
    if not FULL_NAME.fullmatch(full):
        raise SchemaInvalid(full)
    return full


def _whole(value, most):
    if type(value) is float and value.is_integer():
        value = int(value)
    if type(value) is not int or not 0 <= value <= most:
        raise SchemaInvalid("number")
    return value


def _scale(schema):
    return _whole(schema.get("scale", 0), MAX_SCALE)
