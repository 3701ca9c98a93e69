package EventSession::Chunks;

# Events of batches, put into Redis as store/member.h and store/store.h have
# them, and the JSON in which GET /events shows them.
#
#     use EventSession::Chunks;
#
#     my $event = batch_event(1624422533298, data => '[1]');
#     my $event = batch_event('"2021-06-23T04:28:53Z"', us => 1624422533000000,
#         name => 'a', category => 'c', session => $sid, id => "\1" x 10);
#
#     put($redis, 3, 0, $event, …);       # into chunk 0 of shard 3
#     chunks($redis, 3, 0);               # which is the highest one of it
#
#     is($res->body, shown($event, …));   # in the order in which they stand
#
# Timestamps and data are JSON texts; us is what a timestamp that is not a
# number means.  Ids grow with each call, or are 10 bytes that are given.

use strict;
use warnings;

use Exporter 'import';

use EventSession::Redis;

our @EXPORT = qw(batch_event put chunks shown by_time);

my $ids = 0;


sub batch_event {
    my ($timestamp, %more) = @_;

    my $us   = $more{us} // micro($timestamp);
    my $id   = $more{id} // substr(pack('Q>', 1e15 + ++$ids), 1) . 'tst';
    my $text = '';
    my $code = defined $more{name} ? 0 : 0x80;

    $text .= qq(,"category":"$more{category}") if defined $more{category};
    $text .= qq(,"data":$more{data})           if defined $more{data};
    $text .= qq(,"session_id":"$more{session}") if defined $more{session};

    my $name = $more{name} // '';

    my $rest = $text eq '' ? $name : varint(length($name)) . $name . $text;

    $code |= 0x20 if $text ne '';

    return {
        us     => $us,
        member => "\x01$id" . written($timestamp, $code) . $rest,
        json   => qq({"timestamp":$timestamp)
            . (defined $more{name} ? qq(,"name":"$name") : '') . "$text}",
    };
}


# Told apart by their magnitude.

sub micro {
    my ($number) = @_;

    return $number < 1e11 ? int($number * 1e6 + 0.5)
        : $number < 1e14 ? int($number * 1e3 + 0.5)
        : $number < 1e17 ? int($number) : int($number / 1e3);
}


sub written {
    my ($timestamp, $code) = @_;

    return chr($code) . varint(length($timestamp)) . $timestamp
        if $timestamp !~ /^\d{1,18}$/;

    (my $bytes = pack('Q>', $timestamp)) =~ s/^\0{1,7}//;

    return chr($code | length($bytes)) . $bytes;
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


# The list of chunks is told first, as a writer does.

sub put {
    my ($redis, $shard, $chunk, @events) = @_;

    my @commands = (chunks_command($shard, $chunk));

    while (my @some = splice(@events, 0, 500)) {
        push(@commands, [ 'ZADD', key($shard, $chunk),
            map { ($_->{us}, $_->{member}) } @some ]);
    }

    $redis->pipeline(splice(@commands, 0, 20)) while @commands;
}


sub chunks {
    my ($redis, $shard, $chunk) = @_;

    $redis->cli(@{ chunks_command($shard, $chunk) });
}


sub chunks_command { [ 'ZADD', 'es:{batch}:chunks', 'GT', $_[1], $_[0] ] }


sub key { sprintf('es:{s%02d}:batch:%d', @_) }


sub shown { '[' . join(',', map { $_->{json} } @_) . ']' }


# As they are to come.

sub by_time {
    return sort { $a->{us} <=> $b->{us} || $a->{member} cmp $b->{member} } @_;
}


1;
