# Why: a record that was answered with 201 is on Redis' disk, and whatever
# dies then - Redis, a connection, a worker, nginx as a whole - it is there,
# once, and every index has it.  What was not answered may be there or not;
# there is no Idempotency-Key here, so that a client which sends it again may
# have two. Known to fail by: an answer before Redis' reply; a record that is
# sent again with another id after a reconnect; a record whose index entries
# went with the connection.

use strict;
use warnings;

use lib 't/lib';

use EventSession;
use EventSession::LogPost;
use Test::More;
use Time::HiRes qw(sleep);

use constant CLIENTS => 12;

my $t     = EventSession->new;
my $redis = $t->redis(appendonly => 'yes', appendfsync => 'always');
my $nginx = $t->nginx(redis => $redis, workers => 2,
    redis_options => 'reconnect=50ms:300ms',
    http => 'keepalive_requests 100000; eventsession_timeout 20s;');

my (%sent, %acked);
my $n = 0;

round('in peace', sub { });
round('connections killed', sub {
    $redis->cli('CLIENT', 'KILL', 'TYPE', 'normal', 'SKIPME', 'yes');
}) for 1 .. 3;

# under way may be anything: nothing was sent, some was carried out, all was

for my $pause (0, 0.002, 0.01, 0.05) {
    round("a kill -9 of Redis after $pause s", sub {
        sleep($pause);
        $redis->kill9;
        sleep(0.1);
        $redis->start_again;
    });
}

round('a kill -9 of a frozen Redis', sub {
    $redis->freeze;
    sleep(0.1);
    $redis->kill9;
    $redis->start_again;
});

kept();

round('a kill -9 of a worker', sub { $nginx->kill9_worker }) for 1, 2;
round('a reload', sub { $nginx->reload });

kept();

# the last ones, while nginx quits

my @clients = post_all();

sleep(0.02);
is($nginx->quit, 0, 'nginx quits');
collect(@clients);

kept();
ok_log($nginx);

done_testing();


# Every client has several requests under way when it happens.

sub round {
    my ($what, $happens) = @_;

    my $before = keys(%acked);
    my @under  = post_all();

    $happens->();
    collect(@under);

    # a worker takes along what is under way in it, and that may be all

    is(keys(%acked) - $before, 5 * CLIENTS, "$what: all are acknowledged")
        if $what !~ /worker|reload/;

    # and it goes on

    # (a connection that woke a worker while it died waits for another one)

    ok((wait_for {
        my $name = ++$n;

        $sent{$name} = 1;

        my $res = log_post($nginx->connect(timeout => 3), body($name));

        $acked{$name} = $res->json->{id} if $res->status == 201;

        $res->status == 201;
    }), 'and so is the next one');
}


sub body {
    my ($name) = @_;

    return record(message => qq("$name"), email => qq("a$name\@b.de"),
        component => '"c' . $name % 10 . '"');
}


sub post_all {
    my @all;

    for (1 .. CLIENTS) {
        my $client = $nginx->connect(timeout => 20);
        my @names  = map { ++$n } 1 .. 5;

        $sent{$_} = 1 for @names;
        $client->send(join('', map { log_bytes($client, body($_)) } @names));
        push(@all, [ $client, @names ]);
    }

    return @all;
}


sub collect {
    for my $one (@_) {
        my ($client, @names) = @$one;

        for my $name (@names) {
            my $res = $client->response;

            last if $res->status == 0;

            $acked{$name} = $res->json->{id} if $res->status == 201;
        }
    }
}


# What was acknowledged is there once, with its id; of the rest each at most
# once; and every index has all of them.

sub kept {
    my (%there, %ids);

    for my $record (log_records($redis)) {
        $there{ $record->{message} }++;
        $ids{ $record->{message} } = $record->{id};
    }

    is((grep { ($there{$_} // 0) != 1 || $ids{$_} ne $acked{$_} } keys(%acked))
        . '', '0', 'what was acknowledged is there once: '
        . keys(%acked));
    is((grep { !$sent{$_} || $there{$_} > 1 } keys(%there)) . '', '0',
        'and nothing is there that was not sent, or twice');
    is_deeply([ log_wrong($redis) ], [], 'no index misses one');
}
