# Why: a body is in memory from its last byte to its answer, and what becomes
# of it on the way to Redis beside it: that must not grow with the bodies that
# came before, nor with those that want to be stored while Redis does not
# answer.  Known to fail by: bodies that wait for what Redis knows of their key
# and count as the forty bytes of the question; a bound that counts what is
# sent, and not what is kept until it is; a body whose client has left and that
# nobody frees.

use strict;
use warnings;

use lib 't/lib';

use EventSession;
use EventSession::BatchLoad;
use Test::More;

use constant MB => 1024 * 1024;

my $t     = EventSession->new;
my $redis = $t->redis(appendonly => 'yes');

my $nginx = $t->nginx(
    redis         => $redis,
    redis_options => 'command_timeout=60s',
    http          => 'eventsession_timeout 60s; client_max_body_size 4m;'
                     . 'eventsession_max_inflight 4m;'
                     . 'eventsession_workers batch=100;',
    locations     => <<'END');
        location = /events { eventsession batch; }
        location /session/ { eventsession session; }
        location = /feed { eventsession feed; }
END

my ($pid) = $nginx->workers;

# bodies of up to 1 MB, of which some lose their clients

my %big  = (events => 1000, pad => 1000, clients => 3, keyed => 3);
my $some = EventSession::BatchLoad->new($nginx, %big, vanish => 10);

ok($some->run_acked(30, 60), 'bodies are stored');
my $before = $nginx->rss($pid);

ok($some->run_acked(100, 120), 'and hundreds more');
my $grown = $nginx->rss($pid) - $before;

note('grown by ', int($grown / 1024), ' KB, ', $some->errors, ' errors');
cmp_ok($grown, '<', limit(), 'the worker did not grow by much');

ok_answered($some, 60);


# clients that all want to be served now, with a key or without

for my $kind ('keyed', 'clients') {
    my %clients = (clients => 0, keyed => 0, $kind => 50);

    my $load = EventSession::BatchLoad->new($nginx, %big, %clients);

    $before = $nginx->rss($pid);

    # a moment when nothing is under way: all of them come now

    $redis->freeze;

    ok($load->run_until(sub { $load->errors > 100 }, 60),
        "$kind: a Redis that is frozen: those for whom there is no room are "
        . 'told to come again');

    $grown = $nginx->rss($pid) - $before;

    note("$kind: grown by ", int($grown / 1024), ' KB, ', $load->acked,
        ' acknowledged');
    cmp_ok($grown, '<', limit(), "$kind: the worker did not grow by much");

    $redis->thaw;

    ok($load->run_acked(30, 60), "$kind: they are stored when it answers");
    ok_answered($load, 60);

    my $seen = $load->stored;
    my %own  = map { $_ => $seen->{$_} } grep { /^$load->{name}\./ }
        keys(%$seen);

    ok_kept($load, "$kind: once", \%own);
}

note('peak: ', int(($nginx->peak($pid) - $before) / 1024), ' KB');
cmp_ok($nginx->peak($pid) - $before, '<', 2 * limit(),
    'the worker has never grown by much');

is($nginx->quit, 0, 'nginx quits');
ok_log($nginx);

done_testing();


# Six times the bound; a sanitizer's allocator keeps what is freed for long.

sub limit { ($ENV{EVS_SANITIZE} ? 400 : 24) * MB }
