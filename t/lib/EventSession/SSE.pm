package EventSession::SSE;

# An EventSource on a raw socket, over HTTP/1.1, by the rules of the WHATWG's
# HTML standard (section 9.2.6): lines of any end, a BOM, id, event, data,
# retry, comments.  It takes what is chunked apart itself, so that a test can
# tell a stream that was ended from one that was cut.
#
#     my $sse = $nginx->sse('/database_events?type=EVENT');
#     my $sse = EventSession::SSE->connect($port, '/database_events',
#         last_id => '…',               # the header Last-Event-ID
#         headers => [ 'Origin: …' ],
#         method  => 'HEAD',
#         timeout => 10, rcvbuf => 4096);
#
#     $sse->opened;                     # waits for the head of the response
#     $sse->status; $sse->header('Content-Type'); $sse->body;
#
#     my $e = $sse->next;               # an event: { id, type, data, lines },
#                                       # lines: of data; undef: none in time
#                                       # or the end, see ->ended
#     my @e = $sse->events(3);          # so many, or all until the end
#     $sse->json;                       # the data of the next one, as Perl
#     $sse->json_until('name');         # the next ones, to that event_name
#
#     $sse->last_id; $sse->retry;       # as a browser would have them now
#     $sse->comments;                   # how many there were
#     $sse->text;                       # all of the stream, if keep => 1
#     $sse->bytes;                      # how many of it there were
#
#     $sse->ended;                      # undef; 'end': as HTTP wants it, with
#                                       # a last chunk; 'cut': without one
#     $sse->wait_end;                   # reads on until then; ->ended
#     $sse->resume;                     # a new one, with the last id of this
#     $sse->abort;                      # closes the socket, reads no more
#
# Nothing is read but in these.  Many at once, waiting for none:
#
#     $sse->pump;                       # reads what is there
#     my @e = $sse->taken;              # the events of it

use strict;
use warnings;

use Carp;
use IO::Select;
use JSON::PP ();
use Time::HiRes qw(time);

use EventSession::HTTP;


