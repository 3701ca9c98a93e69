# Why: whatever the numbers of shards, of workers and of a batch are, each event
# of a body is in its shard once, and is counted when the body is answered; a
# batch that isn't full leaves after the linger; and shards go on in a new chunk
# when one is full.  Known to fail by: the rest of a body that waits for a batch
# which nobody fills; a body whose last batch ends in the next body's first;
# counts that come a moment later; chunks that a new process forgets, chunks
# that all bodies are put into which come before Redis' next reply, and chunks
# that are left behind empty by bodies which Redis did not take.

use strict;
use warnings;

use lib 't/lib';

use EventSession;
use EventSession::Batch;
use List::Util qw(shuffle sum0);
use Test::More;
use Time::HiRes qw(sleep time);

my $t     = EventSession->new;
my $redis = $t->redis;

my @pools;

for my $shards (1, 5, 64) {
    for my $batch (1, 7, 1000) {
        for my $linger (qw(0 50ms)) {
            push(@pools, { shards => $shards, batch => $batch,
                name => "shards=$shards batch=$batch linger=$linger",
                path => '/p' . @pools, workers => 1 + @pools % 4 });
        }
    }
}

my $nginx = $t->nginx(redis => $redis, http => 'eventsession_feed off;',
    locations => join('', map { <<END } @pools));
        location $_->{path}/ {
            eventsession_prefix $_->{path}:;
            eventsession_workers $_->{name} workers=$_->{workers};

            location = $_->{path}/events { eventsession batch; }
            location = $_->{path}/workers { eventsession workers; }
        }
END

my $http = $nginx->connect;


