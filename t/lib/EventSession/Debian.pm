package EventSession::Debian;

# A Debian in a folder, as somebody has it who is about to install the module:
# an nginx that serves, a user "ops" who may sudo, and the project's files in
# that user's home.  Root runs it.  Its processes are in namespaces of their
# own and meet nothing of this machine's; none outlives the test.
#
#     my $debian = EventSession::Debian->new("$dir/base", $log);
#     my $copy   = $debian->copy("$dir/one");
#
#     my ($status, $out) = $copy->ops('make build');    # by bash, as the user
#     ($status, $out)    = $copy->root('nginx -t');
#     ($status, $out)    = $copy->online('sudo apt install curl');
#
#     $copy->read($path);  $copy->write($path, $text);
#     $copy->reloaded(sub { … });       # runs it, then waits for new workers
#     $copy->end;                       # it is gone but for what was fetched
#
# Only what is run by online() reaches the network.  No service is started
# there; what it has brought is started behind it, as Debian does.

use strict;
use warnings;

use Carp;
use File::Basename ();
use Time::HiRes qw(time sleep);

use EventSession::Process;
use EventSession::Redis;


my $path = 'env -i LC_ALL=C.UTF-8 PATH=/usr/local/bin:/usr/bin:/bin';

my %become = (
    ops  => 'cd /home/ops/eventsession && exec runuser -u ops --'
            . " $path HOME=/home/ops",
    root => "cd / && exec $path:/usr/sbin:/sbin HOME=/root"
            . ' DEBIAN_FRONTEND=noninteractive',
);


sub new {
    my ($class, $root, $log) = @_;

    return bless { root => $root, log => $log }, $class;
}


sub copy {
    my ($self, $to) = @_;

    system('cp', '-a', $self->{root}, $to) == 0 or croak "no copy at $to";

    return ref($self)->new($to, $self->{log});
}


# Namespaces for processes, mounts and the network, with the services of the
# Debian, for as long as the test lasts.

sub begin {
    my ($self) = @_;

    $self->{process} = EventSession::Process->spawn(
        [ qw(unshare --mount --net --pid --fork --kill-child sh -c),
          'mount -t proc proc "$0/proc" && mount -t tmpfs tmpfs "$0/run" &&'
          . ' ip link set lo up && echo fine && exec sleep infinity',
          $self->{root} ], output => "$self->{root}.namespaces");

    $self->wait_for(sub {
        EventSession::Redis::slurp("$self->{root}.namespaces") =~ /^fine$/m
    }) or croak 'no namespaces: '
        . EventSession::Redis::slurp("$self->{root}.namespaces");

    my $pid = $self->{process}->pid;

    chomp($self->{pid} = EventSession::Redis::slurp(
        "/proc/$pid/task/$pid/children") =~ s/\s//gr);

    $self->services;
}


# Those that are installed; until they are there for whoever asks.

sub services {
    my ($self) = @_;

    $self->policy(0);

    my ($status, $said) = $self->root(<<'END');
for service in nginx redis-server; do
    [ ! -x /etc/init.d/$service ] || invoke-rc.d $service start
done

[ ! -x /etc/init.d/redis-server ] || for try in $(seq 100); do
    [ "$(redis-cli ping 2> /dev/null)" != PONG ] || exit 0
    [ $try -lt 100 ] || redis-cli ping
    sleep 0.1
done
END

    croak "services: $said" if $status;
}


# Whether services may be started: 0 lets them, 101 does not.

sub policy {
    my ($self, $status) = @_;

    $self->write('/usr/sbin/policy-rc.d', "#!/bin/sh\nexit $status\n", 0755);
}


sub ops {
    my ($self, $script) = @_;

    return $self->inside('ops', $script);
}


sub root {
    my ($self, $script) = @_;

    return $self->inside('root', $script);
}


sub inside {
    my ($self, $user, $script) = @_;

    $self->begin if !$self->{process};

    return $self->run($user, $script, 'nsenter', '-t', $self->{pid},
        qw(--mount --net --pid));
}


sub online {
    my ($self, $script, $user) = @_;

    $self->policy(101);

    my @result = $self->run($user // 'ops', $script,
        qw(unshare --mount --pid --fork --kill-child));

    $self->services if $self->{process};

    return @result;
}


# Its status and what it prints; what it complains of is in the log only,
# unless it fails.

sub run {
    my ($self, $user, $script, @space) = @_;

    my $file = "$self->{root}.output";

    $self->write('/tmp/script', $script);
    unlink(glob("$file*"));

    my $process = EventSession::Process->spawn(
        [ @space, 'sh', '-c', 'exec 2> "$0.errors"; '
          . '[ -e "$1/proc/self" ] || mount -t proc proc "$1/proc" || exit; '
          . 'exec chroot "$1" sh -c "$2"', $file, $self->{root},
          "$become{$user} bash -e /tmp/script" ], output => $file);

    my $status = $process->wait(900);
    my ($out, $errors) = map { EventSession::Redis::slurp($_) } $file,
        "$file.errors";

    $self->note("[$user] $script$out$errors");

    return ($status, $status ? "$out$errors" : $out);
}


sub note {
    my ($self, $text) = @_;

    open(my $log, '>>', $self->{log}) or croak "$self->{log}: $!";
    print {$log} $text;
    close($log);
}


sub read { EventSession::Redis::slurp("$_[0]{root}$_[1]") }


sub write {
    my ($self, $path, $text, $mode) = @_;

    open(my $file, '>', "$self->{root}$path") or croak "$path: $!";
    print {$file} $text;
    close($file);

    chmod($mode // 0644, "$self->{root}$path");
}


# The workers that accept connections, of any nginx in there.

sub workers {
    my ($self) = @_;

    my ($status, $out) = $self->root(
        'cd /proc; grep -lsz "^nginx: worker process\$" [0-9]*/cmdline || :');

    return sort($out =~ /(\d+)/g);
}


sub reloaded {
    my ($self, $code) = @_;

    my %old    = map { $_ => 1 } $self->workers;
    my @result = $code->();

    $self->wait_for(sub {
        my @now = $self->workers;

        @now && !grep { $old{$_} } @now;
    });

    return @result;
}


sub wait_for {
    my ($self, $done) = @_;

    my $end = time() + 20;

    while (!$done->()) {
        return 0 if time() > $end;
        sleep(0.05);
    }

    return 1;
}


sub end {
    my ($self) = @_;

    (delete $self->{process})->end('TERM') if $self->{process};

    my $archives = File::Basename::dirname($self->{root}) . '/archives';

    system("mv -u '$self->{root}'/var/cache/apt/archives/*.deb '$archives'");
    system('rm', '-rf', '--one-file-system', $self->{root});
}


1;
