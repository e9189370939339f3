"""Tables that Spark reads: files, and SELECTs on databases.

`read_table` returns a frame as Spark reads it. `Rows` converts its rows to the values that FStore's own readers give
(`src/tabular/`, `src/store/text-row-postgres.ts`).
"""

import json
import os
import re
from decimal import Decimal
from urllib.parse import parse_qsl, unquote, urlsplit

from pyspark.errors import AnalysisException
from pyspark.sql import functions as F
from pyspark.sql import types as T

from .address import jdbc_url
from .aggregator import quoted
from .decoder import Unusable, read_value
from .typed import spark_type

# `nullValue` and `emptyValue` keep empty cells, which are null, apart from quoted empty texts.
CSV = {
    "header": True,
    "inferSchema": False,
    "enforceSchema": False,
    "multiLine": True,
    "escape": '"',
    "nullValue": "\u0001",
    "emptyValue": "",
    "mode": "FAILFAST",
}
SAMPLE = 1_000
FETCH = 5_000
JS_NUMBER = re.compile(r"[+-]?(?:\d+\.?\d*|\.\d+)(?:[eE][+-]?\d+)?", re.ASCII)
INTEGER = re.compile(r"-?\d+", re.ASCII)
BOOLS = {"true": True, "false": False}


class BadInput(Exception):
    """The input cannot be read as declared. The text is JSON, so that the driver finds it in errors of executors."""

    def __init__(self, field, message):
        super().__init__(json.dumps({"field": field, "message": message}))
        self.field, self.message = field, message


def read_table(spark, source, lines=False):
    """Returns a frame of the input `source` of a plan, in Spark's types. CSV and NDJSON give texts. Raises BadInput.

    With `lines`, NDJSON gives its lines as column `value`, and not its columns.
    """
    if "jdbc" in source:
        return _read_query(spark, source["jdbc"])
    form, path = source["file"]["format"], source["file"]["path"]
    try:
        if form == "csv":
            return spark.read.options(**CSV).csv(path)
        if form == "ndjson":
            # Numbers stay text as they are written, because a double would round them.
            return spark.read.text(path) if lines else spark.read.option("primitivesAsString", True).json(path)
        return spark.read.format(form).load(path)
    except AnalysisException as error:
        if error.getCondition() == "PATH_NOT_FOUND":
            raise BadInput("batch", f"there is nothing at {shown_path(path)}") from error
        if error.getCondition() == "UNABLE_TO_INFER_SCHEMA":
            raise BadInput("batch", f"{shown_path(path)} holds no {form} file") from error
        raise


def shown_path(path):
    """Returns the last part of a file's path for messages, which must not show where the folder of batch files is."""
    if not path.startswith("file:"):
        return path
    return re.sub(r"\\(.)", r"\1", path.rstrip("/")).rsplit("/", 1)[-1]


def jdbc_options(jdbc):
    """Returns Spark's options for a database, from the variables that the plan names. Raises BadInput."""
    address = os.environ.get(jdbc["urlEnv"])
    if not address:
        raise BadInput("batch", f"{jdbc['urlEnv']} is not set where Spark's driver runs")
    options = {"fetchsize": str(FETCH)}
    if address.startswith("jdbc:"):
        options["url"] = address
    else:
        url = urlsplit(address)
        options |= {"url": jdbc_url(url), **dict(parse_qsl(url.query))}
        options |= {"user": unquote(url.username or ""), "password": unquote(url.password or "")}
    if options["url"].startswith("jdbc:postgresql:"):
        # Queries must only read, and quotes must mean what they meant when FStore parsed the query.
        options |= {"driver": "org.postgresql.Driver", "readOnly": "true", "readOnlyMode": "always"}
        options.setdefault("options", "-c standard_conforming_strings=on")
    for name in ("user", "password"):
        value = os.environ.get(jdbc.get(f"{name}Env") or "")
        if value:
            options[name] = value
    return {name: value for name, value in options.items() if value}


def _read_query(spark, jdbc):
    reader = spark.read.format("jdbc").options(**jdbc_options(jdbc))
    # The line break ends a comment at the end of the query.
    table = f"({jdbc['query']}\n) fstore_rows"
    frame = reader.option("dbtable", table).load()
    partition = jdbc.get("partition")
    if partition:
        column = column_of(frame, partition["column"])
        if column is None:
            raise BadInput("batch.partitionBy", f"the query has no column {partition['column']}")
        kind = frame.schema[column].dataType
        if not isinstance(kind, (T.NumericType, T.DateType, T.TimestampType)):
            raise BadInput(
                "batch.partitionBy", f"{column} is {kind.simpleString()}; parts are ranges of a number, date or time"
            )
        name = quoted_for(jdbc, reader, column)
        bounds = reader.option("dbtable", f"(SELECT min({name}) AS a, max({name}) AS b FROM {table}) fstore_bounds").load()
        low, high = bounds.selectExpr("cast(a as string)", "cast(b as string)").first()
        if low is not None:
            if isinstance(kind, T.NumericType):
                # Spark takes whole numbers as bounds. Rounding loses no rows: bounds only cut the table into parts.
                low, high = (str(int(Decimal(one).to_integral_value())) for one in (low, high))
            ranges = {"partitionColumn": column, "lowerBound": low, "upperBound": high, "numPartitions": partition["count"]}
            frame = reader.option("dbtable", table).options(**ranges).load()
    order = [column_of(frame, name) for name in jdbc.get("order", [])]
    order = [F.col(quoted(name)).asc_nulls_last() for name in order if name]
    return frame.sortWithinPartitions(*order) if order else frame


