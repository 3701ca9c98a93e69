# Why: a client of an endpoint reads problems (contract, section 0), and nginx
# refuses some requests before the endpoint has them, or while their bodies are
# read: those are told in the same way, and nothing else about them changes.
# Known to fail by: pages of HTML; a page of the operator's that is lost; a
# Content-Length that is the page's; a connection that stays open where nginx
# closes it, or ends where it stays; other locations, whose pages change, too; a
# refusal that is counted as the store's; CORS headers that are not there, or
# twice; a feed that begins behind the page that a client has not read yet, for
# which nginx has forgotten whose request it is: the worker dies.

use strict;
use warnings;

use lib 't/lib';

use Compress::Zlib ();
use EventSession;
use EventSession::Batch;
use EventSession::Metrics;
use POSIX ();
use Test::More;

my $t      = EventSession->new;
my $redis  = $t->redis;
my $h2     = EventSession::Redis::free_port();
my $small  = EventSession::Redis::free_port();
my $origin = 'https://app.example.com';

# what may end in a page of nginx's, in a location

my %refusing = (
    small   => 'client_max_body_size 10;',
    denied  => 'deny all;',
    posted  => 'limit_except GET { deny all; }',
    login   => 'auth_basic a; auth_basic_user_file none;',
    asked   => 'auth_request /no;',
    rate    => 'limit_req zone=ZONE; limit_req_status 429;',
    slow    => 'limit_req zone=ZONE;',
    gone    => 'return 410;',
    empty   => 'return 451;',
    failing => 'set $a /; if ($request_method = GET) { return 500; }',
    none    => 'try_files /none =404;',
);

my $locations = join("\n", map {
    my $name = $_;

    my $ours   = $refusing{$name} =~ s/ZONE/$name/r;
    my $theirs = $refusing{$name} =~ s/ZONE/their_$name/r;

    ("location = /ours/$name { eventsession batch; $ours }",
        "location = /theirs/$name { proxy_pass http://127.0.0.1:PORT/b; "
            . "$theirs }");
} sort(keys(%refusing)));

my $zones = join("\n", map { "limit_req_zone \$server_name zone=$_:32k "
    . 'rate=1r/m;' } map { ($_, "their_$_") } qw(rate slow));

my $nginx = $t->nginx(redis => $redis, listen => 'sndbuf=8k', http => <<END,
        $zones
        limit_conn_zone \$server_name zone=open:32k;
        keepalive_requests 100000;
        gzip_types application/problem+json;
        gzip_min_length 20;
        log_format told '\$uri \$status \$eventsession_error';

        server {
            listen 127.0.0.1:$h2 http2;
            location / { eventsession batch; deny all; }
            location = /feed { eventsession feed; }
            location /session/ { eventsession session; }
        }

        server {
            listen 127.0.0.1:$small;
            location = /b { return 200; }
        }
END
    server => 'access_log told.log told;',
    locations => ($locations =~ s/PORT/$small/gr) . <<END);
        include $EventSession::root/conf/eventsession.conf;

        location = /no { internal; return 403; }

        location = /open {
            eventsession feed;
            limit_conn open 1;
        }

        location = /zipped {
            eventsession batch;
            gzip on;
            deny all;
        }

        location = /cors {
            eventsession batch;
            eventsession_cors $origin;
            client_max_body_size 10;
        }

        location = /closed {
            eventsession ws;
            deny all;
        }

        location = /named {
            eventsession batch;
            client_max_body_size 10;
            error_page 413 \@page;
        }

        location \@page {
            default_type text/plain;
            return 413 mine;
        }

        location = /static {
            eventsession batch;
            deny all;
            error_page 403 /page.html;
        }

        location = /page.html { }

        location = /elsewhere {
            eventsession batch;
            deny all;
            error_page 403 https://a.example/;
        }

        location = /missing {
            eventsession batch;
            deny all;
            error_page 403 /none.html;
        }

        location = /refuse {
            eventsession batch;
            return 403;
        }

        location = /again {
            eventsession batch;
            deny all;
            error_page 403 \@deny;
        }

        location \@deny {
            eventsession healthcheck;
            return 404;
        }

        location = /text {
            eventsession batch;
            default_type text/html;
            return 403 <b>no</b>;
        }

        location = /led {
            deny all;
            error_page 403 /text;
        }

        location = /moved {
            eventsession batch;
            return 301 /b;
        }

        location = /replied {
            deny all;
            error_page 403 /healthcheck;
        }

        location = /around {
            default_type text/html;
            ssi on;
            root @{[ $t->dir ]};
            try_files /around.html =404;
        }

        location = /by_request {
            auth_request /refuse;
        }
END

my $root = $nginx->dir . '/html';

