"""What the job tells the control plane: lines of JSON on its standard output."""

import json

LONGEST = 500


def tell(event, **fields):
    """One line of standard output: what the control plane reads."""
    print(json.dumps({"event": event, **fields}), flush=True)


def first_line(error):
    """What an error says first."""
    return (str(error).strip() or type(error).__name__).splitlines()[0][:LONGEST]


class TaskCount:
    """How many of the tasks that are known are done."""

    def __init__(self, spark):
        self.tracker = spark.sparkContext.statusTracker()

    def text(self):
        """In words."""
        stages = [self.tracker.getStageInfo(one) for one in self.tracker.getActiveStageIds()]
        done = sum(one.numCompletedTasks for one in stages if one)
        total = sum(one.numTasks for one in stages if one)
        return f"{done} of {total} tasks"
