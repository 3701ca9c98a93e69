package EventSession::WS;

# A WebSocket client that can also do everything wrong.
#
#     my $ws = EventSession::WS->connect($port, "/ws?sessionId=$sid&ack=1",
#         headers => [ 'Origin: http://example.com' ]);
#
#     $ws->status;                  # of the upgrade; other than 101:
#     $ws->response->body;          # an EventSession::HTTP::Response
#
#     $ws->text('[]');  $ws->binary($bytes);
#     $ws->ping('a');   $ws->pong('a');
#     $ws->fragments('[', '', ']'); # one text message in as many frames
#     $ws->close(1000, 'reason');   # sends a close frame; ->close() an empty
#
#     $ws->message;                 # the next text or binary message, whole;
#                                   # undef when there is none: see below
#     $ws->messages(3);             # so many of them
#     $ws->close_code;              # waits for the server's close frame, skips
#                                   # messages; 1005 when it names no code,
#                                   # 1006 when there was none
#     $ws->close_reason;
#     $ws->eof;                     # waits for the end of the connection
#     $ws->error;                   # 'timed out', 'closed', 'end', …
#
# Pings are answered while something is waited for, unless pong => 0; so is a
# close frame, unless answer => 0.
#
# Frames as one likes them (masked with a random key unless said otherwise):
#
#     $ws->frame(opcode => 1, fin => 0, rsv => 0, payload => '…',
#                mask => 0, key => "\0\0\0\0", length => 1 << 40);
#     $ws->raw("\x81\xfe");         # any bytes
#     $ws->next_frame;              # { fin, rsv, opcode, payload }
#
# Many connections at once: with blocking => 0 nothing below waits.
#
#     $select->add($ws->socket);
#     $ws->text(…);                 # is kept if the socket is full
#     $ws->flush; $ws->unsent;      # later; how much is left
#     $ws->fill;                    # after can_read: 0 at the end
#     while (defined(my $m = $ws->message)) { … }

use strict;
use warnings;

use Carp;
use Digest::SHA ();
use IO::Select;
use MIME::Base64 ();
use Time::HiRes qw(time);

use EventSession::HTTP;

use constant {
    CONTINUATION => 0,
    TEXT         => 1,
    BINARY       => 2,
    CLOSE        => 8,
    PING         => 9,
    PONG         => 10,
};


# Options: headers => [ 'Name: value' ] to add, or to replace those that are
# sent otherwise (an empty value leaves one out); method, timeout, pong,
# answer, blocking, rcvbuf, socket, and more => bytes right behind the request.

