"""Trains a small fraud model from a training set that FStore built, and says how good it is on the test split.

    python train.py training.parquet model.joblib
"""

import json
import sys

import joblib
import numpy as np
import pyarrow.parquet as pq
from sklearn.ensemble import HistGradientBoostingClassifier
from sklearn.inspection import permutation_importance
from sklearn.metrics import average_precision_score, roc_auc_score

# What identifies an example is no feature of it; categories come as the one-hot list, not as text.
SPINE = {"user_id", "merchant_id", "card_id", "transaction_id", "event_time", "amount", "country", "label", "split"}


def columns_of(table):
    """The columns that the model reads, with how many numbers each is: lists count as many as their longest."""
    columns = []
    for field in table.schema:
        if field.name in SPINE:
            continue
        kind = str(field.type)
        if kind.startswith("list<"):
            values = [value for value in table[field.name].to_pylist() if value]
            if values and not isinstance(values[0][0], str):
                columns.append((field.name, max(map(len, values))))
        elif kind in ("double", "int32", "int64", "bool"):
            columns.append((field.name, 1))
    return columns


def vector(row, columns):
    """The numbers of one example, NaN for what is missing. `score_server.py` builds the same from a GraphQL answer."""
    numbers = []
    for name, width in columns:
        value = row.get(name)
        if width == 1:
            numbers.append(float("nan") if value is None else float(value))
        else:
            values = list(value or [])[:width]
            numbers.extend(float(item) for item in values)
            numbers.extend([float("nan")] * (width - len(values)))
    return numbers


def main(source, target):
    table = pq.read_table(source)
    columns = columns_of(table)
    names = [name if width == 1 else f"{name}[{place}]" for name, width in columns for place in range(width)]
    rows = table.select([name for name, _ in columns]).to_pylist()
    features = np.array([vector(row, columns) for row in rows])
    labels = np.array(table["label"].to_pylist(), dtype=int)
    test = np.array(table["split"].to_pylist()) == "test"

    model = HistGradientBoostingClassifier(max_iter=200, learning_rate=0.08, random_state=0, class_weight="balanced")
    model.fit(features[~test], labels[~test])
    scores = model.predict_proba(features[test])[:, 1]
    report = {
        "rows": len(labels),
        "features": len(names),
        "rocAuc": round(float(roc_auc_score(labels[test], scores)), 4),
        "averagePrecision": round(float(average_precision_score(labels[test], scores)), 4),
        "fraudShare": round(float(labels[test].mean()), 4),
    }
    sample = np.random.default_rng(0).choice(np.flatnonzero(test), size=min(2000, int(test.sum())), replace=False)
    importance = permutation_importance(
        model, features[sample], labels[sample], scoring="roc_auc", n_repeats=3, random_state=0
    )
    best = np.argsort(importance.importances_mean)[::-1][:8]
    report["mostImportant"] = {names[index]: round(float(importance.importances_mean[index]), 4) for index in best}
    joblib.dump({"model": model, "columns": columns}, target)
    print(json.dumps(report, indent=2))


if __name__ == "__main__":
    main(*sys.argv[1:])
