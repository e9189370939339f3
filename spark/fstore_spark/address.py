"""Addresses of PostgreSQL as JDBC takes them."""


def jdbc_url(url):
    """Returns the JDBC address of a split `postgres://` address. An IPv6 host keeps its brackets."""
    host = f"[{url.hostname}]" if ":" in (url.hostname or "") else url.hostname
    return f"jdbc:postgresql://{host}:{url.port or 5432}{url.path}"
