package EventSession::Run;

# A `make run` of a test's own, with a folder and a port of its own.
#
#     my $run = EventSession::Run->start($t, REDIS => $redis->tcp_url);
#
#     $run->port;  $run->url;
#     $run->output;              # what it printed
#     $run->bad_log;             # lines that must not be in its error.log
#     $run->end;                 # as if it were terminated; ready before
#
# Settings are make's variables; env => { ... } goes to its environment.

use strict;
use warnings;

use Carp;
use Time::HiRes qw(time sleep);

use EventSession::Process;
use EventSession::Redis;

my $slow = $ENV{EVS_VALGRIND} ? 20 : $ENV{EVS_SANITIZE} ? 4 : 1;


sub start {
    my ($class, $t, %settings) = @_;

    my $dir  = $t->folder('run');
    my $env  = delete $settings{env} // {};
    my $self = bless {
        dir    => "$dir/run",
        output => "$dir/output",
        port   => EventSession::Redis::free_port(),
    }, $class;

    # the workers of root's nginx are somebody else
    chmod(0711, $t->dir, $dir);

    # what nginx itself leaks at its end is known

    $env = { LSAN_OPTIONS => "suppressions=$EventSession::root/t/lib/lsan.supp"
                 . ',print_suppressions=0', %$env };

    %settings = (RUNDIR => $self->{dir}, PORT => $self->{port}, %settings);

    $self->{make} = EventSession::Process->spawn(
        [ 'make', '--no-print-directory', '-C', $EventSession::root, 'run',
          map { "$_=$settings{$_}" } sort(keys(%settings)) ],
        output => $self->{output}, dies => 'TERM', env => $env);

    my $end = time() + 300 * $slow;

    while ($self->output !~ /^ready /m) {
        croak 'make run: ' . $self->output
            if time() > $end || !$self->{make}->alive;
        sleep(0.1);
    }

    return $self;
}


sub port   { $_[0]{port} }
sub url    { "http://127.0.0.1:$_[0]{port}" }
sub output { EventSession::Redis::slurp($_[0]{output}) }


sub bad_log {
    my ($self) = @_;

    return grep { /\[(?:alert|crit|emerg)\]|exited on signal|Sanitizer/ }
        split(/\n/, EventSession::Redis::slurp("$self->{dir}/error.log"));
}


sub end { $_[0]{make}->end('TERM', 30 * $slow) }


1;
