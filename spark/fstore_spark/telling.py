"""What the job tells the control plane: lines of JSON on its standard output."""

import json

LONGEST = 500


def tell(event, **fields):
    """One line of standard output: what the control plane reads."""
    print(json.dumps({"event": event, **fields}), flush=True)


def first_line(error):
    """What an error says first."""
    return (str(error).strip() or type(error).__name__).splitlines()[0][:LONGEST]
