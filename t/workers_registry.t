# Why: operators trust /workers to say what each worker of each process stored,
# also after that process is gone (contract, section 3).  Known to fail by: a
# body that is answered before its events are counted; workers of a process
# that was killed, or whose last write was lost, that are at work for ever; a
# process that was stopped for a while, and whose workers stay finished though
# they write; a Redis that comes back empty, and of which the living have
# nothing to tell; a history without an end; a process that can't quit since
# its registry waits for Redis.

use strict;
use warnings;

use lib 't/lib';

use EventSession;
use List::Util qw(sum0);
use Test::More;
use Time::HiRes qw(sleep time);

use constant RECORDS => 'es:{workers}:records';
use constant ALIVE   => 'es:{workers}:alive';

# longer than it takes to find out that a process is dead: 25 s and a bit
use constant DEAD => 40;

my $locations = <<'END';
    location = /events {
        eventsession batch;
    }

    location /workers {
        eventsession workers;
    }

    location = /idle {
        eventsession batch;
        eventsession_prefix idle:;
        eventsession_workers shards=2 workers=2 idle=1s;
    }

    location = /idle-workers {
        eventsession workers;
        eventsession_prefix idle:;
    }
END

my $t = EventSession->new;


sub nginx {
    my ($redis, %options) = @_;

    return $t->nginx(
        redis         => $redis,
        redis_options => 'reconnect=50ms:300ms command_timeout=1s',
        http          => 'eventsession_timeout 2s;',
        locations     => $locations,
        %options,
    );
}


