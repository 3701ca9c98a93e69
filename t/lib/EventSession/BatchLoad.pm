package EventSession::BatchLoad;

# Clients that post bodies of numbered events, and remember what they were told
# of each: EventSession::Load's for batches.  All of them are in this process,
# on connections that are kept while they last.
#
#     my $load = EventSession::BatchLoad->new($nginx,
#         clients  => 4,        # that never send a body twice
#         keyed    => 8,        # whose bodies have a key each, and are sent
#                               # until they are accepted
#         events   => 500,      # in a body, at most
#         sessions => 5,        # that a tenth of the events is of, too
#         pad      => 0,        # bytes more in each event
#         vanish   => 0,        # every so many-th body's client hangs up
#                               # before it has its answer
#         close    => 0,        # 1: a connection for each body
#         path     => '/events');
#
#     $load->run(0.5);  $load->run_until(…);  $load->run_acked(10);
#
#     ok_answered($load);       # as EventSession::Load's
#     ok_kept($load);           # what GET /events has: what was accepted once,
#                               # what wasn't once at most
#     ok_counted($load, $redis);    # Redis has as many, and the sessions, too
#
#     $load->acked;             # bodies
#     $load->errors;            # 503 or 409
#     $load->dropped;           # connections that ended without an answer
#     $load->codes;             # of answers: how many
#
# A seventh of the events has no timestamp, and is of the time when its body
# came.

use strict;
use warnings;

use Exporter 'import';
use IO::Select;
use Test::More ();
use Time::HiRes qw(time);

use EventSession::Batch qw(array batch_bytes entry events stored_sum);
use EventSession::HTTP;
use EventSession::Load;

our @ISA    = qw(EventSession::Load);
our @EXPORT = qw(ok_answered ok_kept ok_counted);


