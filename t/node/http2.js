'use strict';

// Many streams of one HTTP/2 connection, for t/feed_http2.t: `http2.js ORIGIN
// PATH...`.  Prints what happens as JSON, a line each behind the number of the
// stream, until it is ended.

const http2 = require('http2');

const print = (...line) => process.stdout.write(JSON.stringify(line) + '\n');

const [origin, ...paths] = process.argv.slice(2);
const session = http2.connect(origin);

session.on('error', (error) => print('session', error.message));
session.on('goaway', (code) => print('goaway', code));
session.on('close', () => print('closed'));

paths.forEach((path, i) => {
  const stream = session.request({ ':path': path });

  stream.setEncoding('utf8');
  stream.on('response', (headers) => print(i, 'open', headers[':status']));
  stream.on('data', (text) => print(i, 'data', text));
  stream.on('end', () => print(i, 'end'));
  stream.on('close', () => print(i, 'close', stream.rstCode));
  stream.on('error', (error) => print(i, 'error', error.message));
});