sub workers {
    my ($nginx, $path) = @_;

    my $workers = $nginx->get($path // '/workers')->json->{workers};

    return @$workers;
}


sub at_work { grep { !exists $_->{finished_at} } @_ }

sub at_work_in {
    my ($nginx, $n) = @_;

    return wait_for { at_work(workers($nginx)) == $n };
}


# From Redis itself, when no nginx is there to say it: id -> numbers

sub records {
    my ($redis) = @_;

    my %records = @{ $redis->cli('HGETALL', RECORDS) };

    return map { [ $_, split(/ /, $records{$_}) ] } sort(keys(%records));
}


sub ok_finished {
    my ($redis, $n, $name) = @_;

    local $Test::Builder::Level = $Test::Builder::Level + 1;

    my @records = records($redis);

    is(scalar(@records), $n, "$name: all of its workers are told of");
    is(scalar(grep { $_->[-1] == 0 } @records), 0, "$name: and are finished");
}


# A body of so many events, of a second each

sub post {
    my ($nginx, $n, %options) = @_;

    my $body = '[' . join(',', map { qq({"timestamp":$_}) } 1 .. $n) . ']';

    return $nginx->request('POST', $options{path} // '/events',
        body => $body, headers => [ 'Content-Type: application/json' ],
        $options{connection} ? (connection => $options{connection}) : ());
}


sub counts { sum0(map { $_->{events_count} } @_) }


# the workers of one process, and what they store

my $redis = $t->redis;
my $nginx = nginx($redis);

ok(at_work_in($nginx, 15), 'three workers for each of five shards');

my @workers = workers($nginx);
my %ids     = map { $_->{id} => 1 } @workers;

is(scalar(keys(%ids)), 15, 'each with an id of its own');
is(scalar(grep { $_ < 1 || $_ > 9007199254740991 } keys(%ids)), 0,
    'that JavaScript reads exactly');
is(join(' ', map { $_->{shard_id} } @workers),
    '0 0 0 1 1 1 2 2 2 3 3 3 4 4 4', 'in the order of their creation');
is(counts(@workers), 0, 'they have stored nothing yet');

my $started = $workers[0]{created_at};

like($started, qr/^20\d\d-\d\d-\d\dT\d\d:\d\d:\d\d\.\d\d\dZ$/,
    'since when they are there');

my @sent = (0) x 5;

for my $n (1, 4, 5, 123, 1000, 7) {
    my $res = post($nginx, $n);

    is($res->status, 200, "a body of $n");

    # at once: who is answered may look

    $sent[$_ % 5]++ for 1 .. $n;

    my @stored = map {
        my $shard = $_;

        counts(grep { $_->{shard_id} == $shard } workers($nginx));
    } 0 .. 4;

    is("@stored", "@sent", 'is counted, each shard by itself');
}

is(scalar(grep { $_->{events_count} == 0 } workers($nginx)), 0,
    'no worker had nothing to do');

my ($one) = workers($nginx);

is_deeply($nginx->get("/workers/$one->{id}")->json, { workerData => $one },
    'one by itself is the same');


# idle ones are replaced

my $total = 0;

for (1 .. 5) {
    is(post($nginx, 10, path => '/idle')->status, 200, 'a body');
    $total += 10;
    sleep(0.3);
}

my @idle;

ok(wait_for(sub {
    @idle = workers($nginx, '/idle-workers');

    return @idle >= 8;
}), 'workers that are idle are replaced');

is(scalar(at_work(@idle)), 4, 'one takes the place of one');
is(join(' ', sort(map { $_->{shard_id} } at_work(@idle))), '0 0 1 1',
    'in its shard');
is(counts(@idle), $total, 'what they stored stays known');
is(scalar(grep { $_->{finished_at} && $_->{finished_at} lt $_->{created_at} }
    @idle), 0, 'nobody is finished before he begins');
is(join(' ', map { $_->{created_at} } @idle),
    join(' ', sort(map { $_->{created_at} } @idle)), 'in order');
is(workers($nginx) + 0, 15, 'another prefix has its own');


# reload, quit and terminate finish them, and others are there

$nginx->reload;

ok(wait_for(sub { my @all = workers($nginx);

    return @all == 30 && at_work(@all) == 15 }), 'reload: the old ones are '
    . 'finished, and as many are at work');

my @new = at_work(workers($nginx));

is(scalar(grep { $ids{ $_->{id} } } @new), 0, 'they are others');
is(counts(workers($nginx)), sum0(@sent), 'the counts stay');

is($nginx->quit, 0, 'quit');
ok_finished($redis, 30, 'quit');
ok_log($nginx);

$redis->cli('FLUSHALL');
$nginx = nginx($redis, workers => 2);

ok(at_work_in($nginx, 30), 'two processes');
is($nginx->terminate, 0, 'terminate');
ok_finished($redis, 30, 'terminate');
ok_log($nginx);


# several processes and producers at once, with a reload between

$redis->cli('FLUSHALL');
$nginx = nginx($redis, workers => 2);
$total = 0;

for my $round (1 .. 4) {
    my @connections = map { $nginx->connect } 1 .. 8;

    for my $c (@connections) {
        $c->send($c->text_of('POST', '/events', headers => [
            'Content-Type: application/json' ], body => '['
            . join(',', map { qq({"timestamp":$_}) } 1 .. 300) . ']'));
    }

    is(scalar(grep { $_->response->status == 200 } @connections), 8,
        'eight bodies at a time');

    $total += 8 * 300;

    is(counts(workers($nginx)), $total, 'are counted over both processes');

    $nginx->reload if $round == 2;
}


# Redis refuses the registry: events are stored all the same, and counted when
# it takes it again

$redis->cli('RENAME', RECORDS, 'kept');
$redis->cli('SET', RECORDS, 'x');

for (1 .. 3) {
    is(post($nginx, 10)->status, 200, 'a body without a registry');
    $total += 10;
}

ok($nginx->log_has(qr/registry of workers can't be written/), 'the log says');
is($nginx->get('/workers')->status, 503, 'and /workers');

is($nginx->quit, 0, 'ends well');
ok_log($nginx);


# Redis comes back with nothing, or was not there at first

$redis->stop;
$nginx = nginx($redis);

is($nginx->get('/workers')->status, 503, 'without a Redis');

$redis->start_again;
ok(at_work_in($nginx, 15), 'it comes: so do the workers');

is(post($nginx, 100)->status, 200, 'a body');
$redis->cli('FLUSHALL');

ok(wait_for(sub { at_work(workers($nginx)) == 15 }, 20), 'emptied: they come '
    . 'back');
is(counts(workers($nginx)), 100, 'with what they had stored');

$redis->restart;

ok(wait_for(sub { at_work(workers($nginx)) == 15 }, 20), 'started again '
    . 'empty: the same');
is(counts(workers($nginx)), 100, 'with what they had stored');

# it is away for longer than a command waits

$redis->stop;
sleep(3);
$redis->start_again;

ok(wait_for(sub { at_work(workers($nginx)) == 15 }, 20), 'away for long');
is(post($nginx, 100)->status, 200, 'a body');
ok(wait_for(sub { counts(workers($nginx)) == 200 }, 20), 'is counted');

# quitting does not wait for it

$redis->stop;
is($nginx->quit, 0, 'quit while Redis is away');
$redis->start_again;
ok_log($nginx);


# an nginx that has no batches has no workers, and writes nothing

$nginx = nginx($redis, locations => 'location /workers '
    . '{ eventsession workers; }');

is($nginx->get('/workers')->body, '{"workers":[]}', 'no batches, no workers');
is_deeply($redis->cli('KEYS', '*'), [], 'and nothing in Redis');
is($nginx->quit, 0, 'ends well');
ok_log($nginx);


# Four at a time, as each takes as long as it takes to be sure.

# a process is killed; the other one, or who takes its place, finds it out

my $killed  = $t->redis;
my $victims = nginx($killed, workers => 2);

# a process is stopped, and goes on when it was taken for dead

my $frozen  = $t->redis;
my $sleeper = nginx($frozen, workers => 2);

# others have left their traces, or many of them

my $dead    = $t->redis;
my $traces  = $t->redis;
my $history = 10_000;
my $now     = int(time() * 1000);
my $day     = 24 * 3600 * 1000;
my $id      = 1_000_000;

sub trace {
    my ($redis, $token, $created, $finished, $events) = @_;

    $redis->cli('HSET', RECORDS, ++$id,
        join(' ', 1, $token, 7, $events // 1, $created, $id, $finished));

    return $id;
}

# enough, and some that are older: in time, and in number

trace($traces, 'a' x 16, $now - 2 * $day, $now - $day - 60_000) for 1 .. 20;
trace($traces, 'a' x 16, $now - 5000 + $_, $now - 4000 + $_)
    for 1 .. $history + 30;

my $youngest = $id;

# of a process of which there was a sign, and of one of which there is none

my $gone   = trace($dead, 'b' x 16, $now - 100_000, 0, 77);
my $lost   = trace($dead, 'c' x 16, $now - 100_000, 0, 78);
my $behind = trace($dead, 'b' x 16, $now - 10_000, 0, 79);

$dead->cli('ZADD', ALIVE, $now - 50_000, 'b' x 16);
$dead->cli('ZADD', ALIVE, 1, 'no token', 2, '', 'inf', 'd' x 16, -1, 'e' x 16);
$traces->cli('ZADD', ALIVE, 1, 'a' x 16);

my $finder = nginx($dead);
my $keeper = nginx($traces);

# they are all there

ok(at_work_in($victims, 30), 'two processes');
ok(at_work_in($sleeper, 30), 'two more');
is(post($victims, 500)->status, 200, 'a body') for 1 .. 4;
is(post($sleeper, 500)->status, 200, 'a body') for 1 .. 4;

my ($stopped) = $sleeper->workers;

kill('STOP', $stopped);

my $before = Time::HiRes::time();
$victims->kill9_worker;
my $after = Time::HiRes::time();

my @all;

# the others may not have come yet when the killed ones are found out

ok(wait_for(sub { @all = workers($victims);
    return @all == 45 && at_work(@all) == 30 }, DEAD), 'killed: its workers '
    . 'are finished and still told of, and others are at work');

is(counts(@all), 2000, 'and what they stored');

my @last = grep { exists $_->{finished_at} } @all;

is(scalar(grep { $_->{finished_at} gt stamp($after)
    || $_->{finished_at} lt stamp($before - 60) } @last), 0,
    'finished when it was last seen');

is($victims->kill9_worker && post($victims, 500)->status, 200,
    'the others go on');

sub stamp {
    my ($time) = @_;

    my @t = gmtime($time);

    return sprintf('%04d-%02d-%02dT%02d:%02d:%02d.%03dZ', $t[5] + 1900,
        $t[4] + 1, @t[3, 2, 1, 0], ($time - int($time)) * 1000 + 0.5);
}


ok(wait_for(sub { 15 == grep { $_->[-1] == 0 } records($frozen) }, DEAD),
    'stopped: it is taken for dead');

kill('CONT', $stopped);

ok(wait_for(sub { at_work(workers($sleeper)) == 30 }, 20),
    'but is not, and says so');
is(workers($sleeper) + 0, 30, 'as the same workers');
is(counts(workers($sleeper)), 2000, 'with what they stored');


my $found = sub {
    my $reply = $finder->get("/workers/$_[0]");

    return $reply->status == 200 ? $reply->json->{workerData} : undef;
};

ok(wait_for(sub { my $w = $found->($gone); $w && $w->{finished_at} }, DEAD),
    'a worker of a process that is gone is finished');

is($found->($gone)->{finished_at}, stamp(($now - 50_000) / 1000),
    'at the last sign of it');
is($found->($gone)->{events_count}, 77, 'with its count');
is($found->($behind)->{finished_at}, $found->($behind)->{created_at},
    'not before it began');
ok($found->($lost)->{finished_at}, 'one without any sign, too');

my %left = @{ $dead->cli('ZRANGE', ALIVE, 0, -1, 'WITHSCORES') };

is(scalar(grep { /^[0-9a-f]{16}$/ } keys(%left)), 1,
    'of the signs that of the living is left');

ok(wait_for(sub {
    $traces->cli('HLEN', RECORDS) <= $history + 15 + 3;
}, DEAD), 'the history is bounded');

my @history = grep { $_->[-1] != 0 } records($traces);

cmp_ok(scalar(@history), '>=', $history, 'not below its bound');
is(scalar(grep { $_->[-1] < $now - $day } @history), 0,
    'what is older than a day is gone');
is($traces->cli('HEXISTS', RECORDS, $youngest), 1, 'the youngest stay');
is(scalar(at_work(workers($keeper))), 15, 'and all who are at work');

is($_->quit, 0, 'ends well') for $victims, $sleeper, $finder, $keeper;
ok_log($_) for $victims, $sleeper, $finder, $keeper;

done_testing();
