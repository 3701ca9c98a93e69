package EventSession::Batch;

# Bodies of events as tests post and expect them, in JSON text that is compared
# whole: what GET /events shows of an entry is the very text that was sent, if
# its keys are in the order of entry().
#
#     use EventSession::Batch;
#
#     my $res = batch($nginx, array(entry(timestamp => 1, data => '[1]')),
#         key     => 'a',                  # Idempotency-Key; a list: several
#         type    => 'application/x-ndjson',    # undef: none
#         headers => [ 'Content-Encoding: gzip' ],
#         path    => '/events?single_shard=true');
#
#     $http->send(batch_bytes($http, ...));     # the same, without waiting
#
#     accepted($nginx, $body, 3, 'three events', ...);  # tests the reply
#     is($res->body, problem(400, 'entry 0: must be an object'));
#
#     my @texts = events($nginx, 'shard=3');   # what GET /events shows
#     my %n     = stored($redis);       # events by shard, what Redis has
#     my $n     = stored_sum($redis);   # of all shards
#     my @keys  = chunks($redis);
#     my %n     = counted($nginx);      # events_count by shard, of /workers
#     my $shard = shard_of(-1, 5);      # of a second
#
# The first argument of batch() and accepted() may be a connection of
# EventSession::HTTP, too.

use strict;
use warnings;

use Exporter 'import';
use List::Util qw(sum0);
use POSIX qw(floor);
use Test::More ();

our @EXPORT = qw(batch batch_bytes accepted problem entry array lines events
    stored stored_sum chunks counted shard_of);

my @order  = qw(timestamp name category data session_id);
my %titles = (400 => 'Bad Request', 403 => 'Forbidden', 405 =>
    'Method Not Allowed', 409 => 'Conflict', 412 => 'Precondition Failed',
    413 => 'Content Too Large', 415 => 'Unsupported Media Type', 422 =>
    'Unprocessable Content', 429 => 'Too Many Requests', 451 =>
    'Unavailable For Legal Reasons', 500 => 'Internal Server Error',
    503 => 'Service Unavailable', 401 => 'Unauthorized', 404 => 'Not Found');


sub entry {
    my (%keys) = @_;

    return '{' . join(',', map { qq("$_":$keys{$_}) }
        grep { defined $keys{$_} } @order) . '}';
}


sub array { '[' . join(',', @_) . ']' }
sub lines { join('', map { "$_\n" } @_) }


sub batch_request {
    my ($body, %options) = @_;

    my @headers = @{ $options{headers} // [] };
    my $type    = exists $options{type} ? $options{type} : 'application/json';
    my $key     = $options{key};

    push(@headers, "Content-Type: $type") if defined $type;
    push(@headers, map { "Idempotency-Key: $_" } ref($key) ? @$key : $key)
        if defined $key;

    return ($options{method} // 'POST', $options{path} // '/events',
        headers => \@headers, body => $body);
}


sub batch { $_[0]->request(batch_request(@_[1 .. $#_])) }


sub batch_bytes { $_[0]->text_of(batch_request(@_[1 .. $#_])) }


sub accepted {
    my ($to, $body, $n, $name, %options) = @_;

    local $Test::Builder::Level = $Test::Builder::Level + 1;

    my $res = batch($to, $body, %options);

    Test::More::is($res->status . ' ' . $res->body, qq(200 {"accepted":$n}),
        $name) or Test::More::diag($res->error // '');

    return $res;
}


sub problem {
    my ($status, $detail) = @_;

    return qq({"type":"about:blank","title":"$titles{$status}",)
        . qq("status":$status,"detail":"$detail"});
}


# No data has an object in an array that begins like an event.

sub events {
    my ($nginx, $arguments) = @_;

    my $body = $nginx->get('/events' . ($arguments ? "?$arguments" : ''))
        ->body;

    $body =~ s/^\[// && $body =~ s/\]$//
        or die 'no events: ' . substr($body, 0, 200);

    return split(/(?<=\}),(?=\{"timestamp":)/, $body);
}


sub chunks { sort(@{ $_[0]->cli('KEYS', 'es:{s*}:batch:*') }) }


sub stored {
    my ($redis) = @_;

    my %n;

    for my $key (chunks($redis)) {
        my ($shard) = $key =~ /^es:\{s(\d+)\}/;

        $n{ $shard + 0 } += $redis->cli('ZCARD', $key);
    }

    return %n;
}


sub stored_sum { my %n = stored(@_); return sum0(values(%n)) }


# Of shards that have any.

sub counted {
    my ($nginx, $path) = @_;

    my %n;

    for my $worker (@{ $nginx->get($path // '/workers')->json->{workers} }) {
        $n{ $worker->{shard_id} } += $worker->{events_count}
            if $worker->{events_count};
    }

    return %n;
}


# With a modulus that rounds as the contract says: Perl's own does.

sub shard_of { floor($_[0]) % $_[1] }


1;
