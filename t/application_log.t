# Why: the argument "application" is a credential, and what nginx logs of a
# request is read by people and programs that should have none (issue 5: "kept
# out of the access log's default line").  Known to fail by: an argument that
# is hidden by the endpoint, where nginx refuses the request before the
# endpoint sees it (a body too large by its length, deny, limit_req) or in the
# middle of its body; by a request that is changed before auth_request or
# limit_req looked at it; by what is hidden in the configuration's own text, so
# that the second request shows asterisks.

use strict;
use warnings;

use lib 't/lib';

use EventSession;
use EventSession::LogPost;
use Test::More;

my $t     = EventSession->new;
my $redis = $t->redis;
my $uuid  = uuid();
my $no    = uuid();
my $h2    = EventSession::Redis::free_port();
my $other = EventSession::Redis::free_port();

my $stars = '*' x 36;
my $all   = join('|', map { "\$$_" } qw(status request request_uri args
    query_string arg_application));

my $nginx = $t->nginx(
    redis         => $redis,
    http          => <<END,
        eventsession_application $uuid shop;
        limit_req_zone \$arg_application zone=apps:1m rate=1r/m;
        log_format all '$all';

        server {
            listen 127.0.0.1:$h2 http2;
            access_log access.log all;
            client_max_body_size 1k;

            location = /events {
                eventsession batch;
                eventsession_require_application on;
            }
        }

        server {
            listen 127.0.0.1:$other;
            access_log other.log all;

            location / { return 204; }
            location = /events { eventsession batch; }
        }
END
    server    => 'access_log access.log all; client_max_body_size 1k;',
    locations => <<END);
        location = /events {
            eventsession batch;
            eventsession_require_application on;
        }

        location = /event {
            eventsession log;
            eventsession_require_application on;
            set \$was \$request_uri;
        }

        location = /ws {
            eventsession ws;
            eventsession_require_application on;
        }

        location = /denied {
            eventsession batch;
            eventsession_require_application on;
            deny all;
        }

        location = /limited {
            eventsession batch;
            eventsession_require_application on;
            limit_req zone=apps;
        }

        location = /seen {
            eventsession batch;
            eventsession_require_application on;

            if (\$arg_application != $uuid) {
                return 409;
            }
        }

        location = /asked {
            eventsession batch;
            eventsession_require_application on;
            auth_request /auth;
        }

        location = /auth {
            internal;
            log_subrequest on;
            return 204;
        }

        location = /tried {
            try_files /no /events?application=$uuid;
        }

        location = /paged {
            eventsession batch;
            eventsession_require_application on;
            client_max_body_size 1;
            error_page 413 \@page;
        }

        location \@page {
            return 413 small;
        }
END

my $requests = 0;


# The status of a request with a UUID in it.

sub status {
    my ($method, $path, $body, @headers) = @_;

    @headers = ('Content-Type: application/json') if !@headers;
    $requests++;

    return $nginx->request($method, $path, body => $body,
        headers => \@headers)->status;
}


sub ok_status {
    my ($expected, $path, $body, $name, @headers) = @_;

    local $Test::Builder::Level = $Test::Builder::Level + 1;

    is(status('POST', "$path?a=b&application=$uuid&c=d", $body, @headers),
        $expected, "$path: $name");
}


sub access { EventSession::Redis::slurp($nginx->dir . "/$_[0].log") }


sub lines { my @lines = split(/\n/, access('access')); return @lines }


# what the endpoints answer

my %good = ('/events' => [ 200, '[{}]' ], '/event' => [ 201, record() ]);

