from urllib.parse import urlsplit

import pytest

from fstore_spark.address import jdbc_url


@pytest.mark.parametrize(
    ("address", "expected"),
    [
        ("postgres://u:p@db.example/fstore", "jdbc:postgresql://db.example:5432/fstore"),
        ("postgres://u:p@127.0.0.1:6000/fstore", "jdbc:postgresql://127.0.0.1:6000/fstore"),
        ("postgres://u:p@[::1]:6000/fstore", "jdbc:postgresql://[::1]:6000/fstore"),
        ("postgres://u:p@[2001:db8::1]/fstore?sslmode=require", "jdbc:postgresql://[2001:db8::1]:5432/fstore"),
    ],
)
def test_an_address_is_one_that_jdbc_takes(address, expected):
    assert jdbc_url(urlsplit(address)) == expected
