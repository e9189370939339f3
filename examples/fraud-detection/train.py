"""Trains a small fraud model from a training set that FStore built, and says how good it is on the test split.

    python train.py training.parquet FOLDER

writes FOLDER/model.joblib (the model) and FOLDER/features.json (what `score_server.py` asks FStore for, in the model's order).
"""

import json
import sys
import time
from pathlib import Path

import joblib
import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from sklearn.ensemble import HistGradientBoostingClassifier
from sklearn.metrics import average_precision_score, roc_auc_score

# What identifies an example, and what came of it, is no feature. Text is none either: the channel comes as a one-hot list.
SPINE = {"user_id", "merchant_id", "card_id", "transaction_id", "event_time", "amount", "country", "label", "split"}


def is_number(kind):
    return pa.types.is_floating(kind) or pa.types.is_integer(kind) or pa.types.is_boolean(kind)


def columns_of(table, train):
    """Name of each column that the model reads, and how many numbers it is: None for one, else the longest list of the train rows."""
    columns = []
    for field in table.schema:
        if field.name in SPINE:
            continue
        if is_number(field.type):
            columns.append({"name": field.name, "width": None})
        elif pa.types.is_list(field.type) and is_number(field.type.value_type):
            longest = pc.max(pc.list_value_length(table[field.name].filter(train))).as_py()
            if longest:
                columns.append({"name": field.name, "width": longest})
    return columns


def names_of(columns):
    """A name for each number of a vector."""
    return [
        name
        for column in columns
        for name in (
            [column["name"]]
            if column["width"] is None
            else [f"{column['name']}[{place}]" for place in range(column["width"])]
        )
    ]


def to_number(value):
    """Missing is NaN; an INT64 comes as a string in GraphQL, which float() reads as well."""
    return float("nan") if value is None else float(value)


def vector(values, columns):
    """The numbers of one example, from what GraphQL answered: in the order of `matrix`."""
    numbers = []
    for column in columns:
        value, width = values[column["name"]], column["width"]
        if width is None:
            numbers.append(to_number(value))
        else:
            items = (value or [])[:width]
            numbers.extend([to_number(item) for item in items] + [float("nan")] * (width - len(items)))
    return numbers


def matrix(table, columns):
    """The numbers of all examples, a row for each."""
    parts = []
    for column in columns:
        name, width = column["name"], column["width"]
        values = table[name].combine_chunks()
        if width is None:
            parts.append(values.cast(pa.float64()).to_numpy(zero_copy_only=False)[:, None])
            continue
        items = values.values.cast(pa.float64()).to_numpy(zero_copy_only=False)
        lengths = pc.list_value_length(values).fill_null(0).to_numpy(zero_copy_only=False)
        starts = values.offsets.to_numpy()[:-1]
        part = np.full((len(values), width), np.nan)
        for place in range(width):
            has = lengths > place
            part[has, place] = items[starts[has] + place]
        parts.append(part)
    return np.hstack(parts)


def importance(model, features, labels, names):
    """How much the ROC AUC falls when the numbers of one column are dealt out anew."""
    random = np.random.default_rng(0)
    auc = roc_auc_score(labels, model.predict_proba(features)[:, 1])
    falls = []
    for place in range(len(names)):
        dealt = features.copy()
        dealt[:, place] = random.permutation(dealt[:, place])
        falls.append(auc - roc_auc_score(labels, model.predict_proba(dealt)[:, 1]))
    return [(names[place], falls[place]) for place in np.argsort(falls)[::-1]]


def main(source, folder):
    started = time.perf_counter()
    table = pq.read_table(source)
    train = pc.equal(table["split"], "train")
    columns = columns_of(table, train)
    names = names_of(columns)
    features, labels = matrix(table, columns), table["label"].to_numpy().astype(int)
    train = train.to_numpy()
    test = ~train

    model = HistGradientBoostingClassifier(
        max_iter=100, learning_rate=0.1, min_samples_leaf=40, l2_regularization=1.0, early_stopping=False, random_state=0
    )
    model.fit(features[train], labels[train])
    scores = model.predict_proba(features[test])[:, 1]
    # All fraud of the test split and some of the rest: enough to rank columns by.
    sample = np.concatenate([np.flatnonzero(test & (labels == 1)), np.flatnonzero(test & (labels == 0))[:2000]])
    ranked = importance(model, features[sample], labels[sample], names)

    target = Path(folder)
    target.mkdir(parents=True, exist_ok=True)
    joblib.dump(model, target / "model.joblib")
    (target / "features.json").write_text(json.dumps({"columns": columns}, indent=2) + "\n")
    report = {
        "trainRows": int(train.sum()),
        "testRows": int(test.sum()),
        "features": len(names),
        "fraudShare": round(float(labels[test].mean()), 4),
        "rocAuc": round(float(roc_auc_score(labels[test], scores)), 4),
        "averagePrecision": round(float(average_precision_score(labels[test], scores)), 4),
        "mostImportant": {name: round(float(fall), 4) for name, fall in ranked[:8]},
        "seconds": round(time.perf_counter() - started, 1),
    }
    print(json.dumps(report, indent=2))


if __name__ == "__main__":
    if len(sys.argv) != 3:
        sys.exit(__doc__)
    main(*sys.argv[1:])
