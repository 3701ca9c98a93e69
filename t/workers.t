# Why: GET /workers and /workers/<id> (contract, section 3) show operators what
# the writers of all processes did, out of a hash that those processes write.
# Known to fail by: an order that is the hash's, or that of ids read as text;
# an id that JavaScript reads as another one; one damaged field that takes all
# the others with it; a key that is that of a session called "workers"; a
# request that hangs while Redis is away.

use strict;
use warnings;

use lib 't/lib';

use EventSession;
use Test::More;

use constant RECORDS => 'es:{workers}:records';

my $origin = 'Origin: https://a.example';
my $token  = '0123456789abcdef';
my $max    = '9007199254740991';

my $t     = EventSession->new;
my $redis = $t->redis;

my $nginx = $t->nginx(
    redis         => $redis,
    redis_options => 'reconnect=50ms:300ms',
    http          => 'eventsession_timeout 2s;',
    locations     => <<'END',
        location = /workers {
            eventsession workers;
        }

        location /workers/ {
            eventsession workers;
        }

        location = /cors {
            eventsession workers;
            eventsession_cors https://a.example;
        }

        location /v1/workers {
            eventsession workers;
        }

        location ~ ^/v2/workers {
            eventsession workers;
        }

        location = /3/workers/17 {
            eventsession workers;
        }

        location = /other {
            eventsession workers;
            eventsession_prefix other:;
        }

        location /guarded/ {
            eventsession workers;
            limit_except GET { deny all; }
        }

        location = /any-ws {
            eventsession ws;
            eventsession_session_id any;
        }
END
);


# shard, events, created, sequence, finished

sub record {
    my ($id, @numbers) = @_;

    $redis->cli('HSET', RECORDS, $id, join(' ', 1, $token, @numbers));
}


sub is_json {
    my ($path, $body, $name) = @_;

    local $Test::Builder::Level = $Test::Builder::Level + 1;

    my $res = $nginx->get($path);

    is($res->status, 200, "$name: 200");
    is($res->body, $body, "$name: whole");
    is($res->header('Content-Type'), 'application/json', "$name: as JSON");
    is($res->header('Content-Length'), length($body), "$name: its length");
}


sub is_problem {
    my ($res, $status, $title, $detail, $name) = @_;

    local $Test::Builder::Level = $Test::Builder::Level + 1;

    is($res->status, $status, $name);
    is($res->body, qq({"type":"about:blank","title":"$title","status":$status,)
        . qq("detail":"$detail"}), "$name: says why");
    is($res->header('Content-Type'), 'application/problem+json',
        "$name: as a problem");
}


sub is_unknown {
    is_problem($_[0], 404, 'Not Found', 'there is no such worker', $_[1]);
}


sub is_malformed {
    is_problem($_[0], 404, 'Not Found',
        'the id of a worker is an integer from 1 to 9007199254740991', $_[1]);
}


# what is shown

is_json('/workers', '{"workers":[]}', 'no workers');
is_unknown($nginx->get('/workers/1'), 'none of an id');

record('7965774568352684', 0, 1775, 1689872774831, 3, 0);

my $first = '{"id":7965774568352684,"shard_id":0,"events_count":1775,'
    . '"created_at":"2023-07-20T17:06:14.831Z"}';

is_json('/workers', qq({"workers":[$first]}), "the contract's example");
is_json('/workers/7965774568352684', qq({"workerData":$first}), 'one');

record(9, 63, $max, 1689872774831, 4, 1689872894832);
record($max, 1, 0, 1689872774830, 4, 1689872774830);
record(10, 2, 0, 1689872774831, 4, 0);
record(1, 2, 1, 1689872774831, 2, 0);
record(2, 3, 1, 0, 0, 253402300799999);

my @ids = map { $_->{id} } @{ $nginx->get('/workers')->json->{workers} };

is("@ids", "2 $max 1 7965774568352684 9 10",
    'in order of creation, then of the sequence, then of the id');

