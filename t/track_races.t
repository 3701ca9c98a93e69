# Why: many applications write to one session at once, through all workers and
# beside WebSockets, and "two events with one session" must never mean that one
# of them is lost; what was answered 201 is kept, whoever ends meanwhile.  Known
# to fail by: ids of two workers that are the same; a rule of one event a
# session; a reload that drops what had been read; an answer that is given to
# another request of its connection.

use strict;
use warnings;

use lib 't/lib';

use EventSession;
use EventSession::Session;
use EventSession::Track;
use Test::More;

use constant { CLIENTS => 10, ROUNDS => 20, MANY => 8 };

my $t     = EventSession->new;
my $redis = $t->redis(appendonly => 'yes');

my %app = map { $_ => uuid() } qw(left right);

my $nginx = $t->nginx(
    redis   => $redis,
    workers => 2,
    listen  => 'reuseport',
    http    => <<END);
        eventsession_application $app{left} left;
        eventsession_application $app{right} right;
        eventsession_timeout 60s;
        keepalive_requests 100000;
END

my $sid    = uuid();
my @others = map { uuid() } 1 .. 3;
my $count  = 0;
my %acked;                           # the name of an event: its application
my %begun;


together();
in_one_body();
ends('a reload', sub { $nginx->reload });
ends('a killed worker', sub { $nginx->kill9_worker });

$nginx->quit;
ok_log($nginx);
done_testing();


# The events of one request: names that nobody else has.

sub batch {
    my ($n, @sids) = @_;

    return map { { sid => $sids[$_ % @sids], name => 'e' . ++$count } } 1 .. $n;
}


sub json_of {
    my ($batch, $of) = @_;

    my $json = join(',', map { $of->(session_id => qq("$_->{sid}"),
        name => qq("$_->{name}")) } @$batch);

    return @$batch > 1 ? "[$json]" : $json;
}


# Sends a request for each of these batches at once, as the two applications in
# turn: how many answers were not of its own events, and how many are missing.

sub round {
    my ($clients, $batches, %options) = @_;

    my @sent;

    for my $i (0 .. $#$batches) {
        my $client = $clients->[$i % @$clients];
        my $name   = (qw(left right))[$i % 2];

        $begun{ $_->{name} } = $name for @{ $batches->[$i] };

        $client->{http} //= $nginx->connect(timeout => 60);
        $client->{http}->send(track_bytes($client->{http},
            json_of($batches->[$i], \&fields), app => $app{$name}));

        push(@sent, [ $client, $batches->[$i], $name ]);
    }

    $options{between}->() if $options{between};

    my $wrong = my $lost = 0;

    for my $sent (@sent) {
        my ($client, $batch, $name) = @$sent;

        my $res = $client->{http} ? $client->{http}->response : undef;

        if (!$res || $res->status == 0) {
            delete $client->{http};
            $lost++;
            next;
        }

        $wrong++ if $res->status != 201 || $res->body ne json_of($batch,
            \&shown);
        $acked{ $_->{name} } = $name for @$batch;
    }

    return ($wrong, $lost);
}


# What the sessions have: what was acknowledged, once, and nothing that nobody
# has sent; and under the name of who sent it.

sub ok_kept {
    my ($what) = @_;

    local $Test::Builder::Level = $Test::Builder::Level + 1;

    my (%seen, %by);

    for my $one ($sid, @others) {
        my $res = $nginx->get("/session/$one",
            connection => $nginx->connect(timeout => 60));

        next if $res->status == 404;

        $seen{$_}++ for map { /"name":"(\w+)"/ } children($res->body);

        for my $member (@{ $redis->cli('ZRANGE', "es:{$one}", 0, -1) }) {
            $by{$2} = $1 if $member =~ /(left|right).(e\d+),"category"/s;
        }
    }

    is(scalar(grep { !$seen{$_} } keys(%acked)), 0,
        "$what: all of " . keys(%acked) . ' acknowledged are there');
    is(scalar(grep { $seen{$_} != 1 } keys(%seen)), 0, "$what: once");
    is(scalar(grep { !exists $begun{$_} } keys(%seen)), 0,
        "$what: and no others");
    is(scalar(grep { ($by{$_} // '') ne $begun{$_} } keys(%seen)), 0,
        "$what: by their applications");
}


sub together {
    my $feed = $nginx->sse('/database_events', timeout => 60);

    is($feed->opened, 200, 'the feed');

    my @clients = map { {} } 1 .. CLIENTS;
    my $ws      = $nginx->ws("/ws?sessionId=$sid&ack=1", timeout => 60);
    my $failed  = 0;

    for my $round (1 .. ROUNDS) {
        my @ws = batch(5, $sid);

        $ws->text('[' . join(',', map { event(1, $_->{name}) } @ws) . ']');

        my ($wrong, $lost) = round(\@clients,
            [ map { [ batch(1, $sid) ] } 1 .. CLIENTS * MANY ]);

        $failed += $wrong + $lost;
        $failed++ if $ws->message ne qq({"ack":$round,"events":5});

        # no application's
        $begun{ $_->{name} } = $acked{ $_->{name} } = '' for @ws;
    }

    is($failed, 0, 'each request is answered with its own event');
    ok_kept('together');

    # by the feed, too

    my %told;

    for (1 .. $count) {
        my $event = $feed->json // last;

        $told{ $event->{event_name} }{ $event->{application} // '' }++;
    }

    is(scalar(grep { ($told{$_}{ $acked{$_} } // 0) != 1 } keys(%acked)), 0,
        'the feed has each of them, once, by its application');

    $feed->abort;
    $ws->abort;
    $_->{http}->close for @clients;
}


# Events of several sessions in one array, by both applications at once.

sub in_one_body {
    my @clients = map { {} } 1 .. CLIENTS;

    my ($wrong, $lost) = round(\@clients,
        [ map { [ batch(200, $sid, @others) ] } 1 .. CLIENTS * 2 ]);

    is($wrong + $lost, 0, 'each array is answered with its own events');
    ok_kept('arrays');

    # in the order of the array, where the time is the same

    my @batch = batch(500, my $new = uuid());

    ($wrong, $lost) = round(\@clients, [ \@batch ]);

    is($wrong + $lost, 0, 'a last one');
    is(join(' ', map { /"name":"(\w+)"/ }
        children($nginx->get("/session/$new")->body)),
        join(' ', map { $_->{name} } @batch), 'in the order of the array');

    delete @acked{ map { $_->{name} } @batch };

    $_->{http}->close for @clients;
}


# While requests are under way.  A request that was read is answered by a
# worker that goes in peace; what it has not read is lost with its connection.

sub ends {
    my ($what, $end) = @_;

    my @clients = map { {} } 1 .. CLIENTS;

    my ($wrong, $lost) = round(\@clients,
        [ map { [ batch(1 + $_ % 3, $sid, @others) ] } 1 .. CLIENTS * MANY ],
        between => $end);

    is($wrong, 0, "$what: each answer is right");
    note("$what: $lost requests lost");

    ($wrong, $lost) = round(\@clients,
        [ map { [ batch(2, $sid) ] } 1 .. CLIENTS ]);

    # some had a connection that went with its worker

    is($wrong, 0, "$what: then, too");

    ($wrong, $lost) = round(\@clients,
        [ map { [ batch(2, $sid) ] } 1 .. CLIENTS ]);

    is($wrong + $lost, 0, "$what: and all is well again");
    ok_kept($what);
}
