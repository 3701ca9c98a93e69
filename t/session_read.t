# Why: a session is written to be read: GET /session/<id> (contract, section
# 2) must show what was sent, all of it, in the order of its time.  Known to
# fail by: numbers that went through a double, ties that change places when
# they come over several connections or workers, an END or START that an
# earlier or a later one hides, a Content-Length that counts something else
# than the body, and replies that only HTTP/1.1 without gzip gets whole.

use strict;
use warnings;

use lib 't/lib';

use EventSession;
use EventSession::Session;
use IO::Uncompress::Gunzip qw(gunzip);
use Test::More;


my $t     = EventSession->new;
my $redis = $t->redis;
my $h2    = EventSession::Redis::free_port();
my $split = EventSession::Redis::free_port();

my $http2 = nginx_version() < 1.025001
    ? "listen 127.0.0.1:$h2 http2;"
    : "listen 127.0.0.1:$h2; http2 on;";

my $nginx = $t->nginx(
    redis   => $redis,
    workers => 2,
    http    => <<END,
        server {
            $http2
            include $EventSession::root/conf/eventsession.conf;
        }

        server {
            listen 127.0.0.1:$split reuseport;
            include $EventSession::root/conf/eventsession.conf;
        }
END
    server => <<END,
        gzip on;
        gzip_types application/json;
        gzip_min_length 20;
        gzip_vary on;
END
);


sub nginx_version {
    my $nginx = EventSession::Nginx->binary;

    return `$nginx -v 2>&1` =~ m{nginx/(\d+)\.(\d+)\.(\d+)}
        ? $1 + $2 / 1000 + $3 / 1_000_000 : 0;
}


sub get {
    my ($sid, @headers) = @_;

    return $nginx->get("/session/$sid", headers => [ @headers ]);
}


# The tree that is read back after these entries, sent as one message.

sub shows {
    my ($entries, $expected, $name) = @_;

    local $Test::Builder::Level = $Test::Builder::Level + 1;

    my $sid = uuid();

    store($nginx, $sid, @$entries);

    return is(get($sid)->body, $expected, $name);
}


# S0's example, over S1's three messages

my $seed = uuid();
my $ws   = $nginx->ws("/ws?sessionId=$seed");

$ws->text($_) for seed_messages($seed);

is($ws->message, '{"message":"bye"}', 'the example is taken');
is($ws->close_code, 1000, 'and its end confirmed');

my $res = get($seed);

is($res->status, 200, 'and there');
is($res->body, '{"type":"SESSION","start":1569972082,"end":1569972090,'
    . '"children":[{"type":"EVENT","timestamp":1569972083,'
    . '"name":"cart_loaded"}]}', 'as the assignment shows it');
is($res->header('Content-Type'), 'application/json', 'as JSON');
is($res->header('Content-Length'), length($res->body), 'of that length');
is($res->header('Transfer-Encoding'), undef, 'in one piece');

