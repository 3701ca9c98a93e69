'use strict';

// Bodies of JSON on as many streams of one HTTP/2 connection at once, for
// t/batch_clients.t: `http2_post.js ORIGIN PATH FILE STREAMS CUT WAITING`.  CUT
// more are reset in the middle of their body, WAITING more before their
// answer.  Prints the answer of each of the others, as [status, body].

const fs = require('fs');
const http2 = require('http2');

const [origin, path, file, ...numbers] = process.argv.slice(2);
const [streams, cut, waiting] = numbers.map(Number);
const body = fs.readFileSync(file);
const session = http2.connect(origin);

let left = streams + cut + waiting;

function gone() {
  if (--left === 0) {
    session.close();
  }
}

function post(length, reset) {
  const stream = session.request({
    ':method': 'POST',
    ':path': path,
    'content-type': 'application/json',
  });

  let status = 0;
  let text = '';

  stream.setEncoding('utf8');
  stream.on('response', (headers) => { status = headers[':status']; });
  stream.on('data', (part) => { text += part; });
  stream.on('error', () => {});

  stream.on('close', () => {
    if (!reset) {
      process.stdout.write(JSON.stringify([status, text]) + '\n');
    }

    gone();
  });

  const close = () => stream.close(http2.constants.NGHTTP2_CANCEL);

  if (length < body.length) {
    stream.write(body.subarray(0, length), close);
  } else {
    stream.end(body, () => reset && close());
  }
}

session.on('error', (error) => {
  process.stdout.write(JSON.stringify(['session', error.message]) + '\n');
});

for (let i = 0; i < Math.max(streams, cut, waiting); i++) {
  i < cut && post(body.length / 2, true);
  i < waiting && post(body.length, true);
  i < streams && post(body.length, false);
}
