"""The mode `stream`: aggregates each micro-batch of a Kafka topic, stages the result in PostgreSQL and seals it.

The positions of the stream are those in PostgreSQL. Spark's checkpoint is thrown away. So after a run has died, the
next one begins exactly after the last sealed batch. No watermark of Spark decides which events are late.
"""

import json
import tempfile
import threading
import time

from pyspark.sql import functions as F

from .queries import Queries, SqlInvalid
from .sink import Fenced, Sink
from .staging import STAGED, decode, pieces, view_items
from .telling import tell

POLL = 2.0


class Stream:
    """One run over a topic."""

    def __init__(self, spark, plan, queries):
        self.spark, self.plan, self.queries = spark, plan, queries
        self.sink = Sink(spark, plan)
        self.revision = plan["revision"]
        self.positions = {
            view["table"]: {int(at): int(to) for at, to in view["positions"].items()} for view in plan["views"]
        }
        self.ended = threading.Event()
        self.fenced = False
        self.lost = None

    def start(self):
        """Starts the query at the first offsets that some view has not processed. Returns the query."""
        kafka = self.plan["input"]["kafka"]
        first = {}
        for at, earliest in self._earliest(kafka).items():
            # A view at position 0 begins at the oldest message of the topic. Any other view must not skip messages.
            first[str(at)] = min(of.get(at, 0) or earliest for of in self.positions.values())
        records = (
            self.spark.readStream.format("kafka")
            .option("kafka.bootstrap.servers", kafka["brokers"])
            .option("subscribe", kafka["topic"])
            .option("startingOffsets", json.dumps({kafka["topic"]: first}))
            .option("maxOffsetsPerTrigger", kafka["maxEvents"])
            .option("includeHeaders", "true")
            .options(**kafka["options"])
            .load()
        )
        checkpoint = tempfile.mkdtemp(prefix="fstore-checkpoint-")
        return records.writeStream.foreachBatch(self._take).option("checkpointLocation", checkpoint).start()

    def _earliest(self, kafka):
        """Returns the oldest offset that the topic holds, by partition."""
        jvm = self.spark._jvm
        properties = jvm.java.util.Properties()
        properties.setProperty("bootstrap.servers", kafka["brokers"])
        admin = jvm.org.apache.kafka.clients.admin.AdminClient.create(properties)
        try:
            topics = jvm.java.util.Collections.singletonList(kafka["topic"])
            count = admin.describeTopics(topics).allTopicNames().get().get(kafka["topic"]).partitions().size()
            places = [jvm.org.apache.kafka.common.TopicPartition(kafka["topic"], at) for at in range(count)]
            asked = jvm.java.util.HashMap()
            for place in places:
                asked.put(place, jvm.org.apache.kafka.clients.admin.OffsetSpec.earliest())
            found = admin.listOffsets(asked)
            return {at: found.partitionResult(place).get().offset() for at, place in enumerate(places)}
        finally:
            admin.close()

    def watch(self):
        """Ends the run when another run has replaced it."""
        while not self.ended.wait(POLL):
            try:
                self.fenced = not self.sink.holds()
            except Exception as error:
                # Without PostgreSQL this run cannot know whether it was replaced. It ends, and FStore starts another.
                self.lost = error
            if self.fenced or self.lost:
                self.ended.set()

    def _take(self, records, batch):
        began = time.time()
        now = int(began * 1_000)
        self.queries.refresh()
        is_new = self._is_new()
        frame = decode(self.spark, records, self.plan, now).persist()
        try:
            parts = (
                frame.groupBy("_partition")
                .agg(
                    F.min("_offset").alias("first"),
                    F.max("_offset").alias("last"),
                    F.count_if(~F.col("_ok")).alias("unusable"),
                    F.count_if(F.col("_ok") & is_new).alias("new_usable"),
                    F.count_if(~F.col("_ok") & is_new).alias("new_unusable"),
                    F.max("_revision").alias("revision"),
                    F.max("_ms").alias("newest"),
                )
                .collect()
            )
            if parts:
                self._stage(frame, parts, batch, now, began)
        except Fenced:
            self.fenced = True
            self.ended.set()
            raise
        finally:
            frame.unpersist()

    def _is_new(self):
        """Returns a condition: no view has processed the event. The others were counted when they were first read."""
        had = {at: max(of.get(at, 0) for of in self.positions.values()) for of in self.positions.values() for at in of}
        return F.col("_offset") >= _of_partition(had)

    def _stage(self, frame, parts, batch, now, began):
        needed = max(part.revision for part in parts)
        if needed > self.revision or any(part.unusable for part in parts):
            while not self.sink.is_newest(needed):
                time.sleep(0.1)
            self.revision = max(self.revision, needed)
        size, befores = 0, {}
        for part in parts:
            befores[part._partition] = part.first - size
            size += part.last - part.first + 1
        events = frame.where("_ok").withColumn("_n", (F.col("_offset") - _of_partition(befores)).cast("int"))
        unusable = sum(part.new_unusable for part in parts)
        items, positions, results = None, {}, []
        for at, view in enumerate(self.plan["views"]):
            known = self.positions[view["table"]]
            is_behind = any(part.first < known.get(part._partition, 0) for part in parts)
            of_view = events.where(F.col("_offset") >= _of_partition(known)) if is_behind else events
            if view["sql"]:
                result = self.queries.result(of_view, at, view, now)
                results.append(result)
                size, unusable = max(size, result.size), unusable + result.unusable
                of_view = result.rows
            for kind in view_items(of_view, at, view):
                items = kind if items is None else items.unionAll(kind)
            positions[view["table"]] = {
                str(part._partition): {"from": str(known.get(part._partition, 0)), "to": str(part.last + 1)}
                for part in parts
                if part.last + 1 > known.get(part._partition, 0)
            }
        pack = pieces(self.plan["stream"], self.plan["epoch"])
        packed = items.coalesce(max(1, self.spark.sparkContext.defaultParallelism)).rdd.mapPartitionsWithIndex(
            lambda partition, rows: pack(partition, ((batch, *row) for row in rows))
        )
        self.sink.stage(self.spark.createDataFrame(packed, STAGED, verifySchema=False))
        for result in results:
            result.cached.unpersist()
        usable = sum(part.new_usable for part in parts)
        newest = max((part.newest for part in parts if part.newest is not None), default=None)
        sealed = {"stream": self.plan["stream"], "epoch": self.plan["epoch"], "batch": batch, "size": size}
        sealed |= {"events": usable, "unusable": unusable, "newest": newest, "positions": positions}
        self.sink.seal(json.dumps(sealed))
        for table, moved in positions.items():
            self.positions[table].update({int(at): int(step["to"]) for at, step in moved.items()})
        millis = round((time.time() - began) * 1_000)
        tell("batch", batch=batch, events=usable, unusable=unusable, newest=newest, millis=millis)


