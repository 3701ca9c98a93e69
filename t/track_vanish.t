# Why: applications give up, crash and are restarted in the middle of anything,
# and what they leave behind is not theirs alone: a descriptor, memory, an event
# that had been received; and a worker that goes must not take along what it
# has.  Known to fail by: a reply that is made for a request that is no more; an
# event that is dropped with its connection; a question about an application
# that is answered to nobody; a worker that doesn't wait for Redis.

use strict;
use warnings;

use lib 't/lib';

use EventSession;
use EventSession::Track;
use Test::More;

# of each kind, before and while descriptors and memory are watched

use constant { WARM => 20, MANY => 200 };

my $t     = EventSession->new;
my $redis = $t->redis(appendonly => 'yes');

my $nginx = $t->nginx(
    redis         => $redis,
    redis_options => 'command_timeout=60s reconnect=50ms:300ms',
    connections   => 2048,
    http          => track_conf() . <<'END');
        eventsession_timeout 60s;
        eventsession_application_cache 1h;
        eventsession_application_grace 1h;
        client_body_buffer_size 1k;
END

my ($pid) = $nginx->workers;


is(track($nginx, fields())->status, 201, 'the application is known');

everything(WARM);
settle();

my ($files, $rss) = ($nginx->open_files($pid), $nginx->rss($pid));

everything(MANY);
settle();

is($nginx->open_files($pid), $files, 'no descriptor is left behind');

my $grown = $nginx->rss($pid) - $rss;

note('grown by ', int($grown / 1024), ' KB');

# a sanitizer's allocator keeps what is freed for long
cmp_ok($grown, '<', ($ENV{EVS_SANITIZE} ? 400 : 4) << 20, 'nor is memory');

is(join(' ', $nginx->workers), $pid, 'all that by one worker');
is(track($nginx, fields())->status, 201, 'which is at work');

goes('a reload', sub { $nginx->reload });
goes('the end', sub { $nginx->signal('QUIT') });

is($nginx->quit, 0, 'nginx quits');
ok_log($nginx);
done_testing();


sub everything {
    my ($times) = @_;

    in_the_middle($times);
    after_all('frozen', $times, sub { $redis->freeze }, sub { $redis->thaw });
    after_all('away', $times, sub { $redis->stop },
        sub { $redis->start_again });
    unknown($times);
}


sub leave {
    my ($http, $reset) = @_;

    setsockopt($http->socket, Socket::SOL_SOCKET(), Socket::SO_LINGER(),
        pack('ii', 1, 0)) if $reset;

    $http->close;
}


# Of one that is larger than a buffer, and of ones that are compressed or come
# in chunks: nothing is stored.

sub in_the_middle {
    my ($times) = @_;

    my $sid   = uuid();
    my $one   = fields(session_id => qq("$sid"), data => '"' . 'x' x 9000
        . '"');
    my $http  = $nginx->connect;
    my $whole = track_bytes($http, $one);
    my $chunk = sprintf("%x\r\n%s\r\n", length($one), $one);

    my @parts = (map({ substr($whole, 0, $_) } 1, 40, index($whole, '{'),
            index($whole, '{') + 50, 5000, length($whole) - 1),
        track_bytes($http, $chunk, headers => [ 'Transfer-Encoding: chunked' ]),
        track_bytes($http, "\x1f\x8b", headers => [ 'Content-Encoding: gzip',
            'Content-Length: 100' ]));

    for my $part (@parts) {
        for my $n (1 .. $times) {
            my $client = $nginx->connect;

            $client->send($part);
            leave($client, $n % 2);
        }
    }

    $http->close;
    ok((wait_for { sockets() <= 3 } 30), 'clients left in the middle');
    is($redis->cli('EXISTS', "es:{$sid}"), 0, 'nothing of it is stored');
}


# The reply to a request before shows that it was received whole; then they
# leave, before Redis has it, or before it was sent to Redis at all.

sub after_all {
    my ($how, $times, $leave, $come_back) = @_;

    my $sid = uuid();
    my $new = uuid();

    $leave->();

    for my $n (1 .. $times) {
        my $http = $nginx->connect(timeout => 60);

        $http->send("GET /healthcheck HTTP/1.1\r\nHost: a\r\n\r\n"
            . track_bytes($http, $n % 3 ? fields(session_id => qq("$sid"))
                : '[' . join(',', map { fields(session_id => qq("$_")) }
                    $sid, $new) . ']'));
        $http->response;
        leave($http, $n % 2);
    }

    ok((wait_for { sockets() <= 3 } 30), "clients left while Redis was $how");

    $come_back->();

    ok((wait_for {
        (eval { $redis->cli('ZCARD', "es:{$sid}") } // 0) == $times;
    } 30), "what $times of them had sent is stored");
    is($redis->cli('ZCARD', "es:{$new}"), int($times / 3), 'all of it');
}


# While Redis is asked who they are.

sub unknown {
    my ($times) = @_;

    my $sid = uuid();
    my @app = map { uuid() } 1 .. 3;

    $redis->cli('HSET', 'es:apps', map { $_ => 'late' } @app);
    $redis->freeze;

    my @stay;

    for my $n (1 .. $times) {
        my $http = $nginx->connect(timeout => 60);

        $http->send("GET /healthcheck HTTP/1.1\r\nHost: a\r\n\r\n"
            . track_bytes($http, fields(session_id => qq("$sid")),
                app => $app[$n % 3]));
        $http->response;

        if ($n % 10 == 0) {
            push(@stay, $http);
        } else {
            leave($http, $n % 2);
        }
    }

    ok((wait_for { sockets() <= 3 + @stay } 30),
        'clients left while it was asked who they are');

    $redis->thaw;

    is(scalar(grep { $_->response->status != 201 } @stay), 0,
        'those who stay are answered');

    my $count = $redis->cli('ZCARD', "es:{$sid}");

    cmp_ok($count, '>=', scalar(@stay), 'and their events are stored');
    cmp_ok($count, '<=', $times, 'and none twice');

    $_->close for @stay;
}


# Requests under way when their worker has to go are answered.

sub goes {
    my ($what, $go) = @_;

    my $sid = uuid();
    my @all = map { $nginx->connect(timeout => 60) } 1 .. 10;

    # a new worker has to be told who it is

    is(scalar(grep { track($_, fields())->status != 201 } @all), 0,
        "$what: the application is known");

    $redis->freeze;

    $_->send("GET /healthcheck HTTP/1.1\r\nHost: a\r\n\r\n"
        . track_bytes($_, fields(session_id => qq("$sid")))) for @all;
    $_->response for @all;

    # two of them don't wait

    leave(pop(@all), $_) for 0, 1;

    $go->();
    ok($nginx->log_has(qr/gracefully shutting down/, 30), "$what: it begins");
    $redis->thaw;

    is(scalar(grep { $_->response->status != 201 } @all), 0,
        "$what: each gets its answer");
    ok((wait_for { $redis->cli('ZCARD', "es:{$sid}") == 10 }),
        "$what: all is stored");
    $_->close for @all;
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
