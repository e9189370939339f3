-- Worker processes that are alive: each refreshes its row. Servers read it to tell whether events are processed.
CREATE TABLE workers (
  owner text PRIMARY KEY,
  seen_at timestamptz NOT NULL DEFAULT now()
);
