# Why: GET /events (contract, section 3) shows what batches stored, which lies
# in many sorted sets, as one array in order, paged as a session is.  Known to
# fail by: an order that is each chunk's alone; ties that come in another order
# or twice on the next page; a cursor that holds for one chunk; chunks begun
# meanwhile; one strange key that takes all the others with it; a page of a few
# events that reads every chunk to its end, or many events of one time again
# and again.
#
# The events are put into Redis by the test, in chunks as it likes them.

use strict;
use warnings;

use lib 't/lib';

use EventSession;
use EventSession::Chunks;
use Test::More;


my $t     = EventSession->new;
my $redis = $t->redis;
my $nginx = $t->nginx(redis => $redis, http => 'eventsession_timeout 2s;',
    server => <<END);
    location = /stored {
        eventsession batch;
    }

    location = /other {
        eventsession batch;
        eventsession_prefix other:;
    }
END

my $http = $nginx->connect;


# nginx ends a connection after 1000 requests.

sub get {
    my ($path) = @_;

    my $res = $http->request('GET', $path);

    $http = $nginx->connect if ($res->header('Connection') // '') eq 'close';

    return $res;
}


# The arguments in the Link header.

sub next_args {
    my ($res) = @_;

    my $link = $res->header('Link') // return undef;

    return $link =~ m{^</stored\?([^<>]+)>; rel="next"$} ? $1
        : die("Link: $link\n");
}


# All pages together, how many there were, and how many events in the first.
# $between is called after each page.

sub follow {
    my ($args, $between) = @_;

    my ($pages, $first) = (0);
    my @parts;

    while (defined $args) {
        my $res = get("/stored?$args");

        return "$args: " . $res->status . ' ' . $res->body
            if $res->status != 200;

        my ($part) = $res->body =~ /^\[(.*)\]$/s;
        my $count  = () = $part =~ /\{"timestamp":/g;

        push(@parts, $part) if $part ne '';
        $pages++;
        $first //= $count;

        $args = next_args($res);
        $between->() if $between;
        return 'does not end' if $pages > 5000;
    }

    my $body = '[' . join(',', @parts) . ']';

    return wantarray ? ($body, $pages, $first) : $body;
}


sub is_problem {
    my ($args, $detail) = @_;

    local $Test::Builder::Level = $Test::Builder::Level + 1;

    my $res = get("/stored?$args");

    is($res->status . ' ' . $res->header('Content-Type') . "\n" . $res->body,
        qq(400 application/problem+json\n{"type":"about:blank",)
        . qq("title":"Bad Request","status":400,"detail":"$detail"}),
        "bad: $args");
}


# How often Redis was asked for that, since the last time.

sub asked {
    my ($name) = @_;

    my ($calls) = $redis->cli('INFO', 'commandstats')
        =~ /^cmdstat_$name:calls=(\d+)/m;

    $redis->cli('CONFIG', 'RESETSTAT');

    return $calls // 0;
}


sub flush { $redis->cli('FLUSHALL') }


# nothing

for my $args ('', 'from=1&to=2', 'limit=1', 'shard=3') {
    my $res = get("/stored?$args");

    is($res->status . ' ' . $res->body, '200 []', "nothing is there: $args");
    is($res->header('Content-Length'), 2, 'of that length');
    is($res->header('Content-Type'), 'application/json', 'as JSON');
    is($res->header('Link'), undef, 'and nothing follows');
}


# shapes, as they were sent

my @shapes = (
    batch_event(1),
    batch_event(2, data => '12312'),
    batch_event(3, name => 'n'),
    batch_event(4, name => ''),
    batch_event(5, name => 'n', data => 'null'),
    batch_event(6, category => 'c', session => uuid()),
    batch_event(7, name => 'n', category => 'c', session => uuid(),
        data => '{"a":[1,2.50,{"b":null}],"c":"\u00e9\"]},["}'),
    batch_event('1000000010.0', us => 1000000010000000),
    batch_event('"2001-09-09T01:46:51.000001-05:00"',
        us => 1000018011000001, data => '""'),
    batch_event('1624422533.298001', us => 1624422533298001),
    batch_event(1624422533299),
    batch_event(1624422533299001),
    batch_event('1624422533300000001', us => 1624422533300000),
    batch_event('1.7e9', us => 1700000000000000),
);

put($redis, 0, 0, reverse(@shapes));

is(get('/stored')->body, shown(@shapes), 'each is shown as it was sent');
ok(get('/stored')->json, 'as good JSON');
is(get('/stored')->header('Content-Length'), length(shown(@shapes)),
    'of that length');
is(get('/other')->body, '[]', 'another prefix has others');

flush();


# order: shards and chunks as a body's events fall into them, and as they like

srand(5);

my @events = map { batch_event(1500000000 + int(rand(3e8)), data => $_) }
    1 .. 3000;

for my $shard (0 .. 4) {
    put($redis, $shard, 0, grep { $_->{us} / 1e6 % 5 == $shard } @events);
}

ok(get('/stored')->body eq shown(by_time(@events)), 'by time over 5 shards');

for my $shard (0 .. 4) {
    my @its = grep { $_->{us} / 1e6 % 5 == $shard } @events;

    ok(get("/stored?shard=$shard")->body eq shown(by_time(@its)),
        "shard $shard alone, " . @its . ' events');
}

is(get("/stored?shard=$_")->body, '[]', "there is no shard $_")
    for 5, 17, 99, 100, 999;
ok(get('/stored?shard=%30' . '03')->body eq get('/stored?shard=3')->body,
    'a number however it is written');

my $whole = shown(by_time(@events));

for my $case ([ 3, 1 ], [ 1, 300 ], [ 60, 5 ], [ 1000, 1 ], [ 2, 1000 ]) {
    my ($shards, $chunks) = @$case;

    flush();

    my %places;

    push(@{ $places{int(rand($shards)) . ' ' . int(rand($chunks))} }, $_)
        for @events;
    put($redis, split(/ /), @{ $places{$_} }) for sort(keys(%places));
    asked('zrange');

    ok(get('/stored')->body eq $whole, "$shards shards of $chunks chunks");

    asked('zrange');
    is(get('/stored?limit=10')->body, shown((by_time(@events))[0 .. 9]),
        'the first few of them');

    my $asked = asked('zrange');
    my $there = 1;

    $there += 1 + $redis->cli('ZSCORE', 'es:{batch}:chunks', $_)
        for @{ $redis->cli('ZRANGE', 'es:{batch}:chunks', 0, -1) };

    cmp_ok($asked, '<=', $there + 12, "cost $asked ZRANGE for $there keys");
}

# one behind the other: only one of them is read at a time

flush();
@events = by_time(@events);
put($redis, 7, $_, @events[$_ * 30 .. $_ * 30 + 29]) for 0 .. 99;
ok(get('/stored')->body eq $whole, 'chunks that follow each other');
ok(scalar(follow('limit=777')) eq $whole, 'in pages, too');

flush();


# ties

my @ties = map { batch_event(1624422533, data => $_) } 1 .. 400;

put($redis, $_ % 7, $_ % 11, $ties[$_]) for reverse(0 .. $#ties);
ok(get('/stored')->body eq shown(@ties), 'ties by id, wherever they are');

for my $limit (1, 7, 100, 399) {
    ok(scalar(follow("limit=$limit")) eq shown(@ties), "by $limit");
}

flush();

my @same = map { batch_event(1624422533, data => $_) } 1 .. 40_000;

put($redis, 3, 0, batch_event(1), @same[0 .. 19_999]);
put($redis, 3, 1, @same[20_000 .. 39_999], batch_event(1624422534));

my ($body, $pages) = follow('limit=1500&from=2&to=1624422533');

ok($body eq shown(@same), '40,000 events of one time');
is($pages, 27, 'in pages of 1500');

my $res = get('/stored?limit=19000&from=1624422533');

asked('zrange');
is(get('/stored?' . next_args($res) =~ s/19000/10/r)->body,
    shown(@same[19_000 .. 19_009]), 'from the midst of them');

my $asked = asked('zrange');

cmp_ok($asked, '<', 60, "costs $asked ZRANGE, not all that are in front");

flush();

# an id is one event's, in whatever chunk it was found again

my $twice = batch_event(5, data => '"twice"');

put($redis, 0, $_, batch_event(4 + $_), $twice) for 0 .. 2;
is(get('/stored')->body =~ s/[^w]//gr, 'w', 'the same once more is one');
is(follow('limit=1') =~ s/[^w]//gr, 'w', 'in pages, too');

flush();


# from and to: 2021-06-23T04:28:53.298001Z and its neighbours

my @us = map { 1624422533298000 + $_ } -1000, -1, 0, 1, 2, 999, 1000;

@events = map { batch_event($_) } @us;
put($redis, $_ % 3, $_ % 2, $events[$_]) for 0 .. $#events;

sub part { shown(@events[@_]) }

for my $form (qw(
    1624422533298001 1624422533298001000 1624422533298001999 1624422533.298001
    2021-06-23T04:28:53.298001Z 2021-06-23T06:28:53.298001%2B02:00
    2021-06-23+04:28:53.298001Z
))
{
    is(get("/stored?from=$form")->body, part(3 .. 6), "from=$form");
    is(get("/stored?to=$form")->body, part(0 .. 3), "to=$form");
    is(get("/stored?from=$form&to=$form")->body, part(3), 'both');
}

is(get("/stored?from=$us[5]&to=$us[1]")->body, '[]', 'from behind to');
is(get('/stored?from=0&to=9999-12-31T23:59:59Z')->body, part(0 .. 6), 'all');
is(get('/stored?from=9999-12-31T23:59:59Z')->body, '[]', 'behind all');
is(get('/stored?to=0')->body, '[]', 'in front of all');
is(get("/stored?shard=1&from=$us[2]&to=$us[4]")->body, part(4),
    'of one shard');


# limit: every size

for my $limit (1 .. 8, 1000, 1_000_000) {
    my ($body, $pages, $first) = follow("limit=$limit");

    is($body, part(0 .. 6), "limit=$limit");
    is($pages, $limit < 7 ? int(6 / $limit) + 1 : 1, 'in so many pages');
    is($first, $limit < 7 ? $limit : 7, 'of so many events');
}

for my $case ([ $us[1], $us[5], 1 .. 5 ], [ $us[2], $us[2], 2 ], [ 1, 2 ]) {
    my ($from, $to, @part) = @$case;

    is(follow("from=$from&to=$to&limit=$_"), part(@part),
        "limit=$_ from $from to $to") for 1, 2, 4;
}

is(next_args(get("/stored?x=1&to=$us[5]&limit=1&shard=%30&from=0&y")) =~
    s/after=[0-9a-f.]+$/…/r, "shard=%30&from=0&to=$us[5]&limit=1&…",
    'the link has the arguments again');
is(get('/stored?limit=7')->header('Link'), undef, 'no link behind the last');
is(get("/stored?limit=3&to=$us[2]")->header('Link'), undef,
    'nor behind the last up to to=');

my $after = next_args(get('/stored?limit=3')) =~ s/limit=3&//r;

is(get("/stored?$after")->body, part(3 .. 6), 'the rest without a limit');
is(get("/stored?$after&from=$us[1]")->body, part(3 .. 6), 'from= in front');
is(get("/stored?$after&from=$us[5]")->body, part(5, 6), 'from= behind it');
is(get("/stored?$after&shard=1")->body, part(4), 'in one shard');

for my $path ('/stored', '/stored?limit=2', '/stored?limit=x', '/other') {
    my $get  = $nginx->get($path);
    my $http = $nginx->connect;
    my $head = $http->request('HEAD', $path);

    is(lines($head), lines($get), "HEAD $path has the headers of GET");
    is($http->request('GET', '/other')->body, '[]', 'and no body');
}


sub lines {
    my ($res) = @_;

    return $res->status . join('', map { "\n$_->[0]: $_->[1]" }
        grep { $_->[0] !~ /^(?:Date|Connection)$/ } @{ $res->{headers} });
}


# while others write: into the chunks, into new ones, and into new shards

flush();

@events = map { batch_event(1000 + $_, data => qq("e$_")) } 1 .. 300;
put($redis, $_ % 4, $_ % 3, $events[$_]) for 0 .. $#events;

my $n = 0;

sub write_more {
    $n++;

    put($redis, int(rand(6)), $_, map { batch_event($_) }
        (map { 900 } 1 .. 20), 1001, 1000 + 10 * $n, 1000 + 20 * $n, 2000)
        for 0 .. 3 + $n % 3;
}

$body = follow('limit=20', \&write_more);

is(join(',', $body =~ /"(e\d+)"/g), join(',', map { "e$_" } 1 .. 300),
    'nothing is lost, nothing doubled');
cmp_ok($n, '>', 15, "in $n pages");

flush();

# and in one reply that takes its time

@events = map { batch_event(1000 + int($_ / 3), data => qq("e$_")) }
    1 .. 60_000;
put($redis, $_ % 4, $_ % 3, @events[$_ * 5000 .. $_ * 5000 + 4999])
    for 0 .. 11;
$n = 0;

my ($text, $left) = ('', 300);
my $slow = $nginx->connect(rcvbuf => 16_384);

$res = $slow->request('GET', '/stored', each => sub {
    $text .= $_[0];
    write_more() if --$left > 0;
});

is($res->error, undef, 'a long reply while others write comes to its end');
cmp_ok($left, '<', 250, 'in many parts');
ok(join(',', $text =~ /"(e\d+)"/g) eq join(',', map { "e$_" } 1 .. 60_000),
    'with all that was there, once, in order');

flush();


# what is not ours

@events = map { batch_event($_) } 1 .. 20;
put($redis, $_ % 2, $_ % 3, $events[$_]) for 0 .. $#events;

my $key = 'es:{s00}:batch:0';

$redis->cli('ZADD', $key, @$_) for (
    [ '-inf', 'foreign' ], [ '+inf', '{"a":1}' ], [ 1, '' ], [ 2, "\x01" ],
    [ 3, "\x01short" ], [ 4, "\x02\xff" ], [ 5, "\x03" ],
    [ '+inf', "\x04\x80\0\0\0\0\0\0\1\0\3foo" ],
    [ '-inf', "\x03\0\0\0\0\0\0\0\0\1\1" ],
    [ 1e6, "\x01" . 'i' x 10 . "\x00\xff\xff\xff\xff\xff\xff" ],
    [ 5e6, "\x01" . 'i' x 10 . "\x21\x01\x7fabc" ],
    [ 5e6, "\x01" . 'i' x 10 . "\x81\x05name" ], map { [ $_, "s$_" ] } 1 .. 90
);

$redis->cli('SET', 'es:{s00}:batch:3', 'text');
$redis->cli('HSET', 'es:{s01}:batch:3', 1, 2);
$redis->cli('ZADD', 'es:{batch}:chunks', @$_) for [ 4, 0 ], [ 4, 1 ],
    [ 1, '' ], [ 1, 'x' ], [ 1, -1 ], [ 1, '01' ], [ 1, 1000 ],
    [ 1, '1' x 30 ], [ '1.5', 2 ], [ -1, 3 ], [ 'inf', 4 ], [ '-inf', 5 ],
    [ 1e300, 6 ], [ 1e18, '+7' ];

is(get('/stored')->body, shown(@events), 'what is not ours is passed over');

my $log = $nginx->log;

is(scalar(() = $log =~ /a member of chunk 0 of shard 0 is not ours/g), 1,
    'said in one line');
is(scalar(() = $log =~ /the key of chunk 3 of shard \d is not ours/g), 1,
    'a key of another type, too');
is(scalar(() = $log =~ /the list of chunks has something .* not ours/g), 1,
    'and the list');

is(follow('limit=3'), shown(@events), 'in pages, too');
is(get('/stored?from=2&limit=5')->body, shown(@events[1 .. 5]), 'and ranges');

$redis->cli('ZADD', 'es:{batch}:chunks', @$_) for [ 1e15, 8 ],
    [ 270_000, 9 ];

for my $args ('', 'shard=8', 'shard=9') {
    my $res = get("/stored?$args");

    is($res->status, 503, 'more chunks than there can be');
    like($res->json->{detail}, qr/^the events can't be read: they are too/,
        'is said');
}

is(get('/stored?shard=1')->status, 200, 'the others do not suffer');

$redis->cli('DEL', 'es:{batch}:chunks');
$redis->cli('SET', 'es:{batch}:chunks', 'text');
$res = get('/stored');
is($res->status, 503, 'a list of another type can not be read');
is($res->header('Retry-After'), 1, 'which may pass');
unlike($res->body, qr/es:|WRONGTYPE|sock/, 'no word of it to the client');

flush();

# chunks that are told, and not there yet

chunks($redis, 2, 40);
chunks($redis, 3, 5000);
put($redis, 2, 17, batch_event(2));
put($redis, 3, 4000, batch_event(1), batch_event(3));
is(get('/stored')->body,
    '[{"timestamp":1},{"timestamp":2},{"timestamp":3}]', 'chunks may lack');
is(get('/stored?limit=2&from=2')->body, '[{"timestamp":2},{"timestamp":3}]',
    'also for a range');

flush();


# large data among many chunks: what has no place yet comes in its turn

my @large = map { batch_event($_, data => $_ % 3 ? $_
    : '"' . chr(97 + $_ % 26) x (1000 * ($_ % 300)) . '"') } 1 .. 600;

put($redis, $_ % 5, $_ % 40, $large[$_ - 1]) for 1 .. 600;
chunks($redis, 5, 12_000);

ok(get('/stored')->body eq shown(@large), 'large data in small buffers');

my ($all, $parts, $first) = follow('limit=550');

ok($all eq shown(@large), 'in pages');
cmp_ok($parts, '>', 2, 'that end early, when they have grown large');
ok(scalar(follow('limit=9')) eq shown(@large), 'by 9');

flush();


# bad arguments

put($redis, 0, 0, map { batch_event($_) } 1 .. 10);

is_problem("shard=$_", 'shard must be an integer from 0 to 999')
    for '', -1, '+1', '1.0', '0x1', 'x', 1000, '99999999999999999999', '%00',
    '1%20', '%ff';
is_problem("limit=$_", 'limit must be an integer from 1 to 1000000')
    for '', 0, 'x', 1_000_001;

for my $name (qw(from to)) {
    is_problem("$name=$_", "$name must be a number of seconds, milliseconds, "
        . 'microseconds or nanoseconds since the epoch, or an RFC 3339 '
        . 'date-time') for '', 'x', -1, '2021-02-30T00:00:00Z';
}

is_problem("after=$_", 'after must be taken from the Link header of a reply')
    for '', 'x', '0.0.', '0.0.zz', '0.0.' . '00' x 4000;

srand(4);

my ($cursor) = next_args(get('/stored?limit=2')) =~ /after=(.*)/;

for my $i (1 .. 300) {
    my $after = $cursor;

    if ($i % 3) {
        substr($after, int(rand(length($after))), 1 + int(rand(3)),
            join('', map { (0 .. 9, 'a' .. 'f', '.', '-')[rand(18)] }
                1 .. int(rand(12))));
    } else {
        $after = int(rand(2**62)) . ($i % 2 ? '.-' : '.') . int(rand(2**62))
            . '.' . unpack('H*', join('', map { chr(rand(256)) }
                1 .. 1 + rand(255)));
    }

    my $res = get("/stored?limit=1&after=$after");

    next if $res->status == 400
        && $res->json->{detail} =~ /^after must be taken from the Link/;

    next if $res->status == 200 && @{ $res->json } <= 1;

    fail("?after=$after: " . $res->status . ' ' . $res->body);
}

pass('300 cursors that somebody made up');


$nginx->quit;
ok_log($nginx);
done_testing();
