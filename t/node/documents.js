'use strict';

// conf/openapi.yaml and conf/asyncapi.yaml, for t/api_documents.t and
// t/api_valid.t.  Prints JSON, a line each:
//
//   documents.js valid FILE...      what public validators find: Spectral's
//                                   rules of OpenAPI, AsyncAPI's own parser;
//                                   and how many documents they have seen
//   documents.js exchanges FILE     of an OpenAPI document, each operation,
//                                   then each example of a response with the
//                                   request that it answers
//   documents.js conversations FILE the same of an AsyncAPI document
//   documents.js match FILE LIST    LIST has lines of [ pointer, JSON text ]:
//                                   what does not fit the schema in FILE,
//                                   and how many were looked at

const fs = require('fs');
const path = require('path');
const YAML = require('yaml');

const print = (value) => process.stdout.write(JSON.stringify(value) + '\n');

const read = (file) => YAML.parse(fs.readFileSync(file, 'utf8'));

const isMethod = (key) => /^(get|post|put|patch|delete|options)$/.test(key);


// What a public validator finds, warnings too.

async function valid(files) {
  for (const file of files) {
    const text = fs.readFileSync(file, 'utf8');

    const found = text.match(/^asyncapi:/m)
      ? await validAsyncapi(text) : await validOpenapi(text, file);

    for (const { code, message, path: at, severity } of found) {
      print([path.basename(file), severity, code, at.join('/'), message]);
    }
  }

  print(files.length);
}

async function validOpenapi(text, file) {
  const { Spectral, Document } = require('@stoplight/spectral-core');
  const { Yaml } = require('@stoplight/spectral-parsers');
  const { oas } = require('@stoplight/spectral-rulesets');

  const spectral = new Spectral();

  spectral.setRuleset({
    extends: [[oas, 'recommended']],
    rules: {
      // a summary may say it all
      'operation-description': 'off',

      // the assignment has one
      'path-keys-no-trailing-slash': 'off',

      // 101 is the success of an upgrade
      'operation-success-response': 'off',
    },
  });

  return spectral.run(new Document(text, Yaml, file));
}

async function validAsyncapi(text) {
  const { Parser } = require('@asyncapi/parser');

  // that there may be a later version is no fault

  const { diagnostics } = await new Parser().parse(text);

  return diagnostics.filter(({ code }) => code !== 'asyncapi-latest-version');
}


// What $ref leads to, and the pointer of it.

function follow(document, pointer) {
  let value = document;
  let at = '';

  for (const key of pointer.split('/').slice(1)) {
    value = value?.[key.replace(/~1/g, '/').replace(/~0/g, '~')];
    at += '/' + key;

    while (value?.$ref?.startsWith('#/')) {
      [value, at] = follow(document, value.$ref.slice(1));
    }
  }

  return [value, at];
}

const join = (pointer, ...keys) => [pointer, ...keys.map((key) =>
  String(key).replace(/~/g, '~0').replace(/\//g, '~1'))].join('/');


// Values as they are sent: those of JSON as their text.

const text = (type, value) =>
  /[/+]json$/.test(type) ? JSON.stringify(value) : String(value);

function exchanges(file) {
  const document = read(file);

  for (const [url, item] of Object.entries(document.paths)) {
    for (const method of Object.keys(item).filter(isMethod)) {
      operation(document, url, method, join('', 'paths', url));
    }
  }
}

function operation(document, url, method, item) {
  const at = join(item, method);
  const [{ operationId, requestBody, responses }] = follow(document, at);

  const all = [...parameters(document, item), ...parameters(document, at)];
  const bodies = Object.entries(requestBody?.content ?? {}).flatMap(
    ([type, { examples }]) => Object.entries(examples ?? {}).map(
      ([name, { value }]) => ({
        name, type, text: text(type, value),
        schema: join(at, 'requestBody', 'content', type, 'schema'),
      })));

  print({
    what: 'operation', url, method, operationId,
    statuses: Object.keys(responses),
    examples: [...bodies, ...all.flatMap((p) => p.examples)],
  });

  for (const status of Object.keys(responses)) {
    for (const one of answers(document, join(at, 'responses', status))) {
      print({
        what: 'exchange', url, method, operationId, status,
        ...one,
        parameters: all.flatMap((p) => chosen(p, one.name)),
        body: chosen({ required: requestBody?.required, examples: bodies },
          one.name)[0],
      });
    }
  }
}

function parameters(document, at) {
  const [{ parameters: list = [] }] = follow(document, at);

  return list.map((_, i) => {
    const [one] = follow(document, join(at, 'parameters', i));
    const { name, required, examples = {} } = one;

    return {
      required,
      examples: Object.entries(examples).map(([example, { value, ...more }]) =>
        ({ ...more, in: one.in, parameter: name, name: example, value })),
    };
  });
}


// The example of that name; or the first one, if there has to be one.

function chosen({ required, examples }, name) {
  const one = examples.find((example) => example.name === name)
    ?? (required ? examples[0] : undefined);

  return one ? [one] : [];
}

function answers(document, pointer) {
  const [response, at] = follow(document, pointer);

  const headers = Object.keys(response.headers ?? {}).map((name) => {
    const [header, where] = follow(document, join(at, 'headers', name));

    return { name, required: !!header.required, schema: where + '/schema' };
  });

  const empty = Object.entries(response['x-examples'] ?? {})
    .map(([name, one]) => ({ name, headers, ...one }));

  return empty.concat(Object.entries(response.content ?? {}).flatMap(
    ([type, { examples }]) => Object.entries(examples ?? {}).map(
      ([name, { value, ...one }]) => ({
        name, headers, type, ...one, text: text(type, value),
        schema: join(at, 'content', type, 'schema'),
        data: response.content[type]['x-data']
          && follow(document, join(at, 'content', type, 'x-data'))[1],
      }))));
}


function conversations(file) {
  const document = read(file);

  for (const [name, channel] of Object.entries(document.channels)) {
    const messages = {};

    for (const key of Object.keys(channel.messages)) {
      const [message, at] = follow(document,
        join('/channels', name, 'messages', key));

      for (const example of message.examples ?? []) {
        messages[example.name] = {
          text: JSON.stringify(example.payload), schema: at + '/payload',
          message: key,
        };
      }

    }

    const codes = channel.description.match(/^\| (\d{4}) \|/mg)
      .map((row) => row.slice(2, 6));

    print({ what: 'channel', url: channel.address, messages, codes,
      kinds: Object.keys(channel.messages) });

    for (const [key, one] of Object.entries(channel['x-conversations'])) {
      print({ what: 'conversation', name: key, ...one });
    }
  }
}


function match(file, list) {
  const Ajv = require('ajv/dist/2020');
  const formats = require('ajv-formats');

  const ajv = new Ajv({ strict: false, allErrors: true });

  formats(ajv);
  ajv.addSchema(read(file), 'document:');

  const lines = fs.readFileSync(list, 'utf8').split('\n').filter(Boolean);

  for (const [pointer, json] of lines.map((line) => JSON.parse(line))) {
    const $ref = 'document:#' + encodeURI(pointer).replace(/[?#]/g, escape);
    const check = ajv.compile({ $ref });

    if (!check(JSON.parse(json))) {
      print([pointer, json, ajv.errorsText(check.errors)]);
    }
  }

  print(lines.length);
}


const [what, ...files] = process.argv.slice(2);

Promise.resolve({ valid: () => valid(files),
  exchanges: () => exchanges(files[0]),
  conversations: () => conversations(files[0]),
  match: () => match(...files) }[what]()).catch((error) => {
  process.stderr.write(error.stack + '\n');
  process.exit(1);
});
