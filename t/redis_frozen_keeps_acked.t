# Why: a Redis that doesn't answer for 5 seconds (its machine swaps, its disk
# is slow, a command takes long) is given up after command_timeout, and when it
# goes on it first carries out what the old connection had brought: everything
# arrives twice, and must be there once.  Known to fail by: new ids for what is
# sent again; an ack taken from the old connection's replies; a worker that
# waits in connect() or that spins.

use strict;
use warnings;

use lib 't/lib';

use EventSession;
use EventSession::Load;
use Test::More;

my $t     = EventSession->new;
my $redis = $t->redis(appendonly => 'yes', appendfsync => 'everysec');

my $nginx = $t->nginx(
    redis         => $redis,
    redis_options => 'command_timeout=2s',
    workers       => 2,
    http          => 'eventsession_timeout 60s;');

my $load = EventSession::Load->new($nginx, clients => 50, resending => 50);


ok($load->run_acked(1000), 'clients write');

$redis->freeze;

# what had been answered before may still lie in a socket
$load->run(0.5);

my ($acked, $ticks) = ($load->acked, ticks());

$load->run(4.5);

is($load->acked, $acked, 'no ack while Redis is frozen');
cmp_ok(ticks() - $ticks, '<', 100 * EventSession::slow(),
    'the workers have nothing to do meanwhile');

$redis->thaw;

ok($load->run_acked(1000), 'clients still write');
like($nginx->log, qr/\[warn\].*Redis does not answer/,
    'the old connection was given up');

ok_answered($load);
ok_kept($load);

is($load->errors, 0, 'nobody was told of an error');
is($load->dropped, 0, 'or was disconnected');

is($nginx->quit, 0, 'nginx quits');
ok_log($nginx);

done_testing();


# Processor time of all workers, in 1/100 s.

sub ticks {
    my $sum = 0;

    for my $pid ($nginx->workers) {
        my $stat = EventSession::Redis::slurp("/proc/$pid/stat");

        # the name, in brackets, may have blanks
        my @fields = split(/ /, $stat =~ s/^.*\) //sr);

        $sum += $fields[11] + $fields[12];
    }

    return $sum;
}
