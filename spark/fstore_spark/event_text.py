"""Writes events as JSON text exactly as FStore does: the twin of `valueToJson` and JSON.stringify."""

import json
from datetime import datetime, timedelta

EPOCH = datetime(1970, 1, 1)


def number_text(number):
    """Returns a double as JavaScript writes it."""
    if number == 0:
        return "0"
    sign = "-" if number < 0 else ""
    digits, exponent = f"{abs(number)!r}".lower(), 0
    if "e" in digits:
        digits, power = digits.split("e")
        exponent = int(power)
    whole, _, fraction = digits.partition(".")
    fraction = "" if fraction == "0" else fraction
    # The number is 0.<all_digits> times 10 to the power of `point`.
    point = len(whole) + exponent
    stripped = (whole + fraction).lstrip("0")
    point -= len(whole + fraction) - len(stripped)
    all_digits = stripped.rstrip("0")
    count = len(all_digits)
    if count <= point <= 21:
        return sign + all_digits + "0" * (point - count)
    if 0 < point <= 21:
        return f"{sign}{all_digits[:point]}.{all_digits[point:]}"
    if -6 < point <= 0:
        return f"{sign}0.{'0' * -point}{all_digits}"
    mantissa = all_digits[0] + (f".{all_digits[1:]}" if count > 1 else "")
    return f"{sign}{mantissa}e{'+' if point > 0 else '-'}{abs(point - 1)}"


def value_json(kind, value):
    """Returns a value as JSON text: INT64 as a string of digits, TIMESTAMP as ISO 8601."""
    if value is None:
        return "null"
    if kind.endswith("[]"):
        return "[" + ",".join(value_json(kind[:-2], item) for item in value) + "]"
    if kind == "FLOAT64":
        return number_text(value)
    if kind == "INT64":
        return f'"{value}"'
    if kind == "TIMESTAMP":
        return f'"{(EPOCH + timedelta(milliseconds=value)).isoformat(timespec="milliseconds")}Z"'
    return json.dumps(value, ensure_ascii=False)


def event_text(kinds, values, nulls):
    """Returns the columns of an event as a JSON object. Nulls are left out unless `nulls` is true."""
    fields = (
        f"{json.dumps(name)}:{value_json(kind, values[name])}"
        for name, kind in kinds.items()
        if nulls or values[name] is not None
    )
    return "{" + ",".join(fields) + "}"
