"""Runs a plan that FStore has compiled on Spark, and reports how it ended."""

import argparse
import os
import shutil
import tempfile

from pyspark.sql import SparkSession

from .batch import run_batch
from .failure import describe
from .plan import PlanInvalid, read_plan
from .sink import Fenced
from .stream import run_stream
from .telling import tell
from .training_set import run_training_set

FENCED, FAILED, BAD_PLAN = 75, 1, 64
MODES = {"stream": run_stream, "batch": run_batch, "trainingSet": run_training_set}


def ship_package(spark):
    """Sends this package to the executors."""
    folder = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
    archive = shutil.make_archive(os.path.join(tempfile.mkdtemp(), "fstore_spark"), "zip", folder, "fstore_spark")
    spark.sparkContext.addPyFile(archive)


def main(arguments):
    """Runs a plan to its end; returns the exit code."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--plan", required=True, help="JSON file that FStore has compiled")
    given, _ = parser.parse_known_args(arguments)
    try:
        plan = read_plan(given.plan)
    except (OSError, PlanInvalid) as error:
        tell("failed", code="PLAN_INVALID", message=str(error))
        return BAD_PLAN
    try:
        spark = SparkSession.builder.getOrCreate()
        spark.sparkContext.setLogLevel("WARN")
        ship_package(spark)
        tell("started", spark=spark.version, appId=spark.sparkContext.applicationId)
        MODES[plan["mode"]](spark, plan)
        return 0
    except Fenced:
        tell("fenced")
        return FENCED
    except Exception as error:
        tell("failed", **describe(error))
        return FAILED
