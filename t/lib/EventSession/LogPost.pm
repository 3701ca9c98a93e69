package EventSession::LogPost;

# The event log, as tests post to it and find it in Redis.
#
#     use EventSession::LogPost;
#
#     my $res = log_post($nginx, record());    # or a connection of
#                                              # EventSession::HTTP
#     my $res = log_post($nginx, record(email => '"a"', data => undef),
#         type    => 'text/plain',             # undef: none
#         headers => [ 'Content-Encoding: gzip' ],
#         path    => '/event');
#
#     $http->send(log_bytes($http, ...));      # the same, without waiting
#
#     my ($id, $at) = created($res, message => '"m"');   # tests the 201, too
#     is($res->body, log_fault(email => REQUIRED));
#
# Fields are JSON texts, in the order in which they are shown; undef leaves one
# out.
#
#     my @records = log_records($redis);       # all, by day and score: hashes
#                                              # of day, score, us, id (text),
#                                              # email ... data, member
#     my @wrong = log_wrong($redis);           # records that an index misses

use strict;
use warnings;

use Exporter 'import';
use Digest::SHA ();
use Test::More ();
use Time::Local ();

our @EXPORT = qw(REQUIRED NULL BLANK NO_STRING NO_NUL NO_EMAIL record
    log_post log_bytes log_fault created log_records log_wrong log_key log_us);


use constant {
    REQUIRED  => 'This field is required.',
    NULL      => 'This field may not be null.',
    BLANK     => 'This field may not be blank.',
    NO_STRING => 'Not a valid string.',
    NO_NUL    => 'Null characters are not allowed.',
    NO_EMAIL  => 'Enter a valid email address.',
};

my %letters = (email => 'e', environment => 'v', component => 'c');

my @order = qw(email environment component message data);

my $hex  = '[0-9a-f]';
my $uuid = qr/$hex{8}-$hex{4}-4$hex{3}-[89ab]$hex{3}-$hex{12}/;
my $time = qr/\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}Z/;


sub fields {
    my (%fields) = @_;

    return (email => '"a@b.de"', environment => '"v"', component => '"c"',
        message => '"m"', data => '{}', %fields);
}


sub members {
    my (%fields) = @_;

    return join(',', map { qq("$_":$fields{$_}) }
        grep { defined $fields{$_} } @order);
}


sub record { '{' . members(fields(@_)) . '}' }


# The map of faults: pairs of a field and its sentence, or a list of them.

sub log_fault {
    my @faults;

    while (my ($field, $sentences) = splice(@_, 0, 2)) {
        push(@faults, qq("$field":[) . join(',', map { qq("$_") }
            ref($sentences) ? @$sentences : $sentences) . ']');
    }

    return '{' . join(',', @faults) . '}';
}


sub log_request {
    my ($body, %options) = @_;

    my @headers = @{ $options{headers} // [] };
    my $type    = exists $options{type} ? $options{type} : 'application/json';

    push(@headers, "Content-Type: $type") if defined $type;

    return ($options{method} // 'POST', $options{path} // '/event',
        headers => \@headers, body => $body);
}


sub log_post { $_[0]->request(log_request(@_[1 .. $#_])) }


sub log_bytes { $_[0]->text_of(log_request(@_[1 .. $#_])) }


# Tests that a response shows the record with these fields, and returns its id
# and createdAt.

sub created {
    my ($res, @fields) = @_;

    local $Test::Builder::Level = $Test::Builder::Level + 1;

    my $rest = members(fields(@fields));
    my ($id, $at) = $res->body
        =~ /^\{"id":"($uuid)","createdAt":"($time)",\Q$rest\E\}$/;

    Test::More::ok($res->status == 201 && $id, 'created')
        or Test::More::diag($res->status, ' ', $res->body);

    return ($id, $at);
}


# "2026-11-21T17:04:38.068123Z" in µs

sub log_us {
    my ($year, $month, @rest) = $_[0] =~ /\d+/g;

    return Time::Local::timegm(reverse(@rest[0 .. 3]), $month - 1, $year)
        * 1_000_000 + $rest[4];
}


sub log_key {
    my ($day, $letter, $value) = @_;

    return "es:{log}:$day" if !defined $letter;

    $value = '#' . Digest::SHA::sha1_hex($value) if length($value) > 64;

    return "es:{log}:$day:$letter:$value";
}


sub text_id {
    return join('-', unpack('H8H4H4H4H12', $_[0]));
}


sub log_records {
    my ($redis) = @_;

    my @records;

    for my $day (@{ $redis->cli('ZRANGE', 'es:{log}:days', 0, -1) }) {
        my @members = @{ $redis->cli('ZRANGE', log_key($day), 0, -1,
            'WITHSCORES') };

        while (my ($member, $score) = splice(@members, 0, 2)) {
            my ($format, $us, $id, @texts)
                = unpack('C Q> a16 w/a w/a w/a w/a a*', swapped($member));

            push(@records, { day => $day, score => $score, us => $us,
                id => text_id($id), raw => $id, member => $member,
                format => $format, map { $_ => shift(@texts) } @order });
        }
    }

    return @records;
}


# Perl's "w" has the high bits first, ours the low ones.

sub swapped {
    my ($member) = @_;

    my $at = 25;

    for (1 .. 4) {
        my ($digits) = substr($member, $at) =~ /^([\x80-\xff]*[\x00-\x7f])/s
            or return '';
        my ($len, $shift) = (0, 0);

        for my $byte (unpack('C*', $digits)) {
            $len  |= ($byte & 0x7f) << $shift;
            $shift += 7;
        }

        substr($member, $at, length($digits)) = pack('w', $len);
        $at += length($digits) + $len;
    }

    return $member;
}


# Records that one of their indexes, or the list of days, misses.

sub log_wrong {
    my ($redis) = @_;

    my @wrong;

    for my $record (log_records($redis)) {
        my $id   = substr($record->{raw}, 0, 8);
        my @keys = map { log_key($record->{day}, $letters{$_}, $record->{$_}) }
            sort(keys(%letters));

        for my $key (@keys) {
            my $score = $redis->cli('ZSCORE', $key, $id);

            push(@wrong, "$key misses $record->{id}")
                if !defined $score || $score != $record->{us};
        }
    }

    return @wrong;
}


1;
