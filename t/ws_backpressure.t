# Why: memory must not grow with what a client sends and doesn't read, nor
# with what Redis is slow to confirm (contract, section 1: a slow Redis stops
# the reading of the socket): what can't go on has to wait in the client's own
# socket.  Known to fail by: acks queued without end for one who never reads;
# a reader that is stopped and not woken again, so that the last messages are
# never answered; one connection that holds up the others of its worker; a
# Close that is lost behind many acks.

use strict;
use warnings;

use lib 't/lib';

use EventSession;
use Test::More;
use Time::HiRes qw(time sleep);

my $t      = EventSession->new;
my $redis  = $t->redis;
my $second = $t->redis;

my $tight  = EventSession::Redis::free_port();

my $nginx = $t->nginx(redis => $redis,
    http   => 'eventsession_ping 0; eventsession_max_inflight 4m;',
    server => <<"END");
    listen 127.0.0.1:$tight sndbuf=4k;

    location = /small {
        eventsession ws;
        eventsession_redis @{[ $second->url ]};
        eventsession_max_inflight 64k;
        eventsession_timeout 60s;
    }

    location /small_session/ {
        eventsession session;
        eventsession_redis @{[ $second->url ]};
    }
END

my ($worker) = $nginx->workers;

# what a sanitizer keeps of freed memory is no measure
my $much = ($ENV{EVS_SANITIZE} || $ENV{EVS_VALGRIND}) ? 1 << 30 : 16 << 20;


sub ws {
    my ($path, $sid, %options) = @_;

    return $nginx->ws("$path?sessionId=$sid&ack=1", %options);
}


sub frame { EventSession::WS::frame_bytes(payload => $_[0]) }


# Sends what can be sent until nothing has gone for a while; how much is left.

sub push_until_stuck {
    my ($ws) = @_;

    my ($last, $since) = ($ws->unsent, time());

    while ($ws->unsent && time() - $since < 0.4 * slow()) {
        $ws->flush;

        if ($ws->unsent != $last) {
            ($last, $since) = ($ws->unsent, time());
        }

        sleep(0.005);
    }

    return $ws->unsent;
}


sub ok_others {
    my ($name) = @_;

    local $Test::Builder::Level = $Test::Builder::Level + 1;

    my $began = time();

    for my $i (1 .. 3) {
        my $other = ws('/ws', uuid());

        $other->text('[{"type":"EVENT","timestamp":1,"name":"x"}]');
        is($other->message, '{"ack":1,"events":1}', "$name: another, $i");
    }

    cmp_ok(time() - $began, '<', 5 * slow(), "$name: without delay");
}


# One who asks for acks, and never reads them.

my $sid = uuid();
my $ws  = ws('/ws', $sid, blocking => 0, rcvbuf => 4096);
my $rss = $nginx->rss($worker);

my $n = 600_000;

$ws->raw(frame(' ' x 60 . '[]') x $n);

my $unsent = push_until_stuck($ws);

cmp_ok($unsent, '>', 0, 'who does not read is not read');
cmp_ok($nginx->rss($worker) - $rss, '<', $much, 'and costs no memory');
ok_others('one who does not read');

# now it reads, and all is answered, in order

my $next = 1;

wait_for {
    $ws->flush;
    $ws->fill;

    while (defined(my $message = $ws->message)) {
        $next++ if $message eq qq({"ack":$next,"events":0});
    }

    $next > $n || $ws->error;
} 60;

is($next - 1, $n, 'once it reads all is answered, in order');
is($ws->error, undef, 'and the connection lives');
cmp_ok($nginx->rss($worker) - $rss, '<', $much, 'still without memory');


# The same with what Redis has to confirm, big messages, many of such clients.

$rss = $nginx->rss($worker);

my $event   = '{"type":"EVENT","timestamp":1,"name":"' . 'x' x 200 . '"}';
my $message = frame('[' . join(',', ($event) x 20) . ']');
my @lazy    = map { ws('/ws', $sid, blocking => 0, rcvbuf => 4096) } 1 .. 8;

$_->raw($message x 300) for @lazy;

ok((wait_for { $_->flush for @lazy; !grep { $_->unsent } @lazy } 20),
    '48 MB over 8 connections, nobody reads: all is taken in');
ok((wait_for { $redis->cli('ZCARD', "es:{$sid}") == 8 * 300 * 20 } 20),
    'and all is stored');
