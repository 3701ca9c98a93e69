package EventSession::TLS;

# A certificate of a test's own, and connections that are encrypted by
# `openssl s_client`, which Perl needs no module for.
#
#     my $tls = EventSession::TLS->new($t->folder('tls'), 'localhost');
#
#     $tls->certificate;  $tls->key;           # files, for nginx.conf
#
#     my $socket = $tls->connect($port);       # for EventSession::WS or ::HTTP:
#     my $ws = $nginx->ws('/ws?…', socket => $socket);
#
#     $tls->hang_up;                           # ends all of them

use strict;
use warnings;

use Carp;
use IO::Handle;
use POSIX ();
use Socket;

use EventSession::Redis;


sub new {
    my ($class, $dir, $name) = @_;

    my $self = bless { dir => $dir, name => $name, pids => [] }, $class;

    system('openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 '
        . "-nodes -keyout '$dir/key.pem' -out '$dir/cert.pem' -days 2 "
        . "-subj '/CN=$name' -addext 'subjectAltName=DNS:$name' "
        . "> '$dir/openssl' 2>&1") == 0
        or croak 'openssl: ' . EventSession::Redis::slurp("$dir/openssl");

    return $self;
}


sub certificate { "$_[0]{dir}/cert.pem" }
sub key         { "$_[0]{dir}/key.pem" }


# Ends by itself when the server, or the test, hangs up.

sub connect {
    my ($self, $port) = @_;

    socketpair(my $ours, my $theirs, AF_UNIX, SOCK_STREAM, PF_UNSPEC)
        or croak "socketpair: $!";

    my $pid = fork() // croak "fork: $!";

    if ($pid == 0) {
        open(STDIN, '<&', $theirs);
        open(STDOUT, '>&', $theirs);
        open(STDERR, '>', '/dev/null');
        exec('setpriv', '--pdeathsig', 'KILL', 'openssl', 's_client', '-quiet',
            '-verify_return_error', '-CAfile', $self->certificate,
            '-servername', $self->{name}, '-connect', "127.0.0.1:$port")
            or POSIX::_exit(127);
    }

    CORE::close($theirs);
    push(@{ $self->{pids} }, $pid);

    return IO::Handle->new_from_fd($ours, 'r+');
}


sub hang_up {
    my ($self) = @_;

    for my $pid (splice(@{ $self->{pids} })) {
        kill('TERM', $pid);
        waitpid($pid, 0);
    }
}


sub DESTROY {
    my ($self) = @_;

    local ($?, $@, $!);

    $self->hang_up;
}


1;
