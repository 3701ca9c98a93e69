package EventSession::Load;

# Clients that write numbered events, and remember what they were told of
# each: what the tests of "acknowledged is kept" are made of.  All of them are
# in this process, on connections that nothing blocks.
#
#     my $load = EventSession::Load->new($nginx,
#         clients   => 50,      # that never send anything twice
#         resending => 50,      # whose events have ids: what was not
#                               # acknowledged is sent again, until it is
#         sessions  => 10,      # that all of them write to
#         window    => 8,       # messages of each without an answer, at most
#         batch     => 5,       # events in a message, at most
#         sndbuf    => 16384,   # of the client's socket; else the kernel's
#         path      => '/ws');
#
#     $load->run(0.5);                     # for so long, in seconds
#     $load->run_until(sub { … }, 10);     # until it is true, or so long
#     $load->run_acked(1000);              # until so many more messages are
#                                          # acknowledged
#     ok_answered($load);       # no new messages: tests that those under way
#                               # get their answer, and hangs up
#     ok_kept($load);           # tests what GET /session/<id> has, see there
#
#     $load->acked; $load->errors; $load->dropped; $load->codes;
#     $load->hang_up;
#
# A client whose connection ends comes back at once, and with its next
# message.

use strict;
use warnings;

use Exporter 'import';
use IO::Select;
use Socket qw(SOL_SOCKET SO_SNDBUF);
use Test::More ();
use Time::HiRes qw(time);

use EventSession::WS;

our @EXPORT = qw(ok_answered ok_kept);


# Each load has names of its own.
my $loads = 0;


sub new {
    my ($class, $nginx, %options) = @_;

    my $self = bless {
        nginx     => $nginx,
        clients   => 50,
        resending => 0,
        window    => 8,
        batch     => 5,
        sessions  => 10,
        path      => '/ws',
        acked     => 0,
        errors    => 0,
        dropped   => 0,
        codes     => {},
        problems  => [],
        %options,
    }, $class;

    $self->{sids} = [ map { EventSession::uuid() } 1 .. $self->{sessions} ];
    $self->{name} = ++$loads;

    $self->{all} = [ map { {
        number   => $_,
        resends  => $_ >= $self->{clients},
        sid      => $self->{sids}[$_ % $self->{sessions}],
        messages => [],             # every one, by its number
        queue    => [],             # to be sent again, or for the first time
        sent     => [],             # on this connection, not answered
    } } 0 .. $self->{clients} + $self->{resending} - 1 ];

    return $self;
}


sub acked    { $_[0]{acked} }
sub errors   { $_[0]{errors} }

# connections that ended, and with which codes (1006: without one)
sub dropped  { $_[0]{dropped} }
sub codes    { $_[0]{codes} }

sub sids { @{ $_[0]{sids} } }

# messages that were begun, so far
sub begun { my $n = 0; $n += @{ $_->{messages} } for @{ $_[0]{all} }; $n }

# clients that are connected, and those of them whose socket is full
sub connected { scalar(grep { $_->{ws} } @{ $_[0]{all} }) }
sub stuck { scalar(grep { $_->{ws} && $_->{ws}->unsent } @{ $_[0]{all} }) }


sub run {
    my ($self, $seconds) = @_;

    my $end = time() + $seconds;

    $self->step while time() < $end;
}


