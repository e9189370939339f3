"""The mode `trainingSet`: joins a spine (entity-and-time rows) with the history of views.

It writes lines of JSON for what a row (`o`) of the spine finds in a view (`w`) at its instant. One kind of line has the
time of its newest event (`t`) and, for a view of rows, the values (`v`). The other kind, for aggregation views, has the
states (`s`) of one window (`x`). FStore finalizes the states, and knows the rows that have found nothing.
"""

import contextlib
import threading

from pyspark.sql import functions as F
from pyspark.sql import types as T
from pyspark.sql.window import Window

from .aggregator import needs_hash, needs_text, state_columns
from .tables import read_table
from .telling import TaskCount, tell

POLL = 1.0
# Order at equal instants: rows of the spine that do not see the event, the event, rows that see it.
UNSEEING, EVENT, SEEING = 0, 1, 2


def _named(name):
    return '"' + name.replace('"', '""') + '"'


def _milliseconds(column):
    return f"round(date_part('epoch', {column}) * 1000)::bigint"


def _plain(kind, column):
    """Returns an expression of a history column in a form that JSON and Spark keep exactly."""
    if kind == "TIMESTAMP":
        return _milliseconds(column)
    if kind == "TIMESTAMP[]":
        items = f"SELECT {_milliseconds('v')} FROM unnest({column}) WITH ORDINALITY AS l(v, o) ORDER BY o"
        return f"CASE WHEN {column} IS NOT NULL THEN ARRAY({items}) END"
    return column


def _text(kind, column):
    return f"{_plain(kind, column)}::text"


def _hash(kind, column):
    text = f"encode(float8send({column}), 'hex')" if kind == "FLOAT64" else _text(kind, column)
    return f"('x' || left(md5({text}), 13))::bit(52)::bigint::float8"


def _values(columns):
    """Returns an expression of a row's values as the text of a JSON object, with INT64 as strings."""
    casts = {"INT64": "::text", "INT64[]": "::text[]"}
    shown = [
        f"{_plain(one['type'], _named(one['name']))}{casts.get(one['type'], '')} AS c{index}"
        for index, one in enumerate(columns)
    ]
    return f"(SELECT row_to_json(r)::text FROM (SELECT {', '.join(shown)}) AS r)"


class History:
    """The history of one view, as frames."""

    def __init__(self, spark, sink, view):
        self.spark, self.sink, self.view = spark, sink, view
        self.names = [f"_k{index}" for index in range(len(view["keys"]))]
        aggregation = view["aggregation"]
        # Numbered names, because Spark does not distinguish column names that differ only in case.
        place = {one["name"]: f"c{index}" for index, one in enumerate(view["columns"])}
        self.aggregates = [
            one | {"column": place.get(one["column"])} for one in (aggregation["aggregates"] if aggregation else [])
        ]

    def newest(self):
        """Returns keys, `_ms`, `_n` and, for a view of rows, `_v`: its values as JSON."""
        return self._read([f"{'NULL::text' if self.aggregates else _values(self.view['columns'])} AS _v"])

    def events(self):
        """Returns keys, `_ms`, `_n`, and the columns that the aggregates read."""
        columns = []
        for index, one in enumerate(self.view["columns"]):
            kind, column = one["type"], _named(one["name"])
            reading = [other for other in self.aggregates if other["column"] == f"c{index}"]
            columns.append(f"{_plain(kind, column)} AS c{index}")
            if any(map(needs_hash, reading)):
                columns.append(f"{_hash(kind, column)} AS _h_c{index}")
            if any(map(needs_text, reading)):
                columns.append(f"{_text(kind, column)} AS _t_c{index}")
        return self._read(columns)

    def _read(self, columns):
        keys = [f"{_named(key['stored'])}::text AS {name}" for key, name in zip(self.view["keys"], self.names)]
        places = [f"{_milliseconds('_event_time')} AS _ms", "_sequence AS _n"]
        table = f"{_named(self.sink['schema'])}.{_named(self.view['table'])}"
        jdbc = {
            "urlEnv": self.sink["urlEnv"],
            "query": f"SELECT {', '.join([*keys, *places, *columns])} FROM {table}",
            "partition": {"column": "_n", "count": max(2, self.spark.sparkContext.defaultParallelism)},
        }
        return read_table(self.spark, {"jdbc": jdbc})


