"""A Celery application with the settings that docs/queues.md gives, on the queue that the environment names."""

from __future__ import annotations

import os
from pathlib import Path

from celery import Celery

app = Celery("tests.aws.celery_app", broker=os.environ["CELERY_BROKER"])
app.conf.update(
    task_acks_late=True,
    task_acks_on_failure_or_timeout=False,
    worker_prefetch_multiplier=1,
    broker_transport_options={
        "region": "eu-west-1",
        "is_secure": False,
        "wait_time_seconds": 1,
        "polling_interval": 0.1,
        "predefined_queues": {
            "celery": {
                "url": os.environ["CELERY_QUEUE_URL"],
                "access_key_id": "test",
                "secret_access_key": "test",
            }
        },
    },
)


@app.task
def fail(path: str) -> None:
    """Writes a line, and fails."""
    with Path(path).open("a", encoding="utf-8") as file:
        file.write("failed\n")
    raise ValueError("as it was told")
