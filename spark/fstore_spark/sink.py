"""The job's access to PostgreSQL: the staging table, and the functions that seal batches."""

import os
import threading
from urllib.parse import parse_qsl, unquote, urlsplit

from .address import jdbc_url

CHUNK = 2_000


class Fenced(Exception):
    """Another run has replaced this one."""


class Stale(Exception):
    """A view of the source was filled with definitions that are newer than those of this run."""


class Sink:
    """The driver's connection to PostgreSQL. Executors write through Spark's JDBC."""

    def __init__(self, spark, plan):
        url = urlsplit(os.environ[plan["sink"]["urlEnv"]])
        self._jvm = spark._jvm
        self._schema = '"' + plan["sink"]["schema"].replace('"', '""') + '"'
        self._stream, self._epoch = plan["stream"], plan["epoch"]
        self._url = jdbc_url(url)
        self._properties = {"driver": "org.postgresql.Driver", "reWriteBatchedInserts": "true", **dict(parse_qsl(url.query))}
        if url.username:
            self._properties["user"] = unquote(url.username)
        if url.password:
            self._properties["password"] = unquote(url.password)
        self._lock = threading.Lock()
        self._connection = None

    def stage(self, frame):
        """Appends rows of (stream, epoch, batch, view_table, kind, piece, content) to the staging table."""
        frame.write.mode("append").jdbc(self._url, f"{self._schema}.staged_batches", properties=self._properties)

    def seal(self, sealed):
        """Seals a batch: marks it as complete. `sealed` is JSON text. Raises Fenced."""
        self._call(f"SELECT {self._schema}.seal_staged_batch(?::json)", [sealed])

    def seal_run(self, sealed):
        """Seals all batches of a run at once. `sealed` is JSON text. Raises Fenced or Stale."""
        self._call(f"SELECT {self._schema}.seal_staged_run(?::json)", [sealed])

    def is_newest(self, revision):
        """Returns whether FStore has confirmed that the plan has the newest definitions. Raises Fenced."""
        return self._call(f"SELECT {self._schema}.ask_revision(?, ?::bigint, ?::integer)", self._run(revision)) == "t"

    def holds(self):
        """Returns False if another run has replaced this one."""
        return self._call(f"SELECT {self._schema}.stream_epoch(?)", [self._stream]) == str(self._epoch)

    def _run(self, *more):
        return [self._stream, str(self._epoch), *(str(one) for one in more)]

    def _call(self, text, values):
        with self._lock:
            if self._connection is None or self._connection.isClosed():
                self._connection = self._connect()
            statement = self._connection.prepareStatement(text)
            try:
                for index, value in enumerate(values):
                    statement.setString(index + 1, value)
                result = statement.executeQuery()
                result.next()
                return result.getString(1)
            except Exception as error:
                if "another run has taken over" in str(error):
                    raise Fenced from error
                if "is newer than this run" in str(error):
                    raise Stale("a view of the source has begun with newer definitions") from error
                self._connection.close()
                raise
            finally:
                statement.close()

    def _connect(self):
        properties = self._jvm.java.util.Properties()
        for key, value in self._properties.items():
            properties.setProperty(key, value)
        # Without a declared type, PostgreSQL converts a text parameter to JSON or a number.
        properties.setProperty("stringtype", "unspecified")
        return self._jvm.java.sql.DriverManager.getConnection(self._url, properties)
