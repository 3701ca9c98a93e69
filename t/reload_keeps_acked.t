# Why: nginx is reloaded while clients write, and an old worker has to finish
# what it has taken before it says 1001.  Known to fail by: a worker that exits
# because only cancelable timers are left; a Close before the acks; "open
# socket left in connection".

use strict;
use warnings;

use lib 't/lib';

use EventSession;
use EventSession::Load;
use Test::More;

my $t     = EventSession->new;
my $redis = $t->redis(appendonly => 'yes');
my $nginx = $t->nginx(redis => $redis, workers => 2);
my $load  = EventSession::Load->new($nginx, clients => 50, resending => 50);


for my $round (1 .. 10) {
    $load->run_acked(500) or fail("clients don't write in round $round");

    my %old = map { $_ => 1 } $nginx->workers;

    $nginx->signal('HUP');

    $load->run_until(sub {
        my @workers = $nginx->workers;

        @workers == 2 && !grep { $old{$_} } @workers;
    }) or fail("no new workers in round $round");
}

ok($load->run_acked(1000), 'clients still write');

ok_answered($load);
ok_kept($load);

is($load->errors, 0, 'nobody was told of an error');

cmp_ok($load->dropped, '>=', 500, 'clients had to come back each time');
is(join(', ', sort(keys(%{ $load->codes }))), '1001',
    'and were told that the server goes away');

ok((wait_for { old_workers() == 0 } 20), 'old workers are gone');

is($nginx->quit, 0, 'nginx quits');
ok_log($nginx);

done_testing();


sub old_workers {
    my $pid = $nginx->pid;

    my @children = split(/ /,
        EventSession::Redis::slurp("/proc/$pid/task/$pid/children"));

    return @children - $nginx->workers;
}
