import { readdirSync, readFileSync, statSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { brotliCompressSync, constants } from 'node:zlib';
import react from '@vitejs/plugin-react';
import { defineConfig, type Plugin } from 'vite';

/** Lists every file below a folder. */
function filesBelow(folder: string): string[] {
  return readdirSync(folder).flatMap((name) => {
    const path = join(folder, name);
    return statSync(path).isDirectory() ? filesBelow(path) : [path];
  });
}

/** Writes a `.br` next to each text asset, so that the node serves it as it is and never compresses at run time. */
function brotliNextToEachFile(): Plugin {
  let output = 'dist';
  return {
    name: 'brotli-next-to-each-file',
    apply: 'build',
    configResolved(config) {
      output = config.build.outDir;
    },
    closeBundle() {
      for (const path of filesBelow(output)) {
        // index.html gets a nonce per answer, so it cannot be compressed ahead.
        if (!/\.(js|css|svg|json)$/.test(path)) continue;
        const plain = readFileSync(path);
        const packed = brotliCompressSync(plain, { params: { [constants.BROTLI_PARAM_QUALITY]: 11 } });
        if (packed.length < plain.length) writeFileSync(`${path}.br`, packed);
      }
    },
  };
}

const node = process.env.MEDIAKEEP_URL ?? 'https://localhost:8443';
const toNode = { target: node, secure: false, changeOrigin: true };

export default defineConfig({
  plugins: [react(), brotliNextToEachFile()],
  build: {
    target: 'es2022',
    // The content security policy forbids `data:` scripts and styles; every asset is a file.
    assetsInlineLimit: 0,
    modulePreload: { polyfill: false },
    sourcemap: false,
    chunkSizeWarningLimit: 800,
  },
  server: { proxy: { '/api': toNode, '/play': toNode, '/download': toNode } },
});
