// k6 run t/k6/websocket.js: events go in over WebSocket, and what is no event
// or no session is told so.  lib.js has the settings.

import { check } from 'k6';
import { effort, feed, messages, talk, thresholds, uuid } from './lib.js';

export const options = Object.assign({ thresholds }, effort);


export default function websocket() {
  feed(uuid(), 5);
  silent();
  wrongSession();
  wrongEntry();
  foreignEntry();
}


// Without ?ack=1 there is nothing but the bye.

function silent() {
  const sid = uuid();

  check(talk(sid, messages(sid, 3)), {
    'silent on success': (r) => r.received.length === 1
      && r.received[0].message === 'bye',
    'and closed with 1000': (r) => r.code === 1000,
  });
}


function wrongSession() {
  check(talk('abc', []), {
    'a bad sessionId is told': (r) => r.status === 101
      && r.received[0].error === 'param sessionId must be a UUID: abc',
    'and closed with 1008': (r) => r.code === 1008,
  });
}


// The connection stays open: the end of the session is still taken.

function wrongEntry() {
  const sid = uuid();
  const end = messages(sid, 0).pop();

  check(talk(sid, [[{ type: 'EVENT', timestamp: 1 }], end], '&ack=1'), {
    'a bad entry is told, with its place': (r) =>
      r.received[0].message === 1 && r.received[0].index === 0
      && r.received[0].field === 'name',
    'the next message is taken': (r) => r.received[1].ack === 2,
    'to its end': (r) => r.code === 1000,
  });
}


function foreignEntry() {
  const start = messages(uuid(), 0).shift();

  check(talk(uuid(), [start]), {
    'an entry of another session is told': (r) =>
      /^event session_id does not match/.test(r.received[0].error),
    'and ends it with 1008': (r) => r.code === 1008,
  });
}
