"""Uploads a file with tuspy, or goes on with an upload; on request it stops after some bytes.

Standard input and output are those of upload.mjs. Every request has a checksum.
"""

import json
import sys

from tusclient.client import TusClient

# Neither parts nor pages of anything.
CHUNK = 5_000_001

asked = json.load(sys.stdin)
client = TusClient(asked["server"] + "/v1/uploads")
uploader = client.uploader(
    asked["file"],
    url=asked["upload"],
    chunk_size=CHUNK,
    metadata=asked["metadata"],
    upload_checksum=True,
)
start = uploader.offset
uploader.upload(stop_at=asked["stopAfter"])
json.dump({"upload": uploader.url, "from": start, "sent": uploader.offset}, sys.stdout)
