# Why: with eventsession_max_inflight reached, who sends most must not be the
# only one who is read: a client with one small message waits its turn, not
# for the end of a flood.  Known to fail by: connections that go on as soon as
# there is room for a message, while others wait until the half is free; those
# who have answers to give, and so run first, when all are told of room.

use strict;
use warnings;

use lib 't/lib';

use EventSession;
use POSIX ();
use Test::More;
use Time::HiRes qw(time);

my $t     = EventSession->new;
my $redis = $t->redis;
my $nginx = $t->nginx(redis => $redis,
    http => 'eventsession_timeout 60s; eventsession_max_inflight 256k;');

my @floods = map { flood() } 1, 2;


ok((wait_for { received() > 4 << 20 }), 'two clients send as fast as they can');

my $longest = 0;

for my $n (1 .. 20) {
    my $ws = $nginx->ws('/ws?ack=1&sessionId=' . uuid(), timeout => 5);

    my $since = time();

    $ws->text('[{"type":"EVENT","timestamp":1,"name":"a"}]');
    is($ws->message, '{"ack":1,"events":1}', "client $n is served meanwhile")
        or last;

    my $took = time() - $since;

    $longest = $took if $took > $longest;
    $ws->abort;
}

note('waited for ', int($longest * 1000), ' ms at most');

my $mark = received();

ok((wait_for { received() > $mark + (4 << 20) }), 'and the flood goes on');

kill('KILL', @floods);
waitpid($_, 0) for @floods;

is($nginx->quit, 0, 'nginx quits');
ok_log($nginx);

done_testing();


# A process that sends as long as it lives; always the same events, by their
# ids, so that Redis doesn't grow.

sub flood {
    my $ws = $nginx->ws('/ws?sessionId=' . uuid());

    my $message = '[' . join(',', map {
        qq({"type":"EVENT","timestamp":$_,"name":"a flood","id":"$_"})
    } 1 .. 100) . ']';

    my $bytes = EventSession::WS::frame_bytes(payload => $message) x 10;

    my $pid = fork() // die "fork: $!";

    if ($pid == 0) {
        $ws->socket->blocking(1);
        1 while syswrite($ws->socket, $bytes);

        POSIX::_exit(0);
    }

    close($ws->socket);

    return $pid;
}


sub received {
    my ($n) = $redis->cli('INFO', 'stats') =~ /total_net_input_bytes:(\d+)/;

    return $n;
}
