// One address for a server that comes back on another port.

import { once } from "node:events";
import { readFileSync } from "node:fs";
import { connect, createServer } from "node:net";

/** Passes everything on to the port of 127.0.0.1 that stands in a file whenever a connection begins; its own address. */
export async function relay(portFile) {
  const server = createServer((client) => {
    const behind = connect(Number(readFileSync(portFile, "utf8")), "127.0.0.1");
    const end = () => {
      client.destroy();
      behind.destroy();
    };
    for (const socket of [client, behind]) socket.on("error", end).on("close", end);
    client.pipe(behind).pipe(client);
  });
  server.listen(0, "127.0.0.1").unref();
  await once(server, "listening");
  return `http://127.0.0.1:${server.address().port}`;
}
