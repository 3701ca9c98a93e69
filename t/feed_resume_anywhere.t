# Why: a reader comes back from any event to any moment: in the middle of a
# message of many, at the end of what there is, while others write, behind the
# begin of a history that has been cut.  Known to fail by: an index that is
# counted within the message instead of the entry; an event lost or doubled at
# the seam between history and live; a page that is read again when nothing is
# left of it; a gap that is told where there is none, or not where there is.

use strict;
use warnings;

use lib 't/lib';

use EventSession;
use EventSession::Feed;
use EventSession::Load;
use EventSession::Session;
use Test::More;
use Time::HiRes qw(time);

use constant FEED => '/database_events';

my $t     = EventSession->new;
my $redis = $t->redis;
my $nginx = $t->nginx(redis => $redis, workers => 2);

every_index();
header_and_argument();
while_writing();
cut_history();
ids_of_the_future();

is($nginx->quit, 0, 'nginx quits');
ok_log($nginx);
done_testing();


# Entries of one message and of several, of one event and of many.

sub every_index {
    my $all = $nginx->sse(FEED);
    my $sid = uuid();
    my $n   = 0;

    is($all->opened, 200, 'a subscriber');

    my @messages = map { [ map { event(++$n, $n) } 1 .. $_ ] }
        (1, 50, 1, 1, 200, 7, 1, 130, 1);

    store($nginx, $sid, @messages);

    my @events = $all->events($n);

    is(scalar(@events), $n, "$n events");

    my @wrong;

    # the next one is the one behind it, and behind the last one comes what
    # comes later

    my @late;

    for my $i (0 .. $#events) {
        my $sse = $nginx->sse(FEED, last_id => $events[$i]{id});

        if ($i >= $#events - 3) {
            push(@late, $sse);
            next;
        }

        my @got = $sse->events(3);

        push(@wrong, $i) if ids(@got) ne ids(@events[$i + 1 .. $i + 3]);
        $sse->abort;
    }

    is("@wrong", '', 'each is followed by what came behind it');

    $_->opened for @late;
    store($nginx, $sid, event(1, 'late'));

    push(@events, $all->events(1));

    for my $i (0 .. $#late) {
        my $from = @events - @late + $i;

        is(ids($late[$i]->events($#events - $from + 1)),
            ids(@events[$from .. $#events]), 'and then by what comes');
    }

    # to the end, from the first

    my $sse = $nginx->sse(FEED, last_id => $events[0]{id});

    is(texts($sse->events($#events)), texts(@events[1 .. $#events]),
        'what is replayed is what was live');

    $_->abort for $all, $sse, @late;
}


sub ids { join(' ', map { $_->{id} } @_) }

sub texts { join("\n", map { "$_->{id} $_->{data}" } @_) }


# A browser's EventSource keeps the argument of its URL when it comes back
# with the header, which is newer.

sub header_and_argument {
    my $all = $nginx->sse(FEED);

    is($all->opened, 200, 'a subscriber');
    store($nginx, uuid(), map { event($_, $_) } 1 .. 5);

    my @events = $all->events(5);

    my $url = FEED . "?lastEventId=$events[0]{id}";

    my $sse = $nginx->sse($url);
    is(ids($sse->events(4)), ids(@events[1 .. 4]), '?lastEventId=');
    $sse->abort;

    $sse = $nginx->sse($url, last_id => $events[2]{id});
    is(ids($sse->events(2)), ids(@events[3, 4]), 'the header is newer');
    $sse->abort;

    $sse = $nginx->sse(FEED . '?lastEventId=');
    is($sse->opened, 200, 'an empty argument is none');
    store($nginx, uuid(), event(1, 'x'));
    is($sse->json->{event_name}, 'x', 'it is live');
    $sse->abort;

    $all->abort;
}


# Readers who leave in the middle of anything and come back at once, beside
# one who stays.

sub while_writing {
    my $load = EventSession::Load->new($nginx, clients => 10, batch => 20);
    my $stay = EventSession::Feed->new($nginx, subscribers => 1);

    my $back = EventSession::Feed->new($nginx, subscribers => 8,
        rcvbuf => 8192);

    my $end   = time() + 1;
    my $leave = 0;

    $load->run_until(sub {
        $_->step for $stay, $back;

        for my $one (grep { $_->{sse} } @{ $back->{all} }) {
            next if rand() > 0.1 || !$one->{sse}->opened
                || $one->{sse}->last_id eq '';

            $one->{id} = $one->{sse}->last_id;
            $one->{sse}->abort;
            delete $one->{sse};
            $one->{later} = 0;
            $leave++;
        }

        return time() > $end && $leave > 30;
    }, 60);

    cmp_ok($leave, '>', 30, 'readers came back');

    $load->run_until(sub { $_->step for $stay, $back; 0 }, 0.1);
    ok_answered($load);

    ok_fed($stay, $load, 'the one who stayed');
    ok_fed($back, $load, 'those who came back');

    is($stay->gaps + $back->gaps, 0, 'nobody was told of a gap');
}


# What is there is told behind the gap; with nothing missing there is none.

sub cut_history {
    my $all = $nginx->sse(FEED);

    is($all->opened, 200, 'a subscriber');

    my $sid = uuid();

    store($nginx, $sid, map { [ event($_, $_) ] } 1 .. 200)->abort;

    my @events = $all->events(200);

    # entries of several messages each: cut between two of them

    my %entries;
    my ($length) = scalar(grep { !$entries{ entry($_) }++ } @events);

    $redis->cli('XTRIM', 'es:{feed}:stream', 'MAXLEN',
        int($length / 2));

    my $first = $redis->cli('XRANGE', 'es:{feed}:stream', '-', '+', 'COUNT',
        1)->[0][0];

    my ($i) = grep { entry($events[$_]) eq $first } 0 .. $#events;

    my $sse = $nginx->sse(FEED, last_id => $events[0]{id});

    my $gap = $sse->next;

    is($gap->{type}, 'gap', 'an event is gone: a gap');
    like($gap->{data}, qr/^\{"detail":"[^"\n]+"\}$/, 'which says what it is');
    is($gap->{lines}, 1, 'in a line');
    is(ids($sse->events(@events - $i)), ids(@events[$i .. $#events]),
        'then comes what is left');
    is_deeply([ map { $_->{type} } $sse->taken ], [], 'and nothing else');
    $sse->abort;

    # the one that is still there is where to go on from

    $sse = $nginx->sse(FEED, last_id => $events[$i]{id});
    is(ids($sse->events(3)), ids(@events[$i + 1 .. $i + 3]),
        'no gap behind the first that is left');
    $sse->abort;

    # all of it is gone, and then there is something new

    $redis->cli('XTRIM', 'es:{feed}:stream', 'MAXLEN', 0);

    $sse = $nginx->sse(FEED, last_id => $events[0]{id});

    is($sse->opened, 200, 'a stream of which nothing is left');
    is($sse->next->{type}, 'gap', 'is a gap');

    store($nginx, $sid, event(1, 'new'));

    my $new = $sse->next;

    like($new->{data}, qr/"event_name":"new"/, 'and goes on');
    is(scalar($sse->taken), undef, 'with that');

    $_->abort for $all, $sse;
}


sub entry { $_[0]{id} =~ s/\..*//r }


# Redis has lost what it had: an id may be ahead of all there is.

sub ids_of_the_future {
    my $sse = $nginx->sse(FEED);

    is($sse->opened, 200, 'a subscriber');
    store($nginx, uuid(), event(1, 'a'));

    my $id = $sse->next->{id};

    $sse->abort;
    $redis->cli('FLUSHALL');

    # its clock went back

    $redis->cli('XADD', 'es:{feed}:stream', '1-1', 'm', 'not ours');

    $sse = $nginx->sse(FEED, last_id => $id);

    is($sse->opened, 200, 'an id that was given out by what is no more');
    is($sse->next->{type}, 'gap', 'is a gap');

    store($nginx, uuid(), event(1, 'b'));
    is($sse->json->{event_name}, 'b', 'and goes on');

    $sse->abort;
}
