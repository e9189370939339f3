"""Messages of the job to FStore: lines of JSON on standard output."""

import json

LONGEST = 500


def tell(event, **fields):
    """Prints one message as a line of JSON, which FStore reads."""
    print(json.dumps({"event": event, **fields}), flush=True)


def first_line(error):
    """Returns the first line of an error's text, at most 500 characters."""
    return (str(error).strip() or type(error).__name__).splitlines()[0][:LONGEST]


class TaskCount:
    """Counts the finished tasks of a run's active stages."""

    def __init__(self, spark):
        self.tracker = spark.sparkContext.statusTracker()

    def text(self):
        """Returns the counts as text."""
        stages = [self.tracker.getStageInfo(one) for one in self.tracker.getActiveStageIds()]
        done = sum(one.numCompletedTasks for one in stages if one)
        total = sum(one.numTasks for one in stages if one)
        return f"{done} of {total} tasks"
