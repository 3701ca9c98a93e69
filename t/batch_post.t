# Why: POST /events (contract, sections 0 and 3) takes a body as a whole, or
# not at all, and what it took is in the right shards, in its sessions and on
# the feed, as it was sent.  Known to fail by: the events in front of a bad one
# that are stored behind its 400; shards of times before 1970 by a modulus that
# is negative there; numbers and strings that come back another way; events of
# a session that the feed has twice, or not at all.

use strict;
use warnings;

use lib 't/lib';

use EventSession;
use EventSession::Batch;
use EventSession::Session ();
use EventSession::Track;
use POSIX qw(strftime);
use Test::More;

my $NDJSON    = 'application/x-ndjson';
my $TIMESTAMP = 'timestamp must be a number of seconds, milliseconds, '
    . 'microseconds or nanoseconds since the epoch, or an RFC 3339 date-time';

my $t     = EventSession->new;
my $redis = $t->redis;
my $nginx = $t->nginx(redis => $redis, http => track_conf(),
    server => <<'END');
        location = /cors {
            eventsession batch;
            eventsession_cors https://a.example;
        }

        location = /trusted {
            eventsession batch;
            eventsession_require_application on;
        }

        location = /any {
            eventsession batch;
            eventsession_session_id any;
        }

        location = /limits {
            eventsession batch;
            eventsession_max_entries 3;
            eventsession_max_name 4;
            eventsession_max_category 4;
            eventsession_max_data 4;
        }

        location = /quiet {
            eventsession batch;
            eventsession_feed off;
        }

        location = /impatient {
            eventsession batch;
            eventsession_timeout 300ms;
        }
END

my $feed = $nginx->sse('/database_events');

is($feed->opened, 200, 'the feed');


# Redis has neither events nor sessions any more.

