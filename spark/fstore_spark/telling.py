"""What the job tells the control plane: lines of JSON on its standard output."""

import json


def tell(event, **fields):
    """One line of standard output: what the control plane reads."""
    print(json.dumps({"event": event, **fields}), flush=True)