sub new {
    my ($class, $nginx, %options) = @_;

    my $self = $class->SUPER::new($nginx, clients => 4, events => 500,
        sessions => 5, pad => 0, vanish => 0, path => '/events',
        resending => $options{keyed} // 8, %options);

    return $self;
}


# Connects whoever is not, and has everybody send a body and wait for its
# answer.

sub step {
    my ($self) = @_;

    $self->go_on($_) for grep { !$_->{body} } @{ $self->{all} };

    my @busy = grep { $_->{body} } @{ $self->{all} };
    my %of   = map { $_->{http}->socket => $_ } @busy;

    my ($readable, $writable) = IO::Select->select(
        IO::Select->new(map { $_->{http}->socket } @busy),
        IO::Select->new(map { $_->{http}->socket }
            grep { $_->{out} ne '' } @busy), undef, 0.01);

    $self->write_body($of{$_}) for @{ $writable // [] };
    $self->read_answer($of{$_}) for @{ $readable // [] };

    # nobody is there: not to burn the processor
    select(undef, undef, undef, 0.005) if !@busy;
}


sub go_on {
    my ($self, $client) = @_;

    return if time() < ($client->{later} // 0);

    my $body = $client->{queue}[0];

    return if !$body && $self->{ending};

    if (!$client->{http}) {
        $client->{http} = eval { $self->{nginx}->connect };

        if (!$client->{http}) {
            $client->{later} = time() + 0.05;
            return;
        }

        $client->{http}->socket->blocking(0);
    }

    $body = shift(@{ $client->{queue} }) // $self->make_body($client);

    $client->{body}   = $body;
    $client->{sent}   = [ $body ];
    $client->{in}     = '';
    $client->{out}    = batch_bytes($client->{http}, $body->{text},
        path    => $self->{path},
        key     => $client->{resends} ? $body->{key} : undef,
        headers => [ $self->{close} ? 'Connection: close' : () ]);
    $client->{vanish} = $self->{vanish}
        && ++$client->{posts} % $self->{vanish} == 0;
}


# Its events' names are <load>.<client>.<body>.<event>, as their data.

sub make_body {
    my ($self, $client) = @_;

    my $number = @{ $client->{messages} };
    my $name   = "$self->{name}.$client->{number}.$number";

    my $body = {
        number => $number,
        key    => "key of $name",
        events => 1 + ($number * 7 + $client->{number} * 31) * 13
                  % $self->{events},
    };

    my $pad = 'x' x $self->{pad};

    $body->{text} = array(map {
        entry(
            timestamp  => $_ % 7 ? 1_600_000_000 + $_ * 17 : undef,
            data       => qq("$name.$_$pad"),
            $_ % 10 ? () : (
                name       => qq("$name.$_"),
                session_id => qq("$client->{sid}")))
    } 1 .. $body->{events});

    push(@{ $client->{messages} }, $body);

    return $body;
}


sub write_body {
    my ($self, $client) = @_;

    my $n = syswrite($client->{http}->socket, $client->{out}, 1 << 20);

    substr($client->{out}, 0, $n, '') if $n;

    $self->drop($client) if !defined $n && !$!{EAGAIN};

    return if $client->{out} ne '' || !$client->{vanish};

    $self->drop($client);
}


sub read_answer {
    my ($self, $client) = @_;

    # write_body() may have hung up
    return if !$client->{body};

    my $n = sysread($client->{http}->socket, $client->{in}, 65_536,
        length($client->{in}));

    return $self->drop($client) if defined $n ? $n == 0 : !$!{EAGAIN};

    my ($head, $rest) = split(/\r\n\r\n/, $client->{in}, 2);

    return if !defined $rest;

    my ($length) = $head =~ /^Content-Length: (\d+)/m;

    return if length($rest) < ($length // 0);

    $self->answer_body($client, $head, $rest);
}


sub answer_body {
    my ($self, $client, $head, $rest) = @_;

    my $body   = delete $client->{body};
    my $whole  = $client->{out} eq '';
    my ($code) = $head =~ m{^HTTP/1\.1 (\d+)};

    $client->{sent} = [];
    $self->{codes}{$code}++;

    if ($code == 200 && $whole) {
        $body->{acked} = 1;
        $self->{acked}++;
        delete $body->{text};

        $self->problem($client, 'accepted another number', $rest)
            if $rest ne qq({"accepted":$body->{events}});

    } elsif ($code == 503 || $code == 409) {
        $self->{errors}++;
        $client->{later} = time() + 0.05;
        push(@{ $client->{queue} }, $body) if $client->{resends};

        $self->problem($client, '503 without Retry-After', $head)
            if $code == 503 && $head !~ /^Retry-After: \d/m;

    } else {
        $self->problem($client, 'neither 200 nor 503', "$head $rest");
    }

    $self->hang_up_one($client)
        if !$whole || $head =~ /^Connection: close/m;
}


# The connection ends in the middle of a request.

sub drop {
    my ($self, $client) = @_;

    my $body = delete $client->{body};

    $self->{dropped}++;
    $self->hang_up_one($client);

    $client->{sent} = [];
    unshift(@{ $client->{queue} }, $body) if $client->{resends};
}


sub hang_up_one {
    my ($self, $client) = @_;

    my $http = delete $client->{http};

    $http->close if $http;
}


sub hang_up {
    my ($self) = @_;

    $_->{body} ? $self->drop($_) : $self->hang_up_one($_)
        for @{ $self->{all} };
}


# A body of which nobody was told that it is stored may be stored in part.

sub judge {
    my ($self, $client, $body, $seen, $wrong) = @_;

    $self->SUPER::judge($client, $body, $seen, $wrong);

    @{ $wrong->{torn} } = ();
}


# What GET /events has: a count for each name.

sub stored {
    my ($self) = @_;

    my %seen;

    for my $event (events($self->{nginx})) {
        my ($name) = $event =~ /"data":"([\d.]+)x*"/;

        $seen{ $name // $event }++;
    }

    return \%seen;
}


# Redis has no more than GET /events shows; and the sessions have what was
# accepted, once.

sub ok_counted {
    my ($self, $redis) = @_;

    local $Test::Builder::Level = $Test::Builder::Level + 1;

    Test::More::is(stored_sum($redis), scalar(my @events =
        events($self->{nginx})), 'the chunks have as many events');

    my %wanted;

    for my $client (@{ $self->{all} }) {
        for my $body (grep { $_->{acked} } @{ $client->{messages} }) {
            $wanted{ $client->{sid} }
                {"$self->{name}.$client->{number}.$body->{number}.$_"} = 1
                for grep { $_ % 10 == 0 } 1 .. $body->{events};
        }
    }

    for my $sid ($self->sids) {
        my $body  = $self->{nginx}->get("/session/$sid")->body;
        my @names = $body =~ /"name":"([^"]+)"/g;
        my %seen  = map { $_ => 1 } @names;

        Test::More::is(scalar(grep { !$seen{$_} } keys(%{ $wanted{$sid} })),
            0, 'a session has all of its ' . keys(%{ $wanted{$sid} })
            . ' events');

        Test::More::is(scalar(@names), scalar(keys(%seen)), 'once');

        Test::More::is($redis->cli('ZCARD', "es:{$sid}"), scalar(@names),
            'and shows what Redis has');
    }
}

1;
