"""The queries of `sql` feature views.

A query runs on the events of one micro-batch or of one batch run. Its result for an event must not depend on the other
events there, so a query that combines several events is refused. A value that the query cannot compute is null. Tables
are read when a batch begins, unless they were read less than `refresh` milliseconds ago.
"""

import time
from typing import NamedTuple

from pyspark.errors import PySparkException
from pyspark.sql import DataFrame, Window
from pyspark.sql import functions as F
from pyspark.sql import types as T

from .aggregator import quoted
from .decoder import Unusable, read_key, read_value
from .tables import BadInput, typed_table
from .telling import first_line
from .typed import carried, spark_type

# Nodes of a plan whose result for one event depends on other events.
SPANNING = {
    "Aggregate": "an aggregate",
    "Window": "a window function",
    "Distinct": "DISTINCT or UNION",
    "Deduplicate": "DISTINCT or UNION",
    "GlobalLimit": "LIMIT",
    "LocalLimit": "LIMIT",
    "Offset": "OFFSET",
    "Intersect": "INTERSECT",
    "Except": "EXCEPT",
    "Sample": "TABLESAMPLE",
}
# Functions that call arbitrary Java methods. A definition must not run code.
FORBIDDEN = ("reflect", "java_method", "try_reflect")


class SqlInvalid(Exception):
    """A query that cannot be the query of a view."""


class Result(NamedTuple):
    """The result of a query: rows as `view_items` takes them, and their number. The caller must unpersist `cached`."""

    rows: DataFrame
    size: int
    unusable: int
    cached: DataFrame


class Queries:
    """The queries of a plan, and the tables that they read."""

    def __init__(self, spark, plan):
        self.spark, self.plan = spark, plan
        self.views = [view for view in plan["views"] if view["sql"]]
        self.tables = {}
        self.read_at = None
        if self.views:
            registry = spark._jsparkSession.sessionState().functionRegistry()
            for one in _items(registry.listFunction()):
                if one.funcName() in FORBIDDEN:
                    registry.dropFunction(one)

    def refusals(self):
        """Analyzes the queries on empty tables. Returns (view, reason) for each query that Spark or FStore refuses."""
        for one in [self.plan["source"], *self.plan["tables"]] if self.views else []:
            fields = [T.StructField(name, spark_type(kind)) for name, kind in one["schema"].items()]
            self._show(one, self.spark.createDataFrame([], T.StructType(fields)))
        refused = []
        for view in self.views:
            try:
                self._expressions(view, self._ask(view))
            except (SqlInvalid, PySparkException) as error:
                refused.append((view, f"view {view['id']}: {first_line(error)}"))
        return refused

    def refresh(self):
        """Reads the tables again if the last reading is older than the plan's `refresh`."""
        now = time.monotonic()
        if self.read_at is not None and now - self.read_at < self.plan["refresh"] / 1_000:
            return
        for one in self.plan["tables"]:
            try:
                frame = typed_table(self.spark, one["input"], one["schema"]).persist()
                frame.count()
            except BadInput as error:
                raise RuntimeError(f"table {one['name']}: {error.message}") from error
            except Exception as error:
                raise RuntimeError(f"table {one['name']}: {first_line(error)}") from error
            self._show(one, frame)
            if one["name"] in self.tables:
                self.tables[one["name"]].unpersist()
            self.tables[one["name"]] = frame
        self.read_at = now

    def result(self, events, at, view, now):
        """Returns the result of a view's query over a frame of decoded events. `now` is in milliseconds.

        Rows are numbered in the order of event time, then of content.
        """
        self._show(self.plan["source"], events)
        asked = self._ask(view)
        reading = ResultReader(view, now, self.plan["limits"]["clockSkew"])
        names = [f"_key_{at}_{part}" for part in range(len(view["keys"]))] + [one["column"] for one in view["columns"]]
        kinds = ["STRING"] * len(view["keys"]) + view["sql"]["types"]
        fields = [
            ("_ok", T.BooleanType()),
            ("_ms", T.LongType()),
            ("_due", T.BooleanType()),
            *zip(names, map(spark_type, kinds)),
        ]
        schema = T.StructType([T.StructField(name, kind) for name, kind in fields])
        rows = asked.selectExpr(*self._expressions(view, asked)).rdd.mapPartitions(reading)
        cached = self.spark.createDataFrame(rows, schema, verifySchema=False).persist()
        counts = cached.agg(F.count_if("_ok").alias("size"), F.count_if(~F.col("_ok")).alias("unusable")).first()
        order = Window.orderBy("_ms", *(quoted(name) for name in names))
        # Null, because a result is known only from its computation on: the merge sets its arrival.
        known = F.lit(None).cast("long")
        rows = cached.where("_ok").withColumn("_n", F.row_number().over(order) - 1).withColumn("_arrived", known)
        return Result(rows, counts["size"], counts["unusable"], cached)

    def _show(self, one, frame):
        """Registers a frame under the name of its source, with instants as Spark timestamps."""
        shown = [f"{_instant(kind, quoted(name))} AS {quoted(name)}" for name, kind in one["schema"].items()]
        frame.selectExpr(*shown).createOrReplaceTempView(one["name"])

    def _ask(self, view):
        # In parentheses, only a query is valid SQL.
        frame = self.spark.sql(f"({view['sql']['query']}\n)")
        if not _reads(frame._jdf.queryExecution().analyzed(), self.plan["source"]["name"], {}):
            raise SqlInvalid(f"the query does not read {self.plan['source']['name']}")
        return frame

    def _expressions(self, view, frame):
        """Returns expressions of event time, keys and columns, as `ResultReader` takes them. Raises SqlInvalid."""
        sql, given = view["sql"], [(field.name.lower(), field.dataType.simpleString()) for field in frame.schema]
        wanted = [(sql["timestamp"], "TIMESTAMP")]
        wanted += [(key["column"], kind) for key, kind in zip(view["keys"], sql["keyTypes"])]
        wanted += [(one["column"], kind) for one, kind in zip(view["columns"], sql["types"])]
        expressions = []
        for name, kind in wanted:
            found = [one for column, one in given if column == name]
            if len(found) != 1:
                has = ", ".join(column for column, _ in given)
                raise SqlInvalid(f"the result has {'the column twice:' if found else 'no column'} {name} (it has {has})")
            try:
                expressions.append(carried(kind, found[0], quoted(name)))
            except ValueError as error:
                raise SqlInvalid(f"column {name} {error} in the query") from error
        return expressions


