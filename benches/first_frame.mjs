// Milliseconds from a press to the first picture, in Chromium with an empty cache, as JSON lines {press, open}:
// `press` counts from the player's start button, pressed as soon as it is there; `open` from the card in the library.
// Usage: node first_frame.mjs URL USERNAME PASSWORD APPLICATION ASSET TITLE ROUNDS
import { launchChromium, logIn, openPage } from '../node/console/test/browser.mjs';

const [url, username, password, application, asset, title, rounds] = process.argv.slice(2);
const node = { url };
const browser = await launchChromium();

/** Remembers when what was pressed, and when the first picture after each press was shown. */
function watchPresses() {
  const told = {};
  window.firstFrame = new Promise((resolve) => {
    document.addEventListener(
      'click',
      (event) => {
        const start = event.target.closest('.player-start');
        if (!start) {
          told.openedAt ??= event.timeStamp;
          return;
        }
        const pressedAt = event.timeStamp;
        document.querySelector('video').requestVideoFrameCallback((shownAt) => {
          resolve({ press: shownAt - pressedAt, open: shownAt - told.openedAt });
        });
      },
      { capture: true },
    );
  });
}

try {
  const signedIn = await openPage(browser, node);
  await logIn(signedIn.page, { username, password });
  const storageState = await signedIn.context.storageState();
  await signedIn.context.close();
  for (let round = 0; round < Number(rounds); round += 1) {
    const { page, context, troubles } = await openPage(browser, node, { storageState });
    await page.goto(`/a/${application}/library`);
    const card = page.locator(`a[href="/watch/${asset}"]`).first();
    await card.waitFor();
    await page.waitForLoadState('networkidle');
    await page.evaluate(watchPresses);
    await card.click();
    await page.getByRole('button', { name: `Play ${title}` }).click();
    console.log(JSON.stringify(await page.evaluate(() => window.firstFrame)));
    if (troubles.length > 0) throw new Error(troubles.join('\n'));
    await context.close();
  }
} finally {
  await browser.close();
}
