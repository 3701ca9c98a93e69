# Why: when worker_connections are used up, by clients or by an attack, those
# who are connected must not suffer, nginx' own alert must not become a flood,
# and all must be well when there is room again; even when a client has taken
# the place of the connection to Redis.  Known to fail by: a crash at
# ngx_get_connection() without a result; a reconnect without a pause; a node
# that gives up.

use strict;
use warnings;

use lib 't/lib';

use EventSession;
use Test::More;
use Time::HiRes qw(sleep);

use constant EVENT => '[{"type":"EVENT","timestamp":1,"name":"a"}]';

my $t     = EventSession->new;
my $redis = $t->redis(appendonly => 'yes');
my $nginx = $t->nginx(redis => $redis, connections => 16,
    http => 'eventsession_timeout 1s;');

my $used_up = qr/\[alert\].*16 worker_connections are not enough/;

my ($pid) = $nginx->workers;
my $sid   = uuid();

ok((wait_for { $nginx->get('/ready')->status == 200 }), 'nginx is ready');


# As many as there is room for.

my @ws;

while (my $ws = connected()) {
    push(@ws, $ws);
}

cmp_ok(scalar(@ws), '>=', 10, 'clients take all connections');
cmp_ok(scalar(@ws), '<=', 16, 'and not more than there are');

my $before = alerts();

ok(!connected(), 'another one finds no room') for 1 .. 20;

cmp_ok(alerts() - $before, '<=', 20, 'which is one alert for each, at most');

works($_) for @ws;


# Room again.

$_->abort for splice(@ws, 0, 5);

ok((wait_for { my $ws = connected(); push(@ws, $ws) if $ws; $ws }),
    'when some have left there is room');

works($_) for @ws;

1 while do { my $ws = connected(); push(@ws, $ws) if $ws; $ws };


# Redis goes, and a client comes.

$redis->kill9;

ok((wait_for { my $ws = connected(); push(@ws, $ws) if $ws; $ws }),
    'a client takes the place of Redis');

$redis->start_again;

ok((wait_for { $nginx->log =~ /worker_connections are used up/ }),
    'Redis finds none');

$before = alerts();

$ws[0]->text(EVENT);
like($ws[0]->message, qr/^\{"error":"not stored: /, 'messages get an error');

sleep(1);

cmp_ok(alerts() - $before, '<=', 20, 'and the log no flood of alerts');

(pop(@ws))->abort;

ok((wait_for {
    $ws[1]->text(EVENT);
    ($ws[1]->message // '') =~ /^\{"ack":/;
}), 'when somebody has left Redis is back');

$_->abort for @ws;

ok((wait_for { $nginx->get('/ready')->status == 200 }), 'nginx is ready');

is(join(' ', $nginx->workers), $pid, 'all that in one worker');

is($nginx->quit, 0, 'nginx quits');
ok_log($nginx, $used_up);

done_testing();


# A WebSocket, or undef when it's refused: nginx accepts and closes.

sub connected {
    my $ws = eval { $nginx->ws("/ws?sessionId=$sid&ack=1") };

    return $ws && $ws->status == 101 ? $ws : undef;
}


sub works {
    my ($ws) = @_;

    my $n = ++$ws->{messages_sent};

    $ws->text(EVENT);
    is($ws->message, qq({"ack":$n,"events":1}), 'who is connected is served');
}


sub alerts {
    return scalar(my @alerts = $nginx->log =~ /$used_up/g);
}
