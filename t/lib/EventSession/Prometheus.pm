package EventSession::Prometheus;

# Debian's Prometheus and its promtool, as a test needs them.
#
#     plan(skip_all => $reason) if $reason = EventSession::Prometheus->missing;
#
#     my ($fine, $said) = promtool('check', 'rules', $file);
#     ($fine, $said) = is_promql($dir, @expressions);
#
#     my $prometheus = EventSession::Prometheus->start($dir, $conf);
#
#     $prometheus->value('up == 1');       # of the first series, or undef
#     $prometheus->state('EventsessionDown');     # pending, firing, or undef
#     $prometheus->up;                     # whether its targets are

use strict;
use warnings;

use Carp;
use Exporter 'import';
use JSON::PP ();

use EventSession::HTTP;
use EventSession::Process;
use EventSession::Redis;

our @EXPORT = qw(promtool is_promql);


# Why it can't be run, if so.  Never so in CI: there all has to run.

sub missing {
    return if $ENV{CI};

    return 'there is no prometheus'
        if system('promtool --version > /dev/null 2>&1');

    return;
}


sub promtool {
    my (@arguments) = @_;

    open(my $pipe, '-|', 'sh', '-c', 'exec promtool "$@" 2>&1', 'promtool',
        @arguments) or croak "promtool: $!";

    my $said = do { local $/; <$pipe> } // '';

    return (close($pipe) ? 1 : 0, $said);
}


# All of them, as rules: promtool names the one that it can't parse.

sub is_promql {
    my ($dir, @expressions) = @_;

    my $n = 0;

    my @rules = map { { record => 'rule' . ++$n, expr => $_ } } @expressions;

    # JSON is YAML, too
    my $file = write_file("$dir/expressions.yml", JSON::PP::encode_json(
        { groups => [ { name => 'expressions', rules => \@rules } ] }));

    return promtool('check', 'rules', $file);
}


sub start {
    my ($class, $dir, $conf) = @_;

    my $self = bless { port => EventSession::Redis::free_port(),
                       output => "$dir/output" }, $class;

    my $file = write_file("$dir/prometheus.yml", $conf);

    $self->{process} = EventSession::Process->spawn(
        [ 'prometheus', "--config.file=$file", "--storage.tsdb.path=$dir/data",
          "--web.listen-address=127.0.0.1:$self->{port}" ],
        output => $self->{output}, dies => 'TERM');

    return $self;
}


sub write_file {
    my ($path, $text) = @_;

    open(my $file, '>', $path) or croak "$path: $!";
    print {$file} $text;
    close($file);

    return $path;
}


sub log { EventSession::Redis::slurp($_[0]{output}) }


# What its API has under a path; undef while it does not answer.

sub api {
    my ($self, $path) = @_;

    my $http = eval { EventSession::HTTP->connect($self->{port}) } // return;
    my $res  = $http->request('GET', "/api/v1/$path",
        headers => [ 'Connection: close' ]);

    return $res->status == 200 ? $res->json->{data} : undef;
}


sub value {
    my ($self, $expression) = @_;

    $expression =~ s/([^\w.~-])/sprintf('%%%02X', ord($1))/ge;

    my $data = $self->api("query?query=$expression") // return;

    return $data->{result}[0] ? $data->{result}[0]{value}[1] : undef;
}


sub state {
    my ($self, $alert) = @_;

    my $data = $self->api('alerts') // return;

    my ($found) = grep { $_->{labels}{alertname} eq $alert }
        @{ $data->{alerts} };

    return $found ? $found->{state} : undef;
}


sub up {
    my ($self) = @_;

    my $data = $self->api('targets') // return 0;
    my @all  = @{ $data->{activeTargets} };

    return @all && !grep { $_->{health} ne 'up' } @all;
}


sub stop { $_[0]{process}->end('TERM') }


1;