mkdir($root);
put("$root/page.html", '<html>the operator was here</html>');
put($t->dir . '/around.html',
    '(<!--# include virtual="/refuse" wait="yes" -->)');
put($nginx->dir . '/none', '');

my $denied = problem(403,
    q(the server's configuration does not allow this request));
my $long   = problem(413, 'the body must not be longer than '
    . 'client_max_body_size, which is 10 bytes here');
my $broken = problem(400,
    'the body is not what its Transfer-Encoding or Content-Length says');

ok((wait_for { $nginx->get('/ready')->status == 200 }), 'Redis is there');


sub put {
    my ($path, $text) = @_;

    open(my $file, '>', $path) or die "$path: $!";
    print {$file} $text;
    close($file);
}


# What of a reply is not the page: its status and its headers.

sub rest_of {
    my ($res) = @_;

    return [ $res->status, grep { !/^(?:Date|Content-Type|Content-Length):/ }
        map { "$_->[0]: $_->[1]" } @{ $res->{headers} } ];
}


# Whether the connection takes another request; otherwise it ends.

sub stays {
    my ($c) = @_;

    $c->send("GET /healthcheck HTTP/1.1\r\nHost: a\r\n\r\n");

    return $c->response->body eq 'OK' ? 1 : 0;
}


# The same to one of nginx's locations and to ours.

sub ok_instead {
    my ($name, $where, $expected, $method, %options) = @_;

    local $Test::Builder::Level = $Test::Builder::Level + 1;

    my %c   = map { $_ => $nginx->connect } qw(theirs ours);
    my %res = map { $_ => $c{$_}->request($method, "/$_/$where", %options) }
        keys(%c);
    my $length = length($expected);

    is($res{ours}->body, $method eq 'HEAD' ? '' : $expected, $name);
    is($res{ours}->header('Content-Type'), 'application/problem+json',
        'its type');
    is($res{ours}->header('Content-Length'), $length, 'its length');
    is_deeply(rest_of($res{ours}), rest_of($res{theirs}), 'the rest as ever');
    is(stays($c{ours}), stays($c{theirs}), 'and what becomes of both');

    like($res{theirs}->body, qr/^<html>/, 'where nginx has a page')
        if $method ne 'HEAD' && $where ne 'empty';
}


my $json    = 'Content-Type: application/json';
my $chunked = [ $json, 'Transfer-Encoding: chunked' ];
my @large   = (body => ' ' x 11, headers => [ $json ]);
my @chunks  = (body => "b\r\n" . ' ' x 11 . "\r\n0\r\n\r\n",
    headers => $chunked);

ok_instead('too long', 'small', $long, 'POST', @large);
ok_instead('too long in chunks', 'small', $long, 'POST', @chunks);
ok_instead('no chunk', 'small', $broken, 'POST', body => "zz\r\n",
    headers => $chunked);
ok_instead('denied', 'denied', $denied, 'GET');
ok_instead('HEAD', 'denied', $denied, 'HEAD');
ok_instead('with a body', 'denied', $denied, 'POST', body => 'x' x 5000,
    headers => [ $json ]);
ok_instead('to go on', 'small', $long, 'POST', body => '', headers =>
    [ $json, 'Expect: 100-continue', 'Content-Length: 11' ]);
ok_instead('for a browser that pads', 'denied', $denied, 'GET',
    headers => [ 'User-Agent: Mozilla/5.0 Chrome/100' ]);
ok_instead('a method', 'posted', $denied, 'POST', body => '[]',
    headers => [ $json ]);
ok_instead('a login', 'login', problem(401, 'valid credentials are required'),
    'GET');
ok_instead('asked elsewhere', 'asked', $denied, 'GET');
ok_instead('a status without a page', 'empty', problem(451,
    q(the server's configuration does not allow this request)), 'GET');
ok_instead('ours to have', 'failing', problem(500,
    'the server could not answer, and its error log says why'), 'GET');
ok_instead('a file', 'none', problem(404,
    q(the server's configuration has nothing here)), 'GET');
ok_instead('any other', 'gone', $denied =~ s/Forbidden/Gone/r
    =~ s/403/410/r, 'GET');

for my $path (qw(/ours/rate /theirs/rate /ours/slow /theirs/slow)) {
    is($nginx->get($path)->status, 200, "$path: the first");
}

ok_instead('a rate', 'rate', problem(429, 'too many requests: try again '
    . 'later'), 'GET');
ok_instead('a rate as nginx has it', 'slow', problem(503, 'the server does '
    . 'not take this request for now: try again later'), 'GET');

is($nginx->get('/closed')->body, $denied, 'no WebSocket');


# an older client

my $old = $nginx->connect;

$old->send("GET /ours/denied HTTP/1.0\r\n\r\n");

my $res = $old->response;

is($res->body, $denied, 'HTTP/1.0');
is($res->header('Connection'), 'close', 'which ends');
ok($old->eof, 'and does');

$old = $nginx->connect;
$old->send("GET /ours/denied\r\n");
1 while $old->fill;
is($old->{in}, $denied, 'HTTP/0.9');


# a connection too many

my $sse = $nginx->sse('/open');

$sse->opened;

is($nginx->get('/open')->body, problem(503, 'the server does not take this '
    . 'request for now: try again later'), 'connections');
$sse->abort;


# of the module's own, which go on after their headers

is($nginx->get('/healthcheck', headers => [ 'If-Match: "a"' ])->body,
    problem(412, 'nothing here has an entity tag or a time of modification '
        . 'that a precondition could hold for'), 'a precondition');

my $sid = uuid();

for my $condition ('If-Match: "a"', 'If-None-Match: *',
    'If-Unmodified-Since: Thu, 01 Jan 1970 00:00:01 GMT')
{
    accepted($nginx, array(entry(session_id => qq("$sid"), name => '"a"',
        timestamp => 1)), 1, "$condition: what is stored is told to be",
        headers => [ $condition ]);
}

is($nginx->get("/session/$sid", headers => [ 'If-Match: "a"' ])->status, 412,
    'a read has none');
is(scalar(@{ $nginx->get("/session/$sid")->json->{children} }), 3, 'all of it');


# gzip, and many at once to a client that takes its time

sub ok_zipped {
    my ($res) = @_;

    return ($res->header('Content-Encoding') // '') eq 'gzip'
        && (Compress::Zlib::memGunzip($res->body) // '') eq $denied;
}


my $c = EventSession::HTTP->connect($nginx->port, rcvbuf => 4096);

ok(ok_zipped($c->request('GET', '/zipped', headers =>
    [ 'Accept-Encoding: gzip' ])), 'compressed');

my $n    = 2000;
my $pair = $c->text_of('GET', '/zipped', headers =>
    [ 'Accept-Encoding: gzip' ]) . $c->text_of('GET', '/ours/denied');

if (!fork()) {
    $c->send($pair x $n);
    POSIX::_exit(0);
}

my ($zipped, $right) = (0, 0);

for (1 .. $n) {
    $zipped += ok_zipped($c->response) ? 1 : 0;
    $right++ if $c->response->body eq $denied;
}

is("$zipped $right", "$n $n", 'many at once');
wait();


# who may read it

for my $case ([ 'by its length', @large ], [ 'by its chunks', @chunks ]) {
    my ($name, %options) = @$case;

    my $res = $nginx->request('POST', '/cors', %options,
        headers => [ @{ $options{headers} }, "Origin: $origin" ]);

    is($res->body, $long, "CORS: $name");
    is_deeply([ map { [ $res->header($_) ] } qw(Vary
        Access-Control-Allow-Origin Access-Control-Expose-Headers) ],
        [ ['Origin'], [$origin], ['Link, Retry-After'] ], 'once');
}

is_deeply([ $nginx->request('POST', '/cors', @large)->header('Vary') ],
    ['Origin'], 'nobody');


# pages of the operator's

sub ok_page {
    my ($path, $status, $like, $name, @options) = @_;

    local $Test::Builder::Level = $Test::Builder::Level + 1;

    my $res = $nginx->request(@options ? 'POST' : 'GET', $path, @options);

    is($res->status, $status, "$path: $name");
    like($res->body, $like, 'as it was');

    return $res;
}


ok_page('/named', 413, qr/^mine$/, 'a named location', @large);
ok_page('/static', 403, qr/operator was here/, 'a file');
is(ok_page('/elsewhere', 302, qr/^<html>/, 'another address')
    ->header('Location'), 'https://a.example/', 'which is told');
ok_page('/missing', 404, qr/^<html>/, 'a file that is not there');
ok_page('/text', 403, qr{^<b>no</b>$}, 'a text');
ok_page('/led', 403, qr{^<b>no</b>$}, 'the same, for another page');
ok_page('/moved', 301, qr/^<html>/, 'no error');
ok_page('/replied', 403, qr/^OK$/, 'an endpoint for a page');
ok_page('/nowhere', 404, qr/^<html>/, 'no location of ours');
ok_page('/again', 404, qr/^\Q@{[ problem(404,
    q(the server's configuration has nothing here)) ]}\E$/,
    'one that fails itself');


# as a part of other requests

is($nginx->get('/around')->body, "($denied)", 'in a page');
ok_page('/by_request', 403, qr/^<html>/, 'whose status is asked for');


# HTTP/2

for my $case ([ '', $denied ], [ '--head -o /dev/null', '' ]) {
    my ($options, $body) = @$case;

    is(qx(curl -s --noproxy '*' --http2-prior-knowledge $options \\
        -w ' %{http_code}' http://127.0.0.1:$h2/), "$body 403",
        "HTTP/2 $options");
}


# in place of a reply that was about to begin, to a client that takes nothing
# for now; RFC 9113, no header is compressed

sub h2_frame {
    my ($type, $stream, $payload, $flags) = @_;

    return substr(pack('N', length($payload)), 1)
        . pack('CCN', $type, $flags // 0, $stream) . $payload;
}


sub h2_field { $_[0] . pack('C/a', $_[1]) }


# One frame: its type, its flags, its stream and its payload.

sub h2_read {
    my ($c) = @_;

    while (length($c->{in}) < 9
        || length($c->{in}) < 9 + unpack('N', "\0$c->{in}"))
    {
        $c->fill or return;
    }

    my $length = unpack('N', "\0" . substr($c->{in}, 0, 3, ''));
    my ($type, $flags, $stream) = unpack('CCN', substr($c->{in}, 0, 6, ''));

    return ($type, $flags, $stream, substr($c->{in}, 0, $length, ''));
}


# What comes until a frame of the type: the texts, and how the stream ends.

sub h2_until {
    my ($c, $until) = @_;

    my ($data, $ends) = ('', 0);

    while (my ($type, $flags, $stream, $payload) = h2_read($c)) {
        $ends++ if $stream == 1 && $type <= 1 && $flags & 1;
        $data .= $payload if $type == 0;
        return ($payload, $data, $ends) if $type == $until;
    }

    return ('', $c->{error}, $ends);
}


sub ok_h2_instead {
    my ($path, $expected) = @_;

    local $Test::Builder::Level = $Test::Builder::Level + 1;

    my $c    = EventSession::HTTP->connect($h2);
    my $ping = h2_frame(6, 0, 'an echo!');

    # no byte of a stream, at first

    $c->send("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
        . h2_frame(4, 0, pack('nN', 4, 0))
        . h2_frame(1, 1, "\x82\x86" . h2_field("\x01", 'a')
            . h2_field("\x04", $path) . h2_field("\x0f\x18", '"a"'), 5));

    my ($head, undef, $ends) = h2_until($c, 1);

    like($head, qr/412/, "$path: a precondition");
    is($ends, 0, 'its page is to come');

    $c->send($ping);
    is((h2_until($c, 6))[1], '', 'not yet');

    # an event would go to a feed that goes on

    accepted($nginx, array(entry()), 1, 'something happens');

    $c->send(h2_frame(8, 1, pack('N', 1000)) . $ping);

    my (undef, $data, $end) = h2_until($c, 6);

    is($data, $expected, 'a problem');
    is($end, 1, 'and the end');
}


my @workers = $nginx->workers;

ok_h2_instead($_, problem(412, 'nothing here has an entity tag or a time of '
    . 'modification that a precondition could hold for'))
    for "/session/$sid", '/feed';

is_deeply([ $nginx->workers ], \@workers, 'no worker died');


# what is counted, and logged

sub grown {
    my ($method, $path, @options) = @_;

    my $before = metrics($nginx);

    $nginx->request($method, $path, @options);

    my $got;

    wait_for { $got = metrics($nginx)->since($before);
        grep { /requests_total\{endpoint="batch"/ } keys(%$got) };

    return { map { $_ => $got->{$_} } grep { /endpoint="batch"/ }
        keys(%$got) };
}


my $refused = 'messages_total{endpoint="batch",outcome="refused"}';

is_deeply(grown('POST', '/ours/small', @large), { $refused => 1,
    'requests_total{endpoint="batch",code="4xx"}' => 1 }, 'too long: counted');
is_deeply(grown('POST', '/ours/small', @chunks), { $refused => 1,
    'requests_total{endpoint="batch",code="4xx"}' => 1 }, 'in chunks: counted');
is_deeply(grown('POST', '/ours/slow', body => '[]', headers => [ $json ]),
    { $refused => 1, 'requests_total{endpoint="batch",code="5xx"}' => 1 },
    'a limit: counted, and not as a failure');
is_deeply(grown('GET', '/ours/denied'), {
    'requests_total{endpoint="batch",code="4xx"}' => 1 }, 'no message');

is($nginx->quit, 0, 'nginx quits');
ok_log($nginx);

like(EventSession::Redis::slurp($nginx->dir . '/told.log'), qr/^$_$/m,
    'and in the access log')
    for '/ours/small 413 the body must not be longer .* 10 bytes here',
        '/theirs/small 413 -';

done_testing();
