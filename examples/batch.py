"""Have a file of questions answered as a batch with OpenAI's client: python examples/batch.py.

PENSTOCK_URL is the base URL, http://127.0.0.1:8080/v1 by default, and PENSTOCK_KEY an access key.
"""

import json
import os
import time
from typing import Final

from openai import OpenAI

QUESTIONS: Final = ["Name a colour.", "Name a river.", "Name a tree."]
ENDPOINT: Final = "/v1/chat/completions"
ENDED: Final = {"completed", "failed", "expired", "cancelled"}


def lines() -> bytes:
    """One request a line; its `custom_id` comes back with the answer."""
    asked = [
        {
            "custom_id": f"question-{number}",
            "method": "POST",
            "url": ENDPOINT,
            "body": {
                "model": os.environ.get("PENSTOCK_MODEL", "smollm2-135m-instruct"),
                "max_tokens": 32,
                "messages": [{"role": "user", "content": question}],
            },
        }
        for number, question in enumerate(QUESTIONS)
    ]
    return "\n".join(json.dumps(each) for each in asked).encode()


def main() -> None:
    base_url = os.environ.get("PENSTOCK_URL", "http://127.0.0.1:8080/v1")
    client = OpenAI(base_url=base_url, api_key=os.environ["PENSTOCK_KEY"])
    file = client.files.create(file=("questions.jsonl", lines()), purpose="batch")
    batch = client.batches.create(input_file_id=file.id, endpoint=ENDPOINT, completion_window="24h")
    while batch.status not in ENDED:
        time.sleep(1)
        batch = client.batches.retrieve(batch.id)
    print(batch.status, batch.request_counts)
    for file_id in (batch.output_file_id, batch.error_file_id):
        if file_id is not None:
            for row in map(json.loads, client.files.content(file_id).text.splitlines()):
                print(row["custom_id"], row["response"] and row["response"]["body"], row["error"] or "")


if __name__ == "__main__":
    main()
