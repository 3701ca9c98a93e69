# Why: the opening handshake (RFC 6455, section 4; contract, section 1) is
# what browsers, proxies and libraries judge a server by, and Origin is all
# that keeps a foreign page out.  Known to fail by: refusing "Connection:
# keep-alive, Upgrade"; choosing a subprotocol in another case than offered,
# which a browser drops; answering a bad sessionId with HTTP, which a browser
# can't read; losing frames that came in one packet with the handshake;
# sending Upgrade over HTTP/2, which makes the reply malformed there.

use strict;
use warnings;

use lib 't/lib';

use EventSession;
use EventSession::TLS;
use JSON::PP;
use Test::More;

my $t   = EventSession->new;
my $tls = EventSession::TLS->new($t->folder('tls'), 'localhost');

my $h2       = EventSession::Redis::free_port();
my $tls_port = EventSession::Redis::free_port();

my $nginx = $t->nginx(http => tls_server(),
    server => "listen 127.0.0.1:$h2 http2;\n" . <<'END');

    location = /exact {
        eventsession ws;
        eventsession_origin https://app.example.com http://other.test:8080;
    }

    location = /wildcard {
        eventsession ws;
        eventsession_origin https://*.example.com;
    }

    location = /regex {
        eventsession ws;
        eventsession_origin "~^https://[a-z]+\.example\.(com|org)$";
    }

    location = /all {
        eventsession ws;
        eventsession_origin *;
    }

    location = /any {
        eventsession ws;
        eventsession_session_id any;
    }

    location /any_session/ {
        eventsession session;
        eventsession_session_id any;
    }
END

my $port = $nginx->port;
my $sid  = uuid();
my $path = "/ws?sessionId=$sid";


# the handshake as it should be

my $ws = $nginx->ws($path,
    headers => [ 'Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==',
                 'Sec-WebSocket-Extensions: permessage-deflate' ]);

is($ws->status, 101, 'upgraded');
is($ws->response->header('Sec-WebSocket-Accept'),
    's3pPLMBiTxaQ9kYGzzhZRbK+xOo=', 'the accept value of the RFC');
is($ws->response->header('Upgrade'), 'websocket', 'Upgrade');
is(lc($ws->response->header('Connection')), 'upgrade', 'Connection');

is(join(' ', sort(map { $_->[0] } @{ $ws->response->{headers} })),
    'Connection Date Sec-WebSocket-Accept Server Upgrade',
    'and no other header: no extension, protocol, length or type');

for my $headers (
    [ 'Connection: keep-alive, Upgrade' ],
    [ 'Connection: UPGRADE', 'Upgrade: WebSocket' ],
    [ "Connection: keep-alive,\tupgrade ,close" ],
    [ 'Connection: ,, Upgrade' ],
    [ 'Connection: keep-alive', 'Connection: Upgrade' ],
    [ 'Upgrade: h2c, websocket' ],
    [ 'Upgrade: h2c', 'Upgrade: websocket' ],
    [ 'Content-Length: 0' ],
) {
    is($nginx->ws($path, headers => $headers)->status, 101, "@$headers");
}

for my $key ('AAAAAAAAAAAAAAAAAAAAAA==', '////////////////////+w==',
    'AQIDBAUGBwgJCgsMDQ4PEC==')
{
    # EventSession::WS computes the accept value of its own keys only
    my $got = $nginx->ws($path, headers => [ "Sec-WebSocket-Key: $key" ]);

    is($got->response->header('Sec-WebSocket-Accept'),
        Digest::SHA::sha1_base64($key . '258EAFA5-E914-47DA-95CA-C5AB0DC85B11')
        . '=', "key $key");
}


# what is no upgrade

for my $case (
    [ 'Upgrade is missing',      'Upgrade:' ],
    [ 'Upgrade names another',   'Upgrade: h2c' ],
    [ 'Upgrade nearly names it', 'Upgrade: websockets' ],
    [ 'Connection is missing',   'Connection:' ],
    [ 'Connection is another',   'Connection: keep-alive' ],
    [ 'Connection nearly is it', 'Connection: upgraded, xupgrade' ],
    [ 'Version is missing',      'Sec-WebSocket-Version:' ],
    [ 'Version 8',               'Sec-WebSocket-Version: 8' ],
    [ 'Version 14',              'Sec-WebSocket-Version: 14' ],
    [ 'Version 013',             'Sec-WebSocket-Version: 013' ],
    [ 'Version x',               'Sec-WebSocket-Version: x' ],
) {
    my ($name, $header) = @$case;

    is_426($nginx->ws($path, headers => [ $header ])->response, $name);
}

