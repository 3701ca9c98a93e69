package EventSession::HTTP;

# One HTTP/1.1 connection, with nothing between the test and the bytes.
#
#     my $http = EventSession::HTTP->connect($port, timeout => 10);
#
#     my $res = $http->request('POST', '/events', body => $json,
#         headers => [ 'Content-Type: application/json' ]);
#
#     $res->status;  $res->header('Content-Type');  $res->body;  $res->json;
#     $res->error;           # why the response isn't whole, if it isn't
#
# The connection is kept: requests may follow each other, also all at once:
#
#     $http->send($bytes);                     # any bytes, broken ones too
#     $res = $http->response;                  # the next response
#     $res = $http->response(head => 1);       # it has no body
#     $res = $http->response(each => sub { my ($part) = @_; ... });
#                                              # the body in parts as it comes
#                                              # in, kept nowhere; sleeping in
#                                              # it makes a slow reader
#
# A response that doesn't come in time, or at all, has the status 0.

use strict;
use warnings;

use Carp;
use IO::Select;
use IO::Socket::INET;
use Socket qw(IPPROTO_TCP SOL_SOCKET SO_RCVBUF TCP_NODELAY);
use Time::HiRes qw(time);


# Options: timeout in seconds for each thing that is waited for (10); rcvbuf
# in bytes, for slow readers; socket, one that is connected already.

sub connect {
    my ($class, $port, %options) = @_;

    my $socket = $options{socket} // tcp($port, %options);

    return bless {
        socket  => $socket,
        select  => IO::Select->new($socket),
        timeout => $options{timeout} // 10,
        port    => $port,
        in      => '',
    }, $class;
}


sub tcp {
    my ($port, %options) = @_;

    my $socket = IO::Socket::INET->new(Proto => 'tcp') or croak $!;

    if ($options{rcvbuf}) {
        setsockopt($socket, SOL_SOCKET, SO_RCVBUF, $options{rcvbuf});
    }

    $socket->connect(Socket::pack_sockaddr_in($port,
        Socket::inet_aton('127.0.0.1'))) or croak "port $port: $!";

    # small messages in a row don't wait for delayed ACKs

    setsockopt($socket, IPPROTO_TCP, TCP_NODELAY, 1);

    return $socket;
}


sub socket { $_[0]{socket} }


sub request {
    my ($self, $method, $path, %options) = @_;

    $self->send($self->text_of($method, $path, %options));

    return $self->response(head => $method eq 'HEAD',
        each => $options{each});
}


# A request's bytes, to send in parts or several at once.

sub text_of {
    my ($self, $method, $path, %options) = @_;

    my @headers = @{ $options{headers} // [] };

    if (!grep { /^host:/i } @headers) {
        unshift(@headers, "Host: 127.0.0.1:$self->{port}");
    }

    if (defined $options{body} && !grep { /^(content-len|transfer)/i } @headers)
    {
        push(@headers, 'Content-Length: ' . length($options{body}));
    }

    return join("\r\n", "$method $path HTTP/1.1", @headers, '', '')
        . ($options{body} // '');
}


sub send {
    my ($self, $bytes) = @_;

    my $end    = time() + $self->{timeout};
    my $offset = 0;

    while ($offset < length($bytes)) {
        if (!$self->{select}->can_write($end - time())) {
            return 0;
        }

        my $n = syswrite($self->{socket}, $bytes, 65536, $offset) // return 0;

        $offset += $n;
    }

    return 1;
}


# One read into the buffer: its length, 0 at the end, undef when it took too
# long.

sub fill {
    my ($self) = @_;

    if (!$self->{select}->can_read($self->{timeout})) {
        $self->{error} = 'timed out';
        return undef;
    }

    my $n = sysread($self->{socket}, $self->{in}, 65536, length($self->{in}));

    if (!$n) {
        $self->{error} = defined $n ? 'the connection was closed' : "$!";
        return 0;
    }

    return $n;
}


# Whether the server has closed: true, or false after the timeout or when it
# sent something instead.

sub eof {
    my ($self) = @_;

    return 0 if $self->{in} ne '';

    my $n = $self->fill;

    return defined $n && $n == 0;
}


sub response {
    my ($self, %options) = @_;

    my $res = bless { status => 0, headers => [], body => '' },
        'EventSession::HTTP::Response';

    delete $self->{error};

    my $each = $options{each} // sub { $res->{body} .= $_[0] };

    $self->read_head($res)
        && ($options{head} || $res->{status} =~ /^(?:1..|204|304)$/
            || $self->read_body($res, $each));

    $res->{error} = $self->{error};

    return $res;
}


sub read_head {
    my ($self, $res) = @_;

    while ($self->{in} !~ /\r\n\r\n/) {
        $self->fill or return 0;
    }

    $self->{in} =~ s/^(.*?)\r\n\r\n//s;

    my ($line, @headers) = split(/\r\n/, $1);

    if ($line !~ m{^HTTP/1\.[01] (\d{3})(?: |$)}) {
        $self->{error} = "not HTTP: $line";
        return 0;
    }

    $res->{status}  = $1;
    $res->{headers} = [ map { [ split(/:\s*/, $_, 2) ] } @headers ];

    return 1;
}


sub read_body {
    my ($self, $res, $each) = @_;

    if (lc($res->header('Transfer-Encoding') // '') eq 'chunked') {
        return $self->read_chunks($each);
    }

    my $length = $res->header('Content-Length');

    return $self->read_exactly($length, $each) if defined $length;

    # till the end, which is no error here

    do {
        $each->($self->{in}) if $self->{in} ne '';
        $self->{in} = '';
    } while ($self->fill);

    delete $self->{error} if ($self->{error} // '') =~ /closed/;

    return !$self->{error};
}


sub read_exactly {
    my ($self, $length, $each) = @_;

    while (1) {
        my $part = substr($self->{in}, 0, $length, '');

        $length -= length($part);
        $each->($part) if $part ne '';

        return 1 if $length == 0;

        $self->fill or return 0;
    }
}


sub read_chunks {
    my ($self, $each) = @_;

    while (1) {
        while ($self->{in} !~ /\r\n/) {
            $self->fill or return 0;
        }

        if ($self->{in} !~ s/^([0-9a-fA-F]+)\r\n//) {
            $self->{error} = 'not a chunk: ' . substr($self->{in}, 0, 40);
            return 0;
        }

        my $length = hex($1);

        $self->read_exactly($length, $each) or return 0 if $length;

        my $end = '';
        $self->read_exactly(2, sub { $end .= $_[0] }) or return 0;

        if ($end ne "\r\n") {
            $self->{error} = 'a chunk with a bad end';
            return 0;
        }

        return 1 if $length == 0;
    }
}


sub close {
    my ($self) = @_;

    CORE::close($self->{socket});
}


package EventSession::HTTP::Response;

use JSON::PP ();


sub status { $_[0]{status} }
sub body   { $_[0]{body} }
sub error  { $_[0]{error} }


# The header's value; in list context each of them.

sub header {
    my ($self, $name) = @_;

    my @values = map { $_->[1] }
        grep { lc($_->[0]) eq lc($name) } @{ $self->{headers} };

    return wantarray ? @values : $values[0];
}


# The body as Perl has it; undef if it is not JSON.

sub json {
    my ($self) = @_;

    return eval { JSON::PP->new->utf8->allow_nonref->decode($self->{body}) };
}


1;
