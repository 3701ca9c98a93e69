# Why: eventsession_workers has five settings, each inherited by itself; who
# gets one wrong should learn it from `nginx -t`, and what the workers are, who
# has it right, from /workers.  Known to fail by: a setting of an inner block
# that resets the others; times that are taken for milliseconds; a value beyond
# its bound that is cut in silence; workers that are there twice because two
# locations say the same; workers at a location that has no batches.

use strict;
use warnings;

use lib 't/lib';

use EventSession;
use EventSession::Batch;
use Test::More;

my $t = EventSession->new;


# What nginx -t says of it: its message, or '' when all is well.

my $redis_url = 'eventsession_redis redis://127.0.0.1:6379;';

my $tested = $t->nginx_unstarted(redis => undef, locations =>
    "location = /events { eventsession batch; $redis_url }");

sub conf_test {
    my ($block, $line) = @_;

    local $tested->{$block} = ($tested->{$block} // '') . $line;

    my ($fine, $text) = $tested->conf_test;

    return '' if $fine;

    return $text =~ /\[emerg\] (?:\d+#\d+: )?(.*) in \S+:\d+$/m ? $1 : $text;
}


sub wrong {
    my ($value, $right) = @_;

    local $Test::Builder::Level = $Test::Builder::Level + 1;

    is(conf_test('http', "eventsession_workers $value;"),
        qq(invalid value "$value" in "eventsession_workers": must be $right),
        "wrong: $value");
}


for my $block (qw(http server locations)) {
    is(conf_test($block, $block eq 'locations'
        ? 'location / { eventsession_workers shards=2; }'
        : 'eventsession_workers shards=2;'), '', "may stand in $block");
}

for my $value (qw(shards=1 shards=256 workers=1 workers=64 batch=1 batch=10000
    linger=0 linger=0ms linger=1ms linger=1m linger=2 idle=1ms idle=1 idle=1d),
    'shards=5 workers=3 batch=5 linger=2ms idle=2m', 'idle=1h batch=7')
{
    is(conf_test('http', "eventsession_workers $value;"), '', "right: $value");
}

is(conf_test('http', 'eventsession_workers shards=2; '
    . 'eventsession_workers batch=3;'), '', 'in two lines');

wrong("shards=$_", 'a number from 1 to 256')
    for '', qw(0 257 -1 1.5 5k x 0x5 99999999999999999999);
wrong("workers=$_", 'a number from 1 to 64') for '', qw(0 65 -1 a);
wrong("batch=$_", 'a number from 1 to 10000') for '', qw(0 10001 1k);
wrong("linger=$_", 'a time as 2ms, or 0') for '', qw(-1 x 2ns 1msx
    99999999999999999999);
wrong("idle=$_", 'a time above 0, as 2m') for '', qw(0 0s -1 off);

for my $value (qw(5 shard=5 Shards=5 shards threads=2 linger)) {
    is(conf_test('http', "eventsession_workers $value;"),
        qq(unknown setting "$value" in "eventsession_workers": must be )
        . 'shards=, workers=, batch=, linger= or idle=', "unknown: $value");
}

for my $line ('eventsession_workers shards=2 shards=2;',
    'eventsession_workers shards=2; eventsession_workers batch=2 shards=3;')
{
    is(conf_test('server', $line),
        'duplicate "shards=" in "eventsession_workers"', "twice: $line");
}

is(conf_test('http', 'eventsession_workers;'),
    'invalid number of arguments in "eventsession_workers" directive',
    'no setting');

for my $endpoint (qw(batch workers)) {
    is(conf_test('locations', "location = /x { eventsession $endpoint; }"),
        qq("eventsession $endpoint" in location "/x" needs )
        . '"eventsession_redis" in this or an outer block',
        "$endpoint without a Redis");
}


# whose workers they are

my $redis = $t->redis;
my $other = EventSession::Redis::free_port();

my $nginx = $t->nginx(
    redis => $redis,
    http  => <<END,
        server {
            listen 127.0.0.1:$other;

            location = /default/events { eventsession batch; }
            location = /default/workers { eventsession workers; }
        }
END
    server => <<'END',
        eventsession_prefix server:;
        eventsession_workers shards=7 idle=1h;
        eventsession_workers workers=2 linger=1ms;
END
    locations => <<'END');
        location = /server/events { eventsession batch; }
        location = /server/workers { eventsession workers; }

        location = /same/events {
            eventsession batch;
            eventsession_workers idle=60m;
        }

        location /inner/ {
            eventsession_workers workers=4;
            eventsession_prefix inner:;

            location = /inner/events { eventsession batch; }
            location = /inner/workers { eventsession workers; }

            location /inner/most/ {
                eventsession_workers shards=1;
                eventsession_prefix most:;

                location = /inner/most/events { eventsession batch; }
                location = /inner/most/workers { eventsession workers; }
            }
        }

        # two pools of one registry

        location = /two/events {
            eventsession batch;
            eventsession_prefix two:;
            eventsession_workers shards=2 workers=1;
        }

        location = /two/others {
            eventsession batch;
            eventsession_prefix two:;
            eventsession_workers shards=3 workers=1;
        }

        location = /two/workers {
            eventsession workers;
            eventsession_prefix two:;
        }

        location = /none/workers {
            eventsession workers;
            eventsession_prefix none:;
        }
END

my %http = map { $_ => EventSession::HTTP->connect($_) }
    $other, $nginx->port;


# How many workers each shard has.

sub workers {
    my ($path, $port) = @_;

    my %n;

    $n{ $_->{shard_id} }++ for @{ $http{ $port // $nginx->port }
        ->request('GET', "$path/workers")->json->{workers} };

    return \%n;
}


sub shards { return { map { $_ => $_[1] } 0 .. $_[0] - 1 } }


# they are told of at the end of the turn in which their process began

wait_for { keys(%{ workers('/two') }) == 3 };

is_deeply(workers('/default', $other), shards(5, 3), 'the defaults');
is_deeply(workers('/server'), shards(7, 2), 'of the server, in two lines');
is_deeply(workers('/inner'), shards(7, 4), 'of a location, the rest inherited');
is_deeply(workers('/inner/most'), shards(1, 4), 'of one inside of it');
is_deeply(workers('/two'), { 0 => 2, 1 => 2, 2 => 1 },
    'of two pools that one registry has');
is_deeply(workers('/none'), {}, 'none where nobody has batches');

accepted($http{ $nginx->port }, array(map { entry(timestamp => $_) } 1 .. 30),
    30, 'events', path => "$_/events") for qw(/server /inner /inner/most);

is(scalar(grep { $_ } map { $redis->cli('EXISTS', "server:{s0$_}:batch:0") }
    0 .. 9), 7, 'seven shards of the server');
is($redis->cli('ZCARD', 'most:{s00}:batch:0'), 30, 'one shard of the inmost');


# two settings for the same shards

accepted($http{ $nginx->port }, array(map { entry(timestamp => $_) } 1 .. 30),
    30, 'events', path => "/two/$_") for qw(events others);

is($redis->cli('ZCARD', 'two:{s00}:batch:0'), 25, 'are in one place');
is_deeply({ counted($nginx, '/two/workers') }, { 0 => 25, 1 => 25, 2 => 10 },
    'and counted by all workers');


# workers that have nothing to do are replaced, by shard; those of /same have
# an hour

$nginx->{server} = 'eventsession_prefix idle:; '
    . 'eventsession_workers shards=2 workers=2 idle=300ms;';

my ($old) = $nginx->workers;

$nginx->reload;
wait_for { !grep { $_ == $old } $nginx->workers };

$http{ $nginx->port } = $nginx->connect;

my %ended;

ok((wait_for {
    my $workers = $http{ $nginx->port }->request('GET', '/server/workers')
        ->json->{workers};

    %ended = ();
    $ended{ $_->{shard_id} }++ for grep { $_->{finished_at} } @$workers;

    ($ended{0} // 0) >= 4 && ($ended{1} // 0) >= 4;
}), 'idle workers are finished');

my @workers = @{ $http{ $nginx->port }->request('GET', '/server/workers')
    ->json->{workers} };
my %at_work;

$at_work{ $_->{shard_id} }++ for grep { !$_->{finished_at} } @workers;

is_deeply(\%at_work, { 0 => 4, 1 => 4 }, 'as many are at work as before');
is(scalar(grep { $_->{finished_at} && $_->{finished_at} lt $_->{created_at} }
    @workers), 0, 'none before it began');

is($nginx->quit, 0, 'ends well');
ok_log($nginx);

done_testing();