sub run_until {
    my ($self, $done, $seconds) = @_;

    my $end = time() + ($seconds // 20) * EventSession::slow();

    while (time() < $end) {
        my $got = $done->();

        return $got if $got;

        $self->step;
    }

    return 0;
}


sub run_acked {
    my ($self, $n, $seconds) = @_;

    my $wanted = $self->{acked} + $n;

    return $self->run_until(sub { $self->{acked} >= $wanted }, $seconds);
}


# Connects whoever is not, sends what the windows let, reads what has come.

sub step {
    my ($self) = @_;

    for my $client (@{ $self->{all} }) {
        $self->open_client($client) if !$client->{ws} && $self->wants($client);
        $self->write_client($client) if $client->{ws};
    }

    my @open = grep { $_->{ws} } @{ $self->{all} };

    my %of = map { $_->{ws}->socket => $_ } @open;

    my $readers = IO::Select->new(map { $_->{ws}->socket } @open);
    my $writers = IO::Select->new(map { $_->{ws}->socket }
        grep { $_->{ws}->unsent } @open);

    my ($readable) = IO::Select->select($readers, $writers, undef, 0.01);

    $self->read_client($of{$_}) for @{ $readable // [] };

    # nobody is there: not to burn the processor
    select(undef, undef, undef, 0.005) if !@open;
}


sub wants {
    my ($self, $client) = @_;

    return 0 if time() < ($client->{later} // 0);

    return !$self->{ending} || @{ $client->{queue} };
}


sub open_client {
    my ($self, $client) = @_;

    my $ws = eval {
        $self->{nginx}->ws("$self->{path}?ack=1&sessionId=$client->{sid}",
            blocking => 0, timeout => 5);
    };

    if (!$ws || $ws->status != 101) {
        $client->{later} = time() + 0.05;
        return;
    }

    setsockopt($ws->socket, SOL_SOCKET, SO_SNDBUF, $self->{sndbuf})
        if $self->{sndbuf};

    $client->{ws}       = $ws;
    $client->{answered} = 0;
    $client->{sent}     = [];
}


sub write_client {
    my ($self, $client) = @_;

    my $ws = $client->{ws};

    $ws->flush if $ws->unsent;

    while (!$ws->unsent && @{ $client->{sent} } < $self->{window}) {
        my $message = shift(@{ $client->{queue} });

        last if !$message && $self->{ending};

        $message //= $self->make($client);

        push(@{ $client->{sent} }, $message);

        $ws->text($self->payload($client, $message));
    }
}


# Its events' names are <load>.<client>.<message>.<event>; many have the same
# timestamp.

sub make {
    my ($self, $client) = @_;

    my $number = @{ $client->{messages} };

    my $message = {
        number => $number,
        events => 1 + ($number + $client->{number}) % $self->{batch},
    };

    push(@{ $client->{messages} }, $message);

    return $message;
}


sub payload {
    my ($self, $client, $message) = @_;

    my $timestamp = 1_600_000_000_000 + $message->{number};

    my @names = map { "$self->{name}.$client->{number}.$message->{number}.$_" }
        1 .. $message->{events};

    return '[' . join(',', map {
        qq({"type":"EVENT","timestamp":$timestamp,"name":"$_")
        . ($client->{resends} ? qq(,"id":"$_"}) : '}')
    } @names) . ']';
}


sub read_client {
    my ($self, $client) = @_;

    my $ws = $client->{ws};

    while (defined(my $text = $ws->message)) {
        $self->answer($client, $text);
    }

    return if !$ws->error;

    # closed, in one way or another

    my $code = $ws->close_code;

    $self->{codes}{$code}++;
    $self->{dropped}++;

    $self->lose($client);
}


# Answers come in the order of the messages, each with its number.

sub answer {
    my ($self, $client, $text) = @_;

    my $message = shift(@{ $client->{sent} });
    my $number  = ++$client->{answered};

    if (!$message) {
        return $self->problem($client, 'an answer to nothing', $text);
    }

    if ($text =~ /^\{"ack":(\d+),"events":(\d+)\}$/) {
        return $self->problem($client, 'ack of another message', $text)
            if $1 != $number || $2 != $message->{events};

        $message->{acked} = 1;
        $self->{acked}++;

    } elsif ($text =~ /^\{"error":"not stored: [^"]+","message":(\d+)\}$/) {
        return $self->problem($client, 'error of another message', $text)
            if $1 != $number;

        $self->{errors}++;
        push(@{ $client->{queue} }, $message) if $client->{resends};

    } else {
        $self->problem($client, 'neither ack nor error', $text);
    }
}


sub problem {
    my ($self, $client, $what, $text) = @_;

    push(@{ $self->{problems} }, "client $client->{number}: $what: $text");
}


sub lose {
    my ($self, $client) = @_;

    $client->{ws}->abort;
    delete $client->{ws};

    unshift(@{ $client->{queue} }, @{ $client->{sent} }) if $client->{resends};
    $client->{sent} = [];
}


sub hang_up {
    my ($self) = @_;

    $self->lose($_) for grep { $_->{ws} } @{ $self->{all} };
}


# Every message that is under way on an open connection is answered, and
# every one of a resending client acknowledged.

sub ok_answered {
    my ($self, $seconds) = @_;

    local $Test::Builder::Level = $Test::Builder::Level + 1;

    $self->{ending} = 1;

    my $left = sub {
        scalar(grep { @{ $_->{sent} } || @{ $_->{queue} } } @{ $self->{all} });
    };

    $self->run_until(sub { !$left->() }, $seconds // 20);

    Test::More::is($left->(), 0, 'all that was sent has its answer');

    Test::More::is(scalar(@{ $self->{problems} }), 0, 'and the right one')
        or Test::More::diag(join("\n", splice(@{ $self->{problems} }, 0, 20)));

    $self->hang_up;
}


# Of what was acknowledged each event is there exactly once; of what wasn't,
# at most once, and its message as a whole or not at all; whatever a resending
# client has sent is acknowledged.  What is there is what the sessions have,
# or a count for each name that is given.

sub ok_kept {
    my ($self, $what, $seen) = @_;

    local $Test::Builder::Level = $Test::Builder::Level + 1;

    $seen //= $self->stored;

    my %wrong = (lost => [], doubled => [], torn => [], unacked => []);
    my ($acked, $unknown) = (0, 0);

    for my $client (@{ $self->{all} }) {
        for my $message (@{ $client->{messages} }) {
            $self->judge($client, $message, $seen, \%wrong);

            $acked += $message->{events} if $message->{acked};
            $unknown++ if !$message->{acked};
        }
    }

    push(@{ $wrong{'made up'} }, keys(%$seen));

    Test::More::note("$acked events acknowledged, $unknown messages without"
        . " an ack, $self->{errors} errors, $self->{dropped} connections lost");

    Test::More::cmp_ok($acked, '>', 0, 'there were acknowledged events');

    Test::More::is(
        join(', ', map { @{ $wrong{$_} } . " $_" }
            grep { @{ $wrong{$_} } } sort(keys(%wrong))),
        '', $what // 'what was acknowledged is there, once');

    for my $kind (grep { @{ $wrong{$_} } } sort(keys(%wrong))) {
        my @some = @{ $wrong{$kind} };
        splice(@some, 10);
        Test::More::diag("$kind: @some");
    }
}


# Takes the events of a message out of $seen.

sub judge {
    my ($self, $client, $message, $seen, $wrong) = @_;

    my $stored = 0;

    for my $event (1 .. $message->{events}) {
        my $name = "$self->{name}.$client->{number}.$message->{number}.$event";
        my $n    = delete $seen->{$name} // 0;

        $stored++ if $n;

        push(@{ $wrong->{lost} }, $name)    if !$n && $message->{acked};
        push(@{ $wrong->{doubled} }, $name) if $n > 1;
    }

    my $name = "$self->{name}.$client->{number}.$message->{number}";

    push(@{ $wrong->{torn} }, $name)
        if $stored && $stored < $message->{events};

    push(@{ $wrong->{unacked} }, $name)
        if $client->{resends} && !$message->{acked};
}


# What the sessions have: a count for each name.

sub stored {
    my ($self) = @_;

    my %seen;

    for my $sid ($self->sids) {
        my $res  = $self->{nginx}->get("/session/$sid");
        my $body = $res->body;

        if ($res->error || $res->status != 200 && $res->status != 404) {
            push(@{ $self->{problems} }, "GET /session/$sid: " . $res->status);
            Test::More::fail("GET /session/$sid is " . $res->status
                . ' ' . ($res->error // $body));
        }

        $seen{$1}++ while $body =~ /"name":"([^"]*)"/g;
    }

    return \%seen;
}


1;
