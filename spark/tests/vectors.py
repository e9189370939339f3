"""Vectors that a script of the repository prints: payloads, and what TypeScript makes of them."""

import json
import os
import subprocess
from pathlib import Path

SEED = os.environ.get("FSTORE_TEST_SEED", "1")


def vectors_of(script):
    """What `scripts/<script>` prints for the seed."""
    command = ["node", "--import", "tsx", f"scripts/{script}", SEED]
    output = subprocess.run(command, cwd=Path(__file__).parents[2], check=True, capture_output=True)
    return json.loads(output.stdout)


def plain(value, kind):
    """A value as the decoder has it: JSON writes a large double as an integer with other last digits."""
    if isinstance(value, list):
        return [plain(item, kind[:-2]) for item in value]
    if isinstance(value, dict):
        return int(value["big"])
    return float(value) if kind == "FLOAT64" and value is not None else value
