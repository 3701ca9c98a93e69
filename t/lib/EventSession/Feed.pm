package EventSession::Feed;

# Subscribers of the live feed that come back whenever their stream ends, with
# the last id that they had, and remember what they were told: what the tests
# of "exactly once" are made of.  None of them blocks.
#
#     my $feed = EventSession::Feed->new($nginx,
#         subscribers => 4,
#         path        => '/database_events',
#         rcvbuf      => 4096);            # and other options of SSE
#
#     $feed->step;                         # reads what is there
#     $feed->until(sub { … }, 10);         # until it is true, or so long
#     $load->run_until(sub { $feed->step; … });    # beside writers
#
#     ok_fed($feed, $load);                # tests what they were told, see
#                                          # there
#     $feed->ends;                         # how streams ended: { end => 3 }
#     $feed->gaps;                         # how many were told of one
#     $feed->first_id;                     # of the events
#     $feed->names;                        # all names, of one of them
#
#     my @events = stream_events($redis);  # what the stream in Redis has:
#                                          # [ session, member ] each
#     ok_stream($redis);                   # tests that none is there twice

use strict;
use warnings;

use Exporter 'import';
use IO::Select;
use Test::More ();
use Time::HiRes qw(time sleep);

use EventSession::Load;
use EventSession::SSE;
use EventSession::Session;

our @EXPORT = qw(ok_fed ok_stream stream_events);


# A subscriber is there when new() returns: whatever is stored from then on is
# on its stream.

