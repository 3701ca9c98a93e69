# Why: a client that was switched off sends no FIN: only a ping that nobody
# answers tells (contract, section 1).  Known to fail by: closing a client that
# is silent but answers; closing one that is slow to read its answers, or that
# the server itself does not read for a while; pings into a busy connection; a
# timer that keeps a quitting worker from its end.

use strict;
use warnings;

use lib 't/lib';

use EventSession;
use Test::More;
use Time::HiRes qw(time sleep);

my $ping  = 0.2 * slow();
my $t     = EventSession->new;
my $redis = $t->redis;

my $nginx = $t->nginx(redis => $redis,
    http   => 'eventsession_ping ' . int(1000 * $ping) . 'ms;',
    server => <<'END');
    location = /never {
        eventsession ws;
        eventsession_ping 0;
    }

    location = /small {
        eventsession ws;
        eventsession_max_inflight 1k;
        eventsession_timeout 60s;
    }
END


sub ws {
    my ($path, %options) = @_;

    return $nginx->ws("$path?sessionId=" . uuid() . '&ack=1', %options);
}


# all at the same time: those that nobody looks at for long enough

my $dead  = ws('/ws');
my $never = ws('/never');
my $half  = ws('/ws');

$half->frame(fin => 0, payload => '[');

# one that answers gets its pings, and is kept

my $began = time();
my $ws    = ws('/ws');

for my $i (1 .. 4) {
    my $before = time();
    my $frame  = $ws->next_frame // {};
    my $took   = time() - $before;

    is($frame->{opcode}, 9, "ping $i");
    is($frame->{payload}, '', "ping $i: empty, as nobody needs it");
    cmp_ok($took, '>', $ping * 0.8, "ping $i: not before its time");

    $ws->pong($frame->{payload});
}

$ws->text('[]');
is($ws->message, '{"ack":1,"events":0}', 'who answers is kept');

# an answer may be anything: that a client sends is all that matters

for my $answer (
    [ 'an unsolicited pong', sub { $ws->pong('other') } ],
    [ 'a ping',              sub { $ws->ping('x') }, 10 ],
    [ 'a message',           sub { $ws->text('[]') }, 1 ],
    [ 'half a frame',        sub { $ws->raw("\x81") } ],
    [ 'the next byte',       sub { $ws->raw("\x82") } ],
) {
    my ($name, $send, $reply) = @$answer;

    is(($ws->next_frame // {})->{opcode}, 9, "a ping, to answer with $name");
    $send->();
    is(($ws->next_frame // {})->{opcode}, $reply, "$name is answered")
        if $reply;
}

is(($ws->next_frame // {})->{opcode}, 9, 'and still it is pinged');
$ws->raw("\0\0\0\0[]");
is($ws->message, '{"ack":3,"events":0}', 'and still it is there');

# while a client sends there is no need to ask

my ($frames, $end) = (0, time() + 3 * $ping);

while (time() < $end) {
    $ws->text('[]');
    sleep($ping / 5);
    $frames++;
}

my @opcodes = map { ($ws->next_frame // { opcode => 'none' })->{opcode} }
    1 .. $frames;

is(join('', @opcodes), '1' x $frames, 'a busy client is not pinged');


# those that nobody looked at

cmp_ok(time() - $began, '>', 4 * $ping, 'by now');

for my $case ([ $dead, 'a silent client' ], [ $half, 'silent in a message' ]) {
    my ($ws, $name) = @$case;

    # what it would have got: one ping, and then the end

    my $frame = $ws->next_frame // {};

    is($frame->{opcode}, 9, "$name: was pinged");
    is($ws->next_frame, undef, "$name: is closed");
    is($ws->error, 'end', "$name: that is all it sees");
}

ok($nginx->log_has(qr/client did not answer a ping/), 'it is in the log');

$never->text('[]');
is(($never->next_frame // {})->{payload}, '{"ack":1,"events":0}',
    'eventsession_ping 0: no ping, and it is kept');


# Not while it is not read: there its silence is the server's.  Redis is
# frozen, more than eventsession_max_inflight is under way.

$ws = ws('/small');
$redis->freeze;

my $event = '[{"type":"EVENT","timestamp":1,"name":"' . 'x' x 200 . '"}]';

$ws->text($event) for 1 .. 50;
sleep(5 * $ping);
$redis->thaw;

my $acks = 0;

for (1 .. 50) {
    my $message = $ws->message // last;
    $acks++ if $message =~ /^\{"ack":\d+,"events":1\}$/;
}

is($acks, 50, 'a client that is not read for a while is kept');


# Nor one that is slow to read: as long as it takes something it is alive.

my $slow = ws('/ws', rcvbuf => 4096, blocking => 0);

my $bad = EventSession::WS::frame_bytes(
    payload => '[{"type":"EVENT","timestamp":1,"name":' . '1' x 20 . '}]');

$slow->raw($bad x 200_000);

my $bytes = 0;

$end = time() + 10 * $ping;

while (time() < $end) {
    $slow->flush;
    $bytes += sysread($slow->socket, my $some, 4000) // 0;
    sleep(0.02);
}

cmp_ok($bytes, '>', 4000, 'a slow reader has read something');
isnt($slow->unsent, 0, 'and is not done with sending');
is($slow->error, undef, 'a slow reader is kept');

# and one that takes nothing at all is as dead as any

my $stuck = ws('/ws', rcvbuf => 4096, blocking => 0);

$stuck->raw($bad x 200_000);

ok((wait_for {
    $stuck->flush;
    ($stuck->error // '') ne '';
} 10 + 10 * $ping), 'a client that never reads is closed');


# pings don't hold a worker back

$_->abort for $never, $slow;

$ws = ws('/ws');

$began = time();
$nginx->signal('QUIT');
is($ws->close_code, 1001, 'a worker that quits says so');
is($nginx->quit, 0, 'it quits');
cmp_ok(time() - $began, '<', 10 * slow(), 'and does not wait for who is gone');

ok_log($nginx);
done_testing();
