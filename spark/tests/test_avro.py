"""The reader of Avro accepts the same payloads as its twin in TypeScript, with the same values.

The vectors come from `scripts/avro-vectors.ts`: written by another implementation, and mutated. FSTORE_TEST_SEED
selects other mutations.
"""

import base64
import http.server
import json
import threading

import pytest
from vectors import SEED, plain, vectors_of

from fstore_spark.avro import AvroParser
from fstore_spark.avro_schema import SchemaInvalid, parse_schema
from fstore_spark.decoder import Unusable, decode_event

GOLDEN = vectors_of("avro-vectors.ts")
PLAN = {
    "limits": GOLDEN["limits"],
    "source": {
        "name": "x",
        "schema": GOLDEN["schema"],
        "timestamp": "at",
        "checks": [{"view": "v", "table": "v", "keys": ["k", "k2"], "summed": ["d"]}],
    },
}


def _decoded(payload, parse):
    try:
        columns, keys = decode_event(payload, PLAN, GOLDEN["now"], parse)
    except Unusable:
        return None
    return {name: [type(value), value] for name, value in columns.items()}, keys["v"]


def test_payloads_are_taken_and_refused_as_in_typescript():
    parse, wrong, outcomes = AvroParser(GOLDEN["avro"], None), [], {}
    for vector in GOLDEN["vectors"]:
        payload = base64.b64decode(vector["payload"])
        wanted = None
        if "code" not in vector:
            values = {name: plain(value, GOLDEN["schema"][name]) for name, value in vector["columns"].items()}
            wanted = ({name: [type(value), value] for name, value in values.items()}, vector["key"])
        got = _decoded(bytearray(payload), parse)
        if got != wanted:
            wrong.append((payload, vector.get("message"), got))
        outcomes[vector.get("code")] = outcomes.get(vector.get("code"), 0) + 1
    assert not wrong, f"seed {SEED}: {len(wrong)} of {len(GOLDEN['vectors'])} differ, such as {wrong[:3]}"
    assert outcomes[None] > 200
    assert outcomes["EVENT_MALFORMED"] > 200
    assert outcomes["EVENT_FIELD_TYPE"] > 200


@pytest.mark.parametrize(
    "schema",
    [
        "string",
        {"type": "record", "name": "R"},
        {"type": "record", "name": "R", "fields": [{"name": "a", "type": "nothing"}]},
        {"type": "record", "name": "R", "fields": [{"name": "a", "type": ["null", ["int"]]}]},
        {
            "type": "record",
            "name": "R",
            "fields": [{"name": "a", "type": {"type": "long", "logicalType": "local-timestamp-millis"}}],
        },
    ],
)
def test_schemas_that_are_none_are_refused(schema):
    with pytest.raises(SchemaInvalid):
        parse_schema(schema)


def test_a_registry_is_asked_once_for_a_schema_and_what_it_does_not_have_is_unusable():
    schema = {"type": "record", "name": "R", "fields": [{"name": "a", "type": "int"}]}
    asked = []

    class Registry(http.server.BaseHTTPRequestHandler):
        def do_GET(self):
            asked.append((self.path, self.headers["Authorization"]))
            body = json.dumps({"schema": json.dumps(schema)} if self.path.endswith("/7") else {"error_code": 40403})
            self.send_response(200 if self.path.endswith("/7") else 404)
            self.end_headers()
            self.wfile.write(body.encode())

        def log_message(self, *_):
            pass

    server = http.server.HTTPServer(("127.0.0.1", 0), Registry)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    parse = AvroParser(None, f"http://me:secret@127.0.0.1:{server.server_port}/")
    assert [parse(bytes([0, 0, 0, 0, 7, 2])), parse(bytes([0, 0, 0, 0, 7, 3]))] == [{"a": 1}, {"a": -2}]
    for payload in (bytes([0, 0, 0, 0, 8, 2]), bytes([1, 0, 0, 0, 7, 2]), b"\0\0\0", b"{}"):
        with pytest.raises(Unusable):
            parse(payload)
    server.shutdown()
    assert asked == [("/schemas/ids/7", "Basic bWU6c2VjcmV0"), ("/schemas/ids/8", "Basic bWU6c2VjcmV0")]