is(get(uc($seed))->body, $res->body, 'upper case is the same session');
is(get($seed =~ tr/-//dr)->body, $res->body, 'so is none of the dashes');


# shapes

my @shapes = (
    event(1, 'plain'),
    event(2, 'c', category => '"x"'),
    event(3, 'd', data => '{"a":[1,2,{"b":null}],"c":true}'),
    event(4, 'cd', category => '"x"', data => '"text"'),
    event(5, 'zero', data => '0'),
    event(6, 'false', data => 'false'),
    event(7, 'null', data => 'null'),
    event(8, 'empty', category => '"x"', data => '{}'),
    event(9, 'list', data => '[]'),
    event(10, 'string', data => '""'),
);

shows([ start(1), @shapes, end(11) ], tree(1, 11, @shapes),
    'category and data where they were sent, in one order');

shows([ '{"data" : [ 1 , { "b" : 2 , } , ] , "category" : "c", "name" : "n",'
        . ' "other" : {"x":1}, "timestamp" : 1, "type" : "EVENT"}' ],
    tree(undef, undef, event(1, 'n', category => '"c"',
        data => '[1,{"b":2}]')),
    'compact and strict, whatever the order and the blanks of the entry');

shows([ start(5) ], tree(5, undef), 'a START alone has no children');
shows([ end(5) ], tree(undef, 5), 'nor has an END alone');
shows([ start(5), end(6) ], tree(5, 6), 'nor both');
shows([ event(5, 'a') ], tree(undef, undef, event(5, 'a')),
    'an event alone has neither start nor end');
shows([ event(7, 'late'), end(6), event(1, 'early'), start(5) ],
    tree(5, 6, event(1, 'early'), event(7, 'late')),
    'events may lie outside of their session');

shows([ start(6), start(5), start('"1970-01-01T00:00:05.5Z"'), start(9),
        end(16), end('"1970-01-01T00:00:20Z"'), end(19), end('19.9') ],
    tree(5, '"1970-01-01T00:00:20Z"'),
    'the earliest START and the latest END count, as they came');

my $sid = uuid();

store($nginx, $sid, $_) for start(50), start(40), start(60), end(70), end(90),
    end(80);
is(get($sid)->body, tree(40, 90), 'also over several connections');
store($nginx, $sid, start(30), end(100));
is(get($sid)->body, tree(30, 100), 'and later on');


# numbers and strings, exactly

my @numbers = map { event($_, 'n', data => $_) } qw(
    1.50 1e9 1000000001.0 1.624e+9 1624422533 1624422533.123456789 1624422533298
    1624422533298000.001 1624422533298.50 1624422534298123456
);

shows([ @numbers ], tree(undef, undef, @numbers),
    'numbers are shown as they were sent');

my $data = '[0,-0,-0.0,0.10,1E5,1e-7,123456789012345678901234567890,'
    . '1.0000000000000000000000001,-1.5e+300,9007199254740993]';

shows([ event(1, 'n', data => $data) ],
    tree(undef, undef, event(1, 'n', data => $data)), 'those in data, too');

my @times = map { event(qq("$_"), 't') } (
    '2021-06-23T04:28:53', '2021-06-23 04:28:53.1Z',
    '2021-06-23T04:28:53.123456789Z', '2021-06-23T06:28:53.2+02:00',
    '2021-06-23T04:28:53.298Z');

shows([ reverse(@times) ], tree(undef, undef, @times),
    'date-times stay as they came');

for my $string ('\u00e9', "\xc3\xa9", '\ud83d\ude00', '\"\\\\\/', '\n\t\b\f\r',
    '\u0001\u001f\u007f', '</script>\u2028', '{},\"[]', "\xf0\x9f\x98\x80 x",
    'a\u0041')
{
    my $sid = uuid();

    store($nginx, $sid, event(1, $string, category => qq("$string"),
        data => qq(["$string",{"$string":1}])));

    my $res  = get($sid);
    my $want = JSON::PP->new->utf8->allow_nonref->decode(qq("$string"));

    is_deeply($res->json, { type => 'SESSION', start => undef, end => undef,
        children => [ { type => 'EVENT', timestamp => 1, name => $want,
            category => $want, data => [ $want, { $want => 1 } ] } ] },
        "a string means the same: $string");
    is($res->header('Content-Length'), length($res->body),
        'and the length counts bytes');
}


# order

my @ordered = map { event($_->[0], $_->[1]) } (
    [ 0, 'epoch' ], [ 1, 'one second' ], [ '1.000001', 'one µs more' ],
    [ '"1970-01-01T00:00:01.000002Z"', 'two' ],
    [ '"1970-01-01T01:00:01.000003+01:00"', 'three' ],
    [ 1624422533, 's' ], [ 1624422533001, 'ms' ], [ 1624422533001001, 'µs' ],
    [ 1624422533001002003, 'ns' ], [ '1624422533.001003', 'decimal' ],
    [ '"2021-06-23 04:28:53.001004"', 'string' ],
);

shows([ @ordered[5, 1, 10, 3, 0, 9, 2, 8, 4, 7, 6] ],
    tree(undef, undef, @ordered), 'chronological by µs over all forms');

my @ties = map { event($_, 'tie') } ('1624422533.298', 1624422533298,
    1624422533298000, '1624422533298000000', '"2021-06-23T04:28:53.298Z"',
    '1624422533.2980009', '"2021-06-23T06:28:53.298+02:00"',
    '1.624422533298e9');

shows([ @ties ], tree(undef, undef, @ties),
    'one µs in eight forms: as they came');
shows([ reverse(@ties) ], tree(undef, undef, reverse(@ties)),
    'and the other way round');
shows([ (event(1, 'same')) x 300 ],
    tree(undef, undef, (event(1, 'same')) x 300),
    'events that are equal are all kept');

$sid  = uuid();
@ties = map { event(7, "m$_") } 1 .. 600;

store($nginx, $sid, batches(1, @ties[0 .. 299]), batches(7, @ties[300 .. 599]));
is(get($sid)->body, tree(undef, undef, @ties), 'ties over many messages');


# reuseport spreads connections over the workers by their ports

my %files = map { $_ => $nginx->open_files($_) } $nginx->workers;

$sid = uuid();

my @sockets = map { EventSession::WS->connect($split,
    "/ws?sessionId=$sid&ack=1") } 1 .. 24;

is(scalar(grep { $nginx->open_files($_) > $files{$_} } keys(%files)), 2,
    'both workers have connections');

@ties = map { event(7, "c$_") } 0 .. 479;

store($sockets[$_ % 24], $sid, $ties[$_]) for 0 .. $#ties;

is(get($sid)->body, tree(undef, undef, @ties),
    'ties over connections and workers: in order of arrival');

# as fast as a large message is stored, its ids must not lie in the future

my @many = map { event(7, "m$_") } 1 .. 15_000;
my @few  = map { event(7, "f$_") } 0 .. 23;

store($sockets[0], $sid, @many);
store($sockets[$_], $sid, $few[$_]) for 0 .. 23;

ok(get($sid)->body eq tree(undef, undef, @ties, @many, @few),
    'what comes behind a large message, over any worker, stays behind it');

$_->abort for @sockets;


# what is not there, and HEAD

my $none = uuid();

$res = get($none);
is($res->status, 404, 'an unknown session');
is($res->body, '{"type":"about:blank","title":"Not Found","status":404,'
    . '"detail":"there is no such session"}', 'says so');
is($res->header('Content-Type'), 'application/problem+json', 'as a problem');

for my $bad ('', 'x', $none . '0', substr($none, 1), "$none/", "$none/x",
    $none =~ s/-/_/r, 'g' x 32, 'a%2fb', "{$none}", '%ff')
{
    my $res = get($bad);

    is($res->status, 400, "not an id: $bad");
    is($res->body, '{"type":"about:blank","title":"Bad Request","status":400,'
        . '"detail":"the session id must be a UUID"}', 'says so');
}

$sid = uuid();
store($nginx, $sid, batches(1000, map { event($_, 'x' x 40) } 1 .. 4000));

for my $path ("/session/$seed", "/session/$none", '/session/x',
    "/session/$sid", "/session/$sid?limit=2", "/session/$sid?limit=x")
{
    my $get  = $nginx->get($path);
    my $http = $nginx->connect;
    my $head = $http->request('HEAD', $path);

    is($head->status, $get->status, "HEAD $path");

    # of a body that has no end there are no chunks to speak of

    my @want = grep { !/^(?:Date|Transfer-Encoding|Connection):/ } lines($get);
    my @got  = grep { !/^(?:Date|Connection):/ } lines($head);

    is_deeply(\@got, \@want, 'has the headers of GET');
    is($http->request('GET', "/session/$seed")->body,
        tree(1569972082, 1569972090, event(1569972083, 'cart_loaded')),
        'and no body before the next reply');
}


sub lines {
    my ($res) = @_;

    return map { join(': ', @$_) } @{ $res->{headers} };
}


# every way to read, for a small session and for one of many pages

my $large = tree(undef, undef, map { event($_, 'x' x 40) } 1 .. 4000);

for my $case ([ $seed, $nginx->get("/session/$seed")->body ], [ $sid, $large ])
{
    my ($sid, $body) = @$case;

    my $kind = length($body) > 10_000 ? 'large' : 'small';
    my $path = "/session/$sid";
    my $http = $nginx->connect;

    $res = $http->request('GET', $path);
    ok($res->body eq $body, "$kind over HTTP/1.1");
    is($res->error, undef, 'whole');
    is($res->header('Transfer-Encoding'),
        $kind eq 'large' ? 'chunked' : undef, 'chunked if it has to be');
    ok($http->request('GET', $path)->body eq $body, 'again by keep-alive');

    $http = $nginx->connect;
    $http->send("GET $path HTTP/1.0\r\n\r\n");
    $res = $http->response;
    ok($res->body eq $body, "$kind over HTTP/1.0");
    is($res->header('Transfer-Encoding'), undef, 'which has no chunks');
    is($res->header('Connection'), 'close', 'and ends with the connection');

    $res = get($sid, 'Accept-Encoding: gzip');
    is($res->header('Content-Encoding'), 'gzip', "$kind with gzip");
    ok(gunzip(\$res->body, \my $plain), 'unpacks');
    ok($plain eq $body, 'to the same');

    my $out = $t->dir . '/h2';
    my $code = system(qw(curl -sS --max-time 30 --http2-prior-knowledge -o),
        $out, '-D', "$out.head", "http://127.0.0.1:$h2$path");

    is($code, 0, "$kind over HTTP/2");
    ok(EventSession::Redis::slurp($out) eq $body, 'the same');

    my ($length) = EventSession::Redis::slurp("$out.head")
        =~ /^content-length: (\d+)/mi;

    is($length, $kind eq 'large' ? undef : length($body), 'and its length');
}


# what else may lie in the key

my $key = "es:{$seed}";

$redis->cli('ZADD', $key, @$_) for (
    [ '-inf', 'foreign' ], [ '+inf', '{"a":1}' ], [ 1569972083000000, '' ],
    [ 0, "\x01" ], [ 0, "\x01short" ], [ 1, "\x02\xff" ], [ 2, "\x03" ],
    [ '+inf', "\x04\0\0\0\0\0\0\0\0" ], [ '+inf', "\xff" ], [ 3, "\0" x 70 ],
    [ 1569972082500000, "\x04\x80\0\0\0\0\0\0\1\0\3foo" ],
    [ '-inf', "\x03\0\0\0\0\0\0\0\0\0\3foo" ],
    [ '+inf', "\x04\xff\0\0\0\0\0\0\1\0\5\"foo," ],
    [ 4, "\x01" . 'i' x 10 . "\x00\xff\xff\xff\xff\xff\xff" ],
    [ 5, "\x01" . 'i' x 10 . "\x21\x01\x7fabc" ],
);

is(get($seed)->body, tree(1569972082, 1569972090,
    event(1569972083, 'cart_loaded')), 'what is not ours is passed over');
is($nginx->get("/session/$seed?limit=1")->body, tree(1569972082, 1569972090,
    event(1569972083, 'cart_loaded')), 'by pages, too');


# what stands in front of the events has a place in front of them, and may be
# larger than that, by a byte or by many; an event may be larger than its buffer

for my $digits (30 .. 40, 33_000) {
    my $from = '"1970-01-01T00:00:01.' . '1' x int($digits / 2) . 'Z"';
    my $to   = '"1970-01-01T00:00:02.' . '2' x int(($digits + 1) / 2) . 'Z"';

    for my $n (0, 2) {
        my $sid    = uuid();
        my @events = map { event($_, "n$_",
            data => '"' . 'd' x $digits . '"') } 1 .. $n;

        store($nginx, $sid, start($from), @events, end($to));

        my $res = get($sid);

        is($res->body, tree($from, $to, @events),
            "$digits digits, $n events");
        is($res->header('Content-Length'), length($res->body), 'its length');
    }
}

$sid = uuid();
$redis->cli('SET', "es:{$sid}", 'text');
$res = get($sid);
is($res->status, 503, 'a key of another type can not be read');
unlike($res->body, qr/es:|WRONGTYPE|sock/, 'no word of it to the client');
is($nginx->get('/ready')->status, 200, 'and nothing else suffers');


$nginx->quit;
ok_log($nginx);
done_testing();
