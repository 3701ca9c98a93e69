package EventSession::Redis;

# A private Redis on a unix socket, and on a TCP port of 127.0.0.1 when asked.
#
#     my $redis = EventSession::Redis->start($dir,
#         tcp        => 1,                 # a free port; or a number
#         appendonly => 'yes',             # any option of redis.conf; a list
#         user       => [ ... ]);          # for several lines of one option
#
#     $redis->url;                         # unix:/…, for eventsession_redis
#     $redis->tcp_url;                     # redis://127.0.0.1:…
#     $redis->cli('ZCARD', 'es:{…}');      # its reply; dies on an error
#     $redis->restart;  $redis->stop;  $redis->kill9;  $redis->start_again;
#     $redis->freeze;   $redis->thaw;      # SIGSTOP, SIGCONT
#     $redis->start_again(loading => 1);   # returns while it still loads
#
# By default it keeps everything in memory and evicts nothing.  A reply is a
# string or number, undef for nil, an array reference for an array; arguments
# and replies are bytes.

use strict;
use warnings;

use Carp;
use IO::Socket::INET;
use IO::Socket::UNIX;
use Time::HiRes qw(time sleep);

use EventSession::Process;


sub start {
    my ($class, $dir, %options) = @_;

    my $self = bless { dir => $dir }, $class;
    my $tcp  = delete $options{tcp};

    if ($tcp) {
        $self->{port} = $tcp > 1 ? $tcp : free_port();
    }

    # Without fsync each command is in the kernel before it is answered, so a
    # kill -9 of Redis loses nothing.  With "everysec" Redis answers before it
    # has written while an fsync is slow, and what a kill loses then is its own.

    $self->{options} = {
        save               => '""',
        appendonly         => 'no',
        appendfsync        => 'no',
        'maxmemory-policy' => 'noeviction',
        bind               => '127.0.0.1',
        %options,
        port               => $self->{port} // 0,
        unixsocket         => $self->socket,
        dir                => $dir,
        logfile            => "$dir/redis.log",
        daemonize          => 'no',
    };

    return $self->start_again;
}


# A port that nothing listens on, below those that the kernel hands out.

sub free_port {
    for (1 .. 200) {
        my $port = 10_240 + int(rand(20_000));

        my $socket = IO::Socket::INET->new(LocalAddr => '127.0.0.1',
            LocalPort => $port, Listen => 1) or next;

        close($socket);

        return $port;
    }

    croak 'no free port';
}


sub start_again {
    my ($self, %options) = @_;

    croak 'this Redis is running' if $self->{process}
        && $self->{process}->alive;

    my $conf = "$self->{dir}/redis.conf";

    open(my $file, '>', $conf) or croak "$conf: $!";

    for my $name (sort(keys(%{ $self->{options} }))) {
        my $value = $self->{options}{$name};

        print {$file} "$name $_\n" for ref($value) ? @$value : $value;
    }

    close($file);

    unlink($self->socket);

    $self->{process} = EventSession::Process->spawn(
        [ 'redis-server', $conf ], output => "$self->{dir}/output");

    $self->wait_ready(20, $options{loading});

    return $self;
}


# Answers PING, or says NOAUTH; a Redis that still loads does neither, but
# that may be what is waited for.

sub wait_ready {
    my ($self, $seconds, $loading) = @_;

    my $end = time() + $seconds;

    while (1) {
        my $reply = eval { $self->raw('PING') };

        return if defined $reply && $reply =~ /^(?:\+|-NO(?:AUTH|PERM))/;
        return if defined $reply && $loading && $reply =~ /^-LOADING/;

        if (!$self->{process}->alive || time() > $end) {
            croak "redis-server did not start:\n" . $self->log;
        }

        sleep(0.02);
    }
}


sub dir    { $_[0]{dir} }
sub socket { "$_[0]{dir}/redis.sock" }
sub port   { $_[0]{port} }
sub pid    { $_[0]{process}->pid }
sub url    { 'unix:' . $_[0]->socket }


sub tcp_url {
    my ($self) = @_;

    return "redis://127.0.0.1:$self->{port}";
}


sub log {
    my ($self) = @_;

    return join('', map { slurp("$self->{dir}/$_") } qw(output redis.log));
}


# Ends as an operator would end it: what is acknowledged is on disk if there
# is an AOF.

sub stop {
    my ($self) = @_;

    $self->hang_up;
    $self->{process}->end('TERM', 20);

    return $self;
}


sub kill9 {
    my ($self) = @_;

    $self->hang_up;
    $self->{process}->end('KILL');

    return $self;
}


sub restart {
    my ($self) = @_;

    return $self->stop->start_again;
}


sub freeze { $_[0]{process}->signal('STOP') }
sub thaw   { $_[0]{process}->signal('CONT') }


# A Redis is left behind with its last reference: none at the end of a test.

sub DESTROY {
    my ($self) = @_;

    local ($?, $@, $!);

    $self->{process}->end('KILL') if $self->{process};
}


# One command over a connection that is kept; dies with what Redis says on an
# error.  The first command after a restart connects anew.

sub cli {
    my ($self, @args) = @_;

    my $reply = eval { $self->send_command(@args); $self->reply };

    if ($@) {
        my $error = $@;
        $self->hang_up if $error !~ /^Redis says/;
        croak $error;
    }

    return $reply;
}


# A pipeline: a list of replies to a list of commands, in one write.

sub pipeline {
    my ($self, @commands) = @_;

    $self->send_command(@$_) for @commands;

    return map { $self->reply } @commands;
}


sub send_command {
    my ($self, @args) = @_;

    $self->{cli} //= IO::Socket::UNIX->new(Peer => $self->socket)
        // die "cannot connect to $self->{dir}: $!\n";

    print {$self->{cli}} '*' . @args . "\r\n",
        map { '$' . length($_) . "\r\n$_\r\n" } @args;

    $self->{cli}->flush;
}


sub reply {
    my ($self) = @_;

    my $in = $self->{cli};

    local $/ = "\r\n";
    my $line = <$in> // die "Redis hung up\n";
    chomp($line);

    my $type = substr($line, 0, 1, '');

    return $line if $type eq '+' || $type eq ':';

    die "Redis says $line\n" if $type eq '-';

    return undef if $line == -1;

    return [ map { $self->reply } 1 .. $line ] if $type eq '*';

    my $got = read($in, my $data, $line + 2);

    die "Redis hung up\n" if ($got // 0) != $line + 2;

    return substr($data, 0, $line);
}


sub hang_up {
    my ($self) = @_;

    close(delete $self->{cli}) if $self->{cli};
}


# The first bytes of the answer to an inline command, on a connection of its
# own: "+PONG", "-NOAUTH …".

sub raw {
    my ($self, $command) = @_;

    my $socket = IO::Socket::UNIX->new(Peer => $self->socket)
        // die "cannot connect: $!\n";

    print {$socket} "$command\r\n";
    $socket->flush;

    local $SIG{ALRM} = sub { die "timed out\n" };
    alarm(5);
    my $line = <$socket>;
    alarm(0);

    return $line;
}


sub slurp {
    my ($path) = @_;

    open(my $file, '<:raw', $path) or return '';
    local $/;

    return <$file> // '';
}


1;
