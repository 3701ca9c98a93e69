# Why: an operator's CLIENT KILL, a firewall's idea of idleness or a Redis
# behind a proxy ends connections in the middle of a reply, again and again.
# Known to fail by: the place in the pipeline that is lost with a connection;
# a backoff that grows although Redis answers; a reader with half a reply of
# the old connection.

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

for my $round (1 .. 20) {
    $load->run_acked(200) or fail("clients don't write in round $round");

    ok((wait_for {
        $redis->cli('CLIENT', 'KILL', 'TYPE', 'normal', 'SKIPME', 'yes');
    }), "connections were killed, round $round");
}

ok($load->run_acked(1000), 'clients still write');

ok_answered($load);
ok_kept($load);

is($load->errors, 0, 'nobody was told of an error');
is($load->dropped, 0, 'or was disconnected');

is($nginx->quit, 0, 'nginx quits');
ok_log($nginx);

done_testing();