sub events_of {
    my ($path, $arguments) = @_;

    my $body = $nginx->get("$path/events" . ($arguments // ''))->body;

    $body =~ s/^\[(.*)\]$/$1/s or die(substr($body, 0, 200));

    return split(/(?<=\}),(?=\{"timestamp":)/, $body);
}


# all sizes

for my $pool (@pools) {
    my ($name, $path, $shards) = @{$pool}{qw(name path shards)};
    my (@all, %n);

    # alone, with a rest, by the thousand

    for my $n (1, 9, 1500) {
        my @entries = map { entry(timestamp => $_, data => "[$_]") }
            @all + 1 .. @all + $n;

        push(@all, @entries);

        accepted($http, array(shuffle(@entries)), $n, "$name: $n",
            path => "$path/events");

        # of the same process: what was answered is counted

        my $workers = $http->request('GET', "$path/workers")->json->{workers};

        is(sum0(map { $_->{events_count} } @$workers), scalar(@all),
            "$name: all are counted");
    }

    $n{ shard_of($_, $shards) }++ for 1 .. @all;

    my %stored;

    for my $key (@{ $redis->cli('KEYS', "$path:{s*}:batch:*") }) {
        $key =~ /\{s(\d+)\}/ or next;
        $stored{ $1 + 0 } += $redis->cli('ZCARD', $key);
    }

    is_deeply(\%stored, \%n, "$name: each is in its shard");

    my $workers = $http->request('GET', "$path/workers")->json->{workers};
    my %counted;

    $counted{ $_->{shard_id} } += $_->{events_count} for @$workers;

    is_deeply(\%counted, \%n, "$name: and counted there");
    is(scalar(@$workers), $shards * $pool->{workers}, "$name: by its workers");
    is(join("\n", events_of($path)), join("\n", @all), "$name: all are back");

    is(scalar(events_of($path, '?shard=' . ($shards - 1))), $n{ $shards - 1 },
        "$name: the last shard") if $shards <= 5;
}

# many at once, whose batches they share

for my $pool (grep { $_->{batch} == 7 } @pools) {
    my ($name, $path) = @{$pool}{qw(name path)};

    my @http = map { $nginx->connect } 1 .. 20;

    for my $i (0 .. $#http) {
        $http[$i]->send(batch_bytes($http[$i], array(map { entry(timestamp =>
            $i * 100 + $_, name => qq("$i")) } 1 .. 10 + $i),
            path => "$path/events")) for 1 .. 3;
    }

    my $said = '';

    for my $i (0 .. $#http) {
        $said .= $http[$i]->response->body for 1 .. 3;
    }

    is($said, join('', map { (qq({"accepted":$_})) x 3 } 10 .. 29),
        "$name: 60 bodies at once");

    my %n;

    $n{$_}++ for map { /"name":"(\d+)"/ ? $1 : () } events_of($path);

    is_deeply(\%n, { map { $_ => 3 * (10 + $_) } 0 .. 19 },
        "$name: each has its own");
}

is($nginx->quit, 0, 'ends well');
ok_log($nginx);


# workers take turns, and the rest of a body leaves after the linger

$redis->cli('FLUSHALL');

$nginx = $t->nginx(redis => $redis, server =>
    'eventsession_workers shards=1 workers=2 batch=4 linger=400ms;');

my $before = time();

accepted($nginx, '[{}]', 1, 'less than a batch');
cmp_ok(time() - $before, '>', 0.39, 'waits for more');

my @counts = map { $_->{events_count} }
    @{ $nginx->get('/workers')->json->{workers} };

is("@counts", '1 0', 'is written by the one');

accepted($nginx, array(('{}') x 10), 10, 'two batches, and a rest');

@counts = map { $_->{events_count} }
    @{ $nginx->get('/workers')->json->{workers} };

# the other one begins: 4, 4 and 2

is("@counts", '5 6', 'are written in turn');

accepted($nginx, array(('{}') x 8), 8, 'two batches');

# one that waits leaves as soon as others fill its batch

my ($first, $second) = map { $nginx->connect } 1, 2;

$first->send(batch_bytes($first, array(('{"data":1}') x 3)));
sleep(0.05);
$second->send(batch_bytes($second, array(('{"data":2}') x 9)));

is($_->response->body, $_ == $first ? '{"accepted":3}' : '{"accepted":9}',
    'two that fill three batches') for $first, $second;

@counts = map { $_->{events_count} }
    @{ $nginx->get('/workers')->json->{workers} };

is($counts[0] + $counts[1], 31, 'all are counted');
is(stored_sum($redis), 31, 'all are stored');

# one that ends in the middle of what waits

for my $n (1 .. 9) {
    accepted($nginx, array(('{}') x $n), $n, "$n of them");
}

is(stored_sum($redis), 31 + 45, 'all are stored');

# what waits when nginx is to end

$first->send(batch_bytes($first, '[{"data":3}]'));
sleep(0.1);

is($nginx->quit, 0, 'ends well');
is($first->response->body, '{"accepted":1}', 'what waited was answered');
is(stored_sum($redis), 31 + 46, 'and is stored');
ok_log($nginx);


# a shard goes on in a new chunk

$redis->cli('FLUSHALL');

$nginx = $t->nginx(redis => $redis, workers => 2, server =>
    'eventsession_feed off; eventsession_workers shards=2 batch=500;');

my @all     = shuffle(1 .. 100_000);
my @entries = map { entry(timestamp => $_) } @all;
my $part    = 0;

while (my @body = splice(@entries, 0, 12_500)) {
    accepted($nginx, array(@body), 12_500, 'part ' . ++$part);

    next if $part != 5;

    # whoever comes new goes on where the others were

    my @old = $nginx->workers;

    $nginx->reload;
    wait_for { my %now = map { $_ => 1 } $nginx->workers;
        !grep { $now{$_} } @old };
}

my %chunks;

for my $key (chunks($redis)) {
    my ($shard, $chunk) = $key =~ /\{s(\d+)\}:batch:(\d+)$/;

    $chunks{ $shard + 0 }{$chunk} = $redis->cli('ZCARD', $key);
}

for my $shard (0, 1) {
    my %of = %{ $chunks{$shard} };

    is(sum0(values(%of)), 50_000, "shard $shard has its half");

    # two processes may each put one more body into a full one

    cmp_ok(scalar(keys(%of)), '>=', 2, 'in some chunks');
    cmp_ok((sort { $b <=> $a } values(%of))[0], '<', 4_096 + 3 * 6_500,
        'of which none is far too large');
    is_deeply([ sort { $a <=> $b } keys(%of) ], [ 0 .. keys(%of) - 1 ],
        'numbered from 0');
    is($redis->cli('ZSCORE', 'es:{batch}:chunks', $shard), keys(%of) - 1,
        'the last one is known');
}

is(join("\n", events($nginx)),
    join("\n", map { entry(timestamp => $_) } 1 .. 100_000),
    'all of them are back, in order');

my %n;

$n{ $_ % 2 }++ for 30_001 .. 69_999;

is(scalar(events($nginx, 'shard=1&from=30001&to=69999')), $n{1},
    'and a part of them');

is($nginx->quit, 0, 'ends well');
ok_log($nginx);


# bodies that come before Redis tells how full a chunk is

$redis->cli('FLUSHALL');

$nginx = $t->nginx(redis => $redis, server =>
    'eventsession_feed off; eventsession_workers shards=1 batch=500;');

accepted($nginx, '[{}]', 1, 'the chunks are known');

my @https = map { $nginx->connect } 1 .. 8;

$redis->freeze;
$_->send(batch_bytes($_, array(('{}') x 3000))) for @https;
$nginx->get('/healthcheck') for 1 .. 3;
$redis->thaw;

is($_->response->body, '{"accepted":3000}', 'side by side') for @https;

my @sizes = map { $redis->cli('ZCARD', $_) } chunks($redis);

is(sum0(@sizes), 24_001, 'all are stored');
cmp_ok((sort { $b <=> $a } @sizes)[0], '<', 4_096 + 3_000,
    'and no more than one body goes beyond the end of a chunk');

is($nginx->quit, 0, 'ends well');
ok_log($nginx);


# a Redis that takes nothing: its chunks wait for it, and none is passed over

$redis->cli('FLUSHALL');

$nginx = $t->nginx(redis => $redis, server => <<'END');
    eventsession_feed off;
    eventsession_timeout 300ms;
    eventsession_workers shards=1 batch=500;
END

accepted($nginx, array(('{}') x 3000), 3000, 'the first body');

for my $round (1, 2) {
    $redis->cli('CONFIG', 'SET', 'maxmemory', 1);

    is(batch($nginx, array(('{}') x 3000))->status, 503,
        "round $round: body $_ of a full Redis") for 1 .. 6;

    $redis->cli('CONFIG', 'SET', 'maxmemory', 0);

    accepted($nginx, array(('{}') x 3000), 3000, "round $round: it has room");
}

is_deeply([ chunks($redis) ], [ map { "es:{s00}:batch:$_" } 0, 1 ],
    'what was refused has left no empty chunks');
is($redis->cli('ZSCORE', 'es:{batch}:chunks', 0), 1, 'and none is told of');

is($nginx->quit, 0, 'ends well');

done_testing();
