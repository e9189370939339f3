"""Decodes the bytes of an event to typed values, or refuses them as unusable.

The twin of `src/materialization/event-decoder.ts`, `value-type.ts` and `entity-key.ts`, which accept the same events.
It gives no reasons for unusable events, because FStore's own consumer of the topic records them.

A value has one form for its type: STRING str, BOOL bool, INT32 and INT64 int, FLOAT64 float, TIMESTAMP int
(milliseconds since 1970).
"""

import hashlib
import json
import math
import re
import struct
from datetime import date

ISO_8601 = re.compile(
    r"(\d{4})-(\d{2})-(\d{2})(?:[T ](\d{2}):(\d{2})(?::(\d{2})(?:\.(\d{1,9}))?)?(?:(Z)|([+-])(\d{2}):?(\d{2})))?", re.ASCII
)
INTEGER = re.compile(r"-?\d{1,19}", re.ASCII)
SAFE = 2**53 - 1
TIMESTAMP_MIN, TIMESTAMP_MAX = -62_135_596_800_000, 253_402_300_799_999
EPOCH_DAY = date(1970, 1, 1).toordinal()
MAX_LIST = 65_536
MAX_KEY_BYTES, MAX_COMPOSITE_BYTES = 512, 2_048
SUMMABLE_LIMIT = 1e100


class Unusable(Exception):
    """The event cannot be used."""


def _refuse_constant(text):
    raise Unusable(text)


LONG_NUMBER = re.compile(r"\d{16}", re.ASCII)


def _unambiguous(pairs):
    """Refuses duplicate keys with different values, as the twin's parser for texts with long numbers does."""
    event = {}
    for name, value in pairs:
        # Their JSON is compared, because True equals 1 in Python.
        if name in event and json.dumps(event[name]) != json.dumps(value) and not _is_same_number(event[name], value):
            raise Unusable(name)
        event[name] = value
    return event


def _is_same_number(a, b):
    return type(a) in (int, float) and type(b) in (int, float) and a == b


def _string(value):
    if type(value) is not str or "\0" in value:
        raise Unusable
    try:
        value.encode()
    except UnicodeEncodeError as error:
        raise Unusable from error
    return value


def _bool(value):
    if type(value) is not bool:
        raise Unusable
    return value


def _whole(value):
    if type(value) is int:
        return value
    if type(value) is float and math.isfinite(value) and value.is_integer():
        return int(value)
    raise Unusable


def _int32(value):
    number = _whole(value)
    if not -(2**31) <= number < 2**31:
        raise Unusable
    return number


def _int64(value):
    if type(value) is str and INTEGER.fullmatch(value):
        value = int(value)
    elif type(value) is float and abs(value) > SAFE:
        raise Unusable
    number = _whole(value)
    if not -(2**63) <= number < 2**63:
        raise Unusable
    return number


def _float64(value):
    if type(value) not in (int, float):
        raise Unusable
    try:
        number = float(value)
    except OverflowError as error:
        raise Unusable from error
    if not math.isfinite(number):
        raise Unusable
    return number + 0.0 if number != 0 else 0.0


def _instant(text):
    match = ISO_8601.fullmatch(text)
    if not match:
        raise Unusable
    year, month, day = (int(part) for part in match.groups()[:3])
    hour, minute, second = (int(part or 0) for part in match.groups()[3:6])
    fraction = int(((match[7] or "") + "000")[:3])
    try:
        # Python has no year 0, but with its zone offset such a time may lie in year 1. 400 years have 146,097 days.
        shift = 400 if year < 1 else 0
        days = date(year + shift, month, day).toordinal() - shift // 400 * 146_097 - EPOCH_DAY
    except ValueError as error:
        raise Unusable from error
    at_midnight = hour == 24 and minute == second == fraction == 0
    if (hour > 23 and not at_midnight) or minute > 59 or second > 59:
        raise Unusable
    offset = 0
    if match[9]:
        hours, minutes = int(match[10]), int(match[11])
        if hours > 23 or minutes > 59:
            raise Unusable
        offset = (hours * 60 + minutes) * (1 if match[9] == "+" else -1)
    return ((days * 24 + hour) * 60 + minute - offset) * 60_000 + second * 1_000 + fraction


def _timestamp(value):
    time = _instant(value) if type(value) is str else _whole(value)
    if not TIMESTAMP_MIN <= time <= TIMESTAMP_MAX:
        raise Unusable
    return time


READERS = {
    "STRING": _string,
    "BOOL": _bool,
    "INT32": _int32,
    "INT64": _int64,
    "FLOAT64": _float64,
    "TIMESTAMP": _timestamp,
}


def read_value(kind, value):
    """Reads a JSON value as a value of type `kind`; None stays None. Raises Unusable."""
    if value is None:
        return None
    if not kind.endswith("[]"):
        return READERS[kind](value)
    if type(value) is not list or len(value) > MAX_LIST:
        raise Unusable
    read = READERS[kind[:-2]]
    return [read(item) for item in value]


def read_key(values):
    """Returns the canonical texts of join key values. Raises Unusable."""
    parts = [None if value is None else str(value) for value in values]
    if any(not part for part in parts):
        raise Unusable
    sizes = [len(part.encode()) for part in parts]
    if max(sizes) > MAX_KEY_BYTES or sum(sizes) > MAX_COMPOSITE_BYTES:
        raise Unusable
    return parts


def value_text(kind, value):
    """Returns a value as text that reads back as the same value, for states of `lastN`."""
    if kind == "BOOL":
        return "true" if value else "false"
    return repr(value) if kind == "FLOAT64" else str(value)


def value_hash(kind, value):
    """Returns the hash of a value for sketches of distinct values: 52 bits of MD5, as in `distinct-sketch.ts`."""
    if kind == "FLOAT64":
        text = struct.pack(">d", value).hex()
    else:
        text = value_text(kind, value)
    return float(int(hashlib.md5(text.encode()).hexdigest()[:13], 16))


def parse_json(payload):
    """Returns the value of a JSON payload. Raises Unusable."""
    try:
        text = bytes(payload).decode("utf-8-sig")
        pairs = _unambiguous if LONG_NUMBER.search(text) else None
        return json.loads(text, parse_constant=_refuse_constant, object_pairs_hook=pairs)
    except (ValueError, RecursionError) as error:
        raise Unusable from error


def decode_event(payload, plan, now, parse=parse_json):
    """Returns the source's columns by name, and the keys of its views by table. `now` is in ms. Raises Unusable."""
    limits = plan["limits"]
    if len(payload) > limits["maxBytes"]:
        raise Unusable
    event = parse(payload)
    schema = plan["source"]["schema"]
    if type(event) is not dict or not event.keys() <= schema.keys():
        raise Unusable
    columns = {name: read_value(kind, event.get(name)) for name, kind in schema.items()}
    time = columns[plan["source"]["timestamp"]]
    if time is None or time > now + limits["clockSkew"]:
        raise Unusable
    keys = {}
    for check in plan["source"]["checks"]:
        if any(abs(columns[column] or 0) > SUMMABLE_LIMIT for column in check["summed"]):
            raise Unusable
        keys[check["table"]] = read_key([columns[column] for column in check["keys"]])
    return columns, keys
