# Why: what applications send comes through all kinds of clients and proxies:
# chunked, byte by byte, larger than a buffer, with a length or without, one
# behind the other.  Whoever is refused must learn it in HTTP's own terms, and
# must not break what comes behind on his connection.  Known to fail by: a body
# of which only the first buffer is read; one that is left on the connection;
# an Allow or a preflight that says otherwise than the endpoint does; a body
# that is changed in place while another request still has it.

use strict;
use warnings;

use lib 't/lib';

use EventSession;
use EventSession::Track;
use Test::More;
use Time::HiRes qw(sleep);

my $t     = EventSession->new;
my $redis = $t->redis;
my $h2    = EventSession::Redis::free_port();
my $behind = EventSession::Redis::free_port();

my $nginx = $t->nginx(redis => $redis, http => track_conf() . <<END,
        keepalive_requests 10000;
        log_format escaped escape=none '\$request_body';

        server {
            listen 127.0.0.1:$h2 http2;
            location / { eventsession track; }
        }

        server {
            listen 127.0.0.1:$behind;
            access_log bodies.log escaped;
            location / { eventsession track; }
        }
END
    locations => <<END);
        location = /api/v1/events/ {
            eventsession track;
            eventsession_cors https://a.example;
        }

        location = /small {
            eventsession track;
            client_max_body_size 2000;
        }

        location = /buffer {
            eventsession track;
            client_body_buffer_size 1k;
        }

        location = /single {
            eventsession track;
            client_body_buffer_size 1k;
            client_body_in_single_buffer on;
        }

        location = /file {
            eventsession track;
            client_body_in_file_only clean;
        }

        location = /proxied {
            proxy_pass http://127.0.0.1:$behind;
        }

        location = /streamed {
            proxy_pass http://127.0.0.1:$behind;
            proxy_http_version 1.1;
            proxy_request_buffering off;
        }

        location = /mirrored {
            mirror /mirror;
            eventsession track;
        }

        location = /mirror {
            internal;
            proxy_pass http://127.0.0.1:$behind;
        }

        location = /mirrors {
            mirror /track;
            proxy_pass http://127.0.0.1:$behind;
        }

        location = /track {
            internal;
            eventsession track;
        }
END

my $http = $nginx->connect(timeout => 30);


sub ok_stored {
    my ($res, $what) = @_;

    local $Test::Builder::Level = $Test::Builder::Level + 1;

    is($res->status . ' ' . $res->body, '201 ' . shown(), $what);
}


