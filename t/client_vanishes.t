# Why: clients go away in the middle of anything, and what they leave behind
# is not theirs alone: a descriptor, memory, a message that had been received.
# Known to fail by: a message that is dropped with its connection; a
# connection freed while Redis still has its message, or while it is posted;
# "read() failed" at more than info; a descriptor for each client that ever
# was.

use strict;
use warnings;

use lib 't/lib';

use EventSession;
use Test::More;

use constant EVENT => '[{"type":"EVENT","timestamp":1,"name":"a"}]';

# of each kind, before and while descriptors and memory are watched

use constant { WARM => 20, MANY => 200 };

my $t     = EventSession->new;
my $redis = $t->redis(appendonly => 'yes');
my $nginx = $t->nginx(redis => $redis,
    http => 'eventsession_max_message 8m; eventsession_max_inflight 512k;');

my ($pid) = $nginx->workers;
my $sid   = uuid();
my $path  = "/ws?sessionId=$sid&ack=1";

my $mask  = "\x81\x85abcdhello";
my $frame = EventSession::WS::frame_bytes(payload => EVENT);
my $begun = EventSession::WS::frame_bytes(payload => '[', fin => 0);
my $large = EventSession::WS::frame_bytes(payload => 'x' x 200_000, fin => 0);

# what it has said of the handshake, or behind it, when it leaves

my @handshakes = ('', 'GET ', "GET $path HTTP/1.1\r\nHost: a\r\nUpg");

my %moments = (
    'after the handshake'               => '',
    "in a frame's head"                 => substr($mask, 0, 1),
    "in a frame's length"               => "\x81\xfe\x01",
    "in a frame's mask"                 => substr($mask, 0, 4),
    "in a frame's payload"              => substr($mask, 0, 8),
    'in a fragmented message'           => $begun,
    'in a large fragmented message'     => $large,
    'between fragments, after a ping'   => $begun . "\x89\x80abcd",
    'in the payload of a second frame'  => $frame . substr($frame, 0, 20),
    'after its Close'                   => "\x88\x82abcd\x62\x8a",
);


vanish(WARM);
messages_of_those_who_left(WARM);
leave_unread(WARM);

settle();
my ($files, $rss) = ($nginx->open_files($pid), $nginx->rss($pid));

vanish(MANY);
messages_of_those_who_left(MANY);
leave_unread(MANY);

settle();

is($nginx->open_files($pid), $files, 'no descriptor is left behind');

my $grown = $nginx->rss($pid) - $rss;

note('grown by ', int($grown / 1024), ' KB over ',
    2 * MANY * (@handshakes + keys(%moments)), ' connections');

# a sanitizer's allocator keeps what is freed for long
cmp_ok($grown, '<', ($ENV{EVS_SANITIZE} ? 400 : 2) << 20,
    'nor is memory');

is(join(' ', $nginx->workers), $pid, 'all that in one worker');

my $ws = $nginx->ws($path);

$ws->text(EVENT);
is($ws->message, '{"ack":1,"events":1}', 'which is at work');

$ws->abort;

is($nginx->quit, 0, 'nginx quits');
ok_log($nginx);

done_testing();


# In the middle of everything, with and without a reset.

sub vanish {
    my ($times) = @_;

    for my $reset (0, 1) {
        for my $bytes (@handshakes) {
            for (1 .. $times) {
                my $http = $nginx->connect;

                $http->send($bytes);
                leave($http->socket, $reset);
            }
        }

        for my $moment (sort(keys(%moments))) {
            for (1 .. $times) {
                my $ws = $nginx->ws($path, timeout => 30);

                $ws->raw($moments{$moment});
                leave($ws->socket, $reset);
            }
        }
    }

    pass("clients vanished, $times times each");
}


sub leave {
    my ($socket, $reset) = @_;

    setsockopt($socket, Socket::SOL_SOCKET(), Socket::SO_LINGER(),
        pack('ii', 1, 0)) if $reset;

    close($socket);
}


# What had been received is stored, though its sender didn't wait for the ack,
# and left before Redis had it; or before it was sent to Redis at all.

sub messages_of_those_who_left {
    my ($times) = @_;

    for my $how (qw(frozen away)) {
        my $theirs = uuid();

        $how eq 'frozen' ? $redis->freeze : $redis->stop;

        for my $n (1 .. $times) {
            my $ws = $nginx->ws("/ws?sessionId=$theirs&ack=1");

            $ws->text(EVENT);
            $ws->ping('received');
            $ws->next_frame;
            leave($ws->socket, $n % 2);
        }

        # the worker has seen them go

        ok((wait_for { sockets() <= 3 }), "clients left while Redis was $how");

        $how eq 'frozen' ? $redis->thaw : $redis->start_again;

        ok((wait_for {
            ($redis->cli('ZCARD', "es:{$theirs}") // 0) == $times;
        }), "what $times of them had sent is stored");
    }
}


# While there is no room for what they send, clients are not read: some leave
# meanwhile, with and without a reset.

sub leave_unread {
    my ($times) = @_;

    $redis->freeze;

    my $flood = $nginx->ws("/ws?sessionId=$sid", blocking => 0);
    my $more  = '[' . join(',', (substr(EVENT, 1, -1)) x 200) . ']';

    ok((wait_for { $flood->text($more) for 1 .. 100; $flood->unsent }),
        'a client fills all the room');

    for my $n (1 .. $times) {
        my $ws = $nginx->ws($path, blocking => 0);

        $ws->text($more) for 1 .. 5;
        leave($ws->socket, $n % 2);
    }

    $flood->abort;
    $redis->thaw;

    ok((wait_for { sockets() <= 3 }), 'those who have left unread are gone');
}


# The worker's connections to clients, to Redis and to its master.

sub sockets {
    return scalar(grep { (readlink($_) // '') =~ /^socket:/ }
        glob("/proc/$pid/fd/*"));
}


sub settle {
    my $before = -1;

    wait_for {
        my $now  = $nginx->open_files($pid);
        my $same = $now == $before;

        $before = $now;

        return $same;
    };
}
