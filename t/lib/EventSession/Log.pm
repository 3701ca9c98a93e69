package EventSession::Log;

# Records of the event log as tests have them: written to Redis as store/log.h
# does it, but at any time and in any number, and as they are to be shown.
#
#     my $record = record(us => 1_700_000_000_000_000, email => 'a@b.example');
#
#     log_add($redis, @records);                # with their indexes
#     log_rows(@records);                       # what GET shows: a JSON array
#
#     my $res = log_get($nginx, q => "email eq 'a@b.example'", limit => 3);
#     my @rows = log_pages($nginx, limit => 3, q => …);    # following Link
#
# A record is a hash: us (createdAt), id (16 bytes), email, environment,
# component, message (Perl strings) and data (JSON text).

use strict;
use warnings;

use Carp;
use Digest::SHA ();
use Exporter 'import';
use POSIX ();

use constant { PREFIX => 'es:{log}', DAY => 86_400_000_000 };

our @EXPORT = qw(record log_add log_member log_index log_day log_rows log_row
    log_query log_get log_pages log_next created_at uuid_of encoded
    bytes_of);


my $number = 0;


# Ids come in the order of the calls unless they are given.

sub record {
    my (%fields) = @_;

    $number++;

    return {
        us          => 1_700_000_000_000_000 + 1000 * $number,
        id          => pack('Q>Q>', $number << 20, $number),
        email       => 'a@shop.example',
        environment => 'production',
        component   => 'order',
        message     => "message $number",
        data        => '{}',
        %fields,
    };
}


sub log_day { POSIX::floor($_[0] / DAY) }


# The inside of a canonical JSON string, as bytes.

sub inside {
    my ($text) = @_;

    my %short = ("\b" => 'b', "\f" => 'f', "\n" => 'n', "\r" => 'r',
        "\t" => 't', '"' => '"', '\\' => '\\');

    $text =~ s{(["\\\x00-\x1f])}
        {'\\' . ($short{$1} // sprintf('u%04x', ord($1)))}ge;

    return bytes_of($text);
}


# UTF-8 of any characters; Encode leaves those out that are none for ever.

sub bytes_of {
    my ($text) = @_;

    utf8::encode($text);

    return $text;
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


sub log_member {
    my ($record) = @_;

    return "\x01" . pack('Q>', $record->{us}) . $record->{id}
        . join('', map { varint(length($_)) . $_ }
            map { inside($record->{$_}) }
            qw(email environment component message))
        . bytes_of($record->{data});
}


# The key of an index: letter e, v or c.

sub log_index {
    my ($us, $letter, $value) = @_;

    $value = inside($value);
    $value = '#' . Digest::SHA::sha1_hex($value) if length($value) > 64;

    return PREFIX . ':' . log_day($us) . ":$letter:$value";
}


sub log_commands {
    my ($record) = @_;

    my $us  = $record->{us};
    my $day = log_day($us);
    my $id  = substr($record->{id}, 0, 8);

    return (
        [ 'ZADD', log_index($us, 'e', $record->{email}), $us, $id ],
        [ 'ZADD', log_index($us, 'v', $record->{environment}), $us, $id ],
        [ 'ZADD', log_index($us, 'c', $record->{component}), $us, $id ],
        [ 'ZADD', PREFIX . ':days', $day, $day ],
        [ 'ZADD', PREFIX . ":$day", $us, log_member($record) ],
    );
}


sub log_add {
    my ($redis, @records) = @_;

    while (my @some = splice(@records, 0, 100)) {
        $redis->pipeline(map { log_commands($_) } @some);
    }
}


sub uuid_of {
    my ($record) = @_;

    return unpack('H*', $record->{id})
        =~ s/^(.{8})(.{4})(.{4})(.{4})(.{12})$/$1-$2-$3-$4-$5/r;
}


sub created_at {
    my ($us) = @_;

    my $s = int($us / 1_000_000);

    return POSIX::strftime('%Y-%m-%dT%H:%M:%S', gmtime($s))
        . sprintf('.%06dZ', $us % 1_000_000);
}


# Bytes.

sub log_row {
    my ($record) = @_;

    return '{"id":"' . uuid_of($record) . '","createdAt":"'
        . created_at($record->{us}) . '",'
        . join(',', map { qq("$_":") . inside($record->{$_}) . '"' }
            qw(email environment component message))
        . ',"data":' . bytes_of($record->{data}) . '}';
}


sub log_rows { '[' . join(',', map { log_row($_) } @_) . ']' }


sub encoded {
    my ($text) = @_;

    my $bytes = bytes_of($text);

    $bytes =~ s/([^A-Za-z0-9._~' ()-])/sprintf('%%%02X', ord($1))/ge;

    return $bytes =~ tr/ /+/r;
}


sub log_query {
    my (%arguments) = @_;

    my $query = join('&', map { "$_=" . encoded($arguments{$_}) }
        sort(keys(%arguments)));

    return '/event' . ($query eq '' ? '' : "?$query");
}


# Over a connection that is kept, as long as nginx keeps it.

my ($kept, $of);

sub log_get {
    my ($nginx, %arguments) = @_;

    my $path = %arguments && exists $arguments{path} ? $arguments{path}
        : log_query(%arguments);

    if (!$kept || $of != $nginx) {
        $kept = $nginx->connect(timeout => 60);
        $of   = $nginx;
    }

    my $res = $kept->request('GET', $path);

    undef $kept if $res->status == 0
        || ($res->header('Connection') // '') eq 'close';

    return $res;
}


# The path that the Link header leads to.

sub log_next {
    my ($res) = @_;

    my $link = $res->header('Link') // return undef;

    return $link =~ /^<([^<>]+)>; rel="next"$/ ? $1 : croak "Link: $link";
}


# The insides of the arrays of all pages; the first of the arguments may be a
# function to call between them.

sub log_pages {
    my ($nginx, @arguments) = @_;

    my $between = ref($arguments[0]) eq 'CODE' ? shift(@arguments) : sub { };
    my $path    = log_query(@arguments);
    my @rows;

    while (defined $path) {
        my $res = log_get($nginx, path => $path);

        croak "$path: " . $res->status . ' ' . $res->body
            if $res->status != 200 || $res->body !~ /^\[(.*)\]$/s;

        push(@rows, $1) if $1 ne '';

        $path = log_next($res);
        $between->() if defined $path;
    }

    return @rows;
}


1;
