# Why: nginx is told to quit while clients write: what it has taken is stored
# and acknowledged, and then each client is told 1001.  Known to fail by: a
# worker that is gone before Redis has answered; "open socket left in
# connection".

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


ok($load->run_acked(1000), 'clients write');

$nginx->signal('QUIT');

ok($load->run_until(sub { !$load->connected }), 'clients are sent away');
is(join(', ', sort(keys(%{ $load->codes }))), '1001',
    'and told that the server goes away');
is($load->errors, 0, 'nobody was told of an error');

is($nginx->quit, 0, 'nginx quits');

$nginx->start;

ok($load->run_acked(1000), 'clients write to the next one');

ok_answered($load);
ok_kept($load);

is($nginx->quit, 0, 'it quits');
ok_log($nginx);

done_testing();
