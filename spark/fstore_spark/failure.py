"""What an error of Spark means: the input is at fault, the definitions are old, or Spark has failed."""

import json
import re

from py4j.java_gateway import is_instance_of
from pyspark import SparkContext

from .queries import SqlInvalid
from .sink import Stale
from .tables import BadInput
from .telling import LONGEST, first_line

# Conditions of Spark that say that a file or query cannot be read; so do these classes of SQLSTATE.
UNREADABLE = re.compile(
    r"\[((?:MALFORMED_|FAILED_READ_FILE|CANNOT_READ_|INVALID_DATETIME|CONVERT_JDBC|UNRECOGNIZED_SQL_TYPE|FAILED_JDBC|"
    r"MALFORMED_CSV|HEADER)[A-Z_.]*)\]"
)
MARK = re.compile(r"BadInput: (\{.*\})")
REFUSED_STATES = ("22", "25", "3D", "3F", "42")


def describe(error):
    """Code, message and field of what a run has ended with."""
    if isinstance(error, Stale):
        return {"code": "DEFINITIONS_STALE", "message": str(error)}
    if isinstance(error, SqlInvalid):
        return {"code": "SQL_INVALID", "message": str(error)}
    if isinstance(error, BadInput):
        return {"code": "BAD_INPUT", "message": error.message, "field": error.field}
    text = str(error)
    # Of an executor only the text of its error comes.
    if found := MARK.search(text):
        return {"code": "BAD_INPUT", **json.loads(found[1])}
    if refused := _refused_by_database(error):
        return {"code": "BAD_INPUT", "message": refused[:LONGEST], "field": "batch"}
    if UNREADABLE.search(text):
        return {"code": "BAD_INPUT", "message": first_line(error), "field": "batch"}
    return {"code": "SPARK_FAILED", "message": first_line(error)}


def _refused_by_database(error):
    """What a database says of a query that it refuses; None if that is not what happened."""
    cause = getattr(error, "java_exception", None) or getattr(error, "_origin", None)
    gateway = SparkContext._gateway
    while cause is not None and gateway is not None:
        if is_instance_of(gateway, cause, "java.sql.SQLException"):
            state = cause.getSQLState()
            if state and state.startswith(REFUSED_STATES):
                return f"the database refuses the query: {str(cause.getMessage()).splitlines()[0]}"
        cause = cause.getCause()
    return None
