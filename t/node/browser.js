'use strict';

// Headless Chromium on pages that open an EventSource, for t/feed_browser.t:
// `browser.js CHROMIUM URL...`.  Prints what the pages call print() with as
// JSON, a line each behind the number of the page, until it is ended.

const { chromium } = require('playwright-core');

const print = (...line) => process.stdout.write(JSON.stringify(line) + '\n');

async function main(executablePath, ...urls) {
  const root = process.getuid() === 0;
  const browser = await chromium.launch({
    executablePath,
    chromiumSandbox: !root,
    args: ['--disable-gpu', '--disable-dev-shm-usage'],
  });

  print('browser', browser.version());

  const context = await browser.newContext();

  for (const [i, url] of urls.entries()) {
    const page = await context.newPage();

    await page.exposeFunction('print', (...line) => print(i, ...line));
    page.on('pageerror', (error) => print(i, 'exception', error.message));
    await page.goto(url);
  }
}

main(...process.argv.slice(2)).catch((error) => {
  print('failed', error.message);
  process.exit(1);
});
