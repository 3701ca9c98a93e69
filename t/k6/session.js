// k6 run t/k6/session.js: a session that went in comes out as a tree, whole
// and in pages.  lib.js has the settings.

import { check } from 'k6';
import http from 'k6/http';
import { base, effort, feed, thresholds, uuid } from './lib.js';

export const options = Object.assign({ thresholds }, effort);

// a 404 that is asked for is no failed request

http.setResponseCallback(http.expectedStatuses({ min: 200, max: 499 }));


export default function session() {
  const sid = uuid();

  if (feed(sid, 25)) {
    whole(sid);
    pages(sid);
  }

  refused();
}


function whole(sid) {
  const response = http.get(`${base}/session/${sid}`);

  check(response, {
    'the session is there': (r) => r.status === 200
      && r.headers['Content-Type'] === 'application/json',
    'from its start to its end': (r) => r.json('type') === 'SESSION'
      && r.json('start') === 1624422533298
      && r.json('end') === 1624422533323,
    'with its events in order': (r) => names(r).join()
      === Array.from({ length: 25 }, (_, n) => `event${n}`).join(),
  });

  check(http.head(`${base}/session/${sid}`), {
    'HEAD has the same length': (r) => r.status === 200 && !r.body
      && r.headers['Content-Length'] === response.headers['Content-Length'],
  });
}


function pages(sid) {
  const all = [];
  let path = `/session/${sid}?limit=10`;

  for (let n = 0; path && n < 4; n++) {
    const response = http.get(base + path);
    const link = /^<(.*)>; rel="next"$/.exec(response.headers.Link || '');

    all.push(...names(response));
    path = link && link[1];
  }

  check(all, {
    'the pages have each event once': (a) => a.length === 25
      && new Set(a).size === 25,
  });
}


function names(response) {
  return response.json('children').map((child) => child.name);
}


function refused() {
  check(http.get(`${base}/session/${uuid()}`), {
    'an unknown session is 404': (r) => r.status === 404
      && r.headers['Content-Type'] === 'application/problem+json',
  });

  check(http.get(`${base}/session/abc`), {
    'what is no id is 400': (r) => r.status === 400,
  });
}
