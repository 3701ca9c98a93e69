package EventSession::Track;

# Events of trusted applications, as tests post and expect them, in JSON text
# that is compared whole.
#
#     use EventSession::Track;
#
#     my $nginx = $t->nginx(redis => $redis, http => track_conf());
#
#     my $res = track($nginx, fields());       # one event; or a connection of
#                                              # EventSession::HTTP
#     my $res = track($nginx, fields(name => '"a"', data => undef),
#         app     => uuid(),                   # undef: no header
#         type    => 'text/plain',             # undef: none
#         headers => [ 'Content-Encoding: gzip' ],
#         path    => '/api/v1/events/');
#
#     $http->send(track_bytes($http, ...));    # the same, without waiting
#
#     is($res->body, shown(name => '"a"'));
#     is($res->body, fault(name => REQUIRED, data => NULL));
#
# Fields are JSON texts, in the order in which they are shown; undef leaves one
# out.  shown() has the timestamp in canonical form.

use strict;
use warnings;

use Exporter 'import';

our @EXPORT = qw(APP SID REQUIRED NULL BLANK NO_UUID NO_STRING NO_TIME
    NOT_FOUND track_conf track fields shown fault track_bytes);


use constant {
    APP       => '0e302fce-66ad-4721-911e-0ab9d33697bf',
    SID       => 'e2085be5-9137-4e4e-80b5-f1ffddc25423',

    REQUIRED  => 'This field is required.',
    NULL      => 'This field may not be null.',
    BLANK     => 'This field may not be blank.',
    NO_UUID   => 'Must be a valid UUID.',
    NO_STRING => 'Not a valid string.',
    NO_TIME   => 'Datetime has wrong format. Use one of these formats '
                 . 'instead: YYYY-MM-DDThh:mm[:ss[.uuuuuu]]'
                 . '[+HH:MM|-HH:MM|Z].',

    NOT_FOUND => '{"detail":"Application not found."}',
};

my @order = qw(session_id category name data timestamp);


# The application of the assignment's example.

sub track_conf { 'eventsession_application ' . APP . ' example;' }


sub fields {
    my (%fields) = @_;

    %fields = (session_id => '"' . SID . '"', category => '"c"',
        name => '"n"', data => '{}', timestamp => '1', %fields);

    return '{' . join(',', map { qq("$_":$fields{$_}) }
        grep { defined $fields{$_} } @order) . '}';
}


sub shown { fields(timestamp => '"1970-01-01T00:00:01Z"', @_) }


# The map of faults: pairs of a field and its sentence, or a list of them.

sub fault {
    my @faults;

    while (my ($field, $sentences) = splice(@_, 0, 2)) {
        push(@faults, qq("$field":[) . join(',', map { qq("$_") }
            ref($sentences) ? @$sentences : $sentences) . ']');
    }

    return '{' . join(',', @faults) . '}';
}


sub track_request {
    my ($body, %options) = @_;

    my @headers = @{ $options{headers} // [] };
    my $app     = exists $options{app} ? $options{app} : APP;
    my $type    = exists $options{type} ? $options{type} : 'application/json';

    push(@headers, "application: $app") if defined $app;
    push(@headers, "Content-Type: $type") if defined $type;

    return ($options{method} // 'POST', $options{path} // '/api/v1/events/',
        headers => \@headers, body => $body);
}


sub track { $_[0]->request(track_request(@_[1 .. $#_])) }


sub track_bytes { $_[0]->text_of(track_request(@_[1 .. $#_])) }


1;
