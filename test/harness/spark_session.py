"""One Spark for many runs of tests: takes the path of a plan from each line of its input, and says how the run has ended."""

import sys

sys.path.insert(0, sys.argv[1])

from pyspark.sql import SparkSession

from fstore_spark.failure import describe
from fstore_spark.job import MODES, ship_package
from fstore_spark.plan import read_plan
from fstore_spark.sink import Fenced
from fstore_spark.telling import tell

spark = SparkSession.builder.getOrCreate()
spark.sparkContext.setLogLevel("ERROR")
ship_package(spark)
tell("done")
for line in sys.stdin:
    try:
        plan = read_plan(line.strip())
        MODES[plan["mode"]](spark, plan)
        tell("done")
    except Fenced:
        tell("fenced")
    except Exception as error:
        tell("failed", **describe(error))
