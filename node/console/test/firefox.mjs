// Firefox from the distribution, driven over WebDriver BiDi.
import { launch } from 'puppeteer-core';
import { until } from './browser.mjs';

const patience = 60_000;

/** Logs in, opens the player, plays; gives what the `<video>` says once it moves. */
export async function watchInFirefox(node, asset) {
  const firefox = await launch({
    browser: 'firefox',
    executablePath: process.env.FIREFOX ?? '/usr/bin/firefox-esr',
    headless: true,
    acceptInsecureCerts: true,
    protocolTimeout: 120_000,
    extraPrefsFirefox: {
      'media.autoplay.default': 0,
      'media.autoplay.blocking_policy': 0,
      'intl.accept_languages': 'en-US',
    },
  });
  try {
    const page = await firefox.newPage();
    page.setDefaultTimeout(patience);
    await page.goto(`${node.url}/login?next=${encodeURIComponent(`/watch/${asset}`)}`);
    await page.locator('input[autocomplete=username]').fill(node.username);
    await page.locator('input[autocomplete=current-password]').fill(node.password);
    await page.locator('button[type=submit]').click();
    await page.locator('.player-start').click();
    return await until('Firefox to play', async () => {
      const now = await page.evaluate(() => {
        const video = document.querySelector('video');
        return { time: video?.currentTime ?? 0, frames: video?.getVideoPlaybackQuality().totalVideoFrames ?? 0 };
      });
      return now.time > 0.5 && now.frames > 0 ? now : undefined;
    });
  } finally {
    await firefox.close();
  }
}