class ResultReader:
    """Reads rows of a result by the rules for events. Spark sends it to the executors."""

    def __init__(self, view, now, skew):
        self.keys, self.kinds, self.now, self.latest = view["sql"]["keyTypes"], view["sql"]["types"], now, now + skew

    def __call__(self, rows):
        blank = (False, None, None) + (None,) * (len(self.keys) + len(self.kinds))
        for row in rows:
            try:
                yield self._read(*row)
            except Unusable:
                yield blank

    def _read(self, instant, *values):
        moment = read_value("TIMESTAMP", instant)
        if moment is None or moment > self.latest:
            raise Unusable
        keys, columns = values[: len(self.keys)], values[len(self.keys) :]
        parts = read_key([read_value(kind, value) for kind, value in zip(self.keys, keys)])
        return (
            True,
            moment,
            moment > self.now,
            *parts,
            *(read_value(kind, value) for kind, value in zip(self.kinds, columns)),
        )


def _instant(kind, column):
    if kind == "TIMESTAMP":
        return f"timestamp_millis({column})"
    return f"transform({column}, x -> timestamp_millis(x))" if kind == "TIMESTAMP[]" else column


def _items(sequence):
    return [sequence.apply(at) for at in range(sequence.size())]


def _reads(node, source, shared):
    """Returns whether a resolved plan reads the events. Raises SqlInvalid if it combines several of them."""
    kind = node.getClass().getSimpleName()
    if kind == "WithCTE":
        for one in _items(node.cteDefs()):
            shared[one.id()] = _reads(one.child(), source, shared)
        return _reads(node.plan(), source, shared)
    if kind == "CTERelationRef":
        return shared[node.cteId()]
    if kind == "SubqueryAlias" and node.alias() == source and node.child().getClass().getSimpleName() == "View":
        return True
    if any(_reads(one, source, shared) for one in _items(node.subqueries())):
        raise SqlInvalid(f"a subquery reads {source}; {ALONE}")
    found = [_reads(one, source, shared) for one in _items(node.children())]
    if kind in SPANNING and any(found):
        raise SqlInvalid(f"{SPANNING[kind]} over {source}; {ALONE}")
    if kind == "Join" and any(found):
        join = node.joinType().sql()
        sides = {"INNER": found, "CROSS": found, "RIGHT OUTER": found[1:]}.get(
            join, found[:1] if join.startswith("LEFT") else []
        )
        if all(found) or not any(sides):
            raise SqlInvalid(f"{join} JOIN keeps more than the rows of {source}, or joins {source} with itself; {ALONE}")
    return any(found)


ALONE = "a query computes each event on its own (what spans events is for `aggregations`)"
