# Why: what every endpoint promises over plain HTTP (contract, section 0):
# methods and Allow, HEAD, CORS, problem+json, and to work in any kind of
# location and as a subrequest.  Known to fail by: an Allow that forgets HEAD;
# CORS patterns that let a neighbour's domain in, or replies without Vary that
# a cache hands to the wrong origin; errors that name keys or addresses; a
# handler that "if" or limit_except loses; requests counted wrongly when they
# are subrequests.

use lib 't/lib';

use EventSession::TestNginx;
use Test::Nginx::Socket;

use EventSession;
use EventSession::Session;

plan('no_plan');
no_long_string();
no_shuffle();


# every block has these, unless it says otherwise

add_block_preprocessor(sub {
    my ($block) = @_;

    $block->set_value('http_config', 'eventsession_redis $TEST_NGINX_REDIS;')
        if !defined $block->http_config;

    $block->set_value('config', <<'END') if !defined $block->config;
    location = /ws { eventsession ws; }
    location /session/ { eventsession session; }
    location = /healthcheck { eventsession healthcheck; }
    location = /ready { eventsession ready; }
END

    $block->set_value('no_error_log', "[alert]\n[crit]\n[emerg]")
        if !defined $block->no_error_log;
});


# the sessions that are asked for

my $writer = EventSession->new->nginx(
    redis => $EventSession::TestNginx::redis);

store($writer, 'e6fa79ca-d142-4046-a134-5134f16a0b5e', start(1),
    event(2, 'a'), event(3, 'b'), end(4));
store($writer, 'e6fa79ca-d142-4046-a134-5134f16a0b5f',
    batches(1000, map { event($_, 'x' x 20) } 1 .. 3000));

$writer->quit;
undef $writer;

run_tests();

__DATA__

=== TEST 1: a session answers GET
--- request
GET /session/e6fa79ca-d142-4046-a134-5134f16a0b5e
--- response_body eval
'{"type":"SESSION","start":1,"end":4,"children":[{"type":"EVENT",'
    . '"timestamp":2,"name":"a"},{"type":"EVENT","timestamp":3,"name":"b"}]}'
--- response_headers
Content-Type: application/json
Content-Length: 133
!Vary
!Access-Control-Allow-Origin



=== TEST 2: no other method
--- request eval
[ map { "$_ /session/e6fa79ca-d142-4046-a134-5134f16a0b5e" }
    qw(POST PUT DELETE PATCH OPTIONS PROPFIND) ]
--- error_code eval: [ (405) x 6 ]
--- response_headers eval
[ ("Allow: GET, HEAD\nContent-Type: application/problem+json") x 6 ]
--- response_body eval
[ map { qq({"type":"about:blank","title":"Method Not Allowed","status":405,)
    . qq("detail":"this endpoint does not answer $_"}) }
    qw(POST PUT DELETE PATCH OPTIONS PROPFIND) ]



=== TEST 3: nor do the others
--- request eval
[ map { ("POST $_", "OPTIONS $_") } qw(/healthcheck /ready /session/x) ]
--- error_code eval: [ (405) x 6 ]
--- response_headers eval: [ ('Allow: GET, HEAD') x 6 ]
--- response_body eval
[ map { qq({"type":"about:blank","title":"Method Not Allowed","status":405,)
    . qq("detail":"this endpoint does not answer $_"}) }
    (qw(POST OPTIONS)) x 3 ]



