"""Test vectors from a script of this repository: payloads, and the results that TypeScript decodes from them."""

import json
import os
import subprocess
from pathlib import Path

SEED = os.environ.get("FSTORE_TEST_SEED", "1")


def vectors_of(script):
    """Returns the parsed output of `scripts/<script>` for the seed."""
    command = ["node", "--import", "tsx", f"scripts/{script}", SEED]
    output = subprocess.run(command, cwd=Path(__file__).parents[2], check=True, capture_output=True)
    return json.loads(output.stdout)


def plain(value, kind):
    """Returns a value as the decoder gives it. JSON writes large doubles as integers, whose last digits differ."""
    if isinstance(value, list):
        return [plain(item, kind[:-2]) for item in value]
    if isinstance(value, dict):
        return int(value["big"])
    return float(value) if kind == "FLOAT64" and value is not None else value
