"""Conversion of Spark columns to values of declared types, by the rules of the decoder."""

from pyspark.sql import types as T

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
    """Returns the Spark type that holds values of type `kind`. Instants are integers (milliseconds since 1970)."""
    return T.ArrayType(SPARK_TYPES[kind[:-2]]) if kind.endswith("[]") else SPARK_TYPES[kind]


def carried(kind, given, column):
    """Returns the SQL expression that converts `column` to the form that the decoder reads as `kind`.

    `given` is Spark's name of the column's type. Raises ValueError if that type cannot hold values of `kind`.
    """
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
