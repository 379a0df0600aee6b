import { defineConfig } from "vite";

import { compressed } from "./build/compressed.ts";

/** What a first view may cost: script, style and page together, compressed by gzip, in bytes. */
const FIRST_VIEW = 120_000;

/** The server that the development page asks, as if it were its own: else it takes the page for another site's. */
const server = { target: "http://127.0.0.1:8080", changeOrigin: false };

export default defineConfig({
  build: {
    outDir: "embedded/built",
    emptyOutDir: true,
    target: "es2023",
    // The policy allows no style or picture inside the page.
    assetsInlineLimit: 0,
    modulePreload: { polyfill: false },
    reportCompressedSize: false,
    // hls.js, which comes when a film is first watched.
    chunkSizeWarningLimit: 640,
    // Who made what ships; the server has it at the same address.
    license: { fileName: "licences.txt" },
  },
  plugins: [compressed(FIRST_VIEW)],
  // `npm run dev` beside `clearfleet serve`.
  server: { proxy: { "/v1": server, "/docs": server } },
});
