# Why: a reload is daily business: every stream has to end at once and as HTTP
# ends things, so that no old worker stays and no client takes it for a
# failure; and who comes back with the last id misses nothing.  Known to fail
# by: streams that nobody ends, with an "open socket left" alert each; a last
# chunk that is not sent; an event that was written to a connection that is
# closed with it unread; the seam between history and live.

use strict;
use warnings;

use lib 't/lib';

use EventSession;
use EventSession::Feed;
use EventSession::Load;
use Test::More;

my $t     = EventSession->new;
my $nginx = $t->nginx(workers => 2,
    http => 'eventsession_feed_history 10000000;');

my $feed = EventSession::Feed->new($nginx, subscribers => 10);
my $load = EventSession::Load->new($nginx, clients => 10, resending => 10);


for my $round (1 .. 10) {
    run_until(200) or fail("clients don't write in round $round");

    my %old = map { $_ => 1 } $nginx->workers;

    $nginx->signal('HUP');

    $load->run_until(sub {
        $feed->step;

        my @workers = $nginx->workers;

        @workers == 2 && !grep { $old{$_} } @workers;
    }) or fail("no new workers in round $round");
}

ok(run_until(500), 'clients still write');

ok_answered($load);
ok_fed($feed, $load);
ok_stream($nginx->{redis});

# a subscriber may be with the new workers already when the signal comes again

my $ends = $feed->ends;

cmp_ok($ends->{end} // 0, '>=', 50, 'streams ended with each reload');
is($ends->{cut} // 0, 0, 'and none was cut');
is($feed->gaps, 0, 'nobody was told of a gap');


# quiet ones end as well, in no time: nobody writes any more

my @idle = map { $nginx->sse('/database_events') } 1 .. 20;

is((grep { $_->opened == 200 } @idle) . '', '20', 'streams without events');

my ($old) = $nginx->workers;

$nginx->reload;

is(join(' ', map { $_->wait_end // 'open' } @idle), join(' ', ('end') x 20),
    'end with a reload, too');

ok((wait_for { old_workers() == 0 } 5), 'and old workers are gone');


is($nginx->quit, 0, 'nginx quits');
ok_log($nginx);


# so do those that are reading history; who never reads has the time that any
# client has in nginx (windows of a few kB would take the kernel seconds to
# drain, whatever nginx does)

$nginx = $t->nginx(redis => $nginx->{redis}, http => 'send_timeout 2s;');

my @readers = map { $nginx->sse('/database_events', rcvbuf => 65536,
    last_id => $feed->first_id) } 1 .. 10;

is((grep { $_->opened == 200 } @readers) . '', '10', 'readers of history');

my @lazy = splice(@readers, 0, 5);

($old) = $nginx->workers;
$nginx->reload;

wait_for { $_->pump for @readers; !grep { !$_->ended } @readers } 60;

is(join(' ', map { $_->ended // 'open' } @readers), join(' ', ('end') x 5),
    'end as well');
ok((wait_for { !-e "/proc/$old" } 30),
    'nor do those who never read hold the old worker');

$_->abort for @idle, @readers, @lazy;

is($nginx->quit, 0, 'nginx quits');
ok_log($nginx);
done_testing();


sub run_until {
    my ($n) = @_;

    my $wanted = $load->acked + $n;

    return $load->run_until(sub { $feed->step; $load->acked >= $wanted });
}


sub old_workers {
    my $pid = $nginx->pid;

    my @children = split(/ /,
        EventSession::Redis::slurp("/proc/$pid/task/$pid/children"));

    return @children - $nginx->workers;
}
