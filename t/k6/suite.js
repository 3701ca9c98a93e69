// k6 run t/k6/suite.js: every endpoint, side by side.  lib.js has the settings.

import { check } from 'k6';
import http from 'k6/http';
import session from './session.js';
import websocket from './websocket.js';
import { application, base, effort, json, thresholds, uuid } from './lib.js';

export const options = {
  thresholds,
  scenarios: {
    websocket: scenario('websocket'),
    session: scenario('session'),
    track: scenario('track'),
    batch: scenario('batch'),
    log: scenario('log'),
    feed: scenario('live'),
    health: scenario('health'),
  },
};

export { session, websocket };


function scenario(exec) {
  return __ENV.DURATION
    ? { executor: 'constant-vus', exec, vus: effort.vus,
      duration: __ENV.DURATION }
    : { executor: 'per-vu-iterations', exec, vus: effort.vus, iterations: 1 };
}


export function track() {
  if (!application) {
    return;
  }

  const event = {
    session_id: uuid(),
    category: 'page interaction',
    name: 'pageview',
    data: { host: 'www.consumeraffairs.com', path: '/' },
    timestamp: '2021-01-01 09:15:27.243860',
  };

  const headers = Object.assign({ application }, json.headers);
  const url = `${base}/api/v1/events/`;

  check(http.post(url, JSON.stringify(event), { headers }), {
    'an event of an application is 201': (r) => r.status === 201,
    'in canonical form': (r) =>
      r.json('timestamp') === '2021-01-01T09:15:27.243860Z',
  });

  check(http.get(`${base}/session/${event.session_id}`), {
    'and in its session': (r) => r.json('children.0.data.path') === '/',
  });

  check(http.post(url, '{}', { headers }), {
    'all faults are told at once': (r) => r.status === 400
      && Object.keys(r.json()).length === 5,
  });

  check(http.post(url, JSON.stringify(event), json), {
    'no application is 400': (r) => r.status === 400
      && r.json('detail') === 'Application not found.',
  });
}


export function batch() {
  const events = Array.from({ length: 1000 },
    (_, n) => ({ timestamp: 1570164727 + n % 60, data: n }));

  const headers = Object.assign({ 'Idempotency-Key': uuid() }, json.headers);

  for (const time of ['the first', 'the second']) {
    check(http.post(`${base}/events`, JSON.stringify(events), { headers }), {
      [`a batch is accepted ${time} time`]: (r) => r.status === 200
        && r.json('accepted') === 1000,
    });
  }

  check(http.get(`${base}/events?limit=10`), {
    'and read back': (r) => r.status === 200 && r.json('#') === 10,
  });

  check(http.get(`${base}/workers`), {
    'its workers are told': (r) => Number(r.json('workers.#')) > 0,
  });
}


export function log() {
  const record = {
    email: `k6-${uuid()}@example.com`,
    environment: 'production',
    component: 'order',
    message: 'the buyer #1 has placed an order successfully',
    data: { key: 123 },
  };

  check(http.post(`${base}/event`, JSON.stringify(record), json), {
    'a record is 201': (r) => r.status === 201 && !!r.json('id'),
  });

  const q = encodeURIComponent(
    `((email eq '${record.email}') AND (message ct 'BUYER'))`);

  check(http.get(`${base}/event?q=${q}`), {
    'and found': (r) => r.json('#') === 1
      && r.json('0.email') === record.email,
  });

  check(http.get(`${base}/event?q=${encodeURIComponent('(email is 1)')}`), {
    'what is no filter is 400': (r) => r.status === 400,
  });
}


// It has no end, and k6 waits for one: its head is all there is to check.

export function live() {
  check(http.head(`${base}/database_events`), {
    'the feed is an event stream': (r) => r.status === 200
      && r.headers['Content-Type'] === 'text/event-stream',
  });
}


export function health() {
  check(http.get(`${base}/healthcheck`), {
    'it is healthy': (r) => r.status === 200 && r.body === 'OK',
  });

  check(http.get(`${base}/ready`), {
    'and ready': (r) => r.status === 200 && r.body === 'OK',
  });
}
