'use strict';

// What clients do, in npm's ws or in node's own WebSocket (which is the one of
// browsers), for t/ws_clients.t: `clients.js WHAT URL`.  Prints what happens
// as JSON, a line each.

const browser = process.execArgv.includes('--experimental-websocket');
const WebSocket = browser ? globalThis.WebSocket : require('ws');

const print = (...line) => process.stdout.write(JSON.stringify(line) + '\n');

const event = (timestamp, name) => ({ timestamp, type: 'EVENT', name });
const end = JSON.stringify([{ timestamp: 9, type: 'SESSION_END' }]);

// the events of a socket, as a page sees them

function shown(ws) {
  ws.onmessage = (m) => print('message', typeof m.data, m.data);
  ws.onclose = (c) => print('close', c.code, c.reason, c.wasClean);
  return ws;
}

const what = {

  // a browser: its Origin, text, array buffers, views, blobs
  page(url, origin) {
    const ws = shown(browser ? new WebSocket(url, 'eventsession.v1')
      : new WebSocket(url, 'eventsession.v1', { origin }));

    ws.binaryType = 'arraybuffer';
    ws.onopen = () => {
      print('open', ws.protocol, ws.extensions);
      const text = (i) => JSON.stringify([event(i, 'ä€𝄞')]);
      ws.send(text(1));
      ws.send(new TextEncoder().encode(text(2)));
      ws.send(new TextEncoder().encode(text(3)).buffer);
      if (browser) ws.send(new Blob([text(4)])); else ws.send(text(4));
      ws.send(text(5));
      ws.send(end);
    };
  },

  // it closes itself, with a code of its own
  leave(url) {
    const ws = shown(new WebSocket(url));
    ws.onopen = () => {
      ws.send('[]');
      ws.close(4000, 'gone fishing');
    };
  },

  // all at once, without waiting: a line for what went wrong
  pipeline(url) {
    const ws = new WebSocket(url);
    const n = 20000;
    let next = 1;
    ws.onopen = () => {
      for (let i = 1; i <= n; i++) {
        ws.send(JSON.stringify([event(i, 'a'), event(i, 'b')]));
      }
      ws.send(end);
    };
    ws.onmessage = (m) => {
      const expected = next > n + 1 ? '{"message":"bye"}'
        : JSON.stringify({ ack: next, events: next > n ? 1 : 2 });
      if (m.data !== expected) print('not', expected, m.data);
      next++;
    };
    ws.onclose = (c) => print('close', c.code, c.wasClean, next - 1);
  },

  // more than one buffer: masked by the client, in parts of its making
  fragments(url) {
    const ws = shown(new WebSocket(url));
    ws.onopen = () => {
      const text = JSON.stringify([event(1, 'x'.repeat(200)), event(2, 'y')]);
      for (let i = 0; i < text.length; i++) {
        ws.send(text[i], { fin: i + 1 === text.length });
      }
      ws.send(end);
    };
  },

  pings(url) {
    const ws = shown(new WebSocket(url));
    let pings = 0;
    ws.on('pong', (data) => print('pong', data.toString()));
    ws.on('open', () => ws.ping('hello'));
    ws.on('ping', () => { if (++pings === 3) ws.send(end); });
  },

  deflate(url) {
    const ws = shown(new WebSocket(url, { perMessageDeflate: true }));
    ws.onopen = () => {
      print('open', ws.extensions);
      ws.send('[' + ' '.repeat(10000) + ']');
      ws.send(end);
    };
  },

  // a hundred pages that come and go at the same time
  crowd(url) {
    let open = 100;
    const sum = {};
    for (let i = 0; i < 100; i++) {
      const ws = new WebSocket(url);
      ws.onopen = () => ws.send(JSON.stringify([event(i, 'n' + i)]));
      ws.onmessage = (m) => {
        sum[m.data] = (sum[m.data] || 0) + 1;
        if (i % 3 === 0) ws.terminate(); else ws.close();
      };
      ws.onclose = () => { if (--open === 0) print(sum); };
    }
  },

  // what it says of a refused handshake
  refused(url, origin) {
    const ws = new WebSocket(url, { origin });
    ws.on('unexpected-response', (req, res) => {
      let body = '';
      res.on('data', (data) => { body += data; });
      res.on('end', () => {
        print(res.statusCode, res.headers['content-type'],
          JSON.parse(body).status);
        process.exit();
      });
    });
    ws.on('open', () => { print('open'); ws.close(); });
  },
};

// a test that hangs says nothing
setTimeout(() => { print('timed out'); process.exit(1); }, 60000).unref();

what[process.argv[2]](...process.argv.slice(3));
