// node readme.js FILE URL: runs a script that documentation shows to browsers,
// with URL in the place of its address.  Each line of its console is printed
// as a JSON array, {"open":true} when the feed is there, {"reload":true} when
// the page would be loaded anew.

'use strict';

const fs = require('fs');
const { EventSource } = require('eventsource');

const [file, url] = process.argv.slice(2);

const print = (value) => process.stdout.write(JSON.stringify(value) + '\n');

class Feed extends EventSource {
  constructor(address) {
    super(address.replace(/^https:\/\/[^/]*/, url));
    this.addEventListener('open', () => print({ open: true }));
  }
}

const page = {
  EventSource: Feed,
  location: { reload: () => print({ reload: true }) },
  console: { log: (...values) => print(values) },
};

new Function(...Object.keys(page), fs.readFileSync(file, 'utf8'))(
    ...Object.values(page));
