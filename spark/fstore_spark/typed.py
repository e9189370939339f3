"""Columns of Spark as values of declared types, by the rules of the decoder."""

import json

from pyspark.sql import types as T

from .decoder import INTEGER, Unusable, read_value

SPARK_TYPES = {
    "STRING": T.StringType(),
    "BOOL": T.BooleanType(),
    "INT32": T.IntegerType(),
    "INT64": T.LongType(),
    "FLOAT64": T.DoubleType(),
    "TIMESTAMP": T.LongType(),
}
WHOLE = ("tinyint", "smallint", "int", "bigint")
TIMES = ("timestamp", "timestamp_ntz", "date")


def spark_type(kind):
    """The type in which frames of FStore hold values of a type: instants are milliseconds."""
    return T.ArrayType(SPARK_TYPES[kind[:-2]]) if kind.endswith("[]") else SPARK_TYPES[kind]


def carried(kind, given, column):
    """The expression that makes of `column`, whose type Spark calls `given`, what the decoder reads as `kind`. Raises ValueError."""
    if given == "void":
        return "cast(NULL AS string)"
    if kind.endswith("[]") and given.startswith("array<"):
        return f"transform({column}, x -> {carried(kind[:-2], given[6:-1], 'x')})"
    if kind == "TIMESTAMP" and given in TIMES:
        return f"unix_millis(cast({column} AS timestamp))"
    if kind == "FLOAT64" and (given in (*WHOLE, "float", "double") or given.startswith("decimal")):
        return f"cast({column} AS double)"
    if (kind in ("INT32", "INT64") and given in WHOLE) or (kind == "BOOL" and given == "boolean"):
        return column
    if kind == "STRING" and given.startswith(("string", "varchar", "char")):
        return f"cast({column} AS string)"
    raise ValueError(f"is {given}, which is no {kind}: CAST it")


def read_text(kind, text):
    """Reads a cell of CSV, or a scalar of NDJSON as it was written. Raises Unusable."""
    if kind == "STRING":
        return read_value(kind, text)
    try:
        value = text if kind == "TIMESTAMP" and not INTEGER.fullmatch(text) else json.loads(text)
    except ValueError as error:
        raise Unusable from error
    return read_value(kind, value)


class Reader:
    """Makes rows of values of rows of a table, without those that have an unusable one; travels to the executors."""

    def __init__(self, kinds):
        self.kinds = kinds

    def __call__(self, rows):
        for row in rows:
            try:
                yield tuple(self._read(kind, value) for kind, value in zip(self.kinds, row))
            except Unusable:
                continue

    def _read(self, kind, value):
        if isinstance(value, str):
            return read_text(kind, value)
        if isinstance(value, list) and any(isinstance(item, str) for item in value):
            return read_value(kind, [None if item is None else read_text(kind[:-2], item) for item in value])
        return read_value(kind, value)


def typed_table(spark, frame, schema):
    """A frame with the columns of `schema` (name → type); rows that have a value of another type are left out. Raises ValueError."""
    given = {field.name: field.dataType.simpleString() for field in frame.schema}
    columns = []
    for name, kind in schema.items():
        if name not in given:
            columns.append("cast(NULL AS string)")
        elif given[name] in ("string", "array<string>"):
            columns.append(f"`{name}`")
        else:
            try:
                columns.append(carried(kind, given[name], f"`{name}`"))
            except ValueError as error:
                raise ValueError(f"column {name} {error}") from error
    rows = frame.selectExpr(*columns).rdd.mapPartitions(Reader(list(schema.values())))
    fields = [T.StructField(name, spark_type(kind)) for name, kind in schema.items()]
    return spark.createDataFrame(rows, T.StructType(fields), verifySchema=False)
