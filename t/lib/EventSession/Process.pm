package EventSession::Process;

# A child process by its pid: started, asked, ended.  None outlives the test:
# the kernel ends them should even the test itself be killed.
#
#     my $p = EventSession::Process->spawn(
#         [ 'redis-server', $conf ], output => "$dir/output");
#
#     $p->signal('TERM');
#     $p->exited(5) or die;        # waits at most 5 s
#     $p->status;                  # as $?, once it has exited
#     $p->wait(30);                # its status; killed when it takes longer
#     $p->end('QUIT');             # QUIT, and KILL when that takes too long

use strict;
use warnings;

use Carp;
use POSIX ();
use Time::HiRes qw(time sleep);

my %running;


# Options: output => file for both of its streams (else they are closed), env
# => { ... }, dies => the signal it gets should this process vanish.

sub spawn {
    my ($class, $command, %options) = @_;

    my $output = $options{output} // '/dev/null';

    my $pid = fork() // croak "fork: $!";

    if ($pid == 0) {
        $SIG{$_} = 'DEFAULT' for qw(INT TERM HUP PIPE);

        open(STDIN, '<', '/dev/null');
        open(STDOUT, '>>', $output) or POSIX::_exit(127);
        open(STDERR, '>&', \*STDOUT);

        $ENV{$_} = $options{env}{$_} for keys(%{ $options{env} // {} });

        # its own session: a Ctrl-C is for the test, which ends it in order
        POSIX::setsid();

        exec('setpriv', '--pdeathsig', $options{dies} // 'KILL', @$command)
            or POSIX::_exit(127);
    }

    my $self = bless { pid => $pid, command => $command }, $class;

    $running{$pid} = $self;

    return $self;
}


sub pid { $_[0]{pid} }

sub status { $_[0]{status} }


sub alive {
    my ($self) = @_;

    return 0 if defined $self->{status};

    if (waitpid($self->{pid}, POSIX::WNOHANG()) == $self->{pid}) {
        $self->{status} = $?;
        delete $running{ $self->{pid} };

        return 0;
    }

    return 1;
}


sub signal {
    my ($self, $signal) = @_;

    return $self->alive ? kill($signal, $self->{pid}) : 0;
}


sub exited {
    my ($self, $seconds) = @_;

    my $end = time() + $seconds;

    while ($self->alive) {
        return 0 if time() > $end;
        sleep(0.01);
    }

    return 1;
}


# For those that end by themselves: the status.

sub wait {
    my ($self, $seconds) = @_;

    return $self->exited($seconds) ? $self->status : $self->end('KILL');
}


# Every process below it, too: workers of an nginx whose master was killed.

sub end {
    my ($self, $signal, $seconds) = @_;

    if ($self->alive) {
        # a frozen process hears nothing
        $self->signal('CONT');
        $self->signal($signal // 'TERM');

        if (!$self->exited($seconds // 10)) {
            $self->signal('KILL');
            $self->exited(10);
        }
    }

    kill('KILL', -$self->{pid});

    return $self->{status};
}


sub end_all {
    $_->end('TERM') for values(%running);
}


1;
