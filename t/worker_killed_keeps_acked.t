# Why: a worker that dies takes along what it had not acknowledged, and nothing
# else; what it had sent to Redis may be stored, whatever its clients know.
# Known to fail by: an ack before Redis' reply; clients' ids that don't make a
# resend the same event; ids that the next worker gives a second time.

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


for my $round (1 .. 3) {
    ok($load->run_acked(1000), "clients write, round $round");

    # in the second round all that was under way is carried out afterwards

    $redis->freeze, $load->run(0.1) if $round == 2;

    $nginx->kill9_worker;

    $redis->thaw if $round == 2;
}

ok($load->run_acked(1000), 'clients still write');

ok_answered($load);
ok_kept($load);

is($load->errors, 0, 'nobody was told of an error');

cmp_ok($load->dropped, '>', 0, 'clients had to come back');
is(join(', ', sort(keys(%{ $load->codes }))), '1006', 'without a word');

is($nginx->quit, 0, 'nginx quits');
ok_log($nginx);

done_testing();
