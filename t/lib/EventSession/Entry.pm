package EventSession::Entry;

# Values for the feed's stream as store/feed_entry.h has them, to put there
# what no writer of ours would, or what it would have long ago.
#
#     use EventSession::Entry;
#
#     feed_add($redis, feed_entry(feed_message($sid, 'a', 'b')));    # its id
#     feed_add($redis, $value, '5-1');                 # with that id
#
# Names are the inside of JSON strings.

use strict;
use warnings;

use Exporter 'import';

our @EXPORT = qw(feed_entry feed_message feed_member feed_add);

my $number = 0;
my $writer = pack('NN', $$, time());
my $member = 0;


sub feed_entry {
    return "\x01$writer" . varint(++$number) . join('', @_);
}


sub feed_message {
    my ($sid, @names) = @_;

    return varint(length($sid)) . $sid
        . join('', map { varint(length($_)) . $_ } map { feed_member($_) }
            @names) . "\x00";
}


# An event of the fifth second, with an id of its own.

sub feed_member { "\x01" . pack('x2Q>', ++$member) . "\x01\x05$_[0]" }


sub feed_add {
    my ($redis, $value, $id) = @_;

    return $redis->cli('XADD', 'es:{feed}:stream', $id // '*', 'm', $value);
}


sub varint {
    my ($n) = @_;

    my $bytes = '';

    while ($n >= 0x80) {
        $bytes .= chr(0x80 | $n & 0x7f);
        $n >>= 7;
    }

    return $bytes . chr($n);
}


1;
