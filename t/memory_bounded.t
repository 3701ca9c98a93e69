# Why: clients that push on while Redis is frozen or away must be held back by
# their own sockets, not kept in a worker's memory; and what the bound let in
# is stored, once Redis is back.  Known to fail by: a bound that is looked at
# once a read instead of once a message; a connection that nobody reads again
# when there is room; commands that are freed with their bytes still counted.

use strict;
use warnings;

use lib 't/lib';

use EventSession;
use EventSession::Load;
use Test::More;
use Time::HiRes qw(time);

use constant MB => 1024 * 1024;

my $t = EventSession->new;


# Small messages, as what a command takes beside its bytes counts, too.

flood('small messages', batch => 1);
flood('big messages', batch => 400);

done_testing();


sub flood {
    my ($what, %options) = @_;

    my $redis = $t->redis(appendonly => 'yes');

    my $nginx = $t->nginx(
        redis         => $redis,
        redis_options => 'command_timeout=1s',
        listen        => 'rcvbuf=64k',
        http          => 'eventsession_timeout 60s;'
                         . 'eventsession_max_inflight 1m;');

    my $load = EventSession::Load->new($nginx, clients => 10, sessions => 2,
        window => 1_000_000, sndbuf => 16_384, %options);

    my ($pid) = $nginx->workers;

    ok($load->run_until(sub { written($redis) > 2 * MB }), "$what: flow");

    my $before = $nginx->rss($pid);

    for my $failure (qw(frozen away)) {
        $failure eq 'frozen' ? $redis->freeze : $redis->kill9;

        ok(stand_still($load), "$what: clients are held back by a Redis that "
            . "is $failure");

        # one that comes now waits for room, too, and has no message whose
        # answer would wake it

        my $late = $nginx->ws('/ws?ack=1&sessionId=' . uuid());

        $late->text('[{"type":"EVENT","timestamp":1,"name":"late"}]');

        my $grown = $nginx->rss($pid) - $before;

        note("$what, $failure: ", int($grown / 1024), ' KB more, ',
            $load->begun, ' messages begun, ', $load->acked, ' acknowledged');

        cmp_ok($grown, '<', limit(), "$what: the worker did not grow by much");

        $failure eq 'frozen' ? $redis->thaw : $redis->start_again;

        # more than the bound, so that each client has gone on

        my $mark = written($redis);

        ok($load->run_until(sub { written($redis) > $mark + 2 * MB }),
            "$what: the flood goes on");

        $load->run_until(sub { $late->{select}->can_read(0) });

        is($late->message, '{"ack":1,"events":1}',
            "$what: and who came meanwhile is served");

        $late->abort;
    }

    cmp_ok($nginx->peak($pid) - $before, '<', limit(),
        "$what: the worker has never grown by much");

    ok_answered($load, 30);
    ok_kept($load);

    is($load->errors, 0, 'nobody was told of an error');
    is($load->dropped, 0, 'or was disconnected');

    is($nginx->quit, 0, 'nginx quits');
    ok_log($nginx);
}


# Ten times the bound; a sanitizer's allocator keeps what is freed for long.

sub limit { ($ENV{EVS_SANITIZE} ? 400 : 10) * MB }


sub written {
    my ($redis) = @_;

    my ($n) = $redis->cli('INFO', 'stats') =~ /total_net_input_bytes:(\d+)/;

    return $n;
}


# Every client's socket is full, and has been for a while.

sub stand_still {
    my ($load) = @_;

    my ($begun, $since) = (0, time());

    return $load->run_until(sub {
        if ($load->begun != $begun || $load->stuck < $load->connected) {
            ($begun, $since) = ($load->begun, time());
        }

        return time() - $since > 0.5;
    });
}
