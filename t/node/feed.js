'use strict';

// npm's EventSource on the live feed, for t/feed_node_client.t: `feed.js URL`.
// Prints what happens as JSON, a line each, until it is ended.

const { EventSource } = require('eventsource');

const print = (...line) => process.stdout.write(JSON.stringify(line) + '\n');

const feed = new EventSource(process.argv[2]);

feed.onopen = () => print('open');
feed.onmessage = (e) => print('message', e.lastEventId, e.data, e.type);
feed.addEventListener('gap', (e) => print('gap', e.lastEventId, e.data));
feed.onerror = (e) => print('error', feed.readyState, e.code || null);
