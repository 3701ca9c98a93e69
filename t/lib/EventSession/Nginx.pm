package EventSession::Nginx;

# An nginx of a test's own, with the module loaded, on a port of 127.0.0.1.
#
#     my $nginx = EventSession::Nginx->new($dir,
#         redis         => $redis,       # for eventsession_redis; undef: none
#         redis_options => 'command_timeout=1s',
#         workers       => 2,
#         alone         => 1,            # no master: its own worker
#         http          => 'eventsession_ping 1s;',    # added to each block
#         server        => '...',
#         listen        => 'rcvbuf=64k', # parameters of the listen directive
#         main          => '...',
#         locations     => '...',        # instead of conf/eventsession.conf
#         log_level     => 'info',
#         echo          => 1,            # the module of ECHO=1 builds
#         without       => 1,            # the module is not loaded
#         connections   => 1024);
#
#     my ($fine, $text) = $nginx->conf_test;    # nginx -t
#     $nginx->start;
#
#     my $ws  = $nginx->ws('/ws?sessionId=…', %options);   # EventSession::WS
#     my $sse = $nginx->sse('/database_events', %options); # EventSession::SSE
#     my $res = $nginx->get('/session/…');                 # ::HTTP::Response
#     my $res = $nginx->request('POST', '/event', body => '…');
#     my $c   = $nginx->connect;                           # EventSession::HTTP
#
#     $nginx->reload;              # until only the new workers listen
#     $nginx->kill9_worker;        # until another one has taken its place
#     $nginx->quit;                # graceful; its exit status, 0 when well
#     $nginx->terminate;           # at once
#
#     $nginx->workers;             # pids, in order
#     $nginx->rss($pid);           # resident memory of a process in bytes
#     $nginx->peak($pid);          # the most that it has ever been
#     $nginx->open_files($pid);    # how many
#     $nginx->log;                 # error.log
#     $nginx->log_has(qr/…/, 5);   # waits for it
#     $nginx->bad_log;             # lines that must not be there: see below

use strict;
use warnings;

use Carp;
use Cwd ();
use File::Basename ();
use Time::HiRes qw(time sleep);

use EventSession::HTTP;
use EventSession::Process;
use EventSession::Redis;
use EventSession::SSE;
use EventSession::WS;


my $root = Cwd::abs_path(File::Basename::dirname(__FILE__) . '/../../..');

my $binary = $ENV{EVS_NGINX} || 'nginx';
my $module = $ENV{EVS_MODULE}
    || 'build/nginx/objs/ngx_http_eventsession_module.so';

$binary = "$root/$binary" if $binary =~ m{^[^/].*/};
$module = "$root/$module" if $module !~ m{^/};

# beside the one of the same variant; make test builds both
(my $echo = $module) =~ s{(?<!-echo)(/objs/[^/]+)$}{-echo$1};

# not in the path of those who are not root
$ENV{PATH} .= ':/usr/sbin:/sbin';

# nginx would take it for sockets to inherit
delete $ENV{NGINX};

my $slow = $ENV{EVS_VALGRIND} ? 20 : $ENV{EVS_SANITIZE} ? 4 : 1;


sub binary { $binary }
sub module { $module }


sub new {
    my ($class, $dir, %options) = @_;

    my $self = bless {
        dir         => $dir,
        workers     => 1,
        connections => 1024,
        log_level   => 'info',
        killed      => {},
        %options,
    }, $class;

    return $self;
}


sub dir  { $_[0]{dir} }
sub port { $_[0]{port} }
sub pid  { $_[0]{process}->pid }
sub url  { "http://127.0.0.1:$_[0]{port}" }


