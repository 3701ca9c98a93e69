
# Why: XADD isn't idempotent, and connections to Redis break while entries are
# under way: one that is sent again too easily doubles events for everybody who
# follows the feed, one that isn't loses them.
# Known to fail by: sending again what Redis had carried out before the
# connection broke; commands of the old connection that Redis reads after the
# new one has looked for them; an acknowledge that doesn't wait for the stream;
# and a history that grows with the size of messages.

use strict;
use warnings;

use lib 't/lib';

use EventSession;
use EventSession::Load;
use Test::More;


my $t = EventSession->new;


# Every connection is killed again and again.

{
    my ($redis, $nginx, $load) = begin('connections killed');

    for my $round (1 .. 20) {
        $load->run_acked(100) or fail("clients don't write in round $round");
        wait_for {
            $redis->cli('CLIENT', 'KILL', 'TYPE', 'normal', 'SKIPME', 'yes');
        };
    }

    finish($redis, $nginx, $load, 'connections killed');
}


# Redis stands still for longer than we wait for it: it reads what the old
# connections have sent once it goes on.

{
    my ($redis, $nginx, $load) = begin('frozen',
        redis_options => 'command_timeout=300ms reconnect=20ms:100ms',
        http          => 'eventsession_timeout 20s;');

    for my $round (1 .. 5) {
        $load->run_acked(300) or fail("clients don't write in round $round");
        $redis->freeze;
        $load->run(0.8);
        $redis->thaw;
    }

    finish($redis, $nginx, $load, 'frozen');
}


# Redis is killed, and has its log when it is back.

{
    my ($redis, $nginx, $load) = begin('kill -9');

    for my $round (1 .. 3) {
        $load->run_acked(300) or fail("clients don't write in round $round");
        $redis->kill9;
        $load->run(0.1);
        $redis->start_again;
    }

    finish($redis, $nginx, $load, 'kill -9');
}


# Old workers write on while new ones have begun.

{
    my ($redis, $nginx, $load) = begin('reloads');

    for my $round (1 .. 5) {
        $load->run_acked(300) or fail("clients don't write in round $round");
        $nginx->signal('HUP');
    }

    finish($redis, $nginx, $load, 'reloads');
}


# What no connection of ours may do, we do without.

{
    my $redis = $t->redis(appendonly => 'yes', tcp => 1);

    $redis->cli('ACL', 'SETUSER', 'narrow', 'on', '>secret', '~es:*',
        '+@all', '-client', '-info');

    my $nginx = $t->nginx(redis => undef, http => 'eventsession_feed on;'
        . 'eventsession_redis redis://narrow:secret@127.0.0.1:'
        . $redis->port . ';');

    my $load = EventSession::Load->new($nginx, clients => 10);

    ok($load->run_acked(500), 'no CLIENT, no INFO: clients write');

    $redis->cli('CLIENT', 'KILL', 'USER', 'narrow');

    finish($redis, $nginx, $load, 'no CLIENT, no INFO');
}


# The history: at least so many events, and not many times more, however they
# come.

for my $batch (1, 50, 1000) {
    my $redis = $t->redis;
    my $nginx = $t->nginx(redis => $redis,
        http => 'eventsession_feed on; eventsession_feed_history 5000;');

    my $ws = $nginx->ws('/ws?ack=1&sessionId=' . uuid());

    for my $message (1 .. 30_000 / $batch) {
        $ws->text('[' . join(',', map {
            qq({"type":"EVENT","timestamp":1,"name":"$_"})
        } 1 .. $batch) . ']');

        $ws->message if $message > 8;
    }

    $ws->message for 1 .. (30_000 / $batch < 8 ? 30_000 / $batch : 8);

    my $n = grep { $_ } map { @$_ } stream($redis);

    cmp_ok($n, '>=', 5000, "history of messages of $batch: enough");
    cmp_ok($n, '<=', 5000 + 15_000, 'and not much more');
}

done_testing();


sub begin {
    my ($what, %options) = @_;

    my $redis = $t->redis(appendonly => 'yes');

    my $nginx = $t->nginx(
        redis   => $redis,
        workers => 2,
        %options,
        http    => 'eventsession_feed on;' . ($options{http} // ''));

    my $load = EventSession::Load->new($nginx, clients => 30);

    ok($load->run_acked(300), "$what: clients write");

    return ($redis, $nginx, $load);
}


sub finish {
    my ($redis, $nginx, $load, $what) = @_;

    ok_answered($load);
    ok_kept($load);
    ok_streamed($load, $redis, $what);

    is($nginx->quit, 0, 'nginx quits');
    ok_log($nginx);
}


# What was acknowledged is on the stream once, what wasn't at most once; and a
# client's events are in their order.

sub ok_streamed {
    my ($load, $redis, $what) = @_;

    local $Test::Builder::Level = $Test::Builder::Level + 1;

    my (%seen, %last, @disorder);

    for my $name (map { @$_ } stream($redis)) {
        my ($client, @place) = (split(/\./, $name))[1 .. 3];

        push(@disorder, $name)
            if $place[0] * 1000 + $place[1] <= ($last{$client} // -1);

        $last{$client} = $place[0] * 1000 + $place[1];

        $seen{$name}++;
    }

    my (@lost, @doubled);

    for my $client (@{ $load->{all} }) {
        for my $message (@{ $client->{messages} }) {
            for my $event (1 .. $message->{events}) {
                my $name = join('.', $load->{name}, $client->{number},
                    $message->{number}, $event);

                push(@lost, $name) if $message->{acked} && !$seen{$name};
                push(@doubled, $name) if ($seen{$name} // 0) > 1;
            }
        }
    }

    for ([ lost => \@lost ], [ doubled => \@doubled ],
        [ disordered => \@disorder ])
    {
        my ($how, $events) = @$_;
        my $n = @$events;

        is($n, 0, "$what: none is $how on the stream")
            or diag(join(' ', splice(@$events, 0, 10)));
    }
}


# The names of the events in each entry, as store/feed_entry.h has them.

sub stream {
    my ($redis, $prefix) = @_;

    my $key     = ($prefix // 'es:') . '{feed}:stream';
    my $entries = $redis->cli('XRANGE', $key, '-', '+');

    return map { [ names($_->[1][1]) ] } @$entries;
}


sub names {
    my ($value) = @_;

    my $pos    = 9;
    my $varint = sub {
        my ($n, $shift) = (0, 0);

        while (1) {
            my $byte = ord(substr($value, $pos++, 1));

            $n |= ($byte & 0x7f) << $shift;
            return $n if $byte < 0x80;
            $shift += 7;
        }
    };

    die("not an entry") if substr($value, 0, 1) ne "\x01";

    $varint->();

    my @names;

    while ($pos < length($value)) {
        $pos += $varint->();

        while (my $len = $varint->()) {
            my $member = substr($value, $pos, $len);

            $pos += $len;

            # an id of ours, an integer
            push(@names, substr($member, 12 + ord(substr($member, 11, 1))));
        }
    }

    return @names;
}