=== TEST 4: a WebSocket has GET alone
--- request eval: [ 'POST /ws', 'HEAD /ws', 'OPTIONS /ws' ]
--- error_code eval: [ 405, 405, 405 ]
--- response_headers eval: [ ('Allow: GET') x 3 ]
--- response_body_like eval
[ map { /HEAD/ ? '^$' : '^\{"type":"about:blank","title":"Method Not '
    . 'Allowed","status":405,"detail":"a WebSocket is opened with GET, not '
    . qq(with $_"}\$) } qw(POST HEAD OPTIONS) ]



=== TEST 5: a method that nobody knows is no HTML
--- raw_request eval
"FETCH /session/x HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n"
--- error_code: 405
--- response_body eval
'{"type":"about:blank","title":"Method Not Allowed","status":405,'
    . '"detail":"this endpoint does not answer FETCH"}'



=== TEST 6: HEAD of each
--- request eval
[ 'HEAD /session/e6fa79ca-d142-4046-a134-5134f16a0b5e', 'HEAD /healthcheck',
  'HEAD /ready', 'HEAD /session/x' ]
--- error_code eval: [ 200, 200, 200, 400 ]
--- response_headers eval
[ 'Content-Length: 133', 'Content-Length: 2', 'Content-Length: 2',
  'Content-Length: 98' ]
--- response_body eval: [ ('') x 4 ]



=== TEST 7: a bad id
--- request
GET /session/abc
--- error_code: 400
--- response_headers
Content-Type: application/problem+json
--- response_body eval
'{"type":"about:blank","title":"Bad Request","status":400,'
    . '"detail":"the session id must be a UUID"}'



=== TEST 8: a bad id where any is allowed
--- config
    location /session/ {
        eventsession session;
        eventsession_session_id any;
    }
--- request eval
[ 'GET /session/a+b', 'GET /session/', 'GET /session/' . 'x' x 129 ]
--- error_code eval: [ 400, 400, 400 ]
--- response_body eval
[ ('{"type":"about:blank","title":"Bad Request","status":400,"detail":'
    . '"the session id must be 1 to 128 of the characters A-Z a-z 0-9 . _ ~ -"'
    . '}') x 3 ]



=== TEST 9: an unknown session
--- request
GET /session/00000000-0000-0000-0000-000000000000
--- error_code: 404
--- response_headers
Content-Type: application/problem+json
--- response_body eval
'{"type":"about:blank","title":"Not Found","status":404,'
    . '"detail":"there is no such session"}'



=== TEST 10: not a WebSocket
--- request
GET /ws?sessionId=e6fa79ca-d142-4046-a134-5134f16a0b5e
--- error_code: 426
--- response_headers
Upgrade: websocket
Sec-WebSocket-Version: 13
Content-Type: application/problem+json
--- response_body eval
'{"type":"about:blank","title":"Upgrade Required","status":426,"detail":"this '
    . 'endpoint speaks WebSocket: HTTP/1.1 with \"Upgrade: websocket\""}'



=== TEST 11: no Redis: nothing that names it
--- http_config
    eventsession_redis unix:/nonexistent/secret.sock?password=hidden;
    eventsession_timeout 50ms;
    eventsession_prefix hidden:;
--- request eval
[ 'GET /session/e6fa79ca-d142-4046-a134-5134f16a0b5e', 'GET /ready' ]
--- error_code eval: [ 503, 503 ]
--- response_headers eval
[ ("Retry-After: 1\nContent-Type: application/problem+json") x 2 ]
--- response_body_like eval
[ '^\{"type":"about:blank","title":"Service Unavailable","status":503,"detail":'
    . '"the session can\'t be read: the store did not confirm in time, '
    . 'try again later"}$',
  '^\{"type":"about:blank","title":"Service Unavailable","status":503,"detail":'
    . '"Redis (cannot be reached|has not answered yet)"}$' ]
--- no_error_log
[alert]
hidden



=== TEST 12: CORS: an origin, exactly
--- http_config
    eventsession_redis $TEST_NGINX_REDIS;
    eventsession_cors https://app.example.com http://localhost:3000;
--- request eval
[ ('GET /healthcheck') x 12 ]
--- more_headers eval
[ map { $_ eq '' ? '' : "Origin: $_" } ('https://app.example.com',
    'HTTPS://App.Example.com', 'http://localhost:3000', '',
    'http://app.example.com', 'https://app.example.com.evil.org',
    'https://xapp.example.com', 'https://app.example.com:443',
    'http://localhost:30000', 'http://localhost', 'null',
    'https://app.example.co') ]
--- response_headers eval
[ (map { "Vary: Origin\nAccess-Control-Allow-Origin: $_\n"
    . 'Access-Control-Expose-Headers: Link, Retry-After' }
    'https://app.example.com', 'HTTPS://App.Example.com',
    'http://localhost:3000'),
  ("Vary: Origin\n!Access-Control-Allow-Origin\n"
    . '!Access-Control-Expose-Headers') x 9 ]
--- response_body eval: [ ('OK') x 12 ]



=== TEST 13: CORS: a wildcard is part of a host
--- http_config
    eventsession_redis $TEST_NGINX_REDIS;
    eventsession_cors https://*.example.com http://dev-*:8080;
--- request eval
[ ('GET /healthcheck') x 12 ]
--- more_headers eval
[ map { "Origin: $_" } ('https://a.example.com', 'https://a.b.example.com',
    'https://A.EXAMPLE.COM', 'http://dev-1:8080',
    'https://example.com', 'https://.example.com', 'http://a.example.com',
    'https://evil.org/.example.com', 'https://evil.org:1.example.com',
    'https://user@evil.example.com', 'https://a.example.com.evil.org',
    'http://dev-1:80801') ]
--- response_headers eval
[ (map { "Vary: Origin\nAccess-Control-Allow-Origin: $_" }
    'https://a.example.com', 'https://a.b.example.com',
    'https://A.EXAMPLE.COM', 'http://dev-1:8080'),
  ("Vary: Origin\n!Access-Control-Allow-Origin") x 8 ]
--- response_body eval: [ ('OK') x 12 ]



=== TEST 14: CORS: a regular expression
--- http_config
    eventsession_redis $TEST_NGINX_REDIS;
    eventsession_cors "~^https://[a-z]{2,3}\.example\.(com|org)$";
--- request eval
[ ('GET /healthcheck') x 5 ]
--- more_headers eval
[ map { "Origin: $_" } ('https://ab.example.com', 'https://ABC.example.org',
    'https://abcd.example.com', 'https://ab.example.net',
    'https://ab.example.com.evil.org') ]
--- response_headers eval
[ (map { "Vary: Origin\nAccess-Control-Allow-Origin: $_" }
    'https://ab.example.com', 'https://ABC.example.org'),
  ("Vary: Origin\n!Access-Control-Allow-Origin") x 3 ]
--- response_body eval: [ ('OK') x 5 ]



=== TEST 15: CORS: anybody
--- http_config
    eventsession_redis $TEST_NGINX_REDIS;
    eventsession_cors *;
--- request eval
[ ('GET /session/abc') x 3 ]
--- more_headers eval
[ 'Origin: https://a.example', 'Origin: null', '' ]
--- error_code eval: [ (400) x 3 ]
--- response_headers eval
[ "Vary: Origin\nAccess-Control-Allow-Origin: https://a.example",
  "Vary: Origin\nAccess-Control-Allow-Origin: null",
  "Vary: Origin\n!Access-Control-Allow-Origin" ]
--- response_body eval
[ ('{"type":"about:blank","title":"Bad Request","status":400,'
    . '"detail":"the session id must be a UUID"}') x 3 ]



=== TEST 16: CORS: preflight
--- http_config
    eventsession_redis $TEST_NGINX_REDIS;
    eventsession_cors https://a.example;
--- request eval
[ 'OPTIONS /session/e6fa79ca-d142-4046-a134-5134f16a0b5e',
  'OPTIONS /session/abc', 'OPTIONS /ready', 'OPTIONS /healthcheck' ]
--- more_headers
Origin: https://a.example
Access-Control-Request-Method: GET
Access-Control-Request-Headers: x-requested-with
--- error_code eval: [ (204) x 4 ]
--- response_headers eval
[ (CORE::join("\n", 'Vary: Origin',
    'Access-Control-Allow-Origin: https://a.example',
    'Access-Control-Allow-Methods: GET, HEAD', 'Access-Control-Allow-Headers: '
        . 'Content-Type, Content-Encoding, Idempotency-Key, Last-Event-ID, '
        . 'application',
    'Access-Control-Max-Age: 600', '!Allow',
    '!Access-Control-Allow-Credentials')) x 4 ]
--- response_body eval: [ ('') x 4 ]



=== TEST 17: CORS: preflight of a stranger
--- http_config
    eventsession_redis $TEST_NGINX_REDIS;
    eventsession_cors https://a.example;
--- request eval: [ 'OPTIONS /session/abc', 'OPTIONS /session/abc' ]
--- more_headers eval
[ "Origin: https://b.example\nAccess-Control-Request-Method: GET", '' ]
--- error_code eval: [ 405, 405 ]
--- response_headers eval
[ ("Vary: Origin\nAllow: GET, HEAD\n!Access-Control-Allow-Origin\n"
    . '!Access-Control-Allow-Methods') x 2 ]
--- response_body eval
[ ('{"type":"about:blank","title":"Method Not Allowed","status":405,'
    . '"detail":"this endpoint does not answer OPTIONS"}') x 2 ]



=== TEST 18: CORS: Allow names OPTIONS where it is answered
--- http_config
    eventsession_redis $TEST_NGINX_REDIS;
    eventsession_cors https://a.example;
--- request
DELETE /session/abc
--- more_headers
Origin: https://a.example
--- error_code: 405
--- response_headers
Allow: GET, HEAD, OPTIONS
Access-Control-Allow-Origin: https://a.example
--- response_body_like: does not answer DELETE



=== TEST 19: CORS: off in a location
--- http_config
    eventsession_redis $TEST_NGINX_REDIS;
    eventsession_cors *;
--- config
    location = /healthcheck {
        eventsession healthcheck;
        eventsession_cors off;
    }
--- request
GET /healthcheck
--- more_headers
Origin: https://a.example
--- response_headers
!Vary
!Access-Control-Allow-Origin
--- response_body chomp
OK



=== TEST 20: CORS: beside gzip
--- http_config
    eventsession_redis $TEST_NGINX_REDIS;
    eventsession_cors *;
    gzip on;
    gzip_vary on;
    gzip_types application/json;
    gzip_min_length 1;
--- request
HEAD /session/e6fa79ca-d142-4046-a134-5134f16a0b5e
--- more_headers
Origin: https://a.example
Accept-Encoding: gzip
--- raw_response_headers_like eval
qr/^Vary: (Accept-Encoding|Origin)\s[\s\S]*^Vary: (?!\1)/m
--- response_body



=== TEST 21: a body on GET is dropped
--- pipelined_requests eval
[ "GET /session/abc\nnot asked for", "GET /healthcheck\n" . 'x' x 100_000,
  "GET /session/e6fa79ca-d142-4046-a134-5134f16a0b5e\n" . 'y' x 10_000,
  "GET /ready\n{}", 'GET /healthcheck' ]
--- error_code eval: [ 400, 200, 200, 200, 200 ]
--- response_body eval
[ '{"type":"about:blank","title":"Bad Request","status":400,'
    . '"detail":"the session id must be a UUID"}', 'OK',
  '{"type":"SESSION","start":1,"end":4,"children":[{"type":"EVENT",'
    . '"timestamp":2,"name":"a"},{"type":"EVENT","timestamp":3,"name":"b"}]}',
  'OK', 'OK' ]



=== TEST 22: a prefix location without a slash
--- config
    location /session { eventsession session; }
    location /healthcheck { eventsession healthcheck; }
--- request eval
[ 'GET /session/e6fa79ca-d142-4046-a134-5134f16a0b5e',
  'GET /session', 'GET /session/', 'GET /healthcheck/', 'GET /healthcheck' ]
--- error_code eval: [ 200, 400, 400, 200, 200 ]
--- response_body_like eval
[ '^\{"type":"SESSION","start":1,"end":4,', 'must be a UUID', 'must be a UUID',
  '^OK$', '^OK$' ]



=== TEST 23: an exact location
--- config
    location = /session/e6fa79ca-d142-4046-a134-5134f16a0b5e {
        eventsession session;
    }
--- request
GET /session/e6fa79ca-d142-4046-a134-5134f16a0b5e?limit=1
--- response_body eval
'{"type":"SESSION","start":1,"end":4,"children":[{"type":"EVENT",'
    . '"timestamp":2,"name":"a"}]}'
--- response_headers_like eval
'Link: </session/e6fa79ca-d142-4046-a134-5134f16a0b5e\?limit=1'
    . '&after=[0-9a-f.]+>; rel="next"'



=== TEST 24: a regex location
--- config
    location ~ ^/v1/sessions/([0-9a-f-]+)$ { eventsession session; }
    location ~* ^/deep/.*/tree/ { eventsession session; }
--- request eval
[ 'GET /v1/sessions/e6fa79ca-d142-4046-a134-5134f16a0b5e',
  'GET /DEEP/a/b/tree/e6fa79ca-d142-4046-a134-5134f16a0b5e',
  'GET /deep/a/tree/e6fa79ca-d142-4046-a134-5134f16a0b5e/' ]
--- error_code eval: [ 200, 200, 400 ]
--- response_body_like eval
[ ('^\{"type":"SESSION","start":1,"end":4,') x 2, 'must be a UUID' ]



=== TEST 25: a nested location
--- config
    location /api/ {
        return 403;
        location /api/session/ { eventsession session; }
    }
--- request
GET /api/session/e6fa79ca-d142-4046-a134-5134f16a0b5e
--- response_body_like: ^\{"type":"SESSION","start":1,"end":4,



=== TEST 26: a named location
--- config
    location /x/ { try_files /nothing @session; }
    location @session { eventsession session; }
--- request
GET /x/e6fa79ca-d142-4046-a134-5134f16a0b5e
--- response_body_like: ^\{"type":"SESSION","start":1,"end":4,



=== TEST 27: an endpoint inside of an endpoint
--- config
    location /a/ {
        eventsession healthcheck;
        location /a/session/ { eventsession session; }
        location /a/plain/ { }
    }
--- request eval
[ 'GET /a/session/e6fa79ca-d142-4046-a134-5134f16a0b5e', 'GET /a/x',
  'GET /a/plain/x' ]
--- error_code eval: [ 200, 200, 404 ]
--- response_body_like eval
[ '^\{"type":"SESSION","start":1,"end":4,', '^OK$', '<html>' ]



=== TEST 28: "if" in an endpoint
--- config
    location /session/ {
        eventsession session;

        if ($arg_debug) {
            add_header X-Debug yes;
        }
    }
--- request eval
[ 'GET /session/e6fa79ca-d142-4046-a134-5134f16a0b5e',
  'GET /session/e6fa79ca-d142-4046-a134-5134f16a0b5e?debug=1' ]
--- response_headers eval: [ '!X-Debug', 'X-Debug: yes' ]
--- response_body_like eval
[ ('^\{"type":"SESSION","start":1,"end":4,') x 2 ]



=== TEST 29: "if" with another handler
--- config
    location /session/ {
        eventsession session;

        if ($arg_gone) {
            return 410 "gone";
        }
    }
--- request
GET /session/e6fa79ca-d142-4046-a134-5134f16a0b5e?gone=1
--- error_code: 410
--- response_body chomp
gone



=== TEST 30: limit_except in an endpoint
--- config
    location /session/ {
        eventsession session;

        limit_except GET {
            allow all;
        }
    }

    location /closed/ {
        eventsession session;

        limit_except GET {
            deny all;
        }
    }
--- request eval
[ 'GET /session/e6fa79ca-d142-4046-a134-5134f16a0b5e', 'DELETE /session/x',
  'GET /closed/e6fa79ca-d142-4046-a134-5134f16a0b5e', 'DELETE /closed/x' ]
--- error_code eval: [ 200, 405, 200, 403 ]
--- response_body_like eval
[ '^\{"type":"SESSION","start":1,"end":4,', 'does not answer DELETE',
  '^\{"type":"SESSION","start":1,"end":4,', '"status":403,"detail":' ]



=== TEST 31: rewritten to an endpoint
--- config
    location /old/ { rewrite ^/old/(.*)$ /session/$1 last; }
    location /session/ { eventsession session; }
--- request
GET /old/e6fa79ca-d142-4046-a134-5134f16a0b5e
--- response_body_like: ^\{"type":"SESSION","start":1,"end":4,



=== TEST 32: behind auth_request, of each endpoint
--- config
    location /healthcheck { eventsession healthcheck; }
    location /ready { eventsession ready; }
    location /session/ { eventsession session; }

    location /by-healthcheck/ { auth_request /healthcheck; root html; }
    location /by-ready/ { auth_request /ready; root html; }
    location /by-session/ {
        auth_request /session/e6fa79ca-d142-4046-a134-5134f16a0b5e;
        root html;
    }
    location /by-large/ {
        auth_request /session/e6fa79ca-d142-4046-a134-5134f16a0b5f;
        root html;
    }
    location /by-none/ {
        auth_request /session/e6fa79ca-d142-4046-a134-5134f16a0b50;
        root html;
    }
    location /by-ready-session/ {
        auth_request /ready;
        alias html/nothing/;
        location /by-ready-session/s/ { eventsession session; }
    }
--- user_files eval
[ map { [ "by-$_/x" => "let in by $_" ] }
    qw(healthcheck ready session large none) ]
--- request eval
[ (map { "GET /by-$_/x" } qw(healthcheck session ready large none)),
  'GET /by-ready-session/s/e6fa79ca-d142-4046-a134-5134f16a0b5e' ]
--- error_code eval: [ 200, 200, 200, 200, 500, 200 ]
--- response_body_like eval
[ (map { "^let in by $_" } qw(healthcheck session ready large)), '500',
  '^\{"type":"SESSION","start":1,"end":4,' ]



=== TEST 33: mirrored
--- config
    location /session/ {
        mirror /healthcheck;
        mirror /ready;
        mirror /m/e6fa79ca-d142-4046-a134-5134f16a0b5e;
        mirror /m/e6fa79ca-d142-4046-a134-5134f16a0b5f;
        mirror /m/none;
        mirror /ws;
        eventsession session;
    }
    location /healthcheck { internal; eventsession healthcheck; }
    location /ready { internal; eventsession ready; }
    location /m/ { internal; eventsession session; }
    location = /ws { eventsession ws; }
--- request eval
[ ('GET /session/e6fa79ca-d142-4046-a134-5134f16a0b5e') x 3,
  "POST /session/x\nbody" ]
--- error_code eval: [ 200, 200, 200, 405 ]
--- response_body_like eval
[ ('^\{"type":"SESSION","start":1,"end":4,') x 3, 'does not answer POST' ]



=== TEST 34: included by SSI
--- http_config
    eventsession_redis $TEST_NGINX_REDIS;
    ssi on;
    ssi_types *;
--- user_files eval
[ [ 'page.html' => '[<!--#include virtual="/session/'
    . 'e6fa79ca-d142-4046-a134-5134f16a0b5e" -->]'
    . '[<!--#include virtual="/healthcheck" -->]'
    . '[<!--#include virtual="/ready" -->]'
    . '[<!--#include virtual="/session/none" -->]' ],
  [ 'large.html' => ('<!--#include virtual="/session/'
    . 'e6fa79ca-d142-4046-a134-5134f16a0b5f" -->') . '|'
    . '<!--#include virtual="/session/e6fa79ca-d142-4046-a134-5134f16a0b5f" -->'
    ] ]
--- request eval
[ 'GET /session/e6fa79ca-d142-4046-a134-5134f16a0b5e', 'GET /page.html',
  'GET /large.html' ]
--- response_body eval
[ '{"type":"SESSION","start":1,"end":4,"children":[{"type":"EVENT",'
    . '"timestamp":2,"name":"a"},{"type":"EVENT","timestamp":3,"name":"b"}]}',
  '[{"type":"SESSION","start":1,"end":4,"children":[{"type":"EVENT",'
    . '"timestamp":2,"name":"a"},{"type":"EVENT","timestamp":3,"name":"b"}]}]'
    . '[OK][OK][{"type":"about:blank","title":"Bad Request","status":400,'
    . '"detail":"the session id must be a UUID"}]',
  CORE::join('|', (EventSession::Session::tree(undef, undef,
    map { EventSession::Session::event($_, 'x' x 20) } 1 .. 3000)) x 2) ]



=== TEST 35: arguments: any case, the first of two, no others
--- request eval
[ map { "GET /session/e6fa79ca-d142-4046-a134-5134f16a0b5e?$_" }
    'LIMIT=1', 'Limit=1&limit=2', 'limits=1&xlimit=1&%6cimit=1' ]
--- response_body eval
[ ('{"type":"SESSION","start":1,"end":4,"children":[{"type":"EVENT",'
    . '"timestamp":2,"name":"a"}]}') x 2,
  '{"type":"SESSION","start":1,"end":4,"children":[{"type":"EVENT",'
    . '"timestamp":2,"name":"a"},{"type":"EVENT","timestamp":3,"name":"b"}]}' ]
