"""Feast in the serving benchmark: defines the views of `shape.json` in a repository, and loads the files into its online store.

    python feast-loader.py <folder> <redis host:port,db=n>

The folder has `shape.json` ([{name, file, views: [{name, features: [{name, type}]}]}]) and becomes a Feast repository.
"""

import json
import os
import sys
import time

import pandas as pd
from feast import Entity, FeatureStore, FeatureView, Field, FileSource
from feast.types import Bool, Float64, Int64, String
from feast.value_type import ValueType

TYPES = {"FLOAT64": Float64, "INT64": Int64, "STRING": String, "BOOL": Bool}
ROWS = 5_000


def main(folder, connection):
    with open(os.path.join(folder, "feature_store.yaml"), "w") as file:
        file.write(
            "project: bench\nprovider: local\nregistry: registry.db\n"
            f"online_store:\n  type: redis\n  connection_string: {json.dumps(connection)}\n"
            "offline_store:\n  type: file\nentity_key_serialization_version: 3\n"
        )
    with open(os.path.join(folder, "shape.json")) as file:
        tables = json.load(file)
    store = FeatureStore(repo_path=folder)
    user = Entity(name="user", join_keys=["user_id"], value_type=ValueType.STRING)
    views = []
    for table in tables:
        # Never read: rows are written to the online store directly. Feast asks that a view has a source all the same.
        source = FileSource(name=table["name"], path=f"{table['name']}.parquet", timestamp_field="event_time")
        for view in table["views"]:
            schema = [Field(name=one["name"], dtype=TYPES[one["type"]]) for one in view["features"]]
            views.append(FeatureView(name=view["name"], entities=[user], schema=schema, source=source, online=True))
    store.apply([user, *views])
    for table in tables:
        started = time.perf_counter()
        rows = 0
        for frame in pd.read_json(table["file"], lines=True, chunksize=ROWS, precise_float=True, convert_dates=["event_time"], dtype={"user_id": str}):
            for name in [one["name"] for view in table["views"] for one in view["features"] if one["type"] == "BOOL"]:
                # pandas reads booleans with nulls among them as floats.
                frame[name] = pd.Series([None if pd.isna(one) else bool(one) for one in frame[name]], dtype=object, index=frame.index)
            for view in table["views"]:
                columns = ["user_id", *(one["name"] for one in view["features"]), "event_time"]
                store.write_to_online_store(view["name"], frame[columns].copy())
            rows += len(frame)
        print(f"{table['name']}: {rows} rows, {time.perf_counter() - started:.1f} s", flush=True)


if __name__ == "__main__":
    main(*sys.argv[1:])