is_json('/workers/9', qq({"workerData":{"id":9,"shard_id":63,)
    . qq("events_count":$max,"created_at":"2023-07-20T17:06:14.831Z",)
    . '"finished_at":"2023-07-20T17:08:14.832Z"}}', 'a finished one');
is_json('/workers/2', '{"workerData":{"id":2,"shard_id":3,"events_count":1,'
    . '"created_at":"1970-01-01T00:00:00.000Z",'
    . '"finished_at":"9999-12-31T23:59:59.999Z"}}', 'at the ends of time');
is($nginx->get("/workers/$max")->json->{workerData}{id}, $max,
    'the highest id');


# what is asked for

my $all = $nginx->get('/workers')->body;

for my $path (qw(/workers/ /workers?x=1 /v1/workers /v1/workers/ /v2/workers
    /v2/workers/ /3/workers/17 /guarded/))
{
    is($nginx->get($path)->body, $all, "$path is all of them");
}

for my $path (qw(/workers/9 /v1/workers/9 /v2/workers/9 /workers/9?a=b
    /guarded/9 /workers//9 /workers/%39))
{
    is($nginx->get($path)->json->{workerData}{id}, 9, "$path is one of them");
}

for my $id (qw(0 -1 +1 01 1.0 1e3 9/ 9x x 0x9 9007199254740992
    18446744073709551617 99999999999999999999999999 * 9%20 %d9%a9),
    '9' x 5000)
{
    is_malformed($nginx->get("/workers/$id"), 'id ' . substr($id, 0, 30));
}

is_malformed($nginx->get('/v1/workers9'), 'an id without its slash');
is_malformed($nginx->get('/v1/workersnine'), 'the name of another location');
is_malformed($nginx->get('/v2/workers/9x'), 'a bad id in a regex location');
is_unknown($nginx->get('/workers/3'), 'an id that is nobody\'s');
is($nginx->get('/workersnine')->status, 404, 'not our location');
is_json('/other', '{"workers":[]}', 'another prefix');


# methods and origins

my $http = $nginx->connect;
my $head = $http->request('HEAD', '/workers');

is($head->status, 200, 'HEAD');
is($head->header('Content-Length'), length($all), 'with the length');
is($http->request('HEAD', '/workers/3')->status, 404, 'HEAD of no worker');
is($http->request('GET', '/workers')->body, $all, 'GET behind them');

for my $method (qw(POST PUT DELETE PATCH OPTIONS)) {
    for my $path (qw(/workers /workers/9)) {
        my $res = $http->request($method, $path, body => 'x');

        is_problem($res, 405, 'Method Not Allowed',
            "this endpoint does not answer $method", "$method $path");
        is($res->header('Allow'), 'GET, HEAD', 'says what it answers');
    }
}

is($http->request('GET', '/workers', body => 'y' x 100_000)->body, $all,
    'a body is passed over');
is($http->request('GET', '/workers/9')->status, 200, 'and what comes behind');

my $res = $nginx->get('/cors', headers => [ $origin ]);

is($res->header('Access-Control-Allow-Origin'), 'https://a.example',
    'an origin that may read it');
is($nginx->get('/workers', headers => [ $origin ])
    ->header('Access-Control-Allow-Origin'), undef, 'one that may not');

$res = $nginx->request('OPTIONS', '/cors', headers => [ $origin ]);

is($res->status, 204, 'a preflight');
is($res->header('Access-Control-Allow-Methods'), 'GET, HEAD', 'its methods');


# what is no record is passed over, the rest is not

my $good = "1 $token 1 2 3 4 0";

my @bad = ('', ' ', 'x', '1', "1 $token", "2 $token 1 2 3 4 0",
    "1  $token 1 2 3 4 0", "1 $token 1 2 3 4", "1 $token 1 2 3 4 ",
    "1 $token 1 2 3 4 0 ", "1 $token 1 2 3 4 0 5", "1 $token 1 2 3 4 00",
    "1 $token 01 2 3 4 0", "1 $token 1 -2 3 4 0", "1 $token 1 2.0 3 4 0",
    "1 $token 1 2 253402300800000 4 0", "1 $token 1 2 3 4 253402300800000",
    "1 $token 1 9007199254740992 3 4 0", "1 $token 1 2 3 4 x",
    "1 0123456789ABCDEF 1 2 3 4 0", '1 0123456789abcde 1 2 3 4 0',
    '1 0123456789abcdefa 1 2 3 4 0', "$good\0", "\0$good", "$good\n",
    '9' x 100_000, "1 $token 1  2 3 4 0",
    "1 $token 1 2 3 4 18446744073709551616");

my @fields = (0, '', '01', '-1', 'x', ' 3', '9007199254740992', "9\0",
    'a' x 100_000);

$redis->cli('HSET', RECORDS, map { (100 + $_, $bad[$_]) } 0 .. $#bad);
$redis->cli('HSET', RECORDS, map { ($_, $good) } @fields);

is($nginx->get('/workers')->body, $all, 'damaged and foreign fields');
is($nginx->get('/workers')->body, $all, 'the same again');
is_unknown($nginx->get('/workers/100'), 'a damaged one by its id');

my $strange = @bad + @fields;
my @told    = $nginx->log =~ /(registry of workers has \d+ fields)/g;

is_deeply(\@told, [ "registry of workers has $strange fields" ],
    'the log is told of them once');

$redis->cli('DEL', RECORDS);


# many

my $n = 10_000;

for my $part (0 .. 9) {
    $redis->cli('HSET', RECORDS, map { my $id = $part * 1000 + $_;
        ($id, "1 $token 4 $id " . (2 * $n - $id) . ' 0 0') } 1 .. 1000);
}

my $many = $nginx->get('/workers')->json->{workers};

is(scalar(@$many), $n, 'ten thousand of them');
is_deeply([ map { $_->{id} } @$many ], [ reverse(1 .. $n) ], 'in order');

$redis->cli('DEL', RECORDS);


# a session of that name

my $ws = $nginx->ws('/any-ws?sessionId=workers&ack=1');

$ws->text('[{"type":"EVENT","timestamp":1,"name":"a"}]');
is($ws->message, '{"ack":1,"events":1}', 'a session called "workers"');
record(9, 0, 1, 1, 1, 0);
is($nginx->get('/workers/9')->status, 200, 'and a registry');


# Redis says no, or nothing

$redis->cli('DEL', RECORDS);
$redis->cli('SET', RECORDS, 'x');

for my $path (qw(/workers /workers/9)) {
    $res = $nginx->get($path);

    is_problem($res, 503, 'Service Unavailable',
        "the workers can't be told: the store refused, try again later",
        "$path of a key that is none of ours");
    is($res->header('Retry-After'), 1, 'not for ever');
}

$redis->cli('DEL', RECORDS);
record(9, 0, 1, 1, 1, 0);

$redis->stop;

for my $path (qw(/workers /workers/9)) {
    $res = $nginx->get($path);

    is_problem($res, 503, 'Service Unavailable', "the workers can't be told: "
        . 'the store did not confirm in time, try again later',
        "$path while Redis is away");
    is($res->header('Retry-After'), 1, 'not for ever');
}

is_malformed($nginx->get('/workers/x'), 'a bad id while Redis is away');

# one who leaves meanwhile

my $gone = $nginx->connect;

$gone->send($gone->text_of('GET', '/workers'));
$gone->close;

my $waits = $nginx->connect;

$waits->send($waits->text_of('GET', '/workers'));
$redis->start_again;

is($waits->response->body, '{"workers":[]}', 'one who waited is answered');

is($nginx->quit, 0, 'ends well');
ok_log($nginx);

done_testing();