is_426($nginx->get($path), 'plain GET');
is_426($nginx->get('/ws'), 'plain GET without sessionId');

my $http = $nginx->connect;

$http->send("GET $path HTTP/1.0\r\nHost: a\r\nUpgrade: websocket\r\n"
    . "Connection: Upgrade\r\nSec-WebSocket-Version: 13\r\n"
    . "Sec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n\r\n");

is_426($http->response, 'HTTP/1.0');

$http = $nginx->connect;

is_426($http->request('GET', $path), 'on a connection that is kept, 1st');
is_426($http->request('GET', $path, body => 'x' x 5000), '2nd, with a body');
is($http->request('GET', '/healthcheck')->body, 'OK', '3rd');


sub is_426 {
    my ($res, $name) = @_;

    local $Test::Builder::Level = $Test::Builder::Level + 1;

    is_problem($res, 426, 'Upgrade Required', qr/WebSocket|Connection/, $name);
    is($res->header('Upgrade'), 'websocket', "$name: Upgrade");
    is($res->header('Sec-WebSocket-Version'), '13', "$name: Version");
}


sub is_problem {
    my ($res, $status, $title, $detail, $name) = @_;

    local $Test::Builder::Level = $Test::Builder::Level + 1;

    is($res->status, $status, "$name: $status") or diag($res->error);
    is($res->header('Content-Type'), 'application/problem+json',
        "$name: its type");

    my $problem = $res->json // {};

    like(delete($problem->{detail}) // '', $detail, "$name: detail");
    is_deeply($problem,
        { type => 'about:blank', title => $title, status => $status },
        "$name: the rest");
}


# methods

for my $method (qw(POST PUT DELETE PATCH OPTIONS TRACE)) {
    my $res = $nginx->request($method, $path, body => '[]');

    # nginx itself refuses TRACE
    next if $method eq 'TRACE' && is($res->status, 405, 'TRACE: 405');

    is_problem($res, 405, 'Method Not Allowed', qr/\b$method\b/, $method);
    is($res->header('Allow'), 'GET', "$method: Allow");
}

my $head = $nginx->request('HEAD', $path);

is($head->status, 405, 'HEAD: 405');
is($head->header('Allow'), 'GET', 'HEAD: Allow');

is_problem($nginx->ws($path, method => 'POST')->response, 405,
    'Method Not Allowed', qr/\bPOST\b/, 'POST with all of a handshake');

$http = $nginx->connect;

is($http->request('POST', $path, body => 'x' x 100_000)->status, 405,
    'a POST with a large body');
is($http->request('GET', '/healthcheck')->body, 'OK', 'and the next request');


# keys

for my $key ('', 'a', 'AAAAAAAAAAAAAAAAAAAA', 'AAAAAAAAAAAAAAAAAAAAAAA=',
    'AAAAAAAAAAAAAAAAAAAAAAAA', 'AAAAAAAAAAAAAAAAAAAAAAAAAA==',
    'AAAAAAAAAAAAAAAAAAA.AA==', 'AAAAAAAAAAA=AAAAAAAAAA==',
    'AAAAAAAAAAAAAAAAAAAAAA== AA')
{
    my $got = $nginx->ws($path, headers => [ "Sec-WebSocket-Key: $key" ]);

    is_problem($got->response, 400, 'Bad Request', qr/Sec-WebSocket-Key/,
        "key '$key'");
}

my $twice = $nginx->ws($path,
    headers => [ map { "Sec-WebSocket-Key: $_" } 'AAAAAAAAAAAAAAAAAAAAAA==',
                 'BAAAAAAAAAAAAAAAAAAAAA==' ]);

is_problem($twice->response, 400, 'Bad Request', qr/Sec-WebSocket-Key/,
    'two keys');


# Origin

sub origin {
    my ($path, $origin, $host) = @_;

    my $ws = $nginx->ws("$path?sessionId=$sid", headers => [
        defined $origin ? "Origin: $origin" : (),
        defined $host ? "Host: $host" : () ]);

    if ($ws->status == 403) {
        local $Test::Builder::Level = $Test::Builder::Level + 1;

        is_problem($ws->response, 403, 'Forbidden', qr/origin/,
            "$path refuses $origin");
    }

    return $ws->status;
}


my $own = "127.0.0.1:$port";

for my $case (
    [ '/ws', undef,                          undef,               101 ],
    [ '/ws', "http://$own",                  undef,               101 ],
    [ '/ws', "https://$own",                 undef,               101 ],
    [ '/ws', 'http://shop.test',             'shop.test',         101 ],
    [ '/ws', 'http://SHOP.test',             'shop.TEST',         101 ],
    [ '/ws', 'http://shop.test',             'shop.test:80',      101 ],
    [ '/ws', 'http://shop.test:80',          'shop.test',         101 ],
    [ '/ws', 'https://shop.test',            'shop.test:443',     101 ],
    [ '/ws', 'https://shop.test:8443',       'shop.test:8443',    101 ],
    [ '/ws', 'http://[::1]:8080',            '[::1]:8080',        101 ],
    [ '/ws', 'http://shop.test:8080',        'shop.test',         403 ],
    [ '/ws', 'http://shop.test',             'shop.test:8080',    403 ],
    [ '/ws', 'http://shop.test:80801',       'shop.test:8080',    403 ],
    [ '/ws', 'http://shop.test:8080',        'shop.test:80801',   403 ],
    [ '/ws', 'http://[::1]:8080',            '[::2]:8080',        403 ],
    [ '/ws', 'http://evil.test',             undef,               403 ],
    [ '/ws', "http://$own.evil.test",        undef,               403 ],
    [ '/ws', 'http://evil.test/shop.test',   'shop.test',         403 ],
    [ '/ws', 'http://shop.test@evil.test',   'shop.test',         403 ],
    [ '/ws', 'http://evilshop.test',         'shop.test',         403 ],
    [ '/ws', 'null',                         undef,               403 ],
    [ '/ws', 'shop.test',                    'shop.test',         403 ],
    [ '/ws', '://',                          'shop.test',         403 ],

    [ '/exact', undef,                       undef,               101 ],
    [ '/exact', "http://$own",               undef,               101 ],
    [ '/exact', 'https://app.example.com',   undef,               101 ],
    [ '/exact', 'HTTPS://App.Example.com',   undef,               101 ],
    [ '/exact', 'http://other.test:8080',    undef,               101 ],
    [ '/exact', 'http://app.example.com',    undef,               403 ],
    [ '/exact', 'https://app.example.com:1', undef,               403 ],
    [ '/exact', 'https://app.example.com.x', undef,               403 ],
    [ '/exact', 'https://x.app.example.com', undef,               403 ],
    [ '/exact', 'http://other.test',         undef,               403 ],
    [ '/exact', 'null',                      undef,               403 ],

    [ '/wildcard', 'https://a.example.com',  undef,               101 ],
    [ '/wildcard', 'https://a.b.Example.com', undef,              101 ],
    [ '/wildcard', 'https://example.com',    undef,               403 ],
    [ '/wildcard', 'https://.example.com',   undef,               403 ],
    [ '/wildcard', 'http://a.example.com',   undef,               403 ],
    [ '/wildcard', 'https://a.example.com:8443', undef,           403 ],
    [ '/wildcard', 'https://evil.test/.example.com', undef,       403 ],
    [ '/wildcard', 'https://evil.test:1.example.com', undef,      403 ],
    [ '/wildcard', 'https://a.example.com.evil.test', undef,      403 ],

    [ '/regex', 'https://shop.example.org',  undef,               101 ],
    [ '/regex', 'https://SHOP.example.org',  undef,               101 ],
    [ '/regex', 'https://shop1.example.org', undef,               403 ],
    [ '/regex', 'https://shop.example.net',  undef,               403 ],

    [ '/all', 'https://anything.test',       undef,               101 ],
    [ '/all', 'null',                        undef,               101 ],
) {
    my ($path, $origin, $host, $status) = @$case;

    is(origin($path, $origin, $host), $status, "$path, Origin "
        . ($origin // 'none') . ', Host ' . ($host // 'own') . ": $status");
}

# there is one Origin at most: of two it could be either that is meant

for my $order ([ 0, 1 ], [ 1, 0 ], [ 0, 0 ]) {
    my @origins = ("http://$own", 'http://evil.test')[ @$order ];
    my $ws = $nginx->ws($path, headers => [ map { "Origin: $_" } @origins ]);

    is_problem($ws->response, 403, 'Forbidden', qr/origin/, "@origins");
}


# subprotocols

for my $case (
    [ 'eventsession.v1',              'eventsession.v1' ],
    [ 'chat, eventsession.v1',        'eventsession.v1' ],
    [ 'eventsession.v1,eventsession.v2', 'eventsession.v1' ],
    [ 'chat',                         undef ],
    [ 'eventsession.v2',              undef ],
    [ 'eventsession.v11',             undef ],

    # names of subprotocols are case-sensitive: a browser drops a connection
    # whose server chose what it had not offered

    [ 'EventSession.v1',              undef ],
) {
    my ($offer, $chosen) = @$case;

    my $id = uuid();
    my $ws = $nginx->ws("/ws?sessionId=$id",
        headers => [ "Sec-WebSocket-Protocol: $offer" ]);

    is($ws->status, 101, "protocol $offer");
    is($ws->response->header('Sec-WebSocket-Protocol'), $chosen,
        "protocol $offer: " . ($chosen // 'none') . ' is chosen');

    # the protocol means acks; the pong comes behind an ack if there is one

    $ws->text('[]');
    $ws->ping('x');

    my $first = $ws->next_frame // {};

    is($first->{payload}, $chosen ? '{"ack":1,"events":0}' : 'x',
        "protocol $offer: " . ($chosen ? 'acks' : 'no acks'));
}

for my $case ([ 'ack=1', 1 ], [ 'ack=0', 0 ], [ 'ack=', 0 ], [ 'ack=11', 0 ],
    [ 'back=1', 0 ])
{
    my ($arg, $acks) = @$case;

    for my $query ("sessionId=$sid&$arg", "$arg&sessionId=$sid") {
        my $ws = $nginx->ws("/ws?$query");

        $ws->text('[]');
        $ws->ping('x');
        is($ws->next_frame->{payload}, $acks ? '{"ack":1,"events":0}' : 'x',
            "?$query: " . ($acks ? 'acks' : 'no acks'));
    }
}


# sessionId: no HTTP error, which a browser could not read

for my $case (
    [ '',                          '' ],
    [ '?sessionId=',               '' ],
    [ '?sessionId=abc',            'abc' ],
    [ '?sessionId=abc&ack=1',      'abc' ],
    [ "?sessionId=$sid-",          "$sid-" ],
    [ "?sessionId={$sid}",         "{$sid}" ],
    [ '?sessionId=a%22b%5Cc%0Ad',  'a\"b\\\\c\nd' ],
    [ '?sessionId=%3Cb%3E%26%C3%A4', "<b>&\xc3\xa4" ],
    [ '?sessionId=g' . substr($sid, 1), 'g' . substr($sid, 1) ],
    [ '?sessionId=' . join('-', $sid =~ /(....)/g),
      join('-', $sid =~ /(....)/g) ],
) {
    my ($query, $shown) = @$case;

    is_refused($nginx->ws("/ws$query"), $shown, "/ws$query");
}

sub is_refused {
    my ($ws, $shown, $name) = @_;

    local $Test::Builder::Level = $Test::Builder::Level + 1;

    is($ws->status, 101, "$name: upgraded");

    my $message = $ws->message;

    is($message, qq({"error":"param sessionId must be a UUID: $shown"}),
        "$name: told why");
    ok(eval { JSON::PP->new->utf8->decode($message) }, "$name: valid JSON");
    is($ws->close_code, 1008, "$name: 1008");
    ok($ws->eof, "$name: and the end");
    is($ws->error, 'end', "$name: without a reset");
}

$ws = $nginx->ws('/ws?sessionId=%ff%00x');

my $message = $ws->message // '';

ok(eval { JSON::PP->new->utf8->decode($message) },
    'a sessionId that is no UTF-8: valid JSON all the same') or diag($message);
is($ws->close_code, 1008, 'and 1008');

$ws = $nginx->ws('/ws?sessionId=' . 'a' x 4000);

like($ws->message, qr/^\{"error":"param sessionId must be a UUID: a+"\}$/,
    'a long sessionId');
is($ws->close_code, 1008, 'and 1008');

$ws = $nginx->ws('/ws?sessionId=abc',
    more => EventSession::WS::frame_bytes(payload => '[]') x 100);

is($ws->message, '{"error":"param sessionId must be a UUID: abc"}',
    'a bad sessionId, and messages behind it');
is($ws->close_code, 1008, 'and 1008');
ok($ws->eof, 'and the end');
is($ws->error, 'end', 'without a reset');


# every form of a UUID is one session

my $plain = $sid =~ s/-//gr;
my $coded = $sid =~ s/(.)/sprintf('%%%02x', ord($1))/egr;
my $some  = $sid =~ s/-/%2D/gr;

my $n = 0;

for my $form ($sid, uc($sid), $plain, uc($plain), $coded, $some,
    substr(uc($sid), 0, 12) . substr($sid, 12))
{
    my $ws = $nginx->ws("/ws?sessionId=$form&ack=1");

    $n++;
    $ws->text(qq([{"type":"EVENT","timestamp":$n,"name":"e$n"}]));
    is($ws->message, '{"ack":1,"events":1}', "sessionId $form");

    is($nginx->get("/session/$form")->body, '{"type":"SESSION","start":null,'
        . '"end":null,"children":[' . join(',', map {
            qq({"type":"EVENT","timestamp":$_,"name":"e$_"}) } 1 .. $n)
        . ']}', "and /session/$form has all $n");
}


# eventsession_session_id any

for my $id ('a', '0', 'A-b.c_d~e', 'Z' x 128, '%61%2Eb') {
    my $ws = $nginx->ws("/any?sessionId=$id&ack=1");

    $ws->text('[{"type":"EVENT","timestamp":1,"name":"x"}]');
    is($ws->message, '{"ack":1,"events":1}', "any: $id");
    is($nginx->get("/any_session/$id")->body, '{"type":"SESSION","start":null'
        . ',"end":null,"children":[{"type":"EVENT","timestamp":1,"name":"x"}]}'
        , "any: /session/$id");
}

$ws = $nginx->ws("/any?sessionId=" . uc($plain) . '&ack=1');
$ws->text('[{"type":"EVENT","timestamp":8,"name":"e8"}]');
is($ws->message, '{"ack":1,"events":1}', 'any: a UUID');
like($nginx->get("/session/$sid")->body, qr/"e1".*"e8"/,
    'any: is the same session as ever');

$ws = $nginx->ws('/any?sessionId=aB&ack=1');
$ws->text('[{"type":"EVENT","timestamp":1,"name":"x"}]');
is($ws->message, '{"ack":1,"events":1}', 'any: aB');
is($nginx->get('/any_session/ab')->status, 404, 'any: ab is another');

for my $case ([ '', '' ], [ 'a b', 'a%20b' ], [ 'a/b', 'a/b' ],
    [ '{a}', '{a}' ], [ 'a:b', 'a:b' ], [ 'Z' x 129, 'Z' x 129 ],
    [ "\xc3\xa4", '%c3%a4' ])
{
    my ($id, $form) = @$case;

    my $ws = $nginx->ws("/any?sessionId=$form");

    like($ws->message,
        qr/^\{"error":"param sessionId must be 1 to 128 [^"]*"\}$/,
        "any: not '$form'");
    is($ws->close_code, 1008, "any: not '$form', 1008");
}


# frames that come in one packet with the handshake

my $id = uuid();

$ws = $nginx->ws("/ws?sessionId=$id&ack=1", more => join('', map {
    EventSession::WS::frame_bytes(payload =>
        qq([{"type":"EVENT","timestamp":$_,"name":"n"}])) } 1 .. 10));

is(join('', $ws->messages(10)),
    join('', map { qq({"ack":$_,"events":1}) } 1 .. 10),
    'ten messages in the packet of the handshake');

my $frame = EventSession::WS::frame_bytes(
    payload => '[{"type":"EVENT","timestamp":11,"name":"n"}]');

for my $cut (1, 2, 5, 6, 7, 20, length($frame) - 1) {
    my $ws = $nginx->ws("/ws?sessionId=$id&ack=1",
        more => substr($frame, 0, $cut));

    $ws->raw(substr($frame, $cut));
    is($ws->message, '{"ack":1,"events":1}',
        "$cut bytes of a frame in the packet of the handshake");
}

$ws = $nginx->ws("/ws?sessionId=$id", more =>
    EventSession::WS::frame_bytes(opcode => 8, payload => pack('n', 1000)));

is($ws->close_code, 1000, 'a Close in the packet of the handshake');
ok($ws->eof, 'and the end');

# the request's buffers are full of it: 1k, 4 of 8k

my $many = 3000;

$ws = $nginx->ws("/ws?sessionId=$id&ack=1",
    headers => [ 'X-Padding: ' . 'x' x 5000 ],
    more    => EventSession::WS::frame_bytes(payload => '[]') x $many);

is(join('', $ws->messages($many)),
    join('', map { qq({"ack":$_,"events":0}) } 1 .. $many),
    "$many messages right behind a long handshake");

# a handshake in small pieces

$http = $nginx->connect;

my $request = $http->text_of('GET', "/ws?sessionId=$id&ack=1", headers => [
    'Upgrade: websocket', 'Connection: Upgrade', 'Sec-WebSocket-Version: 13',
    'Sec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==' ]);

setsockopt($http->socket, Socket::IPPROTO_TCP(), Socket::TCP_NODELAY(), 1);
syswrite($http->socket, $_) for split(//, $request);
is($http->response->status, 101, 'a handshake byte by byte');


# over HTTP/2 there is no such upgrade; and no header of connections

my $curl = "curl -s --noproxy '*' --http2-prior-knowledge -D - "
    . "'http://127.0.0.1:$h2$path' 2>&1";

SKIP: {
    skip('curl speaks no HTTP/2', 2) if `curl --version` !~ /\bHTTP2\b/;

    my $got = `$curl`;

    like($got, qr{^HTTP/2 426 }, 'HTTP/2: 426');
    like($got, qr/"status":426,"detail":"[^"]*HTTP\/1\.1/,
        'HTTP/2: and what it should have been');
}


# over TLS

is_tls();

sub tls_server {
    return <<"END";
    server {
        listen 127.0.0.1:$tls_port ssl;
        ssl_certificate @{[ $tls->certificate ]};
        ssl_certificate_key @{[ $tls->key ]};
        include $EventSession::root/conf/eventsession.conf;
    }
END
}


sub is_tls {
    my $id   = uuid();
    my $big  = 'x' x 60_000;
    my $many = 200;

    my $ws = $nginx->ws("/ws?sessionId=$id&ack=1",
        socket  => $tls->connect($tls_port),
        headers => [ "Origin: https://127.0.0.1:$tls_port",
                     "Host: 127.0.0.1:$tls_port" ],
        more => EventSession::WS::frame_bytes(payload => '[]'));

    is($ws->status, 101, 'TLS: upgraded');
    is($ws->message, '{"ack":1,"events":0}', 'TLS: a message at once');

    $ws->text(qq([{"type":"EVENT","timestamp":$_,"name":"n","data":"$big"}]))
        for 1 .. $many;

    is(join('', $ws->messages($many)), join('', map {
        qq({"ack":$_,"events":1}) } 2 .. $many + 1), 'TLS: 12 MB, all acked');

    $ws->text('[{"type":"SESSION_END","timestamp":9}]');
    is(join('', $ws->messages(2)),
        sprintf('{"ack":%d,"events":1}{"message":"bye"}', $many + 2),
        'TLS: bye');
    is($ws->close_code, 1000, 'TLS: 1000');
    ok($ws->eof, 'TLS: and the end');

    is(scalar(() = $nginx->get("/session/$id")->body =~ /"EVENT"/g), $many,
        'TLS: all is there');

    # a fault: the Close gets through, and the connection ends

    $ws = $nginx->ws("/ws?sessionId=$id",
        socket => $tls->connect($tls_port));
    $ws->frame(opcode => 3, payload => 'x');
    is($ws->close_code, 1002, 'TLS: 1002');
    ok($ws->eof, 'TLS: and the end');

    $tls->hang_up;
}


ok_log($nginx);
done_testing();
