# Why: a Redis that doesn't answer for seconds (its machine swaps, its disk is
# slow, a command takes long) is given up after command_timeout, and when it
# goes on it first carries out what the old connection had brought: everything
# arrives twice, and must be there once.  If clients are told of an error
# before, and try again, then the same is true of what they send.  Known to
# fail by: new ids for what is sent again; an ack taken from the old
# connection's replies; replies to given up commands that are counted to the
# next ones; a worker that waits in connect() or that spins.

use strict;
use warnings;

use lib 't/lib';

use EventSession;
use EventSession::Load;
use Test::More;

my $t = EventSession->new;

patient();
impatient();

done_testing();


# The connection is given up, and nobody is told.

sub patient {
    my ($redis, $nginx, $load) = start('command_timeout=2s',
        'eventsession_timeout 60s;');

    $redis->freeze;

    # what had been answered before may still lie in a socket
    $load->run(0.5);

    my ($acked, $ticks) = ($load->acked, ticks($nginx));

    $load->run(4.5);

    is($load->acked, $acked, 'no ack while Redis is frozen');
    cmp_ok(ticks($nginx) - $ticks, '<', 100 * EventSession::slow(),
        'the workers have nothing to do meanwhile');

    $redis->thaw;

    ok($load->run_acked(1000), 'clients still write');
    like($nginx->log, qr/\[warn\].*Redis does not answer/,
        'the old connection was given up');

    finish($nginx, $load);

    is($load->errors, 0, 'nobody was told of an error');
}


# Everybody is told, and the connection stays.

sub impatient {
    my ($redis, $nginx, $load) = start('command_timeout=60s',
        'eventsession_timeout 700ms;');

    $redis->freeze;
    $load->run(2.5);

    cmp_ok($load->errors, '>=', 1600, 'messages had their errors, twice');

    $redis->thaw;

    ok($load->run_acked(1000), 'clients still write');
    unlike($nginx->log, qr/Redis does not answer/, 'the connection stayed');

    finish($nginx, $load);
}


sub start {
    my ($options, $http) = @_;

    my $redis = $t->redis(appendonly => 'yes');

    my $nginx = $t->nginx(redis => $redis, redis_options => $options,
        http => $http, workers => 2);

    my $load = EventSession::Load->new($nginx, clients => 50, resending => 50);

    ok($load->run_acked(1000), "$options: clients write");

    return ($redis, $nginx, $load);
}


sub finish {
    my ($nginx, $load) = @_;

    ok_answered($load);
    ok_kept($load);

    is($load->dropped, 0, 'nobody was disconnected');

    is($nginx->quit, 0, 'nginx quits');
    ok_log($nginx);
}


# Processor time of all workers, in 1/100 s.

sub ticks {
    my ($nginx) = @_;

    my $sum = 0;

    for my $pid ($nginx->workers) {
        my $stat = EventSession::Redis::slurp("/proc/$pid/stat");

        # the name, in brackets, may have blanks
        my @fields = split(/ /, $stat =~ s/^.*\) //sr);

        $sum += $fields[11] + $fields[12];
    }

    return $sum;
}
