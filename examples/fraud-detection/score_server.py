"""A model server: scores a transaction with features that it reads from FStore by GraphQL.

    python score_server.py FOLDER http://127.0.0.1:4000 8080

FOLDER is what `train.py` wrote. POST {"user_id", "merchant_id", "card_id", "amount", "country"}; the answer has the score, how long the
features took, and the features. Score a transaction before it is pushed: as in training, its features are what happened before it.
"""

import json
import sys
import time
import urllib.error
import urllib.request
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import joblib
import numpy as np
from train import vector

QUERY = """query Score($userId: ID!, $merchantId: ID!, $cardId: ID!, $request: FraudDetectionRequest!) {
  fraudDetection(userId: $userId, merchantId: $merchantId, cardId: $cardId, request: $request) { %s }
}"""


class FeatureSource:
    """Asks FStore for the columns of the model: always the same query, so FStore parses and plans it once."""

    def __init__(self, fstore, columns):
        self.address = f"{fstore}/graphql"
        self.query = QUERY % " ".join(column["name"] for column in columns)

    def read(self, transaction):
        variables = {
            "userId": transaction["user_id"],
            "merchantId": transaction["merchant_id"],
            "cardId": transaction["card_id"],
            "request": {"amount": transaction["amount"], "country": transaction["country"]},
        }
        body = json.dumps({"query": self.query, "variables": variables}).encode()
        request = urllib.request.Request(self.address, body, {"content-type": "application/json"})
        try:
            with urllib.request.urlopen(request, timeout=5) as response:
                answer = json.load(response)
        except urllib.error.HTTPError as refusal:
            # A query that FStore refuses is answered with 400 and its reasons.
            answer = json.load(refusal)
        if answer.get("errors"):
            raise OSError(answer["errors"][0]["message"])
        return answer["data"]["fraudDetection"]


class Scorer(BaseHTTPRequestHandler):
    model = columns = source = None

    def do_POST(self):
        try:
            transaction = json.loads(self.rfile.read(int(self.headers.get("content-length", 0))))
            self.answer(200, self.score(transaction))
        except (KeyError, TypeError, ValueError) as error:
            self.answer(400, {"error": f"not a transaction: {error!r}"})
        except OSError as error:
            self.answer(502, {"error": f"no features: {error}"})

    def score(self, transaction):
        started = time.perf_counter()
        features = self.source.read(transaction)
        milliseconds = round((time.perf_counter() - started) * 1000, 1)
        score = float(self.model.predict_proba(np.array([vector(features, self.columns)]))[0, 1])
        print(f"{transaction['card_id']} {transaction['amount']}: score {score:.4f}, features in {milliseconds} ms", flush=True)
        return {"score": round(score, 6), "featuresMs": milliseconds, "features": features}

    def answer(self, status, content):
        body = json.dumps(content).encode()
        self.send_response(status)
        self.send_header("content-type", "application/json")
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_):
        """Says nothing: `score` prints a line."""


def main(folder, fstore, port):
    Scorer.model = joblib.load(Path(folder) / "model.joblib")
    Scorer.columns = json.loads((Path(folder) / "features.json").read_text())["columns"]
    Scorer.source = FeatureSource(fstore.rstrip("/"), Scorer.columns)
    server = ThreadingHTTPServer(("127.0.0.1", int(port)), Scorer)
    print(f"Scoring on http://127.0.0.1:{server.server_port}", flush=True)
    server.serve_forever()


if __name__ == "__main__":
    if len(sys.argv) != 4:
        sys.exit(__doc__)
    main(*sys.argv[1:])
