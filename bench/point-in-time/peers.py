"""The peers of the point-in-time benchmark. `prepare` makes and loads the data; every other verb is one contender and prints one JSON line."""

import json
import os
import resource
import sys
import time

import duckdb
import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

FEATURES = [f"f{i}" for i in range(10)]
WINDOWS = {"1h": 3600, "6h": 21600, "24h": 86400, "3d": 259200, "7d": 604800, "30d": 2592000}
START = pd.Timestamp("2026-01-01", tz="UTC")
SPAN_MS = 60 * 86_400_000


def paths(folder):
    return {name: os.path.join(folder, f"{name}.parquet") for name in ("facts", "events", "spine")}


def prepare(folder, url, facts, events, labels, users=10_000, seed=7):
    """Random facts (10 doubles), events (amounts of whole cents) and labels of equal users; milliseconds, with ties."""
    random = np.random.default_rng(seed)
    os.makedirs(folder, exist_ok=True)

    def instants(count):
        return pd.to_datetime(START.value // 1_000_000 + random.integers(0, SPAN_MS, count), unit="ms", utc=True)

    def ids(count):
        return np.char.add("u", random.integers(0, users, count).astype(str))

    fact = pd.DataFrame({"user_id": ids(facts), "event_timestamp": instants(facts)})
    fact["created"] = fact["event_timestamp"]
    for name in FEATURES:
        fact[name] = random.random(facts)
    event = pd.DataFrame({"user_id": ids(events), "event_timestamp": instants(events), "amount": random.integers(1, 100_000, events) / 4.0})
    spine = pd.DataFrame({"user_id": ids(labels), "event_timestamp": instants(labels), "label": random.integers(0, 2, labels)})
    for name, frame in (("facts", fact), ("events", event), ("spine", spine)):
        pq.write_table(pa.Table.from_pandas(frame, preserve_index=False), paths(folder)[name], coerce_timestamps="ms", allow_truncated_timestamps=True)
    if url:
        import psycopg

        with psycopg.connect(url, autocommit=True) as connection:
            load(connection, "peer_facts", fact, "user_id text, event_timestamp timestamptz, created timestamptz, " + ", ".join(f"{f} float8" for f in FEATURES))
            load(connection, "peer_events", event, "user_id text, event_timestamp timestamptz, amount float8")
            connection.execute("CREATE INDEX ON peer_facts (user_id, event_timestamp DESC, created DESC)")
            connection.execute("CREATE INDEX ON peer_events (user_id, event_timestamp)")
            connection.execute("VACUUM ANALYZE peer_facts")
            connection.execute("VACUUM ANALYZE peer_events")


def load(connection, table, frame, columns):
    connection.execute(f"DROP TABLE IF EXISTS {table}")
    connection.execute(f"CREATE TABLE {table} ({columns})")
    with connection.cursor() as cursor, cursor.copy(f"COPY {table} FROM STDIN (FORMAT csv)") as copy:
        for at in range(0, len(frame), 200_000):
            copy.write(frame.iloc[at : at + 200_000].to_csv(index=False, header=False))


def feast_store(folder, url, engine):
    from datetime import timedelta
    from urllib.parse import urlparse

    from feast import Entity, FeatureStore, FeatureView, Field, FileSource, RepoConfig
    from feast.infra.offline_stores.contrib.postgres_offline_store.postgres_source import PostgreSQLSource
    from feast.types import Float64
    from feast.value_type import ValueType

    if engine == "postgres":
        at = urlparse(url)
        offline = {"type": "postgres", "host": at.hostname, "port": at.port, "database": at.path.lstrip("/"), "db_schema": "public", "user": at.username, "password": at.password or "x", "sslmode": "disable"}
        source = PostgreSQLSource(name="facts", query="SELECT * FROM peer_facts", timestamp_field="event_timestamp", created_timestamp_column="created")
    else:
        offline = {"type": "duckdb"}
        source = FileSource(path=paths(folder)["facts"], timestamp_field="event_timestamp", created_timestamp_column="created")
    registry = os.path.join(folder, f"registry-{engine}.db")
    config = RepoConfig(project="bench", registry=registry, provider="local", offline_store=offline, online_store=None, entity_key_serialization_version=3)
    store = FeatureStore(config=config)
    user = Entity(name="user", join_keys=["user_id"], value_type=ValueType.STRING)
    view = FeatureView(name="facts", entities=[user], ttl=timedelta(days=60), schema=[Field(name=f, dtype=Float64) for f in FEATURES], source=source, online=False)
    store.apply([user, view])
    return store


def feast(folder, url, engine):
    store = feast_store(folder, url, engine)
    spine = pd.read_parquet(paths(folder)["spine"])
    started = clock()
    frame = store.get_historical_features(entity_df=spine, features=[f"facts:{f}" for f in FEATURES]).to_df()
    report(started, len(frame), frame[FEATURES])


ASOF = """
SELECT s.*, {columns} FROM {spine} s ASOF LEFT JOIN {facts} f
ON s.user_id = f.user_id AND s.event_timestamp >= f.event_timestamp"""


def duckdb_asof(folder, in_memory):
    connection = duckdb.connect()
    files = paths(folder)
    facts, spine = f"'{files['facts']}'", f"'{files['spine']}'"
    if in_memory:
        connection.execute(f"CREATE TABLE facts AS SELECT * FROM {facts}")
        connection.execute(f"CREATE TABLE spine AS SELECT * FROM {spine}")
        facts, spine = "facts", "spine"
    started = clock()
    frame = connection.execute(ASOF.format(columns=", ".join(f"f.{f}" for f in FEATURES), facts=facts, spine=spine)).df()
    report(started, len(frame), frame[FEATURES])


def range_join(folder, url):
    """What one writes without a feature store: every event of each label's longest window, filtered by window. Windows are exact."""
    import psycopg

    spine = pd.read_parquet(paths(folder)["spine"])
    filters = ", ".join(
        f"sum(e.amount) FILTER (WHERE e.event_timestamp >= s.event_timestamp - interval '{seconds} seconds') AS sum_{name}, "
        f"count(e.amount) FILTER (WHERE e.event_timestamp >= s.event_timestamp - interval '{seconds} seconds') AS count_{name}"
        for name, seconds in WINDOWS.items()
    )
    with psycopg.connect(url) as connection:
        connection.execute("SET jit = off")
        started = clock()
        connection.execute("CREATE TEMP TABLE spine (n int, user_id text, event_timestamp timestamptz)")
        with connection.cursor() as cursor, cursor.copy("COPY spine FROM STDIN (FORMAT csv)") as copy:
            copy.write(spine.reset_index()[["index", "user_id", "event_timestamp"]].to_csv(index=False, header=False))
        connection.execute("ANALYZE spine")
        rows = connection.execute(
            f"SELECT s.n, w.* FROM spine s LEFT JOIN LATERAL (SELECT {filters} FROM peer_events e WHERE e.user_id = s.user_id "
            "AND e.event_timestamp <= s.event_timestamp AND e.event_timestamp >= s.event_timestamp - interval '30 days') w ON true ORDER BY s.n"
        ).fetchall()
        frame = pd.DataFrame(rows)
        # In the order of FStore's features: sums by window, then counts.
        order = [1 + 2 * at for at in range(len(WINDOWS))] + [2 + 2 * at for at in range(len(WINDOWS))]
        report(started, len(frame), frame[order])


def clock():
    return time.perf_counter(), time.process_time()


def report(started, rows, frame):
    wall, cpu = started
    print(
        json.dumps(
            {
                "rows": rows,
                "nulls": int(frame.isna().sum().sum()),
                "checksum": round(float(np.nansum(frame.to_numpy(dtype=float))), 3),
                "seconds": round(time.perf_counter() - wall, 3),
                "cpuSeconds": round(time.process_time() - cpu, 3),
                "peakRssMb": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024,
            }
        )
    )


if __name__ == "__main__":
    verb, folder, url, *rest = sys.argv[1:]
    if verb == "prepare":
        prepare(folder, url, *map(int, rest))
    elif verb in ("feast-postgres", "feast-duckdb"):
        feast(folder, url, verb.removeprefix("feast-"))
    elif verb in ("duckdb-asof", "duckdb-asof-memory"):
        duckdb_asof(folder, verb.endswith("memory"))
    elif verb == "postgres-range-join":
        range_join(folder, url)
    else:
        raise SystemExit(f"no contender {verb}")
