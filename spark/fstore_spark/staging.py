"""Converts a batch of decoded events to staged items of each view.

The kinds of items are rows, partial tiles, the newest event time of each entity (`heads`), and events of the near
future (`due`). Each item is a JSON object. FStore merges them (`src/store/view-table-postgres.ts`).
"""

import os

from pyspark.sql import functions as F
from pyspark.sql import types as T

from .aggregator import needs_hash, needs_text, quoted, state_columns
from .avro import AvroParser
from .decoder import Unusable, decode_event, parse_json, value_hash, value_text
from .sink import CHUNK
from .typed import spark_type

# The number of items that a task holds at most.
MAX_HELD = 20_000
REVISION_HEADER = "fstore-revision"


class Decoding:
    """Decodes Kafka records to rows of a frame. Spark sends it to the executors."""

    place = (
        T.StructField("_partition", T.IntegerType()),
        T.StructField("_offset", T.LongType()),
        T.StructField("_arrived", T.LongType()),
        T.StructField("_revision", T.IntegerType()),
    )

    def __init__(self, plan, now):
        self.plan, self.now = plan, now
        avro = plan["source"]["avro"]
        self.parse = AvroParser(avro["schema"], os.environ.get(avro["urlEnv"])) if avro else parse_json
        aggregates = [one for view in plan["views"] if view["aggregation"] for one in view["aggregation"]["aggregates"]]
        kinds = plan["source"]["schema"]
        self.hashed = sorted({one["column"] for one in aggregates if needs_hash(one)})
        self.texts = sorted({one["column"] for one in aggregates if needs_text(one)})
        fields = [("_ok", T.BooleanType()), ("_ms", T.LongType()), ("_due", T.BooleanType())]
        fields += [(name, spark_type(kind)) for name, kind in kinds.items()]
        fields += [(f"_h_{name}", T.DoubleType()) for name in self.hashed]
        fields += [(f"_t_{name}", T.StringType()) for name in self.texts]
        fields += [
            (f"_key_{at}_{part}", T.StringType())
            for at, view in enumerate(plan["views"])
            if not view["sql"]
            for part in range(len(view["keys"]))
        ]
        self.blank = (False,) + (None,) * (len(fields) - 1)
        self.schema = T.StructType([*self.place, *(T.StructField(name, kind) for name, kind in fields)])

    def unusable(self, place):
        """Returns the row of an unusable event."""
        return (*place, *self.blank)

    def usable(self, place, columns, keys):
        """Returns the row of a usable event."""
        kinds, time = self.plan["source"]["schema"], columns[self.plan["source"]["timestamp"]]
        return (
            *place,
            True,
            time,
            time > self.now,
            *columns.values(),
            *(None if columns[one] is None else value_hash(kinds[one], columns[one]) for one in self.hashed),
            *(None if columns[one] is None else value_text(kinds[one], columns[one]) for one in self.texts),
            *(part for view in self.plan["views"] if not view["sql"] for part in keys[view["table"]]),
        )

    def __call__(self, records):
        for record in records:
            arrived = round(record.timestamp.timestamp() * 1_000)
            revision = 0
            for header in record.headers or []:
                if header.key == REVISION_HEADER and header.value and header.value.isdigit():
                    revision = int(header.value)
            place = (record.partition, record.offset, arrived, revision)
            try:
                columns, keys = decode_event(record.value or b"", self.plan, self.now, self.parse)
                yield self.usable(place, columns, keys)
            except Unusable:
                yield self.unusable(place)


def decode(spark, records, plan, now):
    """Returns a frame of the decoded events of Kafka records. Those with `_ok` false are unusable."""
    decoding = Decoding(plan, now)
    return spark.createDataFrame(records.rdd.mapPartitions(decoding), decoding.schema, verifySchema=False)


def view_items(events, at, view, within=()):
    """Yields frames of (*within, view_table, kind, item) for view number `at`.

    `events` has `_n`, the order of arrival, and `_due`, which is true for events of the future. Each value of the
    columns `within` is a separate batch. Values that differ between batches are in columns and not in expressions,
    because Spark compiles each new expression.
    """
    keys = [f"{quoted(f'_key_{at}_{part}')} AS {quoted(key['stored'])}" for part, key in enumerate(view["keys"])]
    names = [quoted(key["stored"]) for key in view["keys"]]
    columns = {quoted(one["name"]): quoted(one["column"]) for one in view["columns"]}
    helpers = [quoted(name) for name in events.columns if name.startswith(("_h_", "_t_"))]
    shown = [f"{column} AS {name}" for name, column in columns.items()]
    rows = events.selectExpr(*within, "_n", "_ms", "_due", "_arrived", *keys, *shown, *helpers)
    seen = rows.where("NOT _due")

    def items(kind, frame, fields):
        # `to_json` leaves out nulls.
        item = F.to_json(F.struct(*fields)).alias("item")
        return frame.select(*within, F.lit(view["table"]).alias("view_table"), F.lit(kind).alias("kind"), item)

    yield items("rows", rows, ["_n", "_ms", "_arrived", *names, *columns])
    yield items("due", rows.where("_due"), ["_n", "_ms", *names])
    heads = seen.groupBy(*within, *names).agg(F.max("_ms").alias("_ms"))
    yield items("heads", heads, ["_ms", *names])
    if view["aggregation"] is None:
        return
    hops = ", ".join(f"bigint({hop})" for hop in view["aggregation"]["hops"])
    states = state_columns(view["aggregation"]["aggregates"])
    exploded = seen.selectExpr("*", f"explode(array({hops})) AS _hop").selectExpr("*", "_ms - pmod(_ms, _hop) AS _start")
    tiles = exploded.groupBy(*within, *names, "_hop", "_start").agg(*(F.expr(one) for one in states))
    yield items("tiles", tiles, tiles.columns[len(within) :])


def pieces(stream, epoch):
    """Returns a function that packs (batch, view_table, kind, item) of a partition into rows of the staging table."""

    def pack(partition, rows):
        lists, held, piece = {}, 0, partition << 32
        for batch, view_table, kind, item in rows:
            place = (batch, view_table, kind)
            items = lists.setdefault(place, [])
            items.append(item)
            held += 1
            # Send a full list, or all lists if a task holds too many items: those of many batches may come mixed.
            full = [place] if len(items) == CHUNK else list(lists) if held >= MAX_HELD else []
            for one in full:
                items = lists.pop(one)
                held -= len(items)
                yield (stream, epoch, *one, piece, "[" + ",".join(items) + "]")
                piece += 1
        for place, items in lists.items():
            yield (stream, epoch, *place, piece, "[" + ",".join(items) + "]")
            piece += 1

    return pack


STAGED = T.StructType(
    [
        T.StructField("stream", T.StringType()),
        T.StructField("epoch", T.LongType()),
        T.StructField("batch", T.LongType()),
        T.StructField("view_table", T.StringType()),
        T.StructField("kind", T.StringType()),
        T.StructField("piece", T.LongType()),
        T.StructField("content", T.StringType()),
    ]
)
