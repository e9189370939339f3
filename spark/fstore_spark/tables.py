"""Tables that are read whole: files, folders of files, and SELECTs of PostgreSQL."""

from .sink import jdbc_address

FORMATS = {
    # An empty cell is null, an empty text in quotes is one; quotes are doubled, and breaks of line may be within them.
    "csv": {"header": "true", "escape": '"', "multiLine": "true", "enforceSchema": "false"},
    # Numbers as they are written: a double would round them.
    "json": {"primitivesAsString": "true"},
    "parquet": {},
}


def read_table(spark, origin):
    """A frame of what an input of the plan names, in Spark's own types; of CSV and NDJSON they are texts."""
    if "jdbc" in origin:
        url, properties = jdbc_address(origin["jdbc"]["urlEnv"])
        return spark.read.jdbc(url, f"({origin['jdbc']['query']}\n) AS rows", properties=properties)
    file = origin["file"]
    format_name = "json" if file["format"] == "ndjson" else file["format"]
    return spark.read.options(**FORMATS[format_name]).format(format_name).load(file["path"])
