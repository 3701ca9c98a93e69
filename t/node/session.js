'use strict';

// One client of npm's ws, for t/ws_node_client.t: sends each of its further
// arguments as a message, and prints what happens to it, a JSON line each.

const WebSocket = require('ws');

const [url, ...messages] = process.argv.slice(2);

const print = (what, value) =>
  process.stdout.write(JSON.stringify({ [what]: value }) + '\n');

const ws = new WebSocket(url, ['eventsession.v1']);

ws.on('open', () => {
  print('open', ws.protocol);
  messages.forEach((message) => ws.send(message));
});

ws.on('message', (data) => print('message', data.toString()));
ws.on('close', (code) => print('close', code));
ws.on('error', (error) => print('error', error.message));
