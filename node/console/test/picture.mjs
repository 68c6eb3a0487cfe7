// Takes the picture of the library that the README shows, with the given films in it: `TITLE=FILE ...`, in the order they came.
// By hand, when the console has changed: MEDIAKEEP_BIN=... node node/console/test/picture.mjs 'A film=film.mp4'
import { readFile } from 'node:fs/promises';
import { fileURLToPath } from 'node:url';
import { launchChromium, logIn, openPage } from './browser.mjs';
import { adminToken, callApi, claimedNode, putFile, ready } from './node.mjs';

const picture = fileURLToPath(new URL('../../../docs/console/library.png', import.meta.url));
const [node, browser] = await Promise.all([claimedNode({ nodes: 3 }), launchChromium()]);
try {
  const token = await adminToken(node);
  for (const film of process.argv.slice(2)) {
    const [title, file] = film.split('=');
    const asset = await putFile(node, token, `${title}.mp4`, await readFile(file));
    await ready(node, token, asset);
    await callApi(node, 'PATCH', `/assets/${asset}`, { token, json: { title } });
  }
  const { page } = await openPage(browser, node);
  await logIn(page, node);
  await page.waitForFunction((count) => {
    const posters = [...document.querySelectorAll('main img')];
    return posters.length >= count && posters.every((poster) => poster.complete && poster.naturalWidth > 0);
  }, process.argv.length - 2);
  await page.screenshot({ path: picture });
  console.log(picture);
} finally {
  await browser.close();
  await node.stop();
}
