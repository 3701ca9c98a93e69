'use strict';

// Headless Chromium on the page of the API, for t/api_page.t: `page.js CHROMIUM
// URL`.  Prints JSON, a line each: what the page asked for, what went wrong,
// its operations, the answer to the one that it tried, and its text.

const { chromium } = require('playwright-core');

const print = (...line) => process.stdout.write(JSON.stringify(line) + '\n');

async function main(executablePath, url) {
  const browser = await chromium.launch({
    executablePath,
    chromiumSandbox: process.getuid() !== 0,
    args: ['--disable-gpu', '--disable-dev-shm-usage'],
  });

  const page = await browser.newPage();

  page.on('request', (request) => print('request', request.url()));
  page.on('pageerror', (error) => print('exception', error.message));
  page.on('console', (message) => {
    if (message.type() === 'error') {
      print('complaint', message.text());
    }
  });

  await page.goto(url);
  await page.waitForLoadState('networkidle');

  for (const operation of await page.locator('.opblock').all()) {
    print('operation', await operation.getAttribute('id'));
  }

  await attempt(page.locator('[id$=-healthcheck]'));

  print('text', await page.innerText('body'));

  // what the page's policy has to stop

  await page.evaluate(() => fetch('http://127.0.0.2:1/').catch(() => 0));

  await browser.close();
}

async function attempt(operation) {
  if (await operation.count() === 0) {
    return;
  }

  await operation.locator('.opblock-summary-control').click();
  await operation.locator('.try-out__btn').click();
  await operation.locator('button.execute').click();

  const answer = operation.locator('.live-responses-table .response');

  print('status', (await answer.locator('.response-col_status')
    .innerText()).trim());
  print('answer', (await answer.locator('.response-col_description pre')
    .first().innerText()).trim());
}

main(...process.argv.slice(2)).catch((error) => {
  print('failed', error.message);
  process.exit(1);
});
