"""PostgreSQL as the job sees it: the staging table, and the functions that seal a batch."""

import os
import threading
from urllib.parse import parse_qsl, unquote, urlsplit

CHUNK = 2_000


class Fenced(Exception):
    """Another run has taken over."""


class Stale(Exception):
    """A view of the source has begun with newer definitions."""


class Sink:
    """One connection for the driver's calls; executors write through Spark's JDBC."""

    def __init__(self, spark, plan):
        url = urlsplit(os.environ[plan["sink"]["urlEnv"]])
        self._jvm = spark._jvm
        self._schema = '"' + plan["sink"]["schema"].replace('"', '""') + '"'
        self._stream, self._epoch = plan["stream"], plan["epoch"]
        self._url = f"jdbc:postgresql://{url.hostname}:{url.port or 5432}{url.path}"
        self._properties = {"driver": "org.postgresql.Driver", "reWriteBatchedInserts": "true", **dict(parse_qsl(url.query))}
        if url.username:
            self._properties["user"] = unquote(url.username)
        if url.password:
            self._properties["password"] = unquote(url.password)
        self._lock = threading.Lock()
        self._connection = None

    def stage(self, frame):
        """Appends rows (stream, epoch, batch, view_table, kind, content)."""
        frame.write.mode("append").jdbc(self._url, f"{self._schema}.staged_batches", properties=self._properties)

    def seal(self, sealed):
        """Declares a batch whole. Raises Fenced."""
        self._call(f"SELECT {self._schema}.seal_staged_batch(?::json)", [sealed])

    def seal_run(self, sealed):
        """Declares all batches of a run whole. Raises Fenced, Stale."""
        self._call(f"SELECT {self._schema}.seal_staged_run(?::json)", [sealed])

    def is_newest(self, revision):
        """Whether somebody has confirmed that the plan's definitions are the newest. Raises Fenced."""
        return self._call(f"SELECT {self._schema}.ask_revision(?, ?::bigint, ?::integer)", self._run(revision)) == "t"

    def holds(self):
        """False once another run has taken over."""
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
        # A text goes where the function wants JSON or a number.
        properties.setProperty("stringtype", "unspecified")
        return self._jvm.java.sql.DriverManager.getConnection(self._url, properties)
