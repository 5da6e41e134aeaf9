"""Records to Amazon Data Firehose, a stream for each shard."""

from __future__ import annotations

import threading
from collections.abc import Mapping, Sequence
from functools import lru_cache
from typing import Any, ClassVar

from django.apps import apps

from horizon_shards.exceptions import ConfigurationError, SinkError
from horizon_shards.sinks.batch import Batch, Limits
from horizon_shards.sinks.options import KEYS
from horizon_shards.sinks.queued import QueuedSink
from horizon_shards.sinks.record import Record

#: What PutRecordBatch takes: botocore's model of the API, 2026-11. AWS bills a record in steps of 5 KiB.
LIMITS = Limits(packs=500, batch_bytes=4 * 1024 * 1024, line_bytes=1000 * 1024, pack_bytes=5 * 1024)


class FirehoseSink(QueuedSink):
    """Sends JSON lines by ``put_record_batch``; only what failed is sent again.

    ``STREAM``: the name of the delivery stream, with ``{shard}``, ``{database}``, ``{table}`` and ``{model}`` for
    those of the record. ``REGION`` and ``ENDPOINT`` are boto3's own where they are not set. Delivery is at least
    once: ``event_id`` tells repetitions.
    """

    known_options: ClassVar[frozenset[str]] = KEYS | {"STREAM", "REGION", "ENDPOINT", "CLIENT"}
    limits = LIMITS

    def __init__(self, name: str = "default", options: Mapping[str, Any] | None = None) -> None:
        super().__init__(name, options)
        self._template = self._read_template()
        self._client: Any = None
        self._client_lock = threading.Lock()
        self._stream = lru_cache(maxsize=4096)(self._format)

    def _read_template(self) -> str:
        template = self.options.get("STREAM")
        where = f"HORIZON_SINKS[{self.name!r}]['OPTIONS']['STREAM']"
        if not isinstance(template, str) or not template:
            raise ConfigurationError(f"{where} is not set: name the delivery stream, like 'track-{{shard}}'.")
        try:
            template.format(shard="", database="", table="", model="")
        except (KeyError, IndexError, ValueError) as error:
            raise ConfigurationError(
                f"{where} is {template!r}, which cannot be filled in: known are {{shard}}, {{database}}, {{table}} "
                "and {model}."
            ) from error
        return template

    def stream_of(self, record: Record) -> str:
        """The delivery stream of a record."""
        return self._stream(record.model, record.shard, record.database)

    def _format(self, model: str, shard: str, database: str) -> str:
        return self._template.format(
            shard=shard or database,
            database=database,
            table=apps.get_model(model)._meta.db_table,
            model=model.replace(".", "-"),
        )

    def send(self, batch: Batch) -> tuple[Sequence[int], BaseException | None]:
        """One call of ``put_record_batch``; an answer of 200 may still name records that failed."""
        records = [{"Data": b"".join(pack)} for pack in batch.packs]
        answer = self.client().put_record_batch(DeliveryStreamName=batch.stream, Records=records)
        if not answer["FailedPutCount"]:
            return (), None
        results = answer["RequestResponses"]
        failed = [index for index, result in enumerate(results) if result.get("ErrorCode")]
        if not failed:
            raise SinkError(f"{batch.stream} says that {answer['FailedPutCount']} records failed, and not which.")
        first = results[failed[0]]
        return failed, SinkError(f"{batch.stream}: {first['ErrorCode']}: {first.get('ErrorMessage', '')}")

    def client(self) -> Any:
        """The client of this process, which threads share; made when it is first needed."""
        with self._client_lock:
            if self._client is None:
                self._client = self._new_client()
            return self._client

    def _new_client(self) -> Any:
        try:
            import boto3
            from botocore.config import Config
        except ImportError as error:
            raise ConfigurationError("FirehoseSink needs boto3: pip install 'horizon-shards[firehose]'.") from error
        config = Config(
            max_pool_connections=self.settings.workers + 2,
            retries={"mode": "standard", "total_max_attempts": 1},  # one layer tries again, and it is this one
            connect_timeout=5,
            read_timeout=30,
            tcp_keepalive=True,
            parameter_validation=False,
        )
        return boto3.session.Session().client(
            "firehose",
            region_name=self.options.get("REGION"),
            endpoint_url=self.options.get("ENDPOINT"),
            config=config,
            **self.options.get("CLIENT", {}),
        )

    def after_fork_in_child(self) -> None:
        """Connections are the parent's, as is what it holds."""
        super().after_fork_in_child()
        self._client = None
        self._client_lock = threading.Lock()