sub new {
    my ($class, $nginx, %options) = @_;

    my $self = bless {
        nginx => $nginx,
        path  => delete $options{path} // '/database_events',
        all   => [ map { { ids => {}, last => '', names => [], texts => '' } }
            1 .. delete $options{subscribers} // 1 ],
        ends  => {},
        gaps  => 0,
        wrong => [],
        options => \%options,
    }, $class;

    for my $one (@{ $self->{all} }) {
        $one->{sse} = $nginx->sse($self->{path}, %options);

        Test::More::is($one->{sse}->opened, 200, 'a subscriber');
    }

    return $self;
}


sub ends { $_[0]{ends} }
sub gaps { $_[0]{gaps} }


# The first id that anybody was told.

sub first_id { (map { $_->{first} // () } @{ $_[0]{all} })[0] }

sub names { @{ $_[0]{all}[0]{names} } }


sub step {
    my ($self) = @_;

    $self->step_one($_) for @{ $self->{all} };
}


sub step_one {
    my ($self, $one) = @_;

    if (!$one->{sse}) {
        return if time() < $one->{later};

        $one->{sse} = eval {
            $self->{nginx}->sse($self->{path}, %{ $self->{options} },
                $one->{id} ? (last_id => $one->{id}) : ());
        };

        $one->{later} = time() + 0.05;

        return if !$one->{sse};
    }

    my $sse = $one->{sse};

    # as much as there is, but not for ever

    for (1 .. 20) {
        last if !$sse->pump;
        $self->take($one, $_) for $sse->taken;
    }

    return if !$sse->ended;

    if ($sse->status == 200) {
        $self->{ends}{ $sse->ended }++;
        $one->{id} = $sse->last_id if $sse->last_id ne '';

    } elsif ($sse->status) {
        $self->wrong('it is answered ' . $sse->status);
    }

    # not the seconds of "retry": a test has no time for them

    $sse->abort;
    delete $one->{sse};
    $one->{later} = time() + 0.05;
}


sub take {
    my ($self, $one, $event) = @_;

    if ($event->{type} eq 'gap') {
        $self->{gaps}++;
        return;
    }

    my $id = $event->{id};

    $self->wrong("$id is there twice") if $one->{ids}{$id}++;
    $self->wrong("$id comes behind $one->{last}")
        if !follows($id, $one->{last});

    $one->{last} = $id;
    $one->{first} //= $id;

    my ($name) = $event->{data} =~ /"event_name":"([^"]*)"/;

    push(@{ $one->{names} }, $name // 'none');
    $one->{texts} .= "$id $event->{data}\n";
    $one->{mark} = $name if ($name // '') =~ /^mark/;
}


# <ms>-<seq>.<index>.<check>

sub follows {
    my ($id, $before) = @_;

    my @id     = $id =~ /^(\d+)-(\d+)\.(\d+)\.[0-9a-f]{8}$/ or return 0;
    my @before = $before =~ /^(\d+)-(\d+)\.(\d+)\./ or return 1;

    for my $i (0 .. 2) {
        return $id[$i] > $before[$i] if $id[$i] != $before[$i];
    }

    return 0;
}


sub wrong { push(@{ $_[0]{wrong} }, $_[1]) }


sub until {
    my ($self, $done, $seconds) = @_;

    my $end = time() + ($seconds // 20) * EventSession::slow();

    while (time() < $end) {
        $self->step;

        my $got = $done->();

        return $got if $got;

        my @open = map { $_->{sse} ? $_->{sse}->socket : () }
            @{ $self->{all} };

        IO::Select->new(@open)->can_read(0.02) if @open;
        sleep(0.005);
    }

    return 0;
}


# Writes one more event, and waits until everybody has it: then they have all
# that was acknowledged before it.  True if so.

my $marks = 0;

sub mark {
    my ($self, $seconds) = @_;

    my $mark = 'mark' . ++$marks;

    store($self->{nginx}, EventSession::uuid(), event(1, $mark))->abort;

    return $self->until(sub {
        !grep { ($_->{mark} // '') ne $mark } @{ $self->{all} };
    }, $seconds);
}


# Each event that a load was acknowledged was told to every subscriber exactly
# once, others at most once, in the order of their ids, and the same to all.

sub ok_fed {
    my ($self, $load, $what) = @_;

    local $Test::Builder::Level = $Test::Builder::Level + 1;

    $what //= 'the feed';

    Test::More::ok($self->mark, "$what: everybody has all of it");

    my ($first, @others) = @{ $self->{all} };

    my %seen;

    $seen{$_}++ for grep { !/^mark/ } @{ $first->{names} };

    ok_kept($load, "$what: what was acknowledged was told, once", \%seen);

    Test::More::is(scalar(grep { $_->{texts} ne $first->{texts} } @others), 0,
        "$what: the others were told the same") if @others;

    my @wrong = @{ $self->{wrong} };

    Test::More::is(scalar(@wrong), 0, "$what: in order, and no id twice")
        or Test::More::diag(join("\n", splice(@wrong, 0, 10)));
}


# store/feed_entry.h

sub stream_events {
    my ($redis, $key) = @_;

    my @events;
    my $from = '-';

    while (1) {
        my $page = $redis->cli('XRANGE', $key // 'es:{feed}:stream', $from,
            '+', 'COUNT', 500);

        last if !@$page;

        push(@events, map { entry_events($_->[1][1]) } @$page);
        $from = "($page->[-1][0]";
    }

    return @events;
}


sub entry_events {
    my ($value) = @_;

    my @events;

    substr($value, 0, 1, '') eq "\x01" or die 'not an entry of the feed';
    substr($value, 0, 8, '');
    varint(\$value);

    while ($value ne '') {
        my $sid = substr($value, 0, varint(\$value), '');

        while (my $length = varint(\$value)) {
            push(@events, [ $sid, substr($value, 0, $length, '') ]);
        }
    }

    return @events;
}


sub varint {
    my ($bytes) = @_;

    my ($n, $shift) = (0, 0);

    while (1) {
        my $byte = ord(substr($$bytes, 0, 1, ''));

        $n |= ($byte & 0x7f) << $shift;
        $shift += 7;

        return $n if $byte < 0x80;
    }
}


# No member is in it twice, and each that a session has is.

sub ok_stream {
    my ($redis, $what) = @_;

    local $Test::Builder::Level = $Test::Builder::Level + 1;

    $what //= 'the stream';

    my @events = stream_events($redis);
    my %seen;

    $seen{ $_->[0] . $_->[1] }++ for @events;

    Test::More::is(scalar(grep { $_ > 1 } values(%seen)), 0,
        "$what: none of its " . @events . ' events is there twice');

    my @missing;

    for my $key (@{ $redis->cli('KEYS', 'es:{*-*}') }) {
        my ($sid) = $key =~ /^es:\{(.*)\}$/;

        push(@missing, grep { !delete $seen{ $sid . $_ } }
            @{ $redis->cli('ZRANGE', $key, 0, -1) });
    }

    Test::More::is(@missing . ' missing, ' . keys(%seen) . ' more',
        '0 missing, 0 more', "$what: it has what the sessions have");
}


1;
