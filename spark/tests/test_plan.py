"""The job refuses every plan that FStore's schema of plans refuses, and names the error in it."""

import copy
import json

import pytest

from fstore_spark.plan import SCHEMA, PlanInvalid, check, read_plan

COMMON = {
    "version": 1,
    "stream": "fstore.p.payments",
    "epoch": 3,
    "revision": 7,
    "source": {
        "name": "payments",
        "schema": {"user_id": "STRING", "amount": "FLOAT64", "at": "TIMESTAMP"},
        "timestamp": "at",
        "avro": None,
        "checks": [{"table": "v", "keys": ["user_id"], "summed": ["amount"]}],
    },
    "limits": {"clockSkew": 60_000, "maxBytes": 1_000_000},
    "tables": [],
    "refresh": 300_000,
    "sink": {"schema": "fstore_p", "urlEnv": "FSTORE_SPARK_SINK_URL"},
}
VIEW = {
    "id": "payments_total@1",
    "table": "v",
    "keys": [{"column": "user_id", "stored": "user_id"}],
    "columns": [{"name": "amount", "column": "amount"}],
    "aggregation": {
        "aggregates": [{"function": "sum", "column": "amount", "type": "FLOAT64", "n": None}],
        "hops": [300_000],
    },
    "sql": None,
}
STREAM = COMMON | {
    "mode": "stream",
    "input": {"kafka": {"brokers": "127.0.0.1:9092", "topic": "p.payments", "maxEvents": 1_000, "options": {}}},
    "views": [VIEW | {"positions": {"0": "12"}}],
}
BATCH = COMMON | {
    "mode": "batch",
    "input": {"file": {"format": "parquet", "path": "/data/payments"}},
    "views": [VIEW],
    "run": {"number": 9, "consumer": "batch.payments", "topic": "p.payments.batch", "since": None, "rows": 20_000},
}

QUERY = {"query": "SELECT * FROM payments", "timestamp": "at", "keyTypes": ["STRING"], "types": ["FLOAT64"]}
ASKING = STREAM | {
    "views": [VIEW | {"positions": {}, "aggregation": None, "sql": QUERY}],
    "tables": [{"name": "levels", "schema": {"level": "FLOAT64"}, "input": BATCH["input"]}],
}
TRAINING_SET = {
    "version": 1,
    "mode": "trainingSet",
    "name": "spark-1",
    "spine": "file:///sets/spine.parquet",
    "output": "file:///sets/joined",
    "partRows": 20_000,
    "before": False,
    "views": [
        {
            "table": "v",
            "keys": [{"stored": "user_id", "spine": 0}],
            "columns": [{"name": "amount", "type": "FLOAT64"}],
            "aggregation": {
                "aggregates": VIEW["aggregation"]["aggregates"],
                "windows": [{"length": 3_600_000, "hop": 300_000, "aggregates": [0]}],
            },
        }
    ],
    "sink": COMMON["sink"],
}


def test_a_plan_of_each_mode_is_read(tmp_path):
    for plan in (STREAM, BATCH, ASKING, TRAINING_SET):
        file = tmp_path / "plan.json"
        file.write_text(json.dumps(plan))
        assert read_plan(file) == plan


@pytest.mark.parametrize(
    ("base", "path", "value", "message"),
    [
        (STREAM, ["version"], 2, "plan.version is 2, expected 1"),
        (STREAM, ["version"], True, "plan.version is true"),
        (TRAINING_SET, ["partRows"], 0, "plan.partRows is 0"),
        (TRAINING_SET, ["views", 0, "aggregation", "windows"], [], "plan.views[0].aggregation.windows has 0 items"),
        (STREAM, ["mode"], "later", "plan.mode"),
        (STREAM, ["epoch"], "3", 'plan.epoch is "3", expected integer'),
        (STREAM, ["epoch"], None, "plan.epoch is null"),
        (STREAM, ["stranger"], 1, "plan.stranger is not known here"),
        (STREAM, ["input", "kafka", "maxEvents"], 0, "plan.input.kafka.maxEvents is 0, expected exclusiveMinimum 0"),
        (STREAM, ["source", "schema", "amount"], "MONEY", "plan.source.schema.amount is"),
        (STREAM, ["views", 0, "keys"], [], "plan.views[0].keys has 0 items"),
        (STREAM, ["views", 0, "positions"], {"x": "1"}, "plan.views[0].positions.x (its name)"),
        (
            STREAM,
            ["views", 0, "aggregation", "aggregates", 0, "function"],
            "mode",
            "plan.views[0].aggregation.aggregates[0].function",
        ),
        (BATCH, ["views", 0, "positions"], {}, "plan.views[0].positions is not known here"),
        (BATCH, ["input", "file", "format"], "xml", "plan.input.file.format"),
        (BATCH, ["input"], {"jdbc": {"urlEnv": "X"}}, "plan.input.jdbc.userEnv is missing"),
        (BATCH, ["run", "since"], "yesterday", "plan.run.since is"),
    ],
)
def test_what_is_wrong_is_named_by_its_path(base, path, value, message):
    plan = copy.deepcopy(base)
    place = plan
    for step in path[:-1]:
        place = place[step]
    place[path[-1]] = value
    with pytest.raises(PlanInvalid) as refused:
        check(plan, json.loads(SCHEMA.read_text()))
    assert message in str(refused.value)


def test_what_is_missing_is_named():
    for name in BATCH:
        with pytest.raises(PlanInvalid, match=rf"plan\.{name}"):
            check({key: value for key, value in BATCH.items() if key != name}, json.loads(SCHEMA.read_text()))


def test_a_file_that_is_no_plan_is_refused(tmp_path):
    file = tmp_path / "plan.json"
    for text in ("", "{", "[]", "null"):
        file.write_text(text)
        with pytest.raises(PlanInvalid):
            read_plan(file)


def test_a_schema_with_an_unknown_keyword_is_refused():
    with pytest.raises(PlanInvalid, match="multipleOf"):
        check(4, {"type": "integer", "multipleOf": 2})
