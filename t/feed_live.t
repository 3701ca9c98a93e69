# Why: the stream in Redis is read by a process that holds hundreds of
# connections for weeks, and anybody who can reach that Redis may write to it.
# Known to fail by: an entry that isn't ours, which ends the stream, a line of
# it, or the worker; memory of a request that grows with each event; a filter
# that lets so little through that its client's id is older than the history.

use strict;
use warnings;

use lib 't/lib';

use EventSession;
use EventSession::Entry;
use EventSession::Session;
use Test::More;

use constant FEED => '/database_events';

my $t     = EventSession->new;
my $redis = $t->redis;
my $nginx = $t->nginx(redis => $redis, connections => 2048,
    http => 'eventsession_feed_ping 200ms;');

my $sid = uuid();

strangers();
same_for_all();
filtered_place();
weeks();

is($nginx->quit, 0, 'nginx quits');
ok_log($nginx);
done_testing();


# The names of the events to the one that is named last.

sub names_until {
    my ($sse, $last) = @_;

    return join(' ', map { $_->{event_name} // 'null' }
        $sse->json_until($last));
}


# What is ours is told, live and from history, whatever stands beside it.

sub strangers {
    my $live = $nginx->sse(FEED, keep => 1);

    is($live->opened, 200, 'a subscriber');

    # the first id that it has is from before all of it

    $live->pump until $live->text =~ /^id: (.+)$/m;
    my $begin = $1;

    my $good = sub { feed_add($redis, feed_entry(feed_message($sid, @_))) };
    my $raw  = sub {
        $redis->cli('XADD', 'es:{feed}:stream', '*', @_);
    };

    $good->('a');
    $raw->('m', '');
    $raw->('m', 'not ours');
    $raw->('m', "\x01" . 'x' x 100);
    $raw->('other', 'field');
    $raw->('m', feed_entry(feed_message($sid, 'not alone')), 'more', '1');
    $raw->('a', 'b', 'c', 'd', 'm', 'e');
    $good->('b');
    $good->();
    feed_add($redis, feed_entry());
    feed_add($redis, feed_entry(feed_message(qq(s"}\n\ndata: evil), 'sid')));
    feed_add($redis, feed_entry(feed_message($sid, "name\n\ndata: evil")));
    feed_add($redis, feed_entry(feed_message($sid, 'quo"te')));
    feed_add($redis, feed_entry(feed_message($sid, 'c', 'back\\'), 'x'));
    feed_add($redis, substr(feed_entry(feed_message($sid, 'd', 'cut')), 0,
        -5));
    $raw->('m', "\x01" . 'x' x 8 . "\x01" . "\xff" x 9 . "\x01");
    $good->('last');

    # an entry that has more than ours begins as ours does

    my $ours = 'a not alone b c d last';

    is(names_until($live, 'last'), $ours, 'what is ours is told');

    my $history = $nginx->sse(FEED, last_id => $begin, keep => 1);

    is(names_until($history, 'last'), $ours, 'from history, too');

    for ($live, $history) {
        unlike($_->text, qr/evil/, 'and nothing of what is not');
        unlike($_->text, qr/^(?!id: |event: message$|data: \{|retry: |:$|$)/m,
            'each line is one of an event');
        $_->abort;
    }

    ok($nginx->log_has(qr/an entry of the feed is not ours/),
        'the log was told');

    $redis->cli('DEL', 'es:{feed}:stream');
}


# One connection reads for all, and they are told the same.

sub same_for_all {
    my @all = map { $nginx->sse(FEED, keep => 1) } 1 .. 200;

    $_->opened for @all;

    ok(wait_for { blocked() == 1 }, 'one connection waits for all');

    store($nginx, $sid, start(1), map { event($_, "n$_") } 1 .. 50);
    store($nginx, $sid, end(9));
    store($nginx, $sid, event(10, 'last'));

    my %texts;

    for my $sse (@all) {
        $sse->json_until('last');
        $texts{ join('', grep { /^(?:id|data): \S/ }
            split(/^/, $sse->text =~ s/^.*?\n\n//sr)) }++;
        $sse->abort;
    }

    is(scalar(keys(%texts)), 1, 'they are told the same');
    ok(wait_for { blocked() == 0 }, 'and nothing waits when they are gone');
}


sub blocked {
    return scalar(() = $redis->cli('CLIENT', 'LIST') =~ /flags=\w*b/g);
}


# Others' events go by: the client's id goes with them, or it would be told of
# a gap when it comes back, where there is none for it.

sub filtered_place {
    my $sse = $nginx->sse(FEED . '?name=rare');

    is($sse->opened, 200, 'a subscriber with a filter');

    store($nginx, $sid, event(1, 'rare'), event(2, 'others'));
    is($sse->json->{event_name}, 'rare', 'is told of one');

    my $id = $sse->last_id;

    store($nginx, $sid, map { [ event($_, 'others') ] } 1 .. 50);

    my $top = $redis->cli('XREVRANGE', 'es:{feed}:stream', '+', '-', 'COUNT',
        1)->[0][0];

    ok($sse->wait_until(sub { index($sse->last_id, "$top.") == 0 }),
        'the others move its id');

    $redis->cli('XTRIM', 'es:{feed}:stream', 'MAXLEN', 1);
    store($nginx, $sid, event(3, 'rare'));

    my $back = $sse->resume;

    is($back->next->{type}, 'message', 'when it comes back, there is no gap');
    $back->abort;

    $back = $nginx->sse(FEED . '?name=rare', last_id => $id);

    is($back->next->{type}, 'gap', 'as there is from the id that it had');
    $back->abort;
}


# Many small chunks through two streams, one of them copied: the worker is as
# large behind the last as it was behind the first few.

sub weeks {
    my @all = map { $nginx->sse(FEED . $_) } '', '?type=EVENT';

    $_->opened for @all;

    my ($worker) = $nginx->workers;

    my $round = sub {
        my ($n, $last) = @_;

        for (1 .. $n) {
            my @batch = map {
                [ 'XADD', 'es:{feed}:stream', '*', 'm',
                    feed_entry(feed_message($sid, "w$_")) ];
            } 1 .. 50;

            $redis->pipeline(@batch);
            $_->pump, $_->taken for @all;
        }

        feed_add($redis, feed_entry(feed_message($sid, $last)));
        $_->json_until($last) for @all;
    };

    $round->(40, 'warm');
    my $before = $nginx->rss($worker);

    $round->(400, 'done');
    my $grown = $nginx->rss($worker) - $before;

    # what was freed stays in the sanitizer's quarantine

    cmp_ok($grown, '<',
        $ENV{EVS_SANITIZE} ? 400_000_000 : 1_000_000 * EventSession::slow(),
        'a stream does not grow with its events');

    $_->abort for @all;
}
