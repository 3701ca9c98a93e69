# Why: a worker that dies takes along what it had not acknowledged, and nothing
# else.  Known to fail by: an ack before Redis' reply; ids that the next worker
# gives a second time.

use strict;
use warnings;

use lib 't/lib';

use EventSession;
use EventSession::Load;
use Test::More;

my $t     = EventSession->new;
my $redis = $t->redis(appendonly => 'yes', appendfsync => 'everysec');
my $nginx = $t->nginx(redis => $redis, workers => 2);
my $load  = EventSession::Load->new($nginx, clients => 50, resending => 50);


for my $round (1 .. 3) {
    ok($load->run_acked(1000), "clients write, round $round");

    $nginx->kill9_worker;
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