sub forget {
    my @keys = grep { /:batch:\d|\{.*-/ } @{ $redis->cli('KEYS', '*') };

    $redis->cli('UNLINK', @keys) if @keys;
}


# The events of the feed up to a mark, which is put there now.

my $marks = 0;

sub fed {
    my $mark = 'mark ' . ++$marks;

    EventSession::Session::store($nginx, uuid(),
        EventSession::Session::event(1, $mark))->close(1000);

    my @events = $feed->json_until($mark);

    is((pop(@events) // {})->{event_name}, $mark, 'the feed goes on');

    return @events;
}


sub refused {
    my ($body, $status, $detail, $name, %options) = @_;

    local $Test::Builder::Level = $Test::Builder::Level + 1;

    my $res = batch($nginx, $body, %options);

    is($res->status, $status, $name);
    is($res->body, problem($status, $detail), "$name: says why");
    is($res->header('Content-Type'), 'application/problem+json',
        "$name: as a problem");

    return $res;
}


# the seed's example

my $res = accepted($nginx, <<'END', 1, "the assignment's example");
[
  {
    "timestamp": "2019-10-04T01:52:07-03:00",
    "data": 12312
  }
]
END

is($res->header('Content-Type'), 'application/json', 'as JSON');
is($res->header('Content-Length'), 14, 'with its length');
is_deeply([ events($nginx) ],
    [ '{"timestamp":"2019-10-04T01:52:07-03:00","data":12312}' ],
    'and is there');
is_deeply([ events($nginx, 'shard=' . shard_of(1570164727, 5)) ],
    [ events($nginx) ], 'in the shard of its second');


# all keys are optional; what was sent is shown, and nothing else

forget();

my @all = (
    entry(timestamp => 1, name => '"n"', category => '"c"', data => '{"a":1}'),
    entry(timestamp => 2, data => 'null'),
    entry(timestamp => 3, data => '"\\u0000\\ud83d\\ude00 \\\\ \\" /"'),
    entry(timestamp => 4, data => '[1.50,-0,1e400,12345678901234567890.10]'),
    entry(timestamp => 5, name => '""'),
    entry(timestamp => 6, name => '"Grüße \\" \\\\"', category => '""'),
    entry(timestamp => 7),
    entry(timestamp => 8, data => '[' x 30 . ']' x 30),
    entry(timestamp => 9, data => 'false'),
);

accepted($nginx, array(@all), 9, 'keys of all kinds');
is_deeply([ grep { !/u0000/ } events($nginx) ], [ @all[0, 1, 3 .. 8] ],
    'are shown as they were sent');
is($nginx->get('/events?from=3&to=3')->json->[0]{data},
    "\0\x{1f600} \\ \" /", 'and so are escapes');

forget();

accepted($nginx, ' [ {"data" : { "a" : [ 1 , 2.50 ] , } , "timestamp":1,} , ]',
    1, 'with blanks, and with commas before brackets');
is_deeply([ events($nginx) ], [ '{"timestamp":1,"data":{"a":[1,2.50]}}' ],
    'is shown without them');

forget();

accepted($nginx, array('{"type":"SESSION_START","id":7,"timestamp":1}',
    '{"type":null,"id":"i","x":{"timestamp":2},"timestamp":1}',
    '{"id":"i","Name":1,"timestamp":1}'), 3,
    'keys that mean nothing here');
is_deeply([ events($nginx) ], [ ('{"timestamp":1}') x 3 ], 'are not shown');

forget();

my $before = time();

accepted($nginx, array('{}', '{"data":1}', '{}'), 3, 'without a timestamp');

my $stamp = qr/"(\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d)\.\d{6}Z"/;
my @now   = events($nginx);
my ($at)  = $now[0] =~ /^\{"timestamp":$stamp\}$/;

ok(defined $at, 'is the time of receipt') or diag($now[0]);

ok((grep { $at eq strftime('%Y-%m-%dT%H:%M:%S', gmtime($_)) }
    $before .. time()), 'by the clock');
is_deeply([ sort(map { s/,"data":1//r } @now) ], [ ($now[0]) x 3 ],
    'the same for all of a body');


# timestamps in all forms, and where they lie

forget();

my @times = (
    [ '0',                                 0 ],
    [ '0.5',                               0 ],
    [ '1624422532',                        1624422532 ],
    [ '1624422533',                        1624422533 ],
    [ '1624422534.999999',                 1624422534 ],
    [ '1624422533298',                     1624422533 ],
    [ '1624422535000',                     1624422535 ],
    [ '1624422534999.75',                  1624422534 ],
    [ '1624422536298123',                  1624422536 ],
    [ '1624422537298123456',               1624422537 ],
    [ '1.624422533e9',                     1624422533 ],
    [ '16244225330000e-4',                 1624422533 ],
    [ '99999999999',                       99999999999 ],
    [ '"2021-06-23T04:28:53Z"',            1624422533 ],
    [ '"2021-06-23 04:28:54"',             1624422534 ],
    [ '"2021-06-23T04:28"',                1624422480 ],
    [ '"2021-06-23T06:28:55.5+02:00"',     1624422535 ],
    [ '"2021-06-23T01:58:56.123456789-0230"', 1624422536 ],
    [ '"2021-06-23T04:28:53+00"',          1624422533 ],
    [ '"1970-01-01T00:00:00Z"',            0 ],
    [ '"1969-12-31T23:59:59.999999Z"',     -1 ],
    [ '"1969-12-31T23:59:59Z"',            -1 ],
    [ '"1969-12-31T23:59:58.5Z"',          -2 ],
    [ '"1969-12-31T23:59:57Z"',            -3 ],
    [ '"1969-12-31T23:59:55Z"',            -5 ],
    [ '"1969-12-31T23:59:54.999999Z"',     -6 ],
    [ '"1969-12-31T23:59:56.000001Z"',     -4 ],
    [ '"1970-01-01T01:00:00+01:01"',       -60 ],
    [ '"1900-01-01T00:00:01Z"',            -2208988799 ],
    [ '"0001-01-01T00:00:00Z"',            -62135596800 ],
    [ '"9999-12-31T23:59:59.999999Z"',     253402300799 ],
    [ '"2016-12-31T23:59:60Z"',            1483228800 ],
);

accepted($nginx, array(map { entry(timestamp => $_->[0]) } @times),
    scalar(@times), 'timestamps of all forms');

for my $shard (0 .. 4) {
    my @here = sort(map { entry(timestamp => $_->[0]) }
        grep { shard_of($_->[1], 5) == $shard } @times);

    ok(@here > 1, "shard $shard has some of them");
    is_deeply([ sort(events($nginx, "shard=$shard")) ], \@here,
        'floor(seconds) mod 5, as they were sent');
}

my %second = map { entry(timestamp => $_->[0]) => $_->[1] } @times;
my @second = map { $second{$_} } events($nginx);

is_deeply(\@second, [ sort { $a <=> $b } @second ], 'in order of time');


# of sessions, and of none

forget();
fed();

my ($sid, $other) = (uuid(), uuid());
my $loose         = uc($sid =~ s/-//gr);

accepted($nginx, array(
    qq({"timestamp":4,"name":"d","session_id":"$sid","type":"x","data":[1]}),
    qq({"timestamp":3,"name":"c","session_id":"$loose","category":"k"}),
    '{"timestamp":1,"name":"nobody\'s","data":{"a":1}}',
    qq({"timestamp":1,"name":"a","session_id":"$other"}),
    qq({"timestamp":5,"session_id":"$other"}),
    '{"timestamp":2}',
), 6, 'of two sessions and of none');

is($nginx->get("/session/$sid")->body,
    EventSession::Session::tree(undef, undef,
        '{"type":"EVENT","timestamp":3,"name":"c","category":"k"}',
        '{"type":"EVENT","timestamp":4,"name":"d","data":[1]}'),
    'are in the tree of the one');
is($nginx->get("/session/$other")->body,
    EventSession::Session::tree(undef, undef,
        '{"type":"EVENT","timestamp":1,"name":"a"}',
        '{"type":"EVENT","timestamp":5,"name":""}'), 'and of the other');
is_deeply([ sort(events($nginx)) ], [ sort(
    qq({"timestamp":1,"name":"a","session_id":"$other"}),
    '{"timestamp":1,"name":"nobody\'s","data":{"a":1}}',
    '{"timestamp":2}',
    qq({"timestamp":3,"name":"c","category":"k","session_id":"$sid"}),
    qq({"timestamp":4,"name":"d","data":[1],"session_id":"$sid"}),
    qq({"timestamp":5,"session_id":"$other"})) ],
    'all are among the events, with their session in its one form');

my @fed = fed();
my $far = '1970-01-01T00:00:0';

is_deeply([ sort(map { join(' ', substr($_->{event_timestamp}, 18, 1),
    $_->{event_name} // 'null', $_->{session_id} // 'null', $_->{type},
    $_->{category} // '', ref($_->{data}) ) } @fed) ],
    [ sort("1 nobody's null EVENT  HASH", "1 a $other EVENT  ",
        '2 null null EVENT  ', "3 c $sid EVENT k ", "4 d $sid EVENT  ARRAY",
        "5 null $other EVENT  ") ],
    'and each is on the feed, once');
is(scalar(keys(%{ { map { $_->{event_id} => 1 } @fed } })), 6,
    'by an id of its own');

my @other = events($nginx, "from=1&to=1");

accepted($nginx, array((qq({"timestamp":1,"name":"a","session_id":"$other"})) x
    2), 2, 'equal events');
is(scalar(@{ $nginx->get("/session/$other")->json->{children} }), 4,
    'are two more in the session');
is(scalar(events($nginx, 'from=1&to=1')), @other + 2, 'and in the shard');

accepted($nginx, '[{"timestamp":1,"name":"a","session_id":"x.y~1"}]', 1,
    'any session id', path => '/any');
is_deeply([ grep { /x\.y/ } events($nginx) ],
    [ '{"timestamp":1,"name":"a","session_id":"x.y~1"}' ], 'is kept');

# many of many sessions, and more than one message of the feed has

forget();
fed();

my @sids = map { uuid() } 1 .. 7;

my @mixed = map {
    entry(timestamp => $_, name => qq("n$_"), data => '"' . 'x' x ($_ % 97)
        . '"', $_ % 3 ? (session_id => qq("$sids[$_ % 7]")) : ())
} 1 .. 2000;

accepted($nginx, array(@mixed), 2000, 'mixed ones');
is_deeply([ events($nginx, 'limit=2000') ], \@mixed, 'all are back');

for my $i (0 .. 6) {
    is($nginx->get("/session/$sids[$i]")->body,
        EventSession::Session::tree(undef, undef,
            map { s/^\{/{"type":"EVENT",/r =~ s/,"session_id.*\}/}/r }
            grep { /"$sids[$i]"/ } @mixed), "session $i has its own");
}

my %fed;

$fed{ $_->{event_name} . ' ' . ($_->{session_id} // 'null') }++ for fed();

is_deeply(\%fed, { map { my ($n) = /"name":"n(\d+)"/;
    ("n$n " . ($n % 3 ? $sids[$n % 7] : 'null') => 1) } @mixed },
    'each is on the feed, once');


# all or nothing

forget();
fed();

my $kept = stored_sum($redis);
my $good = entry(timestamp => 1, name => '"n"', data => 1,
    session_id => qq("$sid"));

my @faults = (
    [ '{"timestamp":null}',       $TIMESTAMP ],
    [ '{"timestamp":-1}',         $TIMESTAMP ],
    [ '{"timestamp":true}',       $TIMESTAMP ],
    [ '{"timestamp":[1]}',        $TIMESTAMP ],
    [ '{"timestamp":"1"}',        $TIMESTAMP ],
    [ '{"timestamp":""}',         $TIMESTAMP ],
    [ '{"timestamp":"2021-02-29T00:00:00Z"}', $TIMESTAMP ],
    [ '{"timestamp":"2021-06-23T24:00:00Z"}', $TIMESTAMP ],
    [ '{"timestamp":"yesterday"}', $TIMESTAMP ],
    [ '{"timestamp":1e300}',      $TIMESTAMP ],
    [ '{"session_id":null}',      'session_id must be a string' ],
    [ '{"session_id":1}',         'session_id must be a string' ],
    [ '{"session_id":"x"}',       'session_id must be a UUID' ],
    [ '{"session_id":""}',        'session_id must be a UUID' ],
    [ '{"name":null}',            'name must be a string' ],
    [ '{"name":{}}',              'name must be a string' ],
    [ '{"name":"\\u0000"}',       'name must not have \\\\u0000 in it' ],
    [ '{"name":"' . 'x' x 256 . '"}', 'name is longer than 255 bytes' ],
    [ '{"category":null}',        'category must be a string' ],
    [ '{"category":"' . 'x' x 201 . '"}',
        'category is longer than 200 characters' ],
    [ '{"data":"' . 'x' x 65_535 . '"}',
        'data is longer than 65536 bytes as compact JSON' ],
    [ '[]',                       'must be an object' ],
    [ '1',                        'must be an object' ],
    [ 'null',                     'must be an object' ],
    [ '"{}"',                     'must be an object' ],
);

for my $fault (@faults) {
    my ($bad, $detail) = @$fault;
    my $name = substr($bad, 0, 40);

    refused(array($bad), 400, "entry 0: $detail", "$name alone");
    refused(array(($good) x 2, $bad, ($good) x 2, $bad), 400,
        "entry 2: $detail", "$name among others");
    refused(lines(($good) x 3, $bad), 400, "entry 3: $detail",
        "$name in a line", type => $NDJSON);
}

for my $at (0, 1, 4999, 9999) {
    my @body = ($good) x 10_000;

    $body[$at] = '{"timestamp":-1}';
    refused(array(@body), 400, "entry $at: $TIMESTAMP",
        "entry $at of 10,000");
}

my @syntax = (
    [ '',                 'line 1, column 1: expected a value' ],
    [ ' ',                'line 1, column 2: expected a value' ],
    [ '[',                'line 1, column 2: expected a value' ],
    [ '[{}',              'line 1, column 4: '
        . q(expected ',' or ']' after an entry) ],
    [ "[$good,\n {\"a\":}]", 'line 2, column 7: expected a value' ],
    [ "[{\"timestamp\":-1},\n\n$good x]",
        'line 3, column ' . (length($good) + 2)
        . q(: expected ',' or ']' after an entry) ],
    [ '[{}]]',            'line 1, column 5: expected the end of the message' ],
    [ '[{}]{}',           'line 1, column 5: expected the end of the message' ],
    [ "[$good" . ",$good" x 5000 . ',x]', 'line 1, column '
        . (5001 * (length($good) + 1) + 2) . ': expected a value' ],
    [ 'x',                'line 1, column 1: expected a value' ],
);

for my $case (@syntax) {
    my ($body, $detail) = @$case;

    refused($body, 400, "invalid JSON at $detail",
        'syntax: ' . substr($body, 0, 30));
}

for my $body ("[{\"name\":\"\xff\"}]", "[{\"data\":\"\xed\xa0\x80\"}]",
    '[{"data":{"a":1,"a":1}}]', '[{"timestamp":1,"timestamp":1}]',
    '[{"data":NaN}]', '[{"data":' . '[' x 31 . ']' x 31 . '}]',
    '[{"data":01}]', '[{"data":"\\ud800"}]', "\xef\xbb\xbf[{}]")
{
    $res = batch($nginx, array($good) =~ s/\]$/,/r . substr($body, 1));

    is($res->status, 400, 'no JSON: ' . substr($body, 0, 30));
    like($res->json->{detail}, qr/^invalid JSON at line 1, column \d+: /,
        'says where');
}

refused('{}', 400, 'expected an array of entries at line 1, column 1',
    'an object');
refused("\n 1", 400, 'expected an array of entries at line 2, column 2',
    'a number');

is(stored_sum($redis), $kept, 'nothing of all that is in a shard');
is($nginx->get("/session/$sid")->status, 404, 'nor in a session');
is_deeply([ fed() ], [], 'nor on the feed');


# limits

forget();

accepted($nginx, array(('{"data":1}') x 20_000), 20_000, 'as many as may be',
    path => '/quiet');
is(stored_sum($redis), 20_000, 'are stored');
refused(array(('{"data":1}') x 20_001), 400,
    'entry 20000: a message may have at most 20000 entries', 'one more');
is(stored_sum($redis), 20_000, 'is not');

accepted($nginx, '[{},{"name":"abcd","category":"äöüß","data":"ab"},{}]', 3,
    'at the limits of the location', path => '/limits');

for my $case (
    [ '{},{},{},{}', 'entry 3: a message may have at most 3 entries' ],
    [ '{"name":"abcde"}', 'entry 0: name is longer than 4 bytes' ],
    [ '{"category":"abcde"}', 'entry 0: category is longer than 4 characters' ],
    [ '{"data":12345}',
        'entry 0: data is longer than 4 bytes as compact JSON' ])
{
    refused("[$case->[0]]", 400, $case->[1], "beyond them: $case->[0]",
        path => '/limits');
}


# nothing

forget();

for my $body ('[]', ' [ ] ', "[\n]") {
    accepted($nginx, $body, 0, 'no event');
}

for my $body ('', "\n", " \r\n\t\n") {
    accepted($nginx, $body, 0, 'no line', type => $NDJSON);
}

is(stored_sum($redis), 0, 'stores nothing');


# NDJSON

my @three = map { entry(timestamp => $_, data => "[$_]") } 1 .. 3;

for my $body (join("\n", @three), lines(@three), "\n\n" . lines(@three) . "\n",
    join("\r\n", @three, ''), join(" \n\t\r\n ", @three),
    join("\n", map { s/,/ , /gr } @three))
{
    forget();
    accepted($nginx, $body, 3, 'three lines', type => $NDJSON);
    is_deeply([ events($nginx) ], \@three, 'are there');
}

forget();

for my $type ('application/x-ndjson; charset=utf-8', 'Application/X-NDJSON') {
    accepted($nginx, '{}', 1, $type, type => $type);
}

for my $case (
    [ "{}\n[{}]\n",     'entry 1: must be an object' ],
    [ "{},\n{}\n",      'invalid JSON at line 1, column 3: '
        . 'expected the end of the line after an entry' ],
    [ "{}\n{} {}\n",    'invalid JSON at line 2, column 4: '
        . 'expected the end of the line after an entry' ],
    [ "{}\n\n{\"a\":\n1}\n", 'invalid JSON at line 3, column 6: '
        . 'expected a value' ],
    [ "{}\r\n\r\n{",    'invalid JSON at line 3, column 2: '
        . 'expected a name in double quotes' ],
) {
    $res = batch($nginx, $case->[0], type => $NDJSON);

    is($res->status, 400, 'no NDJSON');
    is($res->json->{detail}, $case->[1], 'says why');
}


# Content-Type

for my $type ('application/json', 'application/json; charset=utf-8',
    'APPLICATION/JSON ;x', "application/json\t")
{
    accepted($nginx, '[{}]', 1, "type $type", type => $type);
}

$kept = stored_sum($redis);

for my $type (undef, '', 'text/plain', 'application/jsonx', 'application/',
    'application/x-www-form-urlencoded', 'x application/json',
    'application/problem+json', 'application/ndjson')
{
    refused('[{}]', 415, 'the Content-Type must be application/json or '
        . 'application/x-ndjson', 'type ' . ($type // 'none'), type => $type);
}

is(stored_sum($redis), $kept, 'nothing of other types is stored');


# methods and origins

for my $method (qw(PUT DELETE PATCH OPTIONS PROPFIND)) {
    $res = batch($nginx, '[{}]', method => $method);

    is($res->status, 405, $method);
    is($res->body, problem(405, "this endpoint does not answer $method"),
        "$method: says why");
    is($res->header('Allow'), 'GET, HEAD, POST', "$method: and what is right");
}

is($nginx->request('HEAD', '/events')->status, 200, 'HEAD');
is($nginx->get('/events')->status, 200, 'GET');

my $origin = 'Origin: https://a.example';

$res = $nginx->request('OPTIONS', '/cors', headers => [ $origin ]);

is($res->status, 204, 'a preflight');
is($res->header('Access-Control-Allow-Origin'), 'https://a.example',
    'its origin');
is($res->header('Access-Control-Allow-Methods'), 'GET, HEAD, POST', 'methods');
like($res->header('Access-Control-Allow-Headers'),
    qr/Content-Type, Content-Encoding, Idempotency-Key/, 'headers');

$res = accepted($nginx, '[{}]', 1, 'from that origin', path => '/cors',
    headers => [ $origin ]);
is($res->header('Access-Control-Allow-Origin'), 'https://a.example',
    'who may read the answer');
$res = batch($nginx, '[', path => '/cors', headers => [ $origin ]);
is($res->header('Access-Control-Allow-Origin'), 'https://a.example',
    'and a fault');
is(batch($nginx, '[]', headers => [ $origin ])
    ->header('Access-Control-Allow-Origin'), undef, 'not elsewhere');
is($nginx->request('OPTIONS', '/cors',
    headers => [ 'Origin: https://b.example' ])
    ->header('Access-Control-Allow-Origin'), undef, 'nor by others');


# requests in a row on one connection, good and bad, with small and large
# bodies

my $http = $nginx->connect;

forget();

for my $round (1 .. 3) {
    accepted($http, array(('{"timestamp":1}') x 3000), 3000, 'a large one');
    is(batch($http, array(('{"timestamp":1}') x 3000, '{"name":1}'))->status,
        400, 'a bad one');
    is(batch($http, 'x' x 100_000, type => 'text/plain')->status, 415,
        'of a wrong type');
    accepted($http, '[{}]', 1, 'a small one');
    is(batch($http, '[{}]', method => 'PUT')->status, 405, 'a wrong method');
}

$http->send(join('', map { batch_bytes($http, "[{\"data\":$_}]") } 1 .. 50));

is(scalar(grep { $http->response->body eq '{"accepted":1}' } 1 .. 50), 50,
    'fifty of them at once');
is(stored_sum($redis), 3 * 3001 + 50, 'the good ones are stored');


# one shard

my %shards;

for my $round (1 .. 40) {
    forget();

    accepted($nginx, array(map { entry(timestamp => $_) } 1 .. 10), 10,
        'for a single shard', path => '/events?single_shard=true');

    my %n = stored($redis);

    is_deeply([ values(%n) ], [ 10 ], 'all are in one');
    $shards{$_}++ for keys(%n);
}

cmp_ok(scalar(keys(%shards)), '>', 1, 'not always in the same');

forget();
accepted($nginx, array(map { entry(timestamp => $_) } 1 .. 10), 10,
    'single_shard=false', path => '/events?single_shard=false&x=1');
is_deeply({ stored($redis) }, { map { $_ => 2 } 0 .. 4 }, 'is the usual way');

for my $value ('', 1, qw(TRUE truex tru yes true%20)) {
    my $path = "/events?single_shard=$value";

    refused('[{}]', 400, 'single_shard must be true or false', $path,
        path => $path);
}


# trusted applications alone

forget();
fed();

my $no = 'a trusted application is required: its UUID in the header '
    . '\\"application\\", or in the argument of that name';

for my $headers ([], [ 'application: x' ], [ 'application: ' . uuid() ],
    [ ('application: ' . APP) x 2 ])
{
    refused('[{}]', 403, $no, 'no application', path => '/trusted',
        headers => $headers);
}

refused('[{}]', 403, $no, "as the argument: $_",
    path => "/trusted?application=$_") for 'x', uuid(), APP . 'x';
refused('[{}]', 403, $no, 'the header goes first',
    path => '/trusted?application=' . APP, headers => [ 'application: x' ]);

is(stored_sum($redis), 0, 'nothing is stored');

accepted($nginx,
    qq([{"timestamp":1,"data":7},{"name":"a","session_id":"$sid"}]), 2,
    'an application', path => '/trusted',
    headers => [ 'application: ' . APP ]);
is_deeply([ map { $_->{application} } fed() ], [ ('example') x 2 ],
    'is named on the feed');
is((events($nginx, 'to=1'))[0], '{"timestamp":1,"data":7}',
    'its events are as others');

for my $form (APP, uc(APP), APP =~ tr/-//dr,
    APP =~ s/(.)/sprintf('%%%02x', ord($1))/ger)
{
    accepted($nginx, '[{"timestamp":1}]', 1, "as the argument: $form",
        path => "/trusted?single_shard=true&application=$form");
}

is_deeply([ map { $_->{application} } fed() ], [ ('example') x 4 ],
    'is named, too');


# not before Redis has confirmed

forget();
accepted($nginx, '[{"timestamp":3}]', 1, 'before', path => '/impatient');

$redis->freeze;
$res = batch($nginx, '[{"timestamp":4}]', path => '/impatient');
$redis->thaw;

is($res->status, 503, 'Redis does not answer');
is($res->body, problem(503, 'not known to be stored: the store did not confirm '
    . 'in time, try again later'), 'it is said');
is($res->header('Retry-After'), 1, 'with Retry-After');

accepted($nginx, '[{"timestamp":5}]', 1, 'and goes on');

is($nginx->quit, 0, 'ends well');
ok_log($nginx);

done_testing();
