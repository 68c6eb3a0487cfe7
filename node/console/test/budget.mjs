// What the console may weigh; run after `npm run build`. Limits are gzip bytes as reference: entry, styles, player, any lazy page, and all of it in brotli.
import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { brotliCompressSync, gzipSync } from 'node:zlib';

const dist = new URL('../dist/', import.meta.url).pathname;
const assets = readdirSync(join(dist, 'assets')).filter((name) => !name.endsWith('.br'));
const read = (name) => readFileSync(join(dist, 'assets', name));
const gzip = (names) => names.reduce((sum, name) => sum + gzipSync(read(name)).length, 0);

// The entry is what index.html names: the module and everything it preloads.
const page = readFileSync(join(dist, 'index.html'), 'utf8');
const entry = [...page.matchAll(/\/assets\/([^"]+\.js)/g)].map((match) => match[1]);
const styles = assets.filter((name) => name.endsWith('.css'));
const player = assets.filter((name) => name.startsWith('Player-'));
const apart = new Set([...entry, ...player]);
const lazy = assets.filter((name) => name.endsWith('.js') && !apart.has(name) && !name.startsWith('hls.worker-'));
const heaviest = lazy.toSorted((a, b) => gzip([b]) - gzip([a])).slice(0, 1);
const packed = assets.reduce((sum, name) => sum + brotliCompressSync(read(name)).length, 0);

const kilobyte = 1000;
const rows = [
  ['entry JS, gzip', gzip(entry), 220 * kilobyte],
  ['CSS, gzip', gzip(styles), 40 * kilobyte],
  ['player, gzip', gzip(player), 200 * kilobyte],
  [`heaviest lazy page (${heaviest}), gzip`, gzip(heaviest), 40 * kilobyte],
  ['everything, brotli', packed, 700 * kilobyte],
];
let over = false;
for (const [name, size, limit] of rows) {
  const bad = size === 0 || size > limit;
  over ||= bad;
  console.log(
    `${bad ? 'OVER' : 'ok  '} ${(size / kilobyte).toFixed(1).padStart(7)} of ${limit / kilobyte} kB  ${name}`,
  );
}
process.exit(over ? 1 : 0);
