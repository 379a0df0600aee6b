// Uploads a file with tus-js-client, or goes on with an upload; on request it breaks the connection after some bytes.
//
// Standard input: {"server", "file", "metadata", "upload": its address or null, "stopAfter": bytes or null}.
// Standard output: {"upload": its address, "from": where it went on, "sent": bytes that were sent and may have come}.

import { createReadStream, statSync } from "node:fs";
import { text } from "node:stream/consumers";

import { Upload } from "tus-js-client";

const input = JSON.parse(await text(process.stdin));

const found = await new Promise((resolve, reject) => {
  let from = null;
  const upload = new Upload(createReadStream(input.file), {
    endpoint: `${input.server}/v1/uploads`,
    uploadUrl: input.upload,
    metadata: input.metadata,
    retryDelays: null,
    // However late the break comes, not all has been sent.
    chunkSize: input.stopAfter === null ? Number.POSITIVE_INFINITY : input.stopAfter / 2,
    onProgress: async (sent) => {
      from ??= sent;
      if (input.stopAfter !== null && sent >= input.stopAfter) {
        await upload.abort();
        resolve({ upload: upload.url, from, sent });
      }
    },
    onSuccess: () => resolve({ upload: upload.url, from, sent: statSync(input.file).size }),
    onError: reject,
  });
  upload.start();
});
process.stdout.write(JSON.stringify(found));
