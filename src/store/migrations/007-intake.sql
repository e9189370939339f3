-- How much has been taken in, when, and up to which event time. It is kept where the position is and changed in the statement that moves
-- it, so it costs no statement, counts no event twice, and is there without a look at history.
ALTER TABLE consumed_offsets
  ADD COLUMN events bigint NOT NULL DEFAULT 0,
  ADD COLUMN unusable bigint NOT NULL DEFAULT 0,
  ADD COLUMN newest timestamptz(3),
  ADD COLUMN moved_at timestamptz,
  -- Events of the minute in which it last moved, and of the minute before that one.
  ADD COLUMN minute_events bigint NOT NULL DEFAULT 0,
  ADD COLUMN earlier_events bigint NOT NULL DEFAULT 0;

-- The same of what other engines have computed, counted when it is merged.
CREATE TABLE engine_intake (
  stream text PRIMARY KEY,
  events bigint NOT NULL DEFAULT 0,
  unusable bigint NOT NULL DEFAULT 0,
  newest timestamptz(3),
  moved_at timestamptz,
  minute_events bigint NOT NULL DEFAULT 0,
  earlier_events bigint NOT NULL DEFAULT 0
);
