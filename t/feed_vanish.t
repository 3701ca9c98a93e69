# Why: dashboards are opened and closed all day, and what one leaves behind is
# there until the next reload: a descriptor, memory, a place in the list of
# those who are told of events.  With the last of them the connection that
# waits for events at Redis has to go, too.  Known to fail by: a client that
# is missed only when an event is written to it; a timer of a request that is
# no more; a blocked XREAD that nobody waits for.

use strict;
use warnings;

use lib 't/lib';

use EventSession;
use EventSession::Session;
use Test::More;

use constant FEED => '/database_events';

my $t     = EventSession->new;
my $redis = $t->redis;
my $nginx = $t->nginx(redis => $redis, connections => 2048);

my ($pid) = $nginx->workers;


# events to have a history of, and its first id

my $sse = $nginx->sse(FEED);

is($sse->opened, 200, 'a subscriber');

my $ws = $nginx->ws('/ws?ack=1&sessionId=' . uuid());

store($ws, '', batches(100, map { event($_, "n$_") } 1 .. 1000));

my ($first) = map { $_->{id} } $sse->events(1000);

is(blocked(), 1, 'one connection waits for events, whoever looks on');

$sse->abort;
ok((wait_for { blocked() == 0 }), 'and leaves with the last one who does');


vanish(100);

my ($files, $rss) = (files(), $nginx->rss($pid));

vanish(1000);

ok((wait_for { files() <= $files }), 'no descriptor is left behind')
    or diag(files(), ' instead of ', $files);

my $grown = $nginx->rss($pid) - $rss;

note('grown by ', int($grown / 1024), ' KB');
cmp_ok($grown, '<', ($ENV{EVS_SANITIZE} ? 400 : 2) << 20, 'nor is memory');
is(blocked(), 0, 'nor is the connection that waits for events');


# and the next one is served

$sse = $nginx->sse(FEED);
is($sse->opened, 200, 'the next one is served');
store($ws, '', event(1, 'last'));
is($sse->json->{event_name}, 'last', 'with what comes');
is(blocked(), 1, 'over a connection that is there again');

$_->abort for $sse, $ws;

is(join(' ', $nginx->workers), $pid, 'all that by one worker');
is($nginx->quit, 0, 'nginx quits');
ok_log($nginx);
done_testing();


# In the middle of everything, a hundred at a time: before it has its headers,
# in its history, live, while events come.

sub vanish {
    my ($n) = @_;

    for my $round (1 .. $n / 100) {
        my @all = map {
            $nginx->sse(FEED . ($_ % 3 ? '' : '?name=n1'),
                rcvbuf => 4096, $_ % 2 ? (last_id => $first) : ());
        } 1 .. 100;

        $_->abort for splice(@all, 0, 20);

        is((grep { $_->opened == 200 } @all) . '', '80',
            'subscribers') if $round == 1;

        store($ws, '', map { event($_, "v$_") } 1 .. 10);

        for my $sse (@all) {
            $sse->pump if rand() < 0.5;

            setsockopt($sse->socket, Socket::SOL_SOCKET(),
                Socket::SO_LINGER(), pack('ii', 1, 0)) if rand() < 0.3;

            $sse->abort;
        }
    }

    ok((wait_for { blocked() == 0 }), "$n subscribers came, and went");
}


# Those of the worker, with time for what is being closed.

sub files {
    my $before = -1;

    wait_for {
        my $now  = $nginx->open_files($pid);
        my $same = $now == $before;

        $before = $now;

        return $same;
    };

    return $before;
}


sub blocked {
    return scalar(grep { /\bcmd=xread\b/ }
        split(/\n/, $redis->cli('CLIENT', 'LIST')));
}
