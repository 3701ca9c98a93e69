# Why: Redis is restarted, loses its memory, freezes; somebody trims or deletes
# the stream: subscribers stay connected through all of it, and go on where
# they were, or are told of a gap.  A browser's EventSource would not come back
# from an error.  Known to fail by: a read that blocks on a connection that is
# no more; an id that is ahead of a Redis that forgot it, and waits for ever;
# a gap that is told again with every event; a silence in which proxies hang
# up.

use strict;
use warnings;

use lib 't/lib';

use EventSession;
use EventSession::Session;
use JSON::PP ();
use Test::More;
use Time::HiRes qw(sleep time);

use constant { FEED => '/database_events', STREAM => 'es:{feed}:stream' };

my $t     = EventSession->new;
my $redis = $t->redis(appendonly => 'yes', appendfsync => 'always');

my $nginx = $t->nginx(redis => $redis, redis_options => 'command_timeout=1s',
    http => 'eventsession_feed_ping 200ms;');

my $sid = uuid();
my $n   = 0;

# one that sees everything, one with a filter

my @all = ($nginx->sse(FEED), $nginx->sse(FEED . "?sessionId=$sid"));

is((grep { $_->opened == 200 } @all) . '', '2', 'subscribers');


goes_on('in peace', sub { });

goes_on('a restart of Redis', sub { $redis->restart });
goes_on('a kill -9 of Redis', sub { $redis->kill9->start_again });
goes_on('connections killed', sub {
    $redis->cli('CLIENT', 'KILL', 'TYPE', 'normal', 'SKIPME', 'yes');
});
goes_on('connections killed while all is frozen', sub {
    $redis->cli('CLIENT', 'PAUSE', 300);
    $redis->cli('CLIENT', 'KILL', 'TYPE', 'normal', 'SKIPME', 'yes');
});
goes_on('a Redis that is frozen for longer than a command may take', sub {
    $redis->freeze;
    sleep(1.5);
    $redis->thaw;
});
goes_on('a Redis that was away for a while, under pings', sub {
    my @comments = map { pumped($_)->comments } @all;

    $redis->stop;
    sleep(1.2);

    is((grep { pumped($all[$_])->comments >= $comments[$_] + 2 } 0, 1) . '',
        '2', 'the lines are kept alive without Redis, too');

    $redis->start_again;
});
goes_on('all entries trimmed but the last', sub {
    $redis->cli('XTRIM', STREAM, 'MAXLEN', 1);
});
goes_on('an entry of somebody else', sub {
    $redis->cli('XADD', STREAM, '*', 'm', $_)
        for 'x', "\x01", "\x01" . 'w' x 8 . "\x01\x05abc", '';
    $redis->cli('XADD', STREAM, '*', 'other', 'field', 'm2', 'x');
});


# what was there is gone, before the next event or while nobody looks: that
# nothing was missed is known at best

for my $wait (0, 1.2) {
    gap('the stream trimmed', $wait, sub {
        $redis->cli('XTRIM', STREAM, 'MAXLEN', 0);
    });
    gap('FLUSHALL', $wait, sub { $redis->cli('FLUSHALL') });
}

gap('the stream deleted, and begun anew', 1.2, sub {
    $redis->cli('DEL', STREAM);
    $redis->cli('XADD', STREAM, '1-1', 'm', 'x');
    $redis->cli('XADD', STREAM, '1-2', 'm', 'x');
});
gap('something else in its place', 0, sub {
    $redis->cli('DEL', STREAM);
    $redis->cli('SET', STREAM, 'a string');
    sleep(0.3);
    $redis->cli('DEL', STREAM);
});
gap('a Redis that forgets all', 0.1, sub {
    $redis->cli('CONFIG', 'SET', 'appendonly', 'no');
    $redis->kill9;
    unlink(glob($redis->dir . '/*.aof'),
        glob($redis->dir . '/appendonlydir/*'), $redis->dir . '/dump.rdb');
    $redis->start_again;
});

# ids that are ahead of the clock stay so; with the stream they are gone

$redis->cli('XADD', STREAM, 9 x 13 . '-1', 'm', 'x');

goes_on('a clock that was ahead', sub { });
gap('and is not any more', 1.2, sub { $redis->cli('DEL', STREAM) });


# who comes while Redis is away is not turned away

$redis->stop;

my @late = map { $nginx->sse(FEED) } 1 .. 3;

is(join(' ', map { $_->opened } @late), '200 200 200',
    'subscribers without Redis');

ok($late[0]->wait_until(sub { $late[0]->comments }), 'are kept alive');

$redis->start_again;
push(@all, @late);

# they have begun once they are told something

ok((wait_for {
    store($nginx, $sid, event(1, 'begun'));
    @all == grep { pumped($_)->{begun_at} ||= grep { $_->{data} =~ /"begun"/ }
        $_->taken } @all;
} 10), 'and told of events once it is back');

sleep(0.2);
pumped($_)->taken for @all;

goes_on('with them', sub { });

is((grep { $_->ended } @all) . '', '0', 'nobody was ever disconnected');

$_->abort for @all;

is($nginx->quit, 0, 'nginx quits');
ok_log($nginx);
done_testing();


sub pumped {
    my ($sse) = @_;

    1 while $sse->pump && !$sse->ended;

    return $sse;
}


# Events of before and after, and nothing else.

sub goes_on {
    my ($what, $failure) = @_;

    my @got = around($what, $failure);

    is(join(' ', map { $_->{type} } @$_), 'message message',
        "$what: goes on") for @got;
}


# One gap is told, at most: none if somebody was waiting at the end of what
# there was.  $wait is how long nothing happens behind it.

sub gap {
    my ($what, $wait, $failure) = @_;

    my $after = $wait ? "$what, and a while" : $what;
    my $types = $wait ? qr/^message gap message$/
        : qr/^message (?:gap )?message$/;

    my @got = around($what, sub { $failure->(); sleep($wait) });

    like(join(' ', map { $_->{type} } @$_), $types, "$after: goes on")
        for @got;
}


# An event, the failure, an event: all that each subscriber was told.

sub around {
    my ($what, $failure) = @_;

    store($nginx, $sid, event(1, 'n' . ++$n));

    my @got = map { [ until_name($_, "n$n") ] } @all;

    $failure->();

    # until a gap could have been told

    sleep(0.05);

    store($nginx, $sid, event(1, 'n' . ++$n));

    push(@{ $got[$_] }, until_name($all[$_], "n$n")) for 0 .. $#all;

    return @got;
}


sub until_name {
    my ($sse, $name) = @_;

    my @events;

    while (my $event = $sse->next) {
        push(@events, $event);
        last if $event->{data} =~ /"event_name":"$name"/;
    }

    return @events;
}
