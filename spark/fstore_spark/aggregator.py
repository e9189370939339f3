"""Spark SQL expressions of the states of aggregates over a group of rows.

The twin of `src/store/aggregator-postgres.ts`. The columns of a state are `a<aggregate>_<part>`. Aggregates skip nulls,
and an empty state is null (a count is 0). Rows have `_ms` (event time) and `_n` (order of arrival). If an aggregate
needs them, they also have the hash `_h_x` and the text `_t_x` of a column `x`.
"""

SKETCH_SIZE = 512


def quoted(name):
    """Returns a name as an identifier of Spark SQL."""
    return "`" + name.replace("`", "``") + "`"


def needs_hash(aggregate):
    """Returns True if an aggregate reads the hash of its column."""
    return aggregate["function"] == "countDistinct"


def needs_text(aggregate):
    """Returns True if an aggregate reads the text of its column."""
    return aggregate["function"] == "lastN"


def state_expressions(aggregate):
    """Returns the expressions of the parts of an aggregate's state over a group. Raises ValueError."""
    name, kind = aggregate["function"], aggregate["type"]
    if aggregate["column"] is None:
        return ["cast(count(*) as double)"]
    value = quoted(aggregate["column"])
    present = f"FILTER (WHERE {value} IS NOT NULL)"
    total = f"sum({value})" if kind == "FLOAT64" else f"sum(cast({value} as decimal(38, 0)))"
    if name == "count":
        return [f"cast(count({value}) as double)"]
    if name == "sum":
        return [total]
    if name == "avg":
        return [total, f"cast(nullif(count({value}), 0) as double)"]
    if name in ("min", "max"):
        return [f"{name}({value})"]
    if name in ("first", "last"):
        pick = "min_by" if name == "first" else "max_by"
        return [f"{pick}({part}, struct(_ms, _n)) {present}" for part in (value, "_ms", "_n")]
    if name in ("variance", "stddev"):
        number = f"cast({value} as double)"
        moments = f"array(cast(count({value}) as double), sum({number}), var_pop({number}) * count({value}))"
        return [f"CASE WHEN count({value}) > 0 THEN {moments} END"]
    if name == "countDistinct":
        hashes = quoted(f"_h_{aggregate['column']}")
        return [f"CASE WHEN count({value}) > 0 THEN slice(sort_array(collect_set({hashes})), 1, {SKETCH_SIZE}) END"]
    if name == "lastN":
        text = quoted(f"_t_{aggregate['column']}")
        entries = f"sort_array(collect_list(struct(_ms, _n, {text} AS t)) {present}, false)"
        # Without its first five characters and its last one, {"t":"…"} is the text as JSON.
        json = "substring(to_json(struct(x.t AS t)), 6, length(to_json(struct(x.t AS t))) - 6)"
        listed = f"transform(slice({entries}, 1, {aggregate['n']}), x -> concat('[', x._ms, ',', x._n, ',', {json}, ']'))"
        return [f"CASE WHEN count({value}) > 0 THEN concat('[', array_join({listed}, ','), ']') END"]
    raise ValueError(f"there is no aggregate {name}")


def state_columns(aggregates):
    """Returns the named expressions of all parts of the states of a view."""
    return [
        f"{expression} AS a{index}_{part}"
        for index, aggregate in enumerate(aggregates)
        for part, expression in enumerate(state_expressions(aggregate))
    ]
