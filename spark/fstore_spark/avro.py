"""Reads Avro: converts the bytes of a datum to the JSON value that it stands for.

The twin of `src/materialization/avro-reader.ts`, which accepts the same bytes.
"""

import base64
import json
import struct
import time
import urllib.error
import urllib.request
from urllib.parse import unquote, urlsplit, urlunsplit

from .avro_schema import parse_schema
from .decoder import Unusable

MAX_DEPTH, MAX_DECIMAL = 50, 128
DAY = 86_400_000
# Seconds to retry a schema registry that does not answer, and to wait for each of its answers.
PATIENCE, TIMEOUT = 60, 5
# The error code of a registry for an unknown schema. A 404 without it does not come from a registry.
SCHEMA_NOT_FOUND = 40_403
# Schemas by registry and number. They never change, so a process requests each of them once.
KNOWN = {}


def read_datum(kind, payload, start=0):
    """Returns the value of a datum that extends from `start` to the end of `payload`. Raises Unusable."""
    reader = _Reader(payload, start)
    value = reader.read(kind, 0)
    if reader.at != len(payload):
        raise Unusable
    return value


class _Reader:
    def __init__(self, payload, start):
        self.payload, self.at = payload, start
        # Items of type null have no bytes. This bounds their number, so that a small payload cannot be a long list.
        self.room = len(payload)

    def read(self, kind, depth):
        if depth > MAX_DEPTH:
            raise Unusable
        return getattr(self, f"_{kind[0]}")(kind, depth)

    def _null(self, kind, depth):
        return None

    def _boolean(self, kind, depth):
        byte = self._take(1)[0]
        if byte > 1:
            raise Unusable
        return byte == 1

    def _int(self, kind, depth):
        value = self._long(kind, depth)
        if not -(2**31) <= value < 2**31:
            raise Unusable
        return value

    def _long(self, kind, depth):
        value = 0
        for count in range(10):
            byte = self._take(1)[0]
            value |= (byte & 0x7F) << (7 * count)
            if byte < 0x80:
                if value >= 1 << 64:
                    break
                return (value >> 1) ^ -(value & 1)
        raise Unusable

    def _timestamp(self, kind, depth):
        return self._long(kind, depth) // kind[1]

    def _date(self, kind, depth):
        return self._int(kind, depth) * DAY

    def _float(self, kind, depth):
        return struct.unpack("<f", self._take(4))[0]

    def _double(self, kind, depth):
        return struct.unpack("<d", self._take(8))[0]

    def _string(self, kind, depth):
        try:
            return bytes(self._take(self._length())).decode()
        except UnicodeDecodeError as error:
            raise Unusable from error

    def _bytes(self, kind, depth):
        return {"bytes": base64.b64encode(self._take(self._length())).decode()}

    def _fixed(self, kind, depth):
        return {"bytes": base64.b64encode(self._take(kind[1])).decode()}

    def _decimal(self, kind, depth):
        digits = self._take(self._length() if kind[2] is None else kind[2])
        if len(digits) > MAX_DECIMAL:
            raise Unusable
        return float(f"{int.from_bytes(digits, 'big', signed=True)}e-{kind[1]}")

    def _enum(self, kind, depth):
        return self._choose(kind[1])

    def _union(self, kind, depth):
        return self.read(self._choose(kind[1]), depth + 1)

    def _array(self, kind, depth):
        return self._blocks(lambda: self.read(kind[1], depth + 1))

    def _map(self, kind, depth):
        return dict(self._blocks(lambda: (self._string(kind, depth), self.read(kind[1], depth + 1))))

    def _record(self, kind, depth):
        return {name: self.read(inner, depth + 1) for name, inner in kind[1]}

    def _take(self, count):
        if count > len(self.payload) - self.at:
            raise Unusable
        self.at += count
        return self.payload[self.at - count : self.at]

    def _length(self):
        value = self._long(None, 0)
        if value < 0:
            raise Unusable
        return value

    def _choose(self, choices):
        index = self._long(None, 0)
        if not 0 <= index < len(choices):
            raise Unusable
        return choices[index]

    def _blocks(self, item):
        items = []
        while count := self._long(None, 0):
            if count < 0:
                count = -count
                self._length()
            self.room -= count
            if self.room < 0:
                raise Unusable
            items.extend(item() for _ in range(count))
        return items


class AvroParser:
    """Parses payloads of one schema, or of those that they name in a registry. Spark sends it to the executors."""

    def __init__(self, schema, registry):
        self.schema, self.registry = schema, registry
        self.kinds = {}

    def __call__(self, payload):
        """Returns the event of a payload. Raises Unusable, or OSError if the registry does not answer."""
        if self.schema is not None:
            if not self.kinds:
                self.kinds[None] = parse_schema(self.schema)
            return read_datum(self.kinds[None], payload)
        if len(payload) < 5 or payload[0] != 0:
            raise Unusable
        return read_datum(self._registered(int.from_bytes(payload[1:5], "big")), payload, 5)

    def _registered(self, number):
        if number not in self.kinds:
            kind = KNOWN.get((self.registry, number)) or self._fetch(number)
            if kind:
                KNOWN[self.registry, number] = kind
            # An unknown schema is cached in this object only, so the next batch requests it again.
            self.kinds[number] = kind
        if self.kinds[number] is None:
            raise Unusable
        return self.kinds[number]

    def _fetch(self, number):
        if not self.registry:
            raise OSError("FSTORE_SCHEMA_REGISTRY_URL is not set where Spark was started")
        deadline = time.monotonic() + PATIENCE
        while True:
            try:
                body = _ask(self.registry, number)
                break
            except urllib.error.HTTPError as error:
                if _is_unknown(error):
                    return None
                failure = error
            except OSError as error:
                failure = error
            if time.monotonic() > deadline:
                raise OSError(f"the schema registry does not answer: {failure}") from failure
            time.sleep(1)
        if body.get("schemaType", "AVRO") != "AVRO" or body.get("references"):
            return None
        try:
            return parse_schema(json.loads(body["schema"]))
        except (KeyError, TypeError, ValueError, RecursionError):
            return None


def _is_unknown(error):
    try:
        return error.code == 404 and json.loads(error.read())["error_code"] == SCHEMA_NOT_FOUND
    except (KeyError, TypeError, ValueError):
        return False


def _ask(registry, number):
    url = urlsplit(registry)
    headers = {"Accept": "application/vnd.schemaregistry.v1+json, application/json"}
    if url.username:
        user = f"{unquote(url.username)}:{unquote(url.password or '')}"
        headers["Authorization"] = "Basic " + base64.b64encode(user.encode()).decode()
    plain = urlunsplit((url.scheme, url.netloc.rpartition("@")[2], url.path.rstrip("/"), "", ""))
    request = urllib.request.Request(f"{plain}/schemas/ids/{number}", headers=headers)
    with urllib.request.urlopen(request, timeout=TIMEOUT) as answer:
        return json.loads(answer.read())
