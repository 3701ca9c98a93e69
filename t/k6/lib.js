// What the scripts share: where the server is, how hard it is tried, and a
// session that goes in.
//
//     k6 run -e URL=http://127.0.0.1:8080 -e VUS=10 -e DURATION=30s suite.js
//
// Without VUS and DURATION each script runs once, as a test of functions.  A
// check that fails makes k6 end with 99.  Old k6 knows no {...object}.

import { check } from 'k6';
import ws from 'k6/ws';

export const base = (__ENV.URL || 'http://127.0.0.1:8080').replace(/\/$/, '');

// the one of the assignment, which `make run` trusts; empty: none is tried

export const application = __ENV.APPLICATION === undefined
  ? '0e302fce-66ad-4721-911e-0ab9d33697bf' : __ENV.APPLICATION;

export const thresholds = { checks: ['rate==1'] };

export const effort = __ENV.DURATION
  ? { vus: Number(__ENV.VUS || 1), duration: __ENV.DURATION }
  : { vus: Number(__ENV.VUS || 1), iterations: Number(__ENV.VUS || 1) };

export const json = { headers: { 'Content-Type': 'application/json' } };


export function uuid() {
  return 'xxxxxxxx-xxxx-4xxx-8xxx-xxxxxxxxxxxx'.replace(/x/g,
    () => Math.floor(Math.random() * 16).toString(16));
}


// The messages of a whole session, of which the last one has its end.
export function messages(sid, count) {
  const at = 1624422533298;

  /** @type {object[][]} */
  const all = [[{ type: 'SESSION_START', timestamp: at, session_id: sid }]];

  for (let n = 0; n < count; n++) {
    all.push([{ type: 'EVENT', timestamp: at + n, name: `event${n}` }]);
  }

  all.push([{ type: 'SESSION_END', timestamp: at + count, session_id: sid }]);

  return all;
}


// Sends messages to a session, or to what ought to be one: { status, received,
// code }, code 0 if the server did not close within 10 s.

export function talk(sid, list, query) {
  const result = { status: 0, received: [], code: 0 };
  const url = base.replace(/^http/, 'ws')
    + `/ws?sessionId=${sid}${query || ''}`;

  const response = ws.connect(url, {}, (socket) => {
    socket.on('open', () => list.forEach(
      (message) => socket.send(JSON.stringify(message))));

    socket.on('message', (text) => result.received.push(JSON.parse(text)));

    socket.on('close', (code) => {
      result.code = code;
    });

    socket.setTimeout(() => socket.close(), 10000);
  });

  result.status = response.status;

  return result;
}


// A session as talk() has sent it, and whether all went well.

export function feed(sid, count) {
  const list = messages(sid, count);
  const result = talk(sid, list, '&ack=1');
  const acks = result.received.filter((answer) => answer.ack);

  return check(result, {
    'it is a WebSocket': (r) => r.status === 101,
    'each message is acknowledged, in order': () =>
      acks.length === list.length
      && acks.every((answer, n) => answer.ack === n + 1 && answer.events === 1),
    'the last word is bye': (r) =>
      r.received.length > 0
      && r.received[r.received.length - 1].message === 'bye',
    'it is closed with 1000': (r) => r.code === 1000,
  });
}
