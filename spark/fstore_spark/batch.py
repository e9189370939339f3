"""The mode `batch`: converts all rows of a table to events, computes the views of their source, and seals the result.

Rows are cut into batches where they are read, in reading order, and stay on disk from then on. So everything is
computed from the same rows. Each row is read once. If an executor is lost, the run fails, because a second reading might
give other rows. All batches of a run are sealed together, or none.
"""

import base64
import contextlib
import json
import threading
import time

from pyspark import StorageLevel
from pyspark.sql import functions as F
from pyspark.sql import types as T

from .decoder import Unusable, decode_event
from .event_text import event_text
from .queries import Queries, SqlInvalid
from .sink import Fenced, Sink
from .staging import STAGED, Decoding, pieces, view_items
from .tables import Rows, read_table
from .telling import TaskCount, tell

PARTITION_BATCHES = 2**20
# The first number of batches of query results, which follow the batches of the rows.
RESULT_BATCHES = 2**40
POLL = 1.0


class RowDecoding(Decoding):
    """Converts rows of a table to rows of a frame of events. Spark sends it to the executors."""

    place = (
        T.StructField("_batch", T.LongType()),
        T.StructField("_n", T.IntegerType()),
        T.StructField("_arrived", T.LongType()),
        T.StructField("_payload", T.StringType()),
    )

    def __init__(self, plan, now, rows, counter):
        super().__init__(plan, now)
        self.rows, self.counter = rows, counter

    def __call__(self, partition, records):
        kinds, time_column = self.plan["source"]["schema"], self.plan["source"]["timestamp"]
        since, size = self.plan["run"]["since"], self.plan["run"]["rows"]
        batch, n, seen = partition * PARTITION_BATCHES, 0, 0
        for values in self.rows.read(records):
            seen += 1
            if seen == size:
                self.counter.add(seen)
                seen = 0
            if since is not None and values[time_column] is not None and values[time_column] <= since:
                continue
            payload = event_text(kinds, values, nulls=True).encode()
            try:
                columns, keys = decode_event(payload, self.plan, self.now)
                yield self.usable((batch, n, None, event_text(kinds, columns, nulls=False)), columns, keys)
            except Unusable:
                yield self.unusable((batch, n, None, base64.b64encode(payload).decode()))
            n += 1
            if n == size:
                batch, n = batch + 1, 0
        self.counter.add(seen)


class Progress:
    """Reports the finished tasks during a run. Cancels the run if another one has replaced it."""

    def __init__(self, spark, sink, counter):
        self.context, self.sink, self.counter = spark.sparkContext, sink, counter
        self.tasks = TaskCount(spark)
        self.step = "reading"
        self.ended = threading.Event()
        self.fenced = False

    def follow(self):
        """Reports until the run has ended."""
        while not self.ended.wait(POLL):
            # Without PostgreSQL, this run cannot know whether it was replaced. It cannot stage anything either.
            with contextlib.suppress(Exception):
                self.fenced = not self.sink.holds()
            if self.fenced:
                self.context.cancelAllJobs()
                return
            tell("progress", rows=self.counter.value, note=f"{self.step}: {self.tasks.text()}")


def _sealed(plan, now, sums, results, read):
    total = {
        "read": read,
        "written": sum(one.events for one in sums),
        "deadLetters": sum(one.size - one.events for one in sums),
        "newest": max((one.newest for one in sums if one.newest is not None), default=None),
    }
    run = plan["run"]
    place = {"source": plan["source"]["name"], "consumer": run["consumer"], "topic": run["topic"]}
    batches = [
        {
            "batch": one._batch,
            "size": one.size,
            "events": one.events,
            "unusable": one.size - one.events,
            "newest": one.newest,
        }
        for one in sums
    ]
    return {
        "stream": plan["stream"],
        "epoch": plan["epoch"],
        "revision": plan["revision"],
        "place": place | {"partition": run["number"], "now": now},
        "batches": batches + results,
        "total": total,
    }


def _log_items(events):
    """Yields frames of the event log and of unusable events: (batch, view_table, kind, item)."""
    log = F.format_string('{"_n":%d,"_ms":%d,"e":%s}', "_n", "_ms", "_payload")
    letter = F.format_string('{"_n":%d,"p":"%s"}', "_n", "_payload")
    for kind, frame, item in (("log", events.where("_ok"), log), ("unusable", events.where("NOT _ok"), letter)):
        yield frame.select("_batch", F.lit("").alias("view_table"), F.lit(kind).alias("kind"), item.alias("item"))


def _result_of(queries, events, at, view, plan, now):
    """Returns a query's result over all rows as a frame, cut into batches of its own, and these batches."""
    result, most = queries.result(events, at, view, now), plan["run"]["rows"]
    first = RESULT_BATCHES + at * PARTITION_BATCHES
    if result.unusable:
        tell("progress", note=f"{result.unusable} rows of the result of {view['id']} cannot be used")
    number = (F.lit(first) + F.floor(F.col("_n") / most)).cast("long")
    rows = result.rows.withColumn("_batch", number).withColumn("_n", (F.col("_n") % most).cast("int"))
    cuts = range(0, result.size, most)
    sizes = {first + cut // most: min(most, result.size - cut) for cut in cuts}
    return rows, [{"batch": one, "size": size, "events": 0, "unusable": 0, "newest": None} for one, size in sizes.items()]


def run_batch(spark, plan):
    """Computes a plan of the mode `batch` and seals it. Raises BadInput, SqlInvalid, Fenced, Stale or others."""
    queries = Queries(spark, plan)
    if refused := queries.refusals():
        raise SqlInvalid("; ".join(reason for _, reason in refused))
    now = int(time.time() * 1_000)
    sink = Sink(spark, plan)
    counter = spark.sparkContext.accumulator(0)
    progress = Progress(spark, sink, counter)
    threading.Thread(target=progress.follow, daemon=True).start()
    try:
        rows = Rows(plan["input"], plan["source"]["schema"])
        table = rows.select(read_table(spark, plan["input"], lines=True))
        decoding = RowDecoding(plan, now, rows, counter)
        read = table.rdd.mapPartitionsWithIndex(decoding)
        frame = spark.createDataFrame(read, decoding.schema, verifySchema=False)
        events = frame.localCheckpoint(eager=True, storageLevel=StorageLevel.DISK_ONLY)
        sums = (
            events.groupBy("_batch")
            .agg(F.count("*").alias("size"), F.count_if("_ok").alias("events"), F.max("_ms").alias("newest"))
            .collect()
        )
        progress.step = "computing"
        queries.refresh()
        items, results, usable = [*_log_items(events)], [], events.where("_ok")
        for at, view in enumerate(plan["views"]):
            of_view = usable
            if view["sql"]:
                of_view, batches = _result_of(queries, usable, at, view, plan, now)
                results += batches
            items += view_items(of_view, at, view, ("_batch",))
        whole = items[0]
        for more in items[1:]:
            whole = whole.unionAll(more)
        packed = whole.rdd.mapPartitionsWithIndex(pieces(plan["stream"], plan["epoch"]))
        sink.stage(spark.createDataFrame(packed, STAGED, verifySchema=False))
        sealed = _sealed(plan, now, sums, results, counter.value)
        sink.seal_run(json.dumps(sealed))
        tell("sealed", batches=len(sums), **sealed["total"])
    except Exception as error:
        if progress.fenced:
            raise Fenced from error
        raise
    finally:
        progress.ended.set()
