"""Have a video made with OpenAI's client, follow it as it is made, and save it: python examples/video.py [PROMPT].

PENSTOCK_URL is the base URL, http://127.0.0.1:8080/v1 by default, and PENSTOCK_KEY an access key.
"""

import os
import sys
import uuid
import warnings
from pathlib import Path

from openai import OpenAI

warnings.filterwarnings("ignore", "The Sora API", DeprecationWarning)  # the endpoints are Penstock's, and stay

MODEL = "storyboard-video"


def main() -> int:
    prompt = " ".join(sys.argv[1:]) or "A drone shot over a dam in the mountains"
    client = OpenAI(
        base_url=os.environ.get("PENSTOCK_URL", "http://127.0.0.1:8080/v1"), api_key=os.environ["PENSTOCK_KEY"]
    )
    # With a key of its own, a request that got no answer can be sent again and is still one video.
    video = client.videos.create(
        model=MODEL, prompt=prompt, seconds="2", size="854x480", extra_headers={"Idempotency-Key": str(uuid.uuid4())}
    )
    print(video.id, video.status)
    video = client.videos.poll(video.id)
    if video.status != "completed":
        print(f"{video.status}: {video.error.message if video.error else 'no reason given'}", file=sys.stderr)
        return 1
    file = Path(f"{video.id}.mp4")
    client.videos.download_content(video.id).write_to_file(file)
    print(f"{file}: {file.stat().st_size} bytes")
    return 0


if __name__ == "__main__":
    sys.exit(main())
