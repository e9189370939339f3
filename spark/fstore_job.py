"""Entry point for spark-submit: `spark-submit fstore_job.py --plan plan.json`."""

import os
import sys

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))

from fstore_spark.job import main  # noqa: E402

if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
