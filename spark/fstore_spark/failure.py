"""Classifies errors of Spark: the input is wrong, the definitions are outdated, or Spark has failed."""

import json
import re

from py4j.java_gateway import is_instance_of
from pyspark import SparkContext

from .queries import SqlInvalid
from .sink import Stale
from .tables import BadInput
from .telling import LONGEST, first_line

# Error conditions of Spark for unreadable input. REFUSED_STATES are the SQLSTATE classes for the same.
UNREADABLE = re.compile(
    r"\[((?:MALFORMED_|FAILED_READ_FILE|CANNOT_READ_|INVALID_DATETIME|CONVERT_JDBC|UNRECOGNIZED_SQL_TYPE|FAILED_JDBC|"
    r"MALFORMED_CSV|HEADER)[A-Z_.]*)\]"
)
MARK = re.compile(r"BadInput: (\{.*\})")
REFUSED_STATES = ("22", "25", "3D", "3F", "42")


def describe(error):
    """Returns code, message and, for bad input, field of the error that has ended a run."""
    if isinstance(error, Stale):
        return {"code": "DEFINITIONS_STALE", "message": str(error)}
    if isinstance(error, SqlInvalid):
        return {"code": "SQL_INVALID", "message": str(error)}
    if isinstance(error, BadInput):
        return {"code": "BAD_INPUT", "message": error.message, "field": error.field}
    text = str(error)
    # The driver gets only the text of an executor's error.
    if found := MARK.search(text):
        return {"code": "BAD_INPUT", **json.loads(found[1])}
    if refused := _refused_by_database(error):
        return {"code": "BAD_INPUT", "message": refused[:LONGEST], "field": "batch"}
    if UNREADABLE.search(text):
        return {"code": "BAD_INPUT", "message": first_line(error), "field": "batch"}
    return {"code": "SPARK_FAILED", "message": first_line(error)}


def _refused_by_database(error):
    """Returns the message of a database that has refused the query; None if that is not the cause of the error."""
    cause = getattr(error, "java_exception", None) or getattr(error, "_origin", None)
    gateway = SparkContext._gateway
    while cause is not None and gateway is not None:
        if is_instance_of(gateway, cause, "java.sql.SQLException"):
            state = cause.getSQLState()
            if state and state.startswith(REFUSED_STATES):
                return f"the database refuses the query: {str(cause.getMessage()).splitlines()[0]}"
        cause = cause.getCause()
    return None