def quoted_for(jdbc, reader, column):
    """Returns a column's name as a quoted identifier of its database, by Spark's dialect."""
    jvm = reader._spark._jvm
    return jvm.org.apache.spark.sql.jdbc.JdbcDialects.get(jdbc_options(jdbc)["url"]).quoteIdentifier(column)


def column_of(frame, name):
    """Returns the frame's column of this name: exactly, or in other case if only one column matches; else None."""
    if name in frame.columns:
        return name
    others = [one for one in frame.columns if one.lower() == name.lower()]
    return others[0] if len(others) == 1 else None


def typed_table(spark, source, schema):
    """Returns a frame of the plan's input `source` with the columns of `schema` (name → type). Raises BadInput.

    It leaves out rows with a value that its column cannot hold.
    """
    rows = Rows(source, schema)
    usable = rows.select(read_table(spark, source, lines=True)).rdd.mapPartitions(rows.read_usable)
    fields = [T.StructField(name, spark_type(kind)) for name, kind in schema.items()]
    return spark.createDataFrame(usable, T.StructType(fields), verifySchema=False)


class Rows:
    """Converts rows of a table to values of declared columns. Spark sends it to the executors."""

    def __init__(self, source, kinds):
        self.kinds = kinds
        self.form = source["file"]["format"] if "file" in source else "jdbc"
        self.place = shown_path(source["file"]["path"]) if "file" in source else "the query"

    def select(self, frame):
        """Selects the declared columns in order, as types that Python keeps exactly. Raises BadInput."""
        if self.form == "ndjson":
            self._check_lines(frame)
            return frame
        return frame.select(*(self._plain(frame, name) for name in self.kinds))

    def _plain(self, frame, name):
        column = column_of(frame, name)
        if column is None:
            raise BadInput(name, f"{self.place} has no column {name} (it has {', '.join(frame.columns) or 'none'})")
        kind = frame.schema[column].dataType
        if self.kinds[name].startswith("TIMESTAMP") and isinstance(getattr(kind, "elementType", kind), T.LongType):
            raise BadInput(name, f"{self.place}, column {name} is {kind.simpleString()}, which is no TIMESTAMP")
        return _plain(F.col(quoted(column)), kind, f"{self.place}, column {name}", name).alias(name)

    def _check_lines(self, frame):
        lines = [line for (line,) in frame.head(SAMPLE) if line.strip()]
        names = {name for line in lines for name in self._object(line)}
        missing = next((name for name in self.kinds if lines and name not in names), None)
        if missing:
            raise BadInput(missing, f"{self.place} has no column {missing} (it has {', '.join(sorted(names)) or 'none'})")

    def _object(self, line):
        try:
            found = json.loads(line, parse_constant=lambda text: float("nan"))
        except (ValueError, RecursionError):
            found = None
        if type(found) is not dict:
            raise BadInput("batch", f"{self.place} has a line that is no JSON object: {line[:60]}")
        return found

    def read(self, rows):
        """Yields the typed values of each row, by column. Raises BadInput."""
        for row in rows:
            if self.form == "ndjson":
                if not row[0].strip():
                    continue
                found = self._object(row[0])
                cells = [found.get(name) for name in self.kinds]
            else:
                cells = row
            yield {name: self._value(name, kind, cell) for (name, kind), cell in zip(self.kinds.items(), cells)}

    def read_usable(self, rows):
        """Yields the values of each row, except rows with a value that its column cannot hold."""
        for row in rows:
            try:
                yield from (tuple(values.values()) for values in self.read([row]))
            except BadInput:
                continue

    def _value(self, name, kind, cell):
        value = _cell(kind, cell) if self.form == "csv" else _bare(cell)
        try:
            return read_value(kind, value)
        except Unusable as error:
            raise BadInput(name, f"{self.place}, column {name} is {kind}: {str(cell)[:60]} is none") from error


def _plain(column, kind, place, name):
    if isinstance(kind, T.ArrayType):
        return F.transform(column, lambda item: _plain(item, kind.elementType, place, name))
    if isinstance(kind, (T.TimestampType, T.TimestampNTZType, T.DateType)):
        return F.unix_millis(column.cast(T.TimestampType()))
    if isinstance(kind, T.BinaryType):
        return column.cast("string")
    if isinstance(kind, T.FloatType):
        return column.cast("double")
    if isinstance(kind, (T.NumericType, T.StringType, T.BooleanType, T.NullType)):
        return column
    raise BadInput(name, f"{place} is {kind.simpleString()}, of which FStore has no values")


def _bare(cell):
    if isinstance(cell, Decimal):
        return int(cell) if cell == cell.to_integral_value() else float(cell)
    return [_bare(item) for item in cell] if isinstance(cell, list) else cell


def _cell(kind, cell):
    """Returns the JSON form of a CSV cell. An empty cell is null for every type except STRING."""
    if cell is None or kind == "STRING":
        return cell
    if cell == "":
        return None
    if kind == "BOOL":
        return BOOLS.get(cell.lower(), cell)
    if kind == "INT64":
        return cell
    if kind == "TIMESTAMP":
        return int(cell) if INTEGER.fullmatch(cell) else cell
    if kind.endswith("[]"):
        try:
            return json.loads(cell)
        except (ValueError, RecursionError):
            return cell
    return float(cell) if JS_NUMBER.fullmatch(cell.strip()) else cell
