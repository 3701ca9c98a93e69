'use strict';

// What Node does for sessions, as a peer of bench/compare: events over
// WebSocket and POST into sorted sets, GET of a session as a tree.
//
//     node server.js PORT WORKERS SOCKET redis|ioredis
//
// A message is one ZADD, a large body several of them, on one pipelined
// connection of a worker.  Names repeat, so that their JSON is kept.

const cluster = require('cluster');
const crypto = require('crypto');
const http = require('http');

const [port, workers, socket, client] = process.argv.slice(2);

const MEMBERS = 1000; // of one ZADD
const NAMES = 10000; // whose JSON is kept

const prefix = crypto.randomBytes(4).toString('hex');
const quoted = new Map();

let sequence = 0;
let zadd;
let zrange;

if (workers > 1 && cluster.isPrimary) {
  for (let i = 0; i < workers; i++) {
    cluster.fork();
  }
} else {
  connect().then(serve);
}

async function connect() {
  if (client === 'ioredis') {
    const { Redis } = require('ioredis');
    const redis = new Redis({ path: socket, enableAutoPipelining: true });

    zadd = (args) => redis.zadd(...args);
    zrange = (key) => redis.zrange(key, 0, -1);
    return;
  }

  const redis = require('redis').createClient({
    socket: { path: socket },
    RESP: 2,
    commandsQueueMaxLength: 1e6,
  });

  await redis.connect();

  zadd = (args) => {
    args.unshift('ZADD');
    return redis.sendCommand(args);
  };
  zrange = (key) => redis.sendCommand(['ZRANGE', key, '0', '-1']);
}

function quote(name) {
  let json = quoted.get(name);

  if (json === undefined) {
    if (quoted.size === NAMES) {
      quoted.clear();
    }
    quoted.set(name, (json = JSON.stringify(name)));
  }

  return json;
}

function isEvent(event) {
  return (
    event !== null &&
    typeof event === 'object' &&
    event.type === 'EVENT' &&
    Number.isSafeInteger(event.timestamp) &&
    event.timestamp >= 0 &&
    typeof event.name === 'string'
  );
}

// How many events were stored.

async function store(sid, text) {
  const list = JSON.parse(text);
  const key = 'es:{' + sid + '}';
  const calls = [];
  let args = [key];

  if (!Array.isArray(list) || list.length === 0) {
    throw new Error('not an array');
  }

  for (const event of list) {
    if (!isEvent(event)) {
      throw new Error('not an event');
    }

    const score = '' + event.timestamp;

    sequence = (sequence + 1) >>> 0;

    args.push(
      score,
      '{"id":"' + prefix + (sequence + 0x100000000).toString(16).slice(-8) +
        '","type":"EVENT","timestamp":' + score +
        ',"name":' + quote(event.name) + '}',
    );

    if (args.length > 2 * MEMBERS) {
      calls.push(zadd(args));
      args = [key];
    }
  }

  if (args.length > 1) {
    calls.push(zadd(args));
  }

  await (calls.length === 1 ? calls[0] : Promise.all(calls));

  return list.length;
}

async function tree(sid) {
  const members = await zrange('es:{' + sid + '}');
  const n = members.length;

  if (n === 0) {
    return null;
  }

  const timestamp = (member) => /"timestamp":(\d+)/.exec(member)[1];
  const head =
    '{"type":"SESSION","start":' + timestamp(members[0]) +
    ',"end":' + timestamp(members[n - 1]) + ',"children":[';

  // without the id: from "type" on

  for (let i = 0; i < n; i++) {
    members[i] = '{' + members[i].slice(25);
  }

  return Buffer.from(head + members.join(',') + ']}');
}

function sessionId(url) {
  const found = /[?&]sessionId=([\w-]+)/.exec(url);

  return found && found[1];
}

function reply(res, status, body) {
  res.writeHead(status, {
    'Content-Type': 'application/json',
    'Content-Length': Buffer.byteLength(body),
  });
  res.end(body);
}

const ok = (n) => '{"ok":' + n + '}';
const failed = (error) => JSON.stringify({ err: error.message });

function request(req, res) {
  if (req.url.startsWith('/session/')) {
    tree(req.url.slice(9)).then(
      (body) => reply(res, body ? 200 : 404, body || '{}'),
      (error) => reply(res, 502, failed(error)),
    );
    return;
  }

  const chunks = [];

  req.on('data', (chunk) => chunks.push(chunk));
  req.on('end', () => {
    store(sessionId(req.url), Buffer.concat(chunks).toString()).then(
      (n) => reply(res, 200, ok(n)),
      (error) => reply(res, 400, failed(error)),
    );
  });
}

function serve() {
  const { WebSocketServer } = require('ws');

  const server = http.createServer(request);
  const upgrades = new WebSocketServer({
    noServer: true,
    perMessageDeflate: false,
    maxPayload: 16777216,
  });

  server.on('upgrade', (req, connection, head) => {
    const sid = sessionId(req.url);

    upgrades.handleUpgrade(req, connection, head, (ws) => {
      ws.on('error', () => ws.terminate());
      ws.on('message', (data) => {
        store(sid, data.toString()).then(
          (n) => ws.send(ok(n)),
          (error) => ws.send(failed(error)),
        );
      });
    });
  });

  server.keepAliveTimeout = 0;
  server.requestTimeout = 0;
  server.listen({ port: Number(port), host: '127.0.0.1', backlog: 4096 });
}
