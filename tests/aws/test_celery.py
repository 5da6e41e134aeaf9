"""The settings of Celery that docs/queues.md gives: what fails reaches the dead-letter queue."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from pathlib import Path

import pytest

from tests.aws.conftest import CREDENTIALS, Stack

pytest.importorskip("celery", reason="pip install 'celery[sqs]'")
ROOT = Path(__file__).resolve().parents[2]


def test_a_task_that_fails_is_dead_after_exactly_its_tries(stack: Stack, moto_url: str, tmp_path: Path) -> None:
    effects = tmp_path / "effects"
    # The pause between two tries is the queue's own: that of Celery is not for queues that are there already.
    stack.sqs.set_queue_attributes(QueueUrl=stack.url, Attributes={"VisibilityTimeout": "1"})
    environment = {
        **os.environ,
        "AWS_ACCESS_KEY_ID": CREDENTIALS["aws_access_key_id"],
        "AWS_SECRET_ACCESS_KEY": CREDENTIALS["aws_secret_access_key"],
        "AWS_DEFAULT_REGION": CREDENTIALS["region_name"],
        "CELERY_BROKER": moto_url.replace("http://", "sqs://test:test@"),
        "CELERY_QUEUE_URL": stack.url,
    }
    send = f"from tests.aws.celery_app import fail; fail.delay({str(effects)!r})"
    subprocess.run([sys.executable, "-c", send], cwd=ROOT, env=environment, check=True, timeout=120)
    worker = [sys.executable, "-m", "celery", "-A", "tests.aws.celery_app", "worker", "--pool=solo", "--loglevel=error"]
    with (tmp_path / "log").open("w") as log:
        process = subprocess.Popen(worker, cwd=ROOT, env=environment, stdout=log, stderr=log)
    give_up_at = time.monotonic() + 60
    while stack.waiting(dead=True) == 0 and time.monotonic() < give_up_at:
        time.sleep(0.1)
    process.kill()
    process.wait()
    assert (stack.waiting(), stack.waiting(dead=True)) == (0, 1), (tmp_path / "log").read_text()
    assert effects.read_text().splitlines() == ["failed"] * 3