sub ok_problem {
    my ($res, $status, $title, $detail, $what) = @_;

    local $Test::Builder::Level = $Test::Builder::Level + 1;

    is(join(' ', $res->status, $res->header('Content-Type') // '', $res->body),
        qq($status application/problem+json {"type":"about:blank","title":)
        . qq("$title","status":$status,"detail":"$detail"}), $what);
}


sub ok_next { ok_stored(track($http, fields()), 'and the next request') }


sub count { $redis->cli('ZCARD', 'es:{' . SID . '}') }


# methods

for my $method (qw(GET HEAD PUT DELETE PATCH OPTIONS TRACK FOO)) {
    my $res = track($http, fields(), method => $method);

    is($res->header('Allow'), 'POST', "$method: Allow");
    ok_problem($res, 405, 'Method Not Allowed',
        "this endpoint does not answer $method", $method)
        if $method ne 'HEAD';
    is($res->status, 405, 'HEAD') if $method eq 'HEAD';
}

ok_next();
ok_problem(track($http, 'x' x 200_000, method => 'PUT'), 405,
    'Method Not Allowed', 'this endpoint does not answer PUT', 'a large PUT');
ok_next();


# media types

my $type = 'the Content-Type must be application/json';

ok_stored(track($http, fields(), type => $_), "Content-Type: $_")
    for 'application/json', 'Application/JSON',
    'application/json;charset=utf-8', "application/json\t;",
    'application/json ; charset="UTF-8"';

for my $wrong (undef, '', 'json', 'text/json', 'text/plain',
    'application/jsonx', 'application/json-seq', 'application/json+x',
    'application/problem+json', 'application', 'application/json, text/plain',
    '*/*', 'application/x-www-form-urlencoded',
    'multipart/form-data; boundary=x')
{
    ok_problem(track($http, fields(), type => $wrong), 415,
        'Unsupported Media Type', $type, 'Content-Type: ' . ($wrong // 'none'));
}

ok_next();
ok_problem(track($http, 'x' x 200_000, type => 'text/plain'), 415,
    'Unsupported Media Type', $type, 'a large one');
ok_next();


# CORS

my $origin = 'Origin: https://a.example';
my $foreign = 'Origin: https://b.example';
my $res = track($http, undef, method => 'OPTIONS', headers => [ $origin,
    'Access-Control-Request-Method: POST',
    'Access-Control-Request-Headers: application, content-type' ],
    type => undef, app => undef);

is($res->status, 204, 'a preflight');
is($res->header('Access-Control-Allow-Origin'), 'https://a.example',
    'it may come');
is($res->header('Access-Control-Allow-Methods'), 'POST', 'with POST');
like($res->header('Access-Control-Allow-Headers'), qr/(?:^|, )$_(?:,|$)/,
    "with $_") for qw(application Content-Type Content-Encoding);
is($res->header('Vary'), 'Origin', 'and caches know');

for my $case ([ 201, fields() ], [ 400, '{}' ], [ 400, fields(), app => 'x' ],
    [ 415, '', type => 'text/plain' ], [ 405, '', method => 'PUT' ])
{
    my ($status, $body, %options) = @$case;

    $res = track($http, $body, %options, headers => [ $origin ]);

    is($res->status, $status, "a page's request: $status");
    is($res->header('Access-Control-Allow-Origin'), 'https://a.example',
        'the page may read the reply');

    $res = track($http, $body, %options, headers => [ $foreign ]);

    is($res->status, $status, "another page's request: $status");
    is($res->header('Access-Control-Allow-Origin'), undef, 'it may not');
    is($res->header('Vary'), 'Origin', 'and caches know');
}

is(track($http, '', method => 'PUT', headers => [ $origin ])->header('Allow'),
    'POST, OPTIONS', 'Allow names the preflight');
is(track($http, '', method => 'OPTIONS', headers => [ $foreign ])->status, 405,
    "another page's preflight");
is(track($http, '', method => 'OPTIONS', headers => [ $origin ],
    path => '/small')->status, 405, 'a preflight where there is no CORS');


# no body at all

my $empty = '{"detail":"JSON parse error - Expecting a value: line 1 '
    . 'column 1"}';

for my $body (undef, '') {
    is(track($http, $body)->body, $empty, 'no body, is no event');
    is(track($http, $body, app => undef)->body, $empty, 'whoever sends it');
}


# chunks

sub chunked {
    my ($body, $size, $extension) = @_;

    return join('', map { sprintf("%x%s\r\n%s\r\n", length($_),
        $extension // '', $_) } unpack("(a$size)*", $body)) . "0\r\n\r\n";
}


my $chunked = [ 'Transfer-Encoding: chunked' ];
my $many    = join(',', (fields()) x 2000);
my $shown   = join(',', (shown()) x 2000);

ok_stored(track($http, chunked(fields(), 1000), headers => $chunked),
    'a chunk');
ok_stored(track($http, chunked(fields(), 1, ';a=b'), headers => $chunked),
    'a chunk for each byte');

for my $path (qw(/api/v1/events/ /buffer /single /file)) {
    ok(track($http, "[$many]", path => $path)->body eq "[$shown]",
        "$path: 2000 events");
    ok(track($http, chunked("[$many]", 1777), headers => $chunked,
        path => $path)->body eq "[$shown]", "$path: in chunks");
    ok_stored(track($http, fields(), path => $path), "$path: one");
}

ok((wait_for { !grep { -f } glob($nginx->dir . '/tmp/*') }),
    'no file of a body is left');

# in pieces with pauses

my $bytes = track_bytes($http, fields(), path => '/buffer');

for my $piece (unpack('(a60)*', $bytes)) {
    $http->send($piece);
    sleep(0.01);
}

ok_stored($http->response, 'in pieces');

$http->send(track_bytes($http, fields()) x 50);
is(scalar(grep { $http->response->body ne shown() } 1 .. 50), 0,
    '50 one behind the other');

# 100 Continue

my ($head, $body) = track_bytes($http, fields(),
    headers => [ 'Expect: 100-continue' ]) =~ /^(.*\r\n\r\n)(.*)$/s;

$http->send($head);
is($http->response->status, 100, 'may go on');
$http->send($body);
ok_stored($http->response, 'and does');

# an older client

my $old = $nginx->connect;

$old->send(track_bytes($old, fields()) =~ s/HTTP\/1.1/HTTP\/1.0/r);
ok_stored($old->response, 'HTTP/1.0');
ok($old->eof, 'and the end');
$old->close;

# too much; what nginx answers to that, see special.t

my $large = fields(data => '"' . 'x' x 2000 . '"');

is(track($nginx, $large, path => '/small')->status, 413, 'too large');
is(track($nginx, chunked($large, 100), path => '/small',
    headers => $chunked)->status, 413, 'in chunks, too');
is(track($nginx, 'x' x 2_000_000)->status, 413, 'more than 1m');
is(track($nginx, "zz\r\n", headers => $chunked)->status, 400, 'no chunk');


# HTTP/2

for my $case ([ fields(), shown() . ' 201' ],
    [ '{}', qr/^\{"session_id".* 400$/ ], [ "[$many]", "[$shown] 201" ])
{
    my ($sent, $reply) = @$case;
    my $file = $t->dir . '/body';

    open(my $out, '>', $file) or die $!;
    print {$out} $sent;
    close($out);

    my $got = qx(curl -s --noproxy '*' --http2-prior-knowledge \\
        -w ' %{http_code}' -H 'Content-Type: application/json' \\
        -H 'application: ${\APP}' --data-binary '\@$file' \\
        http://127.0.0.1:$h2/);

    ok(ref($reply) ? $got =~ $reply : $got eq $reply, 'HTTP/2')
        or diag(substr($got, 0, 300));
}


# behind a proxy, and with a copy to another one: each has the body as it came

my $strange = fields(name => '" \\u006e "', data => '[ ]');
my $told    = shown(data => '[]');

for my $path (qw(/proxied /streamed /mirrored /mirrors)) {
    my $before = count();

    is(track($http, $strange, path => $path)->body, $told, "$path: stored");

    my $times = $path =~ /mirror/ ? 2 : 1;

    ok((wait_for { count() == $before + $times }), "$path: $times times");
}

# a line is written when its request has ended, which the client need not see

sub bodies { EventSession::Redis::slurp($nginx->dir . '/bodies.log') }

wait_for { length(bodies()) >= 4 * length("$strange\n") };

is(bodies(), "$strange\n" x 4, 'each got the body as it was sent');

$http->close;
is($nginx->quit, 0, 'nginx quits');
ok_log($nginx);
done_testing();
