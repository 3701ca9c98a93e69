package EventSession::Session;

# Sessions as tests write and expect them, in JSON text that is compared whole:
# a child of the tree is the very text of the entry that was sent.
#
#     use EventSession::Session;
#
#     my @events = map { event(1624422533 + $_, "n$_") } 1 .. 3;
#     my $fancy  = event('1.50', 'a', category => '"c"', data => '[1]');
#
#     store($nginx, $sid, start(1), @events, end(9));    # one message
#     store($nginx, $sid, batches(1000, @events));       # several, pipelined
#
#     is($nginx->get("/session/$sid")->body, tree(1, 9, @events));
#
# Timestamps, categories and data are JSON texts; names are put in quotes.

use strict;
use warnings;

use Carp;
use Exporter 'import';

use EventSession::Nginx;

our @EXPORT = qw(event start end tree store batches children);


# More of an event: id, category, data, in the order in which they are shown.

sub event {
    my ($timestamp, $name, @more) = @_;

    my $text = qq({"type":"EVENT","timestamp":$timestamp,"name":"$name");

    while (my ($key, $value) = splice(@more, 0, 2)) {
        $text .= qq(,"$key":$value);
    }

    return "$text}";
}


sub start { qq({"type":"SESSION_START","timestamp":$_[0]}) }
sub end   { qq({"type":"SESSION_END","timestamp":$_[0]}) }


# undef is null.

sub tree {
    my ($start, $end, @children) = @_;

    return '{"type":"SESSION","start":' . ($start // 'null') . ',"end":'
        . ($end // 'null') . ',"children":[' . join(',', @children) . ']}';
}


# The children of a tree whose names and data have no braces.

sub children {
    my ($body) = @_;

    $body =~ s/^\{"type":"SESSION","start":[^,]+,"end":[^,]+,"children":\[//
        && $body =~ s/\]\}$// or croak "not a tree: " . substr($body, 0, 200);

    return split(/(?<=\}),(?=\{"type")/, $body);
}


# Lists of entries, each for a message of its own.

sub batches {
    my ($size, @entries) = @_;

    my @batches;

    push(@batches, [ splice(@entries, 0, $size) ]) while @entries;

    return @batches;
}


# Entries are one message; lists of entries are a message each.  All of it has
# been acknowledged when this returns.  The nginx may be a WebSocket with acks
# that is used again, too.

sub store {
    my ($to, $sid, @messages) = @_;

    @messages = ([ @messages ]) if @messages && !ref($messages[0]);

    my $ws = $to->isa('EventSession::WS') ? $to
        : $to->ws("/ws?sessionId=$sid&ack=1", timeout => 30);

    my $sent = my $acked = 0;

    while ($acked < @messages) {

        # a few on their way at a time, so that nobody waits for nobody

        while ($sent < @messages && $sent < $acked + 4) {
            $ws->text('[' . join(',', @{ $messages[$sent++] }) . ']')
                or croak 'store: ' . $ws->error;
        }

        my $reply = $ws->message
            // croak 'store: ' . ($ws->error // 'no reply');

        next if $reply eq '{"message":"bye"}';

        my $count = @{ $messages[$acked++] };

        $reply =~ /^\{"ack":\d+,"events":$count\}$/
            or croak "store: $reply for $count entries";
    }

    return $ws;
}


1;
