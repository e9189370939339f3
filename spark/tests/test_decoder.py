"""The decoder accepts the same events as its twin in TypeScript, with the same values.

The vectors come from `scripts/decoder-vectors.ts`: hand-written edge cases and mutations of them. FSTORE_TEST_SEED
selects other mutations.
"""

import base64

import pytest
from vectors import SEED, plain, vectors_of

from fstore_spark.decoder import Unusable, decode_event, read_key, read_value, value_hash, value_text

GOLDEN = vectors_of("decoder-vectors.ts")
SCHEMA = GOLDEN["schema"]
PLAN = {
    "limits": GOLDEN["limits"],
    "source": {
        "name": "x",
        "schema": SCHEMA,
        "timestamp": "at",
        "checks": [{"view": "v", "table": "v", "keys": ["k", "k2"], "summed": ["f", "i"]}],
    },
}


def _decoded(payload):
    try:
        columns, keys = decode_event(payload, PLAN, GOLDEN["now"])
    except Unusable:
        return None
    return columns, keys["v"]


def _same(one, other):
    """Returns true for equal values of equal types: 1 is neither 1.0 nor True."""
    if isinstance(one, list) and isinstance(other, list):
        return len(one) == len(other) and all(_same(a, b) for a, b in zip(one, other, strict=True))
    return type(one) is type(other) and one == other


@pytest.mark.parametrize("group", sorted(GOLDEN["vectors"]))
def test_events_are_taken_and_refused_as_in_typescript(group):
    vectors = GOLDEN["vectors"][group]
    assert vectors
    wrong = []
    for vector in vectors:
        payload = base64.b64decode(vector["payload"])
        got = _decoded(payload)
        if "code" in vector:
            if got is not None:
                wrong.append((payload[:200], vector["code"], got))
            continue
        wanted = {name: plain(value, SCHEMA[name]) for name, value in vector["columns"].items()}
        if got is None or got[1] != vector["key"] or any(not _same(got[0][name], wanted[name]) for name in wanted):
            wrong.append((payload[:200], wanted, got))
    assert not wrong, f"seed {SEED}: {len(wrong)} of {len(vectors)} differ, such as {wrong[:3]}"


def test_values_have_the_hashes_that_they_have_in_typescript():
    hashes = 0
    for vector in (one for group in GOLDEN["vectors"].values() for one in group if "hashes" in one):
        columns, _ = _decoded(base64.b64decode(vector["payload"]))
        for name, wanted in vector["hashes"].items():
            assert value_hash(SCHEMA[name], columns[name]) == wanted, (name, columns[name])
            hashes += 1
    assert hashes > 1_000


def test_both_outcomes_occur_for_every_type():
    for group in set(SCHEMA.values()):
        outcomes = {"code" in vector for vector in GOLDEN["vectors"][group]}
        assert outcomes == {True, False}, group


def test_text_of_a_value_reads_back_as_the_same_value():
    assert [value_text("BOOL", True), value_text("INT64", 2**60), value_text("STRING", "é")] == ["true", str(2**60), "é"]
    for number in (0.1, 1e100, 5e-324, -2.5):
        assert float(value_text("FLOAT64", number)) == number


def test_a_null_is_a_value_of_every_type_and_no_key():
    assert all(read_value(kind, None) is None for kind in SCHEMA.values())
    for values in ([None], ["a", None], [""]):
        with pytest.raises(Unusable):
            read_key(values)
    assert read_key(["a", 7]) == ["a", "7"]


def test_a_list_has_an_end():
    assert len(read_value("INT32[]", [1] * 65_536)) == 65_536
    with pytest.raises(Unusable):
        read_value("INT32[]", [1] * 65_537)
