"""Submit a chat through Kafka and wait for its result: python examples/kafka_producer.py [QUESTION].

PENSTOCK_KAFKA is Kafka's address, which `penstock status` shows, PENSTOCK_KEY an access key, and PENSTOCK_MODEL the
model to ask.
"""

import asyncio
import json
import os
import sys
import uuid
from typing import Any

from aiokafka import AIOKafkaConsumer, AIOKafkaProducer

SUBMISSIONS, RESULTS = "penstock.submissions", "penstock.results"


async def main() -> int:
    question = " ".join(sys.argv[1:]) or "What turns a water wheel?"
    correlation_id = str(uuid.uuid4())
    submission = {
        "operation": "/v1/chat/completions",
        "body": {
            "model": os.environ.get("PENSTOCK_MODEL", "smollm2-135m-instruct"),
            "messages": [{"role": "user", "content": question}],
            "max_tokens": 60,
        },
        "correlation_id": correlation_id,
        # Sent again under the same key, after a time-out or a crash of ours, it does not run again.
        "idempotency_key": correlation_id,
    }
    headers = [("authorization", f"Bearer {os.environ['PENSTOCK_KEY']}".encode()), ("team", b"blue")]
    bootstrap = os.environ["PENSTOCK_KAFKA"]
    async with AIOKafkaConsumer(RESULTS, bootstrap_servers=bootstrap, auto_offset_reset="latest") as results:
        # Where to read from is settled before the submission is sent, or its result could be missed.
        for partition in results.assignment():
            await results.position(partition)
        async with AIOKafkaProducer(bootstrap_servers=bootstrap, acks="all", enable_idempotence=True) as producer:
            await producer.send_and_wait(SUBMISSIONS, json.dumps(submission).encode(), headers=headers)
        async for message in results:
            result = json.loads(message.value)
            if result["correlation_id"] == correlation_id:
                return tell(result)
    return 1


def tell(result: dict[str, Any]) -> int:
    if result["error"] is not None:
        print(f"{result['status']} {result['error']['code']}: {result['error']['message']}", file=sys.stderr)
        return 1
    print(result["body"]["choices"][0]["message"]["content"])
    print(f"{result['id']}: {result['usage']['output_tokens']} tokens")
    return 0


if __name__ == "__main__":
    sys.exit(asyncio.run(main()))