sub conf {
    my ($self) = @_;

    my %o = (main => '', http => '', server => '', listen => '', %$self);

    # the workers of root's nginx would be somebody else, without access here
    my $user = $> == 0 ? 'user root;' : '';

    my $redis = !$o{redis} ? ''
        : 'eventsession_redis ' . (ref($o{redis}) ? $o{redis}->url : $o{redis})
            . ' ' . ($o{redis_options} // '') . ';';

    my $load = $o{echo} ? $echo : $module;

    croak "no $load: `make build ECHO=1` builds it" if !-f $load;

    my $loaded = $o{without} ? '' : "load_module $load;";

    my $locations = $o{locations} // "include $root/conf/eventsession.conf;"
        . ($ENV{EVS_ECHO} ? "include $root/conf/echo.conf;" : '');

    return <<END;
daemon off;
master_process @{[ $o{alone} ? 'off' : 'on' ]};
$user
worker_processes $o{workers};
pid nginx.pid;
error_log error.log $o{log_level};
$loaded
$o{main}

events {
    worker_connections $o{connections};
}

http {
    access_log off;
    client_body_temp_path tmp;
    proxy_temp_path tmp;
    fastcgi_temp_path tmp;
    uwsgi_temp_path tmp;
    scgi_temp_path tmp;

    $redis
    $o{http}

    server {
        listen 127.0.0.1:$o{port} $o{listen};
        server_name localhost;
        $o{server}
        $locations
    }
}
END
}


sub write_conf {
    my ($self) = @_;

    my $path = "$self->{dir}/nginx.conf";

    open(my $file, '>', $path) or croak "$path: $!";
    print {$file} $self->conf;
    close($file);
}


# What ends at once leaves its memory to the system.

sub command {
    my ($self, @more) = @_;

    my $dir = $self->{dir};

    my @command = ($binary, '-p', "$dir/", '-c', 'nginx.conf', '-e',
        'error.log', @more);

    return @command if !$ENV{EVS_VALGRIND};

    my $leaks = @more ? 'no' : 'full';

    return ('valgrind', '-q', "--leak-check=$leaks", '--num-callers=30',
        '--errors-for-leak-kinds=definite', '--show-leak-kinds=definite',
        "--suppressions=$root/t/lib/valgrind.supp",
        "--log-file=$dir/valgrind.%p", @command);
}


# Commas, since Test::Nginx looks for them.

sub environment {
    my ($self) = @_;

    my $log = "log_path=$self->{dir}/sanitizer";

    return {
        ASAN_OPTIONS  => "$log,halt_on_error=1,detect_leaks=1",
        UBSAN_OPTIONS => "$log,halt_on_error=1,print_stacktrace=1",
        LSAN_OPTIONS  => "suppressions=$root/t/lib/lsan.supp,"
                         . 'print_suppressions=0',
    };
}


# Whether nginx takes the configuration, and what it says about it, with -t or
# -T.  It ends without freeing what it has read, which is no leak.

sub conf_test {
    my ($self, $option) = @_;

    my $env = $self->environment;

    $env->{ASAN_OPTIONS} =~ s/detect_leaks=1/detect_leaks=0/;

    $self->{port} //= EventSession::Redis::free_port();
    $self->write_conf;

    my $output = "$self->{dir}/conf_test";
    unlink($output);

    my $status = EventSession::Process->spawn(
        [ $self->command($option // '-t') ], output => $output,
        env => $env)->wait(30 * $slow);

    return ($status == 0, EventSession::Redis::slurp($output));
}


sub start {
    my ($self) = @_;

    my $fixed = $self->{port};

    for (1 .. 5) {
        $self->{port} = $fixed // EventSession::Redis::free_port();
        $self->write_conf;

        $self->{process} = EventSession::Process->spawn([ $self->command ],
            output => "$self->{dir}/output", env => $self->environment,
            dies   => 'TERM');

        return $self if $self->listening;

        last if $fixed || $self->log !~ /Address already in use/;
    }

    croak "nginx did not start:\n" . $self->conf . $self->log;
}


# Workers that are there have their module's process set up.

sub listening {
    my ($self) = @_;

    return $self->until(20, sub {
        !$self->{process}->alive || $self->workers >= $self->{workers};
    }) && $self->{process}->alive;
}


sub until {
    my ($self, $seconds, $done) = @_;

    my $end = time() + $seconds * $slow;

    while (!$done->()) {
        return 0 if time() > $end;
        sleep(0.01);
    }

    return 1;
}


sub workers {
    my ($self) = @_;

    my $pid = $self->pid;

    # it has no title of its own

    my @alone = -e "$self->{dir}/nginx.pid" ? $pid : ();

    return @alone if $self->{alone};

    my @workers = sort { $a <=> $b } grep { is_worker($_) }
        split(/ /, EventSession::Redis::slurp("/proc/$pid/task/$pid/children"));

    return @workers;
}


# Only nginx sets its title; a process that is still starting has its
# parent's.

sub is_worker {
    my ($pid) = @_;

    my $title = EventSession::Redis::slurp("/proc/$pid/cmdline");

    return $title =~ /^nginx: worker process(?! is shutting)/
        || $ENV{EVS_VALGRIND} && -e "/proc/$pid";
}


# The new workers are there, and those of before have stopped to listen: what
# connects from now on meets the new configuration.

sub reload {
    my ($self) = @_;

    my %old = map { $_ => 1 } $self->workers;

    $self->write_conf;
    $self->{process}->signal('HUP');

    return $self->until(20, sub {
        my @workers = $self->workers;
        my @new     = grep { !$old{$_} } @workers;

        @new >= $self->{workers} && (@new == @workers || $ENV{EVS_VALGRIND});
    }) || croak "no new workers:\n" . $self->log;
}


sub kill9_worker {
    my ($self) = @_;

    my ($pid) = $self->workers;

    $self->{killed}{$pid} = 1;
    kill('KILL', $pid);

    $self->until(20, sub {
        my @workers = grep { $_ != $pid } $self->workers;

        @workers >= $self->{workers};
    }) || croak "no new worker:\n" . $self->log;

    return $pid;
}


sub quit {
    my ($self, $seconds) = @_;

    return $self->{process}->end('QUIT', ($seconds // 20) * $slow);
}


sub terminate {
    my ($self, $seconds) = @_;

    return $self->{process}->end('TERM', ($seconds // 20) * $slow);
}


sub signal { $_[0]{process}->signal($_[1]) }


sub DESTROY {
    my ($self) = @_;

    local ($?, $@, $!);

    $self->{process}->end('TERM', 5 * $slow) if $self->{process};
}


sub connect {
    my ($self, %options) = @_;

    return EventSession::HTTP->connect($self->{port}, slower(%options));
}


sub ws {
    my ($self, $path, %options) = @_;

    return EventSession::WS->connect($self->{port}, $path, slower(%options));
}


sub sse {
    my ($self, $path, %options) = @_;

    return EventSession::SSE->connect($self->{port}, $path, slower(%options));
}


sub slower {
    my (%options) = @_;

    return (%options, timeout => ($options{timeout} // 10) * $slow);
}


# On a connection of its own.

sub request {
    my ($self, $method, $path, %options) = @_;

    my $connection = delete $options{connection} // $self->connect;

    push(@{ $options{headers} }, 'Connection: close')
        if !grep { /^connection:/i } @{ $options{headers} // [] };

    return $connection->request($method, $path, %options);
}


sub get {
    my ($self, $path, %options) = @_;

    return $self->request('GET', $path, %options);
}


# Under valgrind the memory is valgrind's: both are 0 then.

sub rss  { status_bytes($_[1], 'VmRSS') }
sub peak { status_bytes($_[1], 'VmHWM') }


sub status_bytes {
    my ($pid, $name) = @_;

    return 0 if $ENV{EVS_VALGRIND};

    my ($kb) = EventSession::Redis::slurp("/proc/$pid/status")
        =~ /^$name:\s*(\d+)/m;

    return ($kb // 0) * 1024;
}


sub open_files {
    my ($self, $pid) = @_;

    return scalar(my @files = glob("/proc/$pid/fd/*"));
}


sub log {
    my ($self) = @_;

    return join('', map { EventSession::Redis::slurp("$self->{dir}/$_") }
        qw(output error.log));
}


sub log_has {
    my ($self, $pattern, $seconds) = @_;

    return $self->until($seconds // 5, sub { $self->log =~ $pattern });
}


# What must be in no log, whatever a test did: [alert], [crit], [emerg], a
# worker that died of a signal (but for those that kill9_worker() killed), a
# report of a sanitizer or of valgrind.  @except are patterns for lines that
# the test expects.

sub bad_log {
    my ($self, @except) = @_;

    push(@except, map { qr/process $_ exited on signal 9/ }
        keys(%{ $self->{killed} }));

    my @bad = grep { /\[(?:alert|crit|emerg)\]|exited on signal/ }
        split(/\n/, $self->log);

    push(@bad, reports($self->{dir}));

    return grep { my $line = $_; !grep { $line =~ $_ } @except } @bad;
}


# What sanitizers and valgrind say in a folder: in files of their own, or on
# standard error, which is the error log.

sub reports {
    my ($dir) = @_;

    my @lines = map { split(/\n/, EventSession::Redis::slurp($_)) }
        glob("$dir/sanitizer* $dir/valgrind.*");

    for my $log (glob("$dir/output $dir/*error.log")) {
        push(@lines, grep { /: runtime error: |ERROR: \w+Sanitizer/ }
            split(/\n/, EventSession::Redis::slurp($log)));
    }

    return @lines;
}


1;
