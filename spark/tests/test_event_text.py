"""Events are written exactly as JavaScript writes them, so that the event log does not depend on the reader."""

import json
import os
import random
import struct
import subprocess

from fstore_spark.event_text import event_text, number_text

SEED = os.environ.get("FSTORE_TEST_SEED", "1")


def _doubles():
    source = random.Random(SEED)
    edges = [
        0.0,
        -0.0,
        1.0,
        -2.5,
        0.1,
        1e21,
        1e20,
        123456789012345680000.0,
        1e-6,
        1e-7,
        1.5e-7,
        5e-324,
        1.7976931348623157e308,
    ]
    edges += [float(10**power) for power in range(-12, 25)] + [2.0**power for power in range(-80, 80)]
    drawn = (struct.unpack("<d", source.randbytes(8))[0] for _ in range(3_000))
    return [*edges, *(one for one in drawn if one == one and abs(one) != float("inf"))]


def test_numbers_are_written_as_in_javascript():
    doubles = _doubles()
    program = (
        "const t = JSON.parse(require('fs').readFileSync(0)); console.log(JSON.stringify(t.map((n) => JSON.stringify(n))))"
    )
    answer = subprocess.run(["node", "-e", program], input=json.dumps(doubles), check=True, capture_output=True, text=True)
    wrong = [
        (one, number_text(one), theirs)
        for one, theirs in zip(doubles, json.loads(answer.stdout))
        if number_text(one) != theirs
    ]
    assert not wrong, f"seed {SEED}: {wrong[:5]}"


def test_an_event_has_its_columns_in_their_order():
    kinds = {"s": "STRING", "b": "BOOL", "l": "INT64", "f": "FLOAT64", "t": "TIMESTAMP", "lt": "TIMESTAMP[]", "n": "INT32"}
    values = {"s": 'é"\n\u2028😀', "b": True, "l": 2**62, "f": 20.0, "t": -62_135_596_800_000, "lt": [0, 1], "n": None}
    text = '{"s":"é\\"\\n\u2028😀","b":true,"l":"4611686018427387904","f":20,"t":"0001-01-01T00:00:00.000Z",'
    text += '"lt":["1970-01-01T00:00:00.000Z","1970-01-01T00:00:00.001Z"]'
    assert event_text(kinds, values, nulls=True) == text + ',"n":null}'
    assert event_text(kinds, values, nulls=False) == text + "}"