def _of_partition(numbers):
    """Returns an event's number by its partition, or 0 if there is none.

    The numbers are in an array, because Spark would compile a new expression for each set of numbers.
    """
    listed = [F.lit(numbers.get(at, 0)).cast("long") for at in range(max(numbers, default=0) + 1)]
    return F.coalesce(F.try_element_at(F.array(*listed), F.col("_partition") + 1), F.lit(0))


def run_stream(spark, plan):
    """Runs a plan of the mode `stream` until it is stopped. Raises Fenced, SqlInvalid, and errors of the query."""
    # For small micro-batches, adaptive replanning after each step takes longer than the steps themselves.
    spark.conf.set("spark.sql.adaptive.enabled", "false")
    queries = Queries(spark, plan)
    refused = queries.refusals()
    plan["views"] = [view for view in plan["views"] if all(view is not one for one, _ in refused)]
    if not plan["views"]:
        raise SqlInvalid("; ".join(reason for _, reason in refused))
    for _, reason in refused:
        tell("refused", message=reason)
    stream = Stream(spark, plan, queries)
    query = stream.start()
    threading.Thread(target=stream.watch, daemon=True).start()
    while query.isActive and not stream.ended.wait(0.2):
        pass
    if stream.fenced:
        query.stop()
        raise Fenced
    raise stream.lost or query.exception() or RuntimeError("the query has ended")