sub connect {
    my ($class, $port, $path, %options) = @_;

    my $http = EventSession::HTTP->connect($port, %options);

    my @headers = ('Accept: text/event-stream', 'Cache-Control: no-cache',
        @{ $options{headers} // [] });

    push(@headers, "Last-Event-ID: $options{last_id}")
        if defined $options{last_id};

    $http->send($http->text_of($options{method} // 'GET', $path,
        headers => \@headers));

    my $self = bless {
        port     => $port,
        path     => $path,
        options  => \%options,
        timeout  => $options{timeout} // 10,
        socket   => $http->socket,
        select   => IO::Select->new($http->socket),
        reader   => \&read_head,
        in       => '',             # of the socket
        line     => '',             # of the stream, begun
        text     => '',
        bytes    => 0,
        events   => [],
        comments => 0,
        last_id  => $options{last_id} // '',
        begun    => begun($options{last_id} // ''),
    }, $class;

    $self->{socket}->blocking(0);

    return $self;
}


# What is known of the event whose lines come in.

sub begun { { id => $_[0], type => '', data => '', lines => 0 } }


sub socket   { $_[0]{socket} }
sub last_id  { $_[0]{last_id} }
sub retry    { $_[0]{retry} }
sub comments { $_[0]{comments} }
sub text     { $_[0]{text} }
sub bytes    { $_[0]{bytes} }
sub ended    { $_[0]{ended} }
sub response { $_[0]{response} }
sub status   { $_[0]{response} ? $_[0]{response}->status : 0 }


sub header {
    my ($self, $name) = @_;

    return $self->{response} && $self->{response}->header($name);
}


# Of a response that is no stream: all of it.

sub body {
    my ($self) = @_;

    $self->wait_until(sub { $self->{whole} });

    return $self->{text};
}


sub opened {
    my ($self) = @_;

    $self->wait_until(sub { $self->{response} });

    return $self->status;
}


# Waits until it is so, at most until the end of the stream or of the time.

sub wait_until {
    my ($self, $done) = @_;

    my $end = time() + $self->{timeout};

    while (!$done->() && !$self->{ended}) {
        my $left = $end - time();

        return 0 if $left <= 0;

        $self->pump if $self->{select}->can_read($left);
    }

    return $done->();
}


sub next {
    my ($self) = @_;

    $self->wait_until(sub { @{ $self->{events} } });

    return shift(@{ $self->{events} });
}


sub events {
    my ($self, $n) = @_;

    my @events;

    while (@events < $n && defined(my $event = $self->next)) {
        push(@events, $event);
    }

    return @events;
}


sub taken {
    my ($self) = @_;

    return splice(@{ $self->{events} });
}


sub json {
    my ($self) = @_;

    my $event = $self->next // return undef;

    return JSON::PP::decode_json($event->{data});
}


sub json_until {
    my ($self, $name) = @_;

    my @got;

    while (defined(my $event = $self->json)) {
        push(@got, $event);

        last if ($event->{event_name} // '') eq $name;
    }

    return @got;
}


sub wait_end {
    my ($self) = @_;

    $self->wait_until(sub { 0 });

    return $self->{ended};
}


# Options may replace those that it was connected with.

sub resume {
    my ($self, %options) = @_;

    $self->abort;

    return ref($self)->connect($self->{port}, $self->{path},
        %{ $self->{options} }, last_id => $self->{last_id}, %options);
}


sub abort {
    my ($self) = @_;

    CORE::close($self->{socket});
}


# One read, at most, so that nobody who writes fast keeps the others waiting;
# true if there was something.

sub pump {
    my ($self) = @_;

    return 0 if $self->{ended};

    my $n = sysread($self->{socket}, $self->{in}, 262_144,
        length($self->{in}));

    return 0 if !defined $n && $!{EAGAIN};

    if (!$n) {
        # without a length, that is how it is to end
        $self->{ended} = $self->{reader} == \&read_rest ? 'end' : 'cut';
        $self->{whole} = 1;
        return 1;
    }

    1 while !$self->{whole} && $self->{reader}->($self);

    return 1;
}


# Readers take what they can from {in}: false when they need more.

sub read_head {
    my ($self) = @_;

    $self->{in} =~ s/^(.*?)\r\n\r\n//s or return 0;

    my ($line, @headers) = split(/\r\n/, $1);

    my ($status) = $line =~ m{^HTTP/1\.1 (\d{3})(?: |$)}
        or croak "not HTTP: $line";

    my $response = bless { status => $status, body => '',
        headers => [ map { [ split(/:\s*/, $_, 2) ] } @headers ] },
        'EventSession::HTTP::Response';

    $self->{response} = $response;
    $self->{stream} = ($response->header('Content-Type') // '')
        =~ m{^text/event-stream};

    my $length = $response->header('Content-Length');

    if (($self->{options}{method} // '') eq 'HEAD' || $status == 204) {
        $self->{whole} = 1;

    } elsif (lc($response->header('Transfer-Encoding') // '') eq 'chunked') {
        $self->{reader} = \&read_size;

    } elsif (defined $length) {
        $self->{left}   = $length;
        $self->{reader} = \&read_length;

    } else {
        $self->{reader} = \&read_rest;
    }

    return 1;
}


sub read_size {
    my ($self) = @_;

    if ($self->{in} !~ s/^([0-9a-f]+)\r\n//i) {
        croak 'not a chunk: ' . substr($self->{in}, 0, 40)
            if $self->{in} !~ /^[0-9a-f]*\r?\z/i;

        return 0;
    }

    $self->{left}   = hex($1);
    $self->{reader} = $self->{left} ? \&read_chunk : \&read_trailer;

    return 1;
}


sub read_chunk {
    my ($self) = @_;

    return 0 if length($self->{in}) < $self->{left} + 2;

    $self->take(substr($self->{in}, 0, $self->{left}, ''));

    substr($self->{in}, 0, 2, '') eq "\r\n"
        or croak 'a chunk with a bad end';

    $self->{reader} = \&read_size;

    return 1;
}


# Whether the server hangs up then, too, is another question.

sub read_trailer {
    my ($self) = @_;

    return 0 if length($self->{in}) < 2;

    substr($self->{in}, 0, 2, '') eq "\r\n"
        or croak 'a last chunk with a bad end';

    $self->{ended} = 'end';
    $self->{whole} = 1;

    return 0;
}


sub read_length {
    my ($self) = @_;

    my $part = substr($self->{in}, 0, $self->{left}, '');

    $self->{left} -= length($part);
    $self->take($part) if $part ne '';
    $self->{whole} = 1 if $self->{left} == 0;

    return 0;
}


sub read_rest {
    my ($self) = @_;

    $self->take($self->{in});
    $self->{in} = '';

    return 0;
}


# The stream's text, in any parts.

sub take {
    my ($self, $part) = @_;

    $self->{bytes} += length($part);
    $self->{text} .= $part if $self->{options}{keep} || !$self->{stream};

    return if !$self->{stream};

    # the end of "\r\n" whose begin has ended a line already

    $part =~ s/^\n// if delete $self->{cr};
    $self->{cr} = 1  if $part =~ /\r\z/;

    $self->{line} .= $part;

    # a BOM may stand at the very begin

    if (!$self->{bom} && length($self->{line}) >= 3) {
        $self->{line} =~ s/^\xef\xbb\xbf//;
        $self->{bom} = 1;
    }

    my $end = 0;

    while ($self->{line} =~ /\G([^\r\n]*)(?:\r\n|\n|\r)/g) {
        $end = pos($self->{line});
        $self->take_line($1);
    }

    substr($self->{line}, 0, $end, '');
}


sub take_line {
    my ($self, $line) = @_;

    return $self->dispatch if $line eq '';

    my ($field, $value) = $line =~ /^([^:]*)(?:: ?(.*))?$/s;

    $value //= '';

    my $begun = $self->{begun};

    if ($field eq 'data') {
        $begun->{data} .= "$value\n";
        $begun->{lines}++;

    } elsif ($field eq 'id') {
        $begun->{id} = $value if $value !~ /\0/;

    } elsif ($field eq 'event') {
        $begun->{type} = $value;

    } elsif ($field eq 'retry') {
        $self->{retry} = $value if $value =~ /^[0-9]+$/;

    } elsif ($field eq '') {
        $self->{comments}++;
    }
}


sub dispatch {
    my ($self) = @_;

    my $event = $self->{begun};

    # counts even for what is no event, and for those that come after it

    $self->{last_id} = $event->{id};
    $self->{begun}   = begun($event->{id});

    return if $event->{data} eq '';

    chop($event->{data});
    $event->{type} = 'message' if $event->{type} eq '';

    push(@{ $self->{events} }, $event);
}


1;