cmp_ok($nginx->rss($worker) - $rss, '<', $much, 'without memory');

$_->abort for @lazy;
@lazy = ();


# Redis is silent: more than eventsession_max_inflight is not read

$sid = uuid();

my $reader = ws('/small', $sid, blocking => 0);

$reader->raw($message);
ok((wait_for { $reader->fill; defined($reader->message) } 5), 'Redis is there');

$rss = $nginx->rss($worker);
$second->freeze;

$n = 3000;
$reader->raw($message x $n);
$unsent = push_until_stuck($reader);

# both of its sockets are full, what they hold is the kernel's

cmp_ok($unsent, '>', 1 << 20, 'Redis is silent: it is not read any more');
cmp_ok($nginx->rss($worker) - $rss, '<', $much,
    'Redis is silent: what waits costs no memory');
ok_others('Redis is silent');

# another client of the same Redis waits, too, and is not forgotten

my $waiting = ws('/small', uuid());

$waiting->text("[$event]");
$waiting->ping('x');

$second->thaw;

$next = 2;

wait_for {
    $reader->flush;
    $reader->fill;

    while (defined(my $message = $reader->message)) {
        $next++ if $message eq qq({"ack":$next,"events":20});
    }

    $next > $n + 1 || $reader->error;
} 60;

is($next - 2, $n, 'Redis is back: all is acknowledged, in order');
is($waiting->message, '{"ack":1,"events":1}', 'and the other one');
is($second->cli('ZCARD', "es:{$sid}"), 20 * ($n + 1), 'all is stored');
cmp_ok($nginx->rss($worker) - $rss, '<', $much, 'all without memory');


# while it is stopped: the peer closes, the peer vanishes, Redis comes back

$second->freeze;

my $filler = ws('/small', uuid(), blocking => 0);

$filler->raw($message x 100);
push_until_stuck($filler);

my $sid_closed = uuid();
my $closed = ws('/small', $sid_closed);

$closed->text("[$event]");
$closed->text('[{"type":"SESSION_END","timestamp":2}]');
$closed->close(1000);

my $sid_gone = uuid();
my $gone = ws('/small', $sid_gone);

$gone->text("[$event]");
sleep(0.1);
$gone->abort(reset => 1);

sleep(0.3);
$second->thaw;

is(join('', map { $_ // 'none' } $closed->messages(2)),
    '{"ack":1,"events":1}{"ack":2,"events":1}',
    'closed while it was not read: answered first');
is($closed->close_code, 1000, 'closed while it was not read: 1000');
ok($closed->eof, 'closed while it was not read: the end');

is($nginx->get("/small_session/$sid_closed")->body,
    qq({"type":"SESSION","start":null,"end":2,"children":[$event]}),
    'closed while it was not read: stored');

$filler->abort;
$reader->abort;

ok_others('at the end');


# A client that reads slowly what is left when the session has ended: bye and
# Close are reached, though it takes longer than a Close is waited for.

$ws = EventSession::WS->connect($tight, '/ws?ack=1&sessionId=' . uuid(),
    blocking => 0, rcvbuf => 2048);
$n  = 2300;

$ws->raw(frame('[]') x $n . frame('[{"type":"SESSION_END","timestamp":1}]'));

my ($began, @got) = (time());

while (!$ws->error && time() - $began < 30) {
    $ws->flush;
    $ws->fill(300);

    # message() would read all that is there

    while (my $frame = $ws->parse) {
        push(@got, $frame->{payload});
    }

    sleep(0.04);

    last if @got > $n + 2;
}

is(scalar(@got), $n + 3, 'a slow end: every answer has come');
is($got[$n], qq({"ack":) . ($n + 1) . ',"events":1}', 'a slow end: of the END');
is($got[$n + 1], '{"message":"bye"}', 'a slow end: bye');
is(unpack('n', $got[$n + 2] // ''), 1000, 'a slow end: 1000');
cmp_ok(time() - $began, '>', 6, 'a slow end: it was slow');

undef $_ for $ws, $closed, $waiting;

ok((wait_for { $nginx->open_files($worker) < 40 } 10), 'no socket is left');
is(join(' ', $nginx->workers), $worker, 'the worker is the same');
is($nginx->quit, 0, 'and quits');
ok_log($nginx);
done_testing();
