# Why: what a client comes back with may be anything, and what it comes back to
# may be long, or gone, or another stream.  Known to fail by: ids that are
# taken with one character changed, or from another feed; an entry of a long
# message that doesn't fit into a page; events of a session that was deleted
# meanwhile; a stream that begins anew while a client is on its way through
# the old one, and waits for ids that don't come.

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
my $nginx = $t->nginx(redis => $redis, listen => 'sndbuf=16k',
    http => 'eventsession_feed_ping 200ms;', server => <<END);
        location = /other/feed {
            eventsession feed;
            eventsession_prefix other:;
        }
END

my $sid = uuid();

changed_ids();
long_messages();
deleted_sessions('few', 0);
deleted_sessions('many', 1000);
another_stream();

is($nginx->quit, 0, 'nginx quits');
ok_log($nginx);
done_testing();


# The stream, with nothing in it but these, and the id before them.

sub begin {
    $redis->cli('FLUSHALL');

    my $sse = $nginx->sse(FEED);

    is($sse->opened, 200, 'a subscriber');
    $sse->wait_until(sub { $sse->last_id ne '' });
    $sse->abort;

    return $sse->last_id;
}


sub changed_ids {
    begin();

    my $sse = $nginx->sse(FEED);

    $sse->opened;
    feed_add($redis, feed_entry(feed_message($sid, 'a', 'b')));

    my ($id, $last) = map { $_->{id} } $sse->events(2);
    $sse->abort;

    my %ids = map { $_ => 1 } $last =~ s/\.\w+$//r, "$last ", " $last",
        "$last.", uc($last), "0$last", $last =~ s/-/-0/r, $last =~ s/\./.0/r,
        '9' x 40, '-', '.', '0-0.0.', '0-0.0', 'x' x 10_000, "$id$last";

    # each character, also to one that looks alike

    for my $i (0 .. length($last) - 1) {
        for my $c (grep { $_ ne substr($last, $i, 1) } qw(0 1 9 a f g - .)) {
            my $changed = $last;

            substr($changed, $i, 1) = $c;
            $ids{$changed} = 1;
        }
    }

    delete $ids{$last};

    my @taken = grep {
        my $res = $nginx->request('HEAD', FEED,
            headers => [ "Last-Event-ID: $_" ]);

        # the spaces around a header's value are not part of it

        $res->status != (/^\s|\s$/ ? 200 : 400);
    } sort(keys(%ids));

    is(join(' ', map { substr($_, 0, 100) } @taken), '',
        'an id with anything changed is refused: ' . keys(%ids));

    is($nginx->get("/other/feed?lastEventId=$last")->status, 400,
        'and by another feed, as it is');
    is($nginx->request('HEAD', FEED . "?lastEventId=$last")->status, 200,
        'not by its own');
}


# Entries that are larger than a page, between small ones, read slowly.

sub long_messages {
    my $id    = begin();
    my @names = ('small', (map { "long$_" } 1 .. 20_000), 'between',
        (map { 'n' x 200 . $_ } 1 .. 3000), 'last');

    feed_add($redis, feed_entry(feed_message($sid, $names[0])));
    feed_add($redis, feed_entry(feed_message($sid, @names[1 .. 20_000])));
    feed_add($redis, feed_entry(feed_message($sid, $names[20_001])));
    feed_add($redis, feed_entry(feed_message($sid, @names[20_002 .. 23_001])));
    feed_add($redis, feed_entry(feed_message($sid, $names[-1])));

    my $sse = $nginx->sse(FEED, last_id => $id, rcvbuf => 16384,
        timeout => 60);
    my @got = $sse->json_until('last');

    is(scalar(@got), scalar(@names), 'as many as there are');
    is(join(' ', map { $_->{event_name} } @got), join(' ', @names),
        'and those, in their order');

    # from the middle of the long one

    my $middle = $nginx->sse(FEED . '?name=long12345', last_id => $id);

    is($middle->json->{event_name}, 'long12345', 'one in the middle');

    my $rest = $nginx->sse(FEED, last_id => $middle->last_id);

    is($rest->json->{event_name}, 'long12346', 'from where it goes on');

    $_->abort for $sse, $middle, $rest;
}


# Some of many are gone, up to when they were deleted; with so many others that
# who they are is asked by the page.

sub deleted_sessions {
    my ($what, $others) = @_;

    my $id   = begin();
    my @sids = map { uuid() } 1 .. 100;

    my @tops = map {
        feed_add($redis, feed_entry(feed_message($_, "of $_")))
    } @sids;

    # every other one, with the top as it was then

    for my $i (grep { $_ % 2 } 0 .. $#sids) {
        my ($ms, $seq) = split(/-/, $tops[$i]);

        $redis->cli('ZADD', 'es:{feed}:deleted', $ms * 4096 + $seq,
            $sids[$i]);
    }

    $redis->cli('ZADD', 'es:{feed}:deleted', '+inf', 'x' x 1000,
        map { ('+inf', uuid()) } 1 .. $others);

    # what such a session has been told since is new; and some have none

    feed_add($redis, feed_entry(feed_message($sids[1], 'again'),
        feed_message('', 'of none')));
    feed_add($redis, "nobody's");
    feed_add($redis, feed_entry(feed_message($sids[0], 'last')));

    my $sse  = $nginx->sse(FEED, last_id => $id);
    my $want = join(' ', (map { "of $sids[$_]" } grep { !($_ % 2) }
        0 .. $#sids), 'again of none last');

    is(join(' ', map { $_->{event_name} } $sse->json_until('last')), $want,
        "history without those that are gone: $what");

    # an id of what is gone is still a place

    my $all = $nginx->sse(FEED . "?sessionId=$sids[1]", last_id => $id);

    is($all->json->{event_name}, 'again', "nor with a filter for it: $what");

    $_->abort for $sse, $all;
}


# One reader is at the end of the stream, another one has not taken its history
# yet, when the stream is deleted; what is there then has lower ids.

sub another_stream {
    my $id = begin();

    feed_add($redis, feed_entry(feed_message($sid,
        map { 'n' x 1000 . $_ } 1 .. 800)));
    feed_add($redis, feed_entry(feed_message($sid, 'top')));

    my $live = $nginx->sse(FEED);
    my $slow = $nginx->sse(FEED, last_id => $id, rcvbuf => 4096,
        timeout => 30);

    is($live->opened, 200, 'a subscriber');
    is($slow->opened, 200, 'one with a lot to read');

    # the one that is live has to be told first

    $redis->cli('DEL', 'es:{feed}:stream');
    feed_add($redis, feed_entry(feed_message($sid, 'old')), '5-1');

    $live->{timeout} = 20;
    is($live->next->{type}, 'gap', 'another stream is a gap');

    feed_add($redis, feed_entry(feed_message($sid, 'new')), '5-2');
    is($live->json->{event_name}, 'new', 'and goes on with what comes');

    my @got = map { $_->{type} eq 'gap' ? 'gap'
        : $_->{data} =~ /"event_name":"n*([^"]*)"/ ? $1 : '?' }
        $slow->events(801);

    is($got[-1], 'gap', 'so it is for one in the midst of it');
    cmp_ok(scalar(@got), '>', 100, 'which has got what it had begun');

    feed_add($redis, feed_entry(feed_message($sid, 'newer')), '5-3');

    my @rest = map { $_->{event_name} } $slow->json_until('newer');

    like(join(' ', @rest), qr/newer$/, 'and goes on, too')
        or diag($slow->last_id);

    $_->abort for $live, $slow;
}
