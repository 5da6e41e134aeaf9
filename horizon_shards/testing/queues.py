"""A queue of SQS with its dead-letter queue, as tests and emulators need it."""

from __future__ import annotations

import json
from typing import Any


def make_queue(sqs: Any, name: str, *, tries: int = 5) -> tuple[str, str]:
    """Make the queue and ``NAME-dead``, which takes what was received ``tries`` times in vain; the URLs of both.

    ``sqs`` is a client of boto3's. A queue that is there already with the same ``tries`` is no error.
    """
    dead_url: str = sqs.create_queue(QueueName=f"{name}-dead")["QueueUrl"]
    named = sqs.get_queue_attributes(QueueUrl=dead_url, AttributeNames=["QueueArn"])["Attributes"]
    policy = json.dumps({"deadLetterTargetArn": named["QueueArn"], "maxReceiveCount": tries})
    url: str = sqs.create_queue(QueueName=name, Attributes={"RedrivePolicy": policy})["QueueUrl"]
    return url, dead_url
