-- What merges the states of aggregations; the algebra itself is in aggregator-postgres.ts.

-- Count, sum, and sum of squared differences, merged by PostgreSQL's own arithmetic (Youngs and Cramer).
CREATE AGGREGATE merge_moments(double precision[]) (
  SFUNC = float8_combine,
  STYPE = double precision[],
  COMBINEFUNC = float8_combine,
  PARALLEL = SAFE
);

-- The n latest of two lists of [event time, arrival, value].
CREATE FUNCTION merge_last(a jsonb, b jsonb, n integer) RETURNS jsonb LANGUAGE sql IMMUTABLE PARALLEL SAFE AS $$
  SELECT CASE WHEN a IS NULL THEN b WHEN b IS NULL THEN a ELSE (
    SELECT jsonb_agg(e ORDER BY (e->>0)::float8 DESC, (e->>1)::float8 DESC) FROM (
      SELECT e FROM jsonb_array_elements(a || b) AS e ORDER BY (e->>0)::float8 DESC, (e->>1)::float8 DESC LIMIT n
    ) AS latest
  ) END
$$;

-- The smallest hashes of two sketches.
CREATE FUNCTION merge_sketches(a double precision[], b double precision[], size integer) RETURNS double precision[]
LANGUAGE sql IMMUTABLE PARALLEL SAFE AS $$
  SELECT CASE WHEN a IS NULL THEN b WHEN b IS NULL THEN a ELSE
    ARRAY(SELECT DISTINCT h FROM unnest(a || b) AS h ORDER BY h LIMIT size)
  END
$$;

-- Events of aggregation views that are not in their tiles yet: their arrival, so that each is merged once.
ALTER TABLE due_rows ADD COLUMN sequence bigint;
