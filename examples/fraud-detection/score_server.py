"""A model server: scores a transaction with features that it reads from FStore by GraphQL.

    python score_server.py model.joblib http://127.0.0.1:4000 8080
    curl -d '{"user_id": "user_00001", "merchant_id": "merchant_0001", "card_id": "card_00001_0", "amount": 250, "country": "NL"}' localhost:8080
"""

import json
import sys
import time
import urllib.request
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import joblib
import numpy as np
from train import vector

QUERY = """query Score($user: ID!, $merchant: ID!, $card: ID!, $request: FraudDetectionRequest) {
  fraudDetection(userId: $user, merchantId: $merchant, cardId: $card, request: $request) { %s }
}"""


def start(model_file, fstore, port):
    saved = joblib.load(model_file)
    model, columns = saved["model"], saved["columns"]
    query = QUERY % " ".join(name for name, _ in columns)

    def features(transaction):
        """One request for the whole vector; INT64 values come as strings, which `vector` turns into numbers like any other."""
        variables = {
            "user": transaction["user_id"],
            "merchant": transaction["merchant_id"],
            "card": transaction["card_id"],
            "request": {"amount": transaction["amount"], "country": transaction["country"]},
        }
        body = json.dumps({"query": query, "variables": variables}).encode()
        request = urllib.request.Request(f"{fstore}/graphql", body, {"content-type": "application/json"})
        with urllib.request.urlopen(request, timeout=5) as response:
            answer = json.load(response)
        if "errors" in answer:
            raise RuntimeError(answer["errors"][0]["message"])
        return answer["data"]["fraudDetection"]

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self):
            transaction = json.loads(self.rfile.read(int(self.headers["content-length"])))
            started = time.perf_counter()
            values = features(transaction)
            read = time.perf_counter()
            score = float(model.predict_proba(np.array([vector(values, columns)]))[0, 1])
            answer = {"score": round(score, 4), "featuresMs": round((read - started) * 1000, 1), "features": values}
            body = json.dumps(answer).encode()
            self.send_response(200)
            self.send_header("content-type", "application/json")
            self.send_header("content-length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_):
            pass

    server = ThreadingHTTPServer(("127.0.0.1", int(port)), Handler)
    print(f"Scoring on http://127.0.0.1:{server.server_port}", flush=True)
    server.serve_forever()


if __name__ == "__main__":
    start(*sys.argv[1:])