sub connect {
    my ($class, $port, $path, %options) = @_;

    my $http = EventSession::HTTP->connect($port, %options);

    my $key = MIME::Base64::encode_base64(random_bytes(16), '');

    $http->send($http->text_of($options{method} // 'GET', $path,
        headers => [ merge($options{headers} // [],
            "Host: 127.0.0.1:$port", 'Upgrade: websocket',
            'Connection: Upgrade', 'Sec-WebSocket-Version: 13',
            "Sec-WebSocket-Key: $key") ])
        . ($options{more} // ''));

    my $self = bless {
        timeout  => $options{timeout} // 10,
        pong     => $options{pong} // 1,
        answer   => $options{answer} // 1,
        blocking => $options{blocking} // 1,
        response => $http->response,
        socket   => $http->socket,
        select   => IO::Select->new($http->socket),
        out      => '',
    }, $class;

    $self->{in} = $http->{in};

    $self->check_accept($key) if $self->status == 101
        && !grep { /^sec-websocket-key:/i } @{ $options{headers} // [] };

    $self->{socket}->blocking(0);

    return $self;
}


# Ours, unless the test has its own of the same name.

sub merge {
    my ($theirs, @ours) = @_;

    my %replaced = map { /^([^:]+):/ ? (lc($1) => 1) : () } @$theirs;

    return ((grep { /^([^:]+):/ && !$replaced{ lc($1) } } @ours),
            grep { !/^[^:]+:\s*$/ } @$theirs);
}


sub check_accept {
    my ($self, $key) = @_;

    my $wanted = Digest::SHA::sha1_base64(
        $key . '258EAFA5-E914-47DA-95CA-C5AB0DC85B11') . '=';

    my $got = $self->{response}->header('Sec-WebSocket-Accept') // 'none';

    croak "Sec-WebSocket-Accept is $got, not $wanted" if $got ne $wanted;
}


sub random_bytes { join('', map { chr(int(rand(256))) } 1 .. $_[0]) }


sub socket       { $_[0]{socket} }
sub response     { $_[0]{response} }
sub status       { $_[0]{response}->status }
sub error        { $_[0]{error} }
sub unsent       { length($_[0]{out}) }


sub text   { $_[0]->frame(opcode => TEXT,   payload => $_[1]) }
sub binary { $_[0]->frame(opcode => BINARY, payload => $_[1]) }
sub ping   { $_[0]->frame(opcode => PING,   payload => $_[1] // '') }
sub pong   { $_[0]->frame(opcode => PONG,   payload => $_[1] // '') }


sub fragments {
    my ($self, @parts) = @_;

    for my $i (0 .. $#parts) {
        $self->frame(opcode => $i ? CONTINUATION : TEXT, fin => $i == $#parts,
            payload => $parts[$i]);
    }
}


sub close {
    my ($self, $code, $reason) = @_;

    $self->{sent_close} = 1;

    $self->frame(opcode => CLOSE, payload => defined $code
        ? pack('n', $code) . ($reason // '') : '');
}


sub frame {
    my ($self, %frame) = @_;

    return $self->raw(frame_bytes(%frame));
}


sub frame_bytes {
    my (%frame) = @_;

    my $payload = $frame{payload} // '';
    my $length  = $frame{length}  // length($payload);
    my $mask    = $frame{mask}    // 1;

    my $head = pack('C', (($frame{fin} // 1) ? 0x80 : 0)
        | (($frame{rsv} // 0) << 4) | ($frame{opcode} // TEXT));

    my $bit = $mask ? 0x80 : 0;

    $head .= $length < 126   ? pack('C',  $bit | $length)
           : $length < 65536 ? pack('Cn', $bit | 126, $length)
           :                   pack('CQ>', $bit | 127, $length);

    return $head . $payload if !$mask;

    my $key = $frame{key} // random_bytes(4);

    return $head . $key
        . ($payload ^ substr($key x (length($payload) / 4 + 1), 0,
                             length($payload)));
}


# False when the connection is gone, or the time is up.

sub raw {
    my ($self, $bytes) = @_;

    $self->{out} .= $bytes;

    return $self->flush;
}


sub flush {
    my ($self) = @_;

    my $end = time() + $self->{timeout};

    while ($self->{out} ne '') {
        my $n = syswrite($self->{socket}, $self->{out}, 65536);

        if (defined $n) {
            substr($self->{out}, 0, $n, '');
            next;
        }

        if (!$!{EAGAIN}) {
            $self->{error} = "$!";
            $self->{out}   = '';
            return 0;
        }

        return 1 if !$self->{blocking};

        if (!$self->{select}->can_write($end - time())) {
            $self->{error} = 'timed out';
            return 0;
        }
    }

    return 1;
}


# Reads once what is there, at most $size bytes: a length, 0 at the end of the
# connection, undef when there is nothing yet.

sub fill {
    my ($self, $size) = @_;

    my $n = sysread($self->{socket}, $self->{in}, $size // 65536,
        length($self->{in}));

    if (defined $n ? !$n : !$!{EAGAIN}) {
        $self->{error} = defined $n ? 'end' : "$!";
        $self->{ended} = 1;
        return 0;
    }

    return $n;
}


# Waits until something was read, at most until $end.

sub wait_fill {
    my ($self, $end) = @_;

    return 0 if $self->{ended};

    my $n = $self->fill;

    return $n if defined $n || !$self->{blocking};

    return $self->fill if $self->{select}->can_read($end - time());

    $self->{error} = 'timed out';

    return undef;
}


# A frame from the buffer, or undef.

sub parse {
    my ($self) = @_;

    my $in = \$self->{in};

    return if length($$in) < 2;

    my ($first, $second) = unpack('CC', $$in);

    croak 'the server masked a frame' if $second & 0x80;

    my $length = $second;
    my $head   = 2;

    if ($length == 126) {
        return if length($$in) < 4;
        ($length, $head) = (unpack('x2n', $$in), 4);

    } elsif ($length == 127) {
        return if length($$in) < 10;
        ($length, $head) = (unpack('x2Q>', $$in), 10);
    }

    return if length($$in) < $head + $length;

    my $payload = substr($$in, $head, $length);
    substr($$in, 0, $head + $length, '');

    return {
        fin     => $first >> 7,
        rsv     => $first >> 4 & 7,
        opcode  => $first & 15,
        payload => $payload,
    };
}


sub next_frame {
    my ($self) = @_;

    my $end = time() + $self->{timeout};

    while (1) {
        my $frame = $self->parse;

        return $frame if $frame;

        $self->wait_fill($end) or return undef;
    }
}


sub message {
    my ($self) = @_;

    my $end = time() + $self->{timeout};

    while (1) {
        my $frame = $self->parse;

        if (!$frame) {
            return undef if $self->{close} || !$self->wait_fill($end);

        } elsif ($frame->{opcode} >= CLOSE) {
            $self->control($frame);

        } else {
            $self->{whole} .= $frame->{payload};

            return delete $self->{whole} if $frame->{fin};
        }
    }
}


sub messages {
    my ($self, $n) = @_;

    my @messages;

    while (@messages < $n && defined(my $message = $self->message)) {
        push(@messages, $message);
    }

    return @messages;
}


sub control {
    my ($self, $frame) = @_;

    if ($frame->{opcode} == PING) {
        $self->pong($frame->{payload}) if $self->{pong};

    } elsif ($frame->{opcode} == CLOSE) {
        $self->{close} = $frame->{payload};
        $self->{error} = 'closed';

        if ($self->{answer} && !$self->{sent_close}) {
            $self->{sent_close} = 1;
            $self->frame(opcode => CLOSE,
                payload => substr($self->{close}, 0, 2));
        }
    }
}


sub close_code {
    my ($self) = @_;

    1 while defined $self->message;

    my $close = $self->{close} // return 1006;

    return length($close) < 2 ? 1005 : unpack('n', $close);
}


sub close_reason {
    my ($self) = @_;

    return substr($self->{close} // '', 2) if length($self->{close} // '') > 2;
    return '';
}


# True once the server has ended the connection; what is still sent is read
# and dropped.

sub eof {
    my ($self) = @_;

    my $end = time() + $self->{timeout};

    while (!$self->{ended} && defined $self->wait_fill($end)) {
        1 while $self->parse;
    }

    return $self->{ended} // 0;
}


# Gone without a word: as a machine that is switched off, or (reset => 1) with
# a reset.

sub abort {
    my ($self, %options) = @_;

    if ($options{reset}) {
        setsockopt($self->{socket}, Socket::SOL_SOCKET(), Socket::SO_LINGER(),
            pack('ii', 1, 0));
    }

    CORE::close($self->{socket});
}


1;