for my $path (sort(keys(%good))) {
    my ($status, $body) = @{ $good{$path} };

    ok_status($status, $path, $body, 'by the argument');
    ok_status(400, $path, '[', 'a broken body');
    ok_status(413, $path, ' ' x 1025, 'too large by its length');
    ok_status(413, $path, "401\r\n" . ' ' x 1025 . "\r\n0\r\n\r\n",
        'too large in chunks', 'Content-Type: application/json',
        'Transfer-Encoding: chunked');
    ok_status(415, $path, $body, 'another type', 'Content-Type: text/plain');
    ok_status(415, $path, $body, 'another coding',
        'Content-Type: application/json', 'Content-Encoding: br');

    is(status('PUT', "$path?application=$uuid"), 405, 'another method');
    is(status('GET', "$path?application=$uuid"), 200, 'a read');
    is(status('POST', "$path?application=$no", $body), 403, 'an unknown one');
    is(status('POST', "$path?application=$no", $body,
        'Content-Type: application/json', "application: $uuid"), $status,
        'the header goes first');
    is(status('POST', "$path?application=$uuid", $body,
        'Content-Type: application/json', "application: $no"), 403,
        'also a bad one');
    is(status('POST', "$path?x&Application=" . uc($uuid) =~ tr/-//dr, $body),
        $status, 'another form');
    is(status('POST', "$path?application=" . ($uuid =~ s/(.)/sprintf('%%%02X',
        ord($1))/ger), $body), $status, 'encoded');
}

is(status('GET', "/ws?application=$uuid"), 426, 'no WebSocket');


# what nginx answers

is(status('GET', "/no?application=$uuid"), 404, 'not found');
ok_status(403, '/denied', '[{}]', 'denied');
ok_status(200, '/limited', '[{}]', 'the first');
ok_status(503, '/limited', '[{}]', 'the second');
is(status('POST', "/limited?application=$no", '[{}]'), 403,
    'limits are those of an application');
ok_status(413, '/paged', '[{}]', 'another location');

my $c = $nginx->connect;

$c->send("POST /events?application=$uuid HTTP/1.1\r\nHost: a\r\n"
    . "Host: b\r\n\r\n");
is($c->response->status, 400, 'bad headers');
$requests++;


# what others see of it

ok_status(200, '/seen', '[{}]', 'before it is taken');
ok_status(200, '/asked', '[{}]', 'behind another request');
$requests++;
is(status('POST', '/tried', '[{}]'), 200, 'an argument of the configuration')
    for 1 .. 3;


# who leaves in the middle

$c = $nginx->connect;
$c->send("POST /event?application=$uuid HTTP/1.1\r\nHost: a\r\n"
    . "Content-Type: application/json\r\nContent-Length: 100\r\n\r\n[");
$c->close;
$requests++;

ok((wait_for { lines() == $requests }), 'an aborted body');


# HTTP/2

for my $case ([ $uuid, 200 ], [ $no, 403 ]) {
    my ($shown, $status) = @$case;

    is(qx(curl -s --noproxy '*' --http2-prior-knowledge -o /dev/null \\
        -w '%{http_code}' -H 'Content-Type: application/json' -d '[{}]' \\
        'http://127.0.0.1:$h2/events?application=$shown'), $status, 'HTTP/2');
    $requests++;
}


# other servers

my $http = EventSession::HTTP->connect($other);

is($http->request('GET', "/?application=$uuid")->status, 204, 'another server');
is($http->request('GET', "/events?application=$uuid")->status, 200,
    'and its endpoint');

is($nginx->quit, 0, 'nginx quits');
ok_log($nginx);

my @lines = lines();

is(scalar(@lines), $requests, 'each request has its line');
is_deeply([ grep { !/\|(?:.*&)?application=\*+(?:&c=d)?\|\*+$/i
    && !/^204\|POST \/asked\?a=b&application=\Q$stars\E&c=d / } @lines ], [],
    'with the argument hidden');

is((grep { $_ eq join('|', 413, "POST /event?a=b&application=$stars&c=d "
    . 'HTTP/1.1', "/event?a=b&application=$stars&c=d",
    ("a=b&application=$stars&c=d") x 2, $stars) } @lines) . '', '2',
    'and nothing else');

like($nginx->log, qr/\Q$_\E/, 'the error log has the request')
    for "too large body: 1025 bytes, client: 127.0.0.1, server: localhost, "
            . qq(request: "POST /event?a=b&application=$stars&c=d HTTP/1.1", ),
        qq(forbidden by rule, client: 127.0.0.1, server: localhost, request: )
            . qq("POST /denied?a=b&application=$stars&c=d HTTP/1.1", ),
        qq(request: "POST /events?application=$stars HTTP/2.0", );

# nginx knows the server when it has read all headers

my $errors = join("\n", grep { !/while reading client request headers/ }
    split(/\n/, $nginx->log));

unlike(access('access') . $errors, $_, 'without the UUID')
    for map { qr/$_/i } $uuid, $uuid =~ tr/-//dr, $no,
        '%' . sprintf('%02X', ord(substr($uuid, 0, 1)));

is((() = access('other') =~ /\Q$uuid\E/g) . '', '10',
    'other servers log what they did');

done_testing();
