import { readdir, readFile, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { brotliCompressSync, constants, gzipSync } from "node:zlib";

import type { Plugin, Rollup } from "vite";

/** Files that are smaller once compressed. */
const TEXTS = /\.(?:html|js|css|svg|txt)$/;

/** What a first view loads beside the page: the entry, what it imports at once, and their styles. */
function firstView(bundle: Rollup.OutputBundle): Set<string> {
  const found = new Set(["index.html"]);
  const visit = (name: string) => {
    const chunk = bundle[name];
    if (found.has(name) || chunk?.type !== "chunk") return;
    found.add(name);
    for (const style of chunk.viteMetadata?.importedCss ?? []) found.add(style);
    chunk.imports.forEach(visit);
  };
  for (const chunk of Object.values(bundle)) {
    if (chunk.type === "chunk" && chunk.isEntry) visit(chunk.fileName);
  }
  return found;
}

/** Puts a compressed form beside every text, and fails where a first view costs more than `budget` bytes in gzip. */
export function compressed(budget: number): Plugin {
  return {
    name: "compressed",
    apply: "build",
    async writeBundle({ dir = "." }, bundle) {
      const first = firstView(bundle);
      let cost = 0;
      const names = await readdir(dir, { recursive: true });
      for (const name of names.filter((name) => TEXTS.test(name))) {
        const content = await readFile(join(dir, name));
        const gzip = gzipSync(content, { level: 9 });
        const quality = { [constants.BROTLI_PARAM_QUALITY]: constants.BROTLI_MAX_QUALITY };
        await writeFile(join(dir, `${name}.gz`), gzip);
        await writeFile(join(dir, `${name}.br`), brotliCompressSync(content, { params: quality }));
        if (first.has(name)) cost += gzip.length;
      }
      const said = `a first view costs ${cost} bytes of ${budget}`;
      if (cost > budget) this.error(said);
      this.info(said);
    },
  };
}