def _found(spine, history, before):
    """Returns the newest event of each spine row that has one: `o`, keys, `at`, `_t` and `_v`."""
    keys, nothing = history.names, F.lit(None)
    asked = spine.select(
        *keys,
        F.col("at").alias("_ms"),
        F.lit(UNSEEING if before else SEEING).alias("_side"),
        nothing.cast("long").alias("_n"),
        "o",
        nothing.cast("string").alias("_v"),
    )
    happened = history.newest().select(
        *keys, "_ms", F.lit(EVENT).alias("_side"), "_n", nothing.cast("long").alias("o"), "_v"
    )
    order = Window.partitionBy(*keys).orderBy("_ms", "_side", "_n").rowsBetween(Window.unboundedPreceding, Window.currentRow)
    event = F.when(F.col("_side") == EVENT, F.struct(F.col("_ms").alias("t"), F.col("_v").alias("v")))
    seen = asked.unionByName(happened).withColumn("_newest", F.last(event, ignorenulls=True).over(order))
    rows = seen.where(f"_side <> {EVENT} AND _newest IS NOT NULL")
    return rows.select("o", *keys, F.col("_ms").alias("at"), F.col("_newest.t").alias("_t"), F.col("_newest.v").alias("_v"))


def _states(found, history, before):
    """Returns states of windows with events, for each row: `o`, `_x` (the window), and the parts of the states."""
    tails = [
        f"named_struct('x', {index}, 'tail', at - {one['length']} - pmod(at - {one['length']}, bigint({one['hop']})))"
        for index, one in enumerate(history.view["aggregation"]["windows"])
    ]
    rows = found.select("o", *history.names, "at").withColumn("_tails", F.expr(f"array({', '.join(tails)})"))
    rows = rows.withColumn("_first", F.expr("array_min(transform(_tails, x -> x.tail))"))
    events = history.events()
    condition = F.expr(f"_ms {'<' if before else '<='} at AND _ms >= _first")
    for name in history.names:
        condition = condition & (rows[name] == events[name])
    covered = rows.join(events, condition)
    in_windows = covered.withColumn("_x", F.expr("explode(transform(filter(_tails, x -> _ms >= x.tail), x -> x.x))"))
    return in_windows.groupBy("o", "_x").agg(*(F.expr(one) for one in state_columns(history.aggregates)))


def _line(place, frame, shown):
    return frame.select("o", F.concat(F.lit('{"o":'), "o", F.lit(f',"w":{place}'), *shown, F.lit("}")).alias("line"))


def _lines(place, spine, history, before):
    """Yields frames of (o, line) of one view."""
    keys = [F.col(f"k{key['spine']}").alias(name) for key, name in zip(history.view["keys"], history.names)]
    found = _found(spine.select("o", "at", *keys), history, before)
    values = [F.lit(',"v":'), "_v"] if history.view["aggregation"] is None else []
    yield _line(place, found, [F.lit(',"t":'), "_t", *values])
    if history.view["aggregation"] is None:
        return
    states = _states(found, history, before)
    parts = [
        _state_part(history.view["aggregation"]["windows"], index, one, states.schema[name])
        for index, one in enumerate(history.aggregates)
        for name in states.columns
        if name.startswith(f"a{index}_")
    ]
    yield _line(place, states, [F.lit(',"x":'), "_x", F.lit(',"s":'), F.to_json(F.struct(*parts))])


def _state_part(windows, index, aggregate, field):
    """Returns a part of an aggregate's state; null, which `to_json` leaves out, for windows that do not need it."""
    value, kind = F.col(field.name), field.dataType
    # INT64 is text, because FStore reads JSON numbers as doubles.
    is_whole = isinstance(kind, T.LongType) and aggregate["type"] == "INT64" and field.name.endswith("_0")
    if is_whole or isinstance(kind, T.DecimalType):
        value = value.cast("string")
    asked = [x for x, window in enumerate(windows) if index in window["aggregates"]]
    return F.when(F.col("_x").isin(asked), value).alias(field.name)


def run_training_set(spark, plan):
    """Joins a plan of the mode `trainingSet` and writes its lines. Raises errors of Spark."""
    ended = threading.Event()

    def follow():
        tasks = TaskCount(spark)
        while not ended.wait(POLL):
            with contextlib.suppress(Exception):
                tell("progress", rows=0, note=f"joining: {tasks.text()}")

    threading.Thread(target=follow, daemon=True).start()
    try:
        spine = spark.read.parquet(plan["spine"])
        whole = None
        for place, view in enumerate(plan["views"]):
            for lines in _lines(place, spine, History(spark, plan["sink"], view), plan["before"]):
                whole = lines if whole is None else whole.unionAll(lines)
        part = F.floor(F.col("o") / plan["partRows"]).cast("long").alias("part")
        parted = whole.select(part, "line").repartition("part")
        parted.write.partitionBy("part").text(plan["output"])
    finally:
        ended.set()
