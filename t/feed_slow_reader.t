# Why: one dashboard that has stopped reading must cost neither the worker its
# memory nor the others their events: it is cut when more than
# eventsession_feed_buffer waits for it, and may come back with the last id
# that it has.  Known to fail by: a bound that counts buffers instead of bytes;
# chunks that a slow reader keeps for ever; a cut that ends somebody else; an
# id that was told with an event that never was.

use strict;
use warnings;

use lib 't/lib';

use EventSession;
use EventSession::Session;
use EventSession::SSE;
use Test::More;
use Time::HiRes qw(time sleep);

use constant { FEED => '/database_events', MB => 1 << 20 };

my $t     = EventSession->new;
my $redis = $t->redis;

# what the kernel takes for a socket is not the module's

my $nginx = $t->nginx(redis => $redis, listen => 'sndbuf=64k',
    http => 'eventsession_feed_buffer 256k; eventsession_feed_ping 1s;');

my ($pid) = $nginx->workers;

my $quick = $nginx->sse(FEED);
my @slow  = map { $nginx->sse(FEED, rcvbuf => 4096) } 1 .. 40;

# one that sees little of it has nothing to fear

my $sid    = uuid();
my $filter = $nginx->sse(FEED . "?sessionId=$sid", rcvbuf => 4096);

is((grep { $_->opened == 200 } $quick, $filter, @slow) . '', '42',
    'all are connected');


# they stop reading; 20 MB are written, and read by the quick one

my $before = $nginx->rss($pid);
my $writer = $nginx->ws('/ws?ack=1&sessionId=' . uuid());
my $few    = $nginx->ws("/ws?ack=1&sessionId=$sid");

my $more = '"' . 'x' x 1000 . '"';
my $n    = 0;
my $open = sockets();
my @got;

for my $round (1 .. 100) {
    store($few, '', event($round, "few$round"));
    store($writer, '', map { event(++$n, "n$n", data => $more) } 1 .. 200);

    push(@got, $quick->events(201));
}

my @names = grep { /^n/ } map { $_->{data} =~ /"event_name":"(\w+)"/ } @got;

is("@names", join(' ', map { "n$_" } 1 .. $n), 'the quick one misses nothing');
is($quick->ended, undef, 'and stays');

my $grown = $nginx->peak($pid) - $before;

note('the worker grew by ', int($grown / 1024), ' KB for 20 MB, and ',
    scalar(@slow), ' slow readers');

# what waits is shared by all of them, and each is cut

cmp_ok($grown, '<', ($ENV{EVS_SANITIZE} ? 400 : 16) * MB,
    'the worker did not grow by much');


# the slow ones: their connections are gone, with what the kernel had of them

ok((wait_for { sockets() == $open - @slow }), 'slow ones are disconnected');

my @texts;

for my $sse (@slow[0 .. 4]) {
    my $end = $sse->wait_end;

    ok($end, 'a slow one reads what there is, to its end: ' . ($end // ''));

    my @had  = map { $_->{data} =~ /"event_name":"(\w+)"/ } $sse->taken;
    my $back = $sse->resume(rcvbuf => 262_144);

    push(@had, map { $_->{data} =~ /"event_name":"(\w+)"/ }
        $back->events(@got - @had));

    is("@had", join(' ', map { $_->{data} =~ /"event_name":"(\w+)"/ } @got),
        'and has missed nothing, once it is back');

    $back->abort;
}


# who reads slowly, but reads, gets all of its history: a page at a time

my $history = $nginx->sse(FEED, rcvbuf => 16_384, last_id => $got[0]{id},
    timeout => 30);

$before = $nginx->rss($pid);

my $bytes = 0;
my $behind = 0;

while ($bytes < 2 * MB && !$history->ended) {
    sleep(0.001);
    $history->wait_until(sub { $history->bytes > $bytes });
    $bytes = $history->bytes;
    $behind += () = $history->taken;
}

is($history->ended, undef, 'a slow reader of history is not cut');
cmp_ok($nginx->rss($pid) - $before, '<', ($ENV{EVS_SANITIZE} ? 400 : 8) * MB,
    'nor is its history kept for it');

$behind += () = $history->events(@got - 1 - $behind);

is($behind, @got - 1, 'it comes to its end');


is(join(' ', map { $_->{event_name} } $filter->json_until('few100')),
    join(' ', map { "few$_" } 1 .. 100),
    'one whose filter leaves little is not cut, however it reads');

$_->abort for $quick, $filter, $history, $writer, $few, @slow;

is($nginx->quit, 0, 'nginx quits');
ok_log($nginx);
done_testing();


sub sockets {
    return scalar(grep { (readlink($_) // '') =~ /^socket:/ }
        glob("/proc/$pid/fd/*"));
}
