package Bench::Workloads;

# What bench/compare measures, each on a Redis and a server that have just been
# started.
#
#     my @names = Bench::Workloads::names();
#     my $n     = Bench::Workloads::events_of('W5a');
#
#     my $got = Bench::Workloads::run('W1', $t, 'go',
#         workers => 1, scale => 1,
#         watch => sub { … });         # given the server, before the load
#
# A result is { error => TEXT }, or has of these what there is:
#
#     rate              events/s, or requests/s of reading
#     server_cpu, redis_cpu   seconds per million events
#     p50_us, p99_us    of an answer
#     bytes             resident for each idle connection, or in Redis for
#                       each event
#     idle_cpu          percent of a core, of all idle connections
#     rss_kb            of the server's processes, at the end
#     other_cpu         percent of the machine that others took meanwhile
#
# Each event must be in Redis in the end, or it is an error.  The scale makes
# all of it smaller, for a trial.

use strict;
use warnings;

use POSIX ();
use Time::HiRes qw(time sleep);

use Bench::Machine;
use Bench::Servers;
use EventSession;

my $here   = $EventSession::root . '/bench';
my $client = ($ENV{EVS_BENCH} || 'build/nginx/bench') . '/ws_load';

$client = "$EventSession::root/$client" if $client !~ m{^/};

my @dies = ('setpriv', '--pdeathsig', 'KILL');


# In words they are in Bench::Report.  measure: a function of this package.
# seconds: what a run takes, about, with what it takes to start.

my @workloads = (
    W1 => {
        measure => \&send_events, seconds => 5,
        connections => 64, batch => 1, window => 1,
        warm => 300, messages => 3000,
    },
    W2 => {
        measure => \&send_events, seconds => 4,
        connections => 64, batch => 10, window => 8,
        warm => 100, messages => 1200,
    },
    W3 => {
        measure => \&send_events, seconds => 4,
        connections => 64, batch => 100, window => 4,
        warm => 20, messages => 240,
    },
    W4 => {
        measure => \&post_events, seconds => 8,
        connections => 4, events => 10_000, lasts => 5,
    },
    W5a => {
        measure => \&read_session, seconds => 6,
        connections => 16, events => 10, batch => 10, lasts => 3,
    },
    W5b => {
        measure => \&read_session, seconds => 6,
        connections => 16, events => 1000, batch => 100, lasts => 3,
    },
    W5c => {
        measure => \&read_session, seconds => 8,
        connections => 2, events => 100_000, batch => 100, lasts => 4,
    },
    W6 => {
        measure => \&be_idle, seconds => 8,
        connections => 10_000, lasts => 3,
    },
    M100 => {
        measure => \&fill, seconds => 3,
        connections => 1000, batch => 100, messages => 1,
    },
    M1000 => {
        measure => \&fill, seconds => 3,
        connections => 100, batch => 100, messages => 10,
    },
);

my %workloads = @workloads;


sub names { grep { !ref($_) } @workloads }

sub known { exists $workloads{ $_[0] } }

sub seconds { $workloads{ $_[0] }{seconds} }

# Of a request that reads; where events are written, 1.

sub events_of { $workloads{ $_[0] }{measure} == \&read_session
    ? $workloads{ $_[0] }{events} : 1 }


sub run {
    my ($name, $t, $server, %options) = @_;

    my $workload = $workloads{$name};
    my %run      = (t => $t, workload => $workload, scale => $options{scale});

    my $got = eval {
        start(\%run, $server, $options{workers});
        $options{watch}->($run{server}) if $options{watch};
        $workload->{measure}->(\%run);
    } || { error => $@ =~ s/\s*\n/ /gr || 'no result' };

    my @bad = $run{server} ? $run{server}->stop : ();

    $run{redis}->stop if $run{redis};

    $got->{error} //= "its log has: $bad[0]" if @bad;

    return $got;
}


sub start {
    my ($run, $server, $workers) = @_;

    # with Lua each may have one to Redis as well; and nginx closes some that
    # have sent nothing yet when fewer than a sixteenth are free

    my $connections = int($run->{workload}{connections} * 2.25) + 512;

    $run->{redis} = $run->{t}->redis(maxclients => 4096,
        'tcp-backlog' => 4096,
        Bench::Servers::needs_tcp($server) ? (tcp => 1) : ());

    $run->{server} = Bench::Servers->start($run->{t}, $server, $run->{redis},
        workers => $workers, connections => $connections);
}


# The smallest number that is still a workload, at any scale.

sub scaled {
    my ($run, $number, $least) = @_;

    my $scaled = int($number * $run->{scale});

    return $scaled < $least ? $least : $scaled;
}


sub send_events {
    my ($run) = @_;

    my $w        = $run->{workload};
    my $slower   = $run->{server}{slower} // 1;
    my $warm     = scaled($run, $w->{warm} / $slower, 1);
    my $messages = scaled($run, $w->{messages} / $slower, 5);

    my $got = ws_load($run, -c => $w->{connections}, -b => $w->{batch},
        -w => $w->{window}, -N => $warm, -n => $messages);

    check_stored($run, 'ws',
        $w->{connections} * $w->{batch} * ($warm + $messages));

    return result($got, $got->{events}, $got->{events} / $got->{wall_s});
}


sub post_events {
    my ($run) = @_;

    my ($redis, $server) = @{$run}{qw(redis server)};

    my $w      = $run->{workload};
    my $events = scaled($run, $w->{events}, 100);

    local $ENV{PATH_OF_POSTS} = $server->path('post');
    local $ENV{EVENTS}        = $events;

    warm_up($run, 'post.lua', '');
    settle($run, 'post', $events);

    my $before = $server->stored($redis, 'post', $events);
    my $got    = wrk($run, 'post.lua', '', $w->{lasts}, sub {
        settle($run, 'post', $events);
    });

    my $stored   = $server->stored($redis, 'post', $events) - $before;
    my $answered = $got->{requests} * $events;

    die "$stored events are stored, of $answered\n" if $stored < $answered;

    return result($got, $stored, $answered / $got->{wall_s});
}


# wrk leaves while bodies are still under way: until no more is stored.

sub settle {
    my ($run, $endpoint, $batch) = @_;

    my $stored = -1;

    for (1 .. 100) {
        my $now = $run->{server}->stored($run->{redis}, $endpoint, $batch);

        return if $now == $stored;

        $stored = $now;
        sleep(0.1);
    }
}


sub read_session {
    my ($run) = @_;

    my $w      = $run->{workload};
    my $events = scaled($run, $w->{events}, $w->{batch});
    my $sid    = uuid();
    my $path   = $run->{server}->path('session') . $sid;

    ws_load($run, -c => 1, -b => $w->{batch}, -w => 4, -s => $sid,
        -n => $events / $w->{batch});

    check_tree($run, $path, $events);

    warm_up($run, 'report.lua', $path);

    my $got = wrk($run, 'report.lua', $path, $w->{lasts});

    return result($got, $got->{requests} * $events,
        $got->{requests} / $got->{wall_s});
}


sub check_tree {
    my ($run, $path, $events) = @_;

    my $body = EventSession::HTTP->connect($run->{server}{port})
        ->request('GET', $path)->body;

    my ($children) = $body =~ /^\{"type":"SESSION",.*"children":\[(.*)\]\}$/s
        or die 'no tree: ', substr($body, 0, 100), "\n";

    my @times = $children =~ /\{"type":"EVENT","timestamp":(\d+),"name":"\w/g;

    die scalar(@times), " children, not $events\n" if @times != $events;

    for my $i (1 .. $#times) {
        die "children are not in order\n" if $times[$i] < $times[$i - 1];
    }
}


sub be_idle {
    my ($run) = @_;

    # as many as this process may open, and some files of its own

    my $most        = Bench::Machine::open_files() - 100;
    my $connections = scaled($run, $run->{workload}{connections}, 10);

    $connections = $most if $connections > $most;

    my $got = ws_load($run, -c => $connections,
        -i => scaled($run, $run->{workload}{lasts}, 1));

    return {
        connections => $connections,
        bytes       => $got->{rss_bytes},
        idle_cpu    => 100 * $got->{idle_cpu_s} / $got->{idle_s},
    };
}


# What Redis has for its clients is not the events' memory.

sub fill {
    my ($run) = @_;

    my $w           = $run->{workload};
    my $connections = scaled($run, $w->{connections}, 10);
    my $events      = $connections * $w->{batch} * $w->{messages};
    my $before      = memory($run);

    ws_load($run, -c => $connections, -b => $w->{batch},
        -n => $w->{messages}, -w => 4);
    check_stored($run, 'ws', $events);

    return { bytes => (memory($run) - $before) / $events };
}


sub memory {
    my ($run) = @_;

    my $info = $run->{redis}->cli('INFO', 'memory');

    my ($used)    = $info =~ /^used_memory:(\d+)/m;
    my ($clients) = $info =~ /^mem_clients_normal:(\d+)/m;

    return $used - ($clients // 0);
}


sub ws_load {
    my ($run, @options) = @_;

    my $server = $run->{server};

    my @command = ($client, -p => $server->{port}, -u => $server->path('ws'),
        -t => 60, -S => join(',', @{ $server->{pids} }),
        -R => $run->{redis}->pid, @options);

    my $got = output_of($run, @command);

    die "ws_load: $got\n" if $got !~ /=/;

    my %got = $got =~ /(\w+)=(\S+)/g;

    return \%got;
}


# A second is the least that wrk can do: none of it in a trial.

sub warm_up {
    my ($run, @what) = @_;

    wrk($run, @what, 1) if $run->{scale} >= 1;
}


# CPU of the server and Redis while it runs, and until the code has returned.

sub wrk {
    my ($run, $script, $path, $seconds, $after) = @_;

    my @server = @{ $run->{server}{pids} };
    my $redis  = $run->{redis}->pid;
    my $lasts  = scaled($run, $seconds, 1);

    my @before = (Bench::Machine::busy(), (times)[2] + (times)[3],
        Bench::Machine::cpu(@server), Bench::Machine::cpu($redis));

    my $got = output_of($run, 'timeout', '-s', 'KILL', $lasts + 60, @dies,
        'wrk', '-t', 1, '-c', $run->{workload}{connections}, '-d', "${lasts}s",
        '--timeout', '30s', '-s', "$here/wrk/$script",
        "http://127.0.0.1:$run->{server}{port}$path");

    my %got = $got =~ /(\w+)=(\S+)/g;

    die "wrk: $got\n" if !defined $got{requests};
    die "wrk: $got{failed} requests failed\n" if $got{failed};

    $after->() if $after;

    my @after = (Bench::Machine::busy(), (times)[2] + (times)[3],
        Bench::Machine::cpu(@server), Bench::Machine::cpu($redis));

    my ($busy, $own, $server_cpu, $redis_cpu)
        = map { $after[$_] - $before[$_] } 0 .. 3;

    return { %got, server_cpu_s => $server_cpu, redis_cpu_s => $redis_cpu,
        other_cpu_s => $busy - $own - $server_cpu - $redis_cpu,
        server_rss_kb => rss_kb(@server) };
}


sub rss_kb {
    my (@pids) = @_;

    my $sum = 0;

    for my $pid (@pids) {
        my ($kb) = EventSession::Redis::slurp("/proc/$pid/status")
            =~ /^VmRSS:\s*(\d+)/m;

        $sum += $kb // 0;
    }

    return $sum;
}


# All that a command says; it dies with this process.

sub output_of {
    my ($run, @command) = @_;

    my $pid = open(my $pipe, '-|') // die "fork: $!\n";

    if (!$pid) {
        open(STDERR, '>&', \*STDOUT);
        exec(@dies, @command)
            or POSIX::_exit(127);
    }

    local $/;
    my $output = <$pipe> // '';

    close($pipe);

    return $output =~ s/\s+$//r;
}


sub check_stored {
    my ($run, $endpoint, $events) = @_;

    my $stored = $run->{server}->stored($run->{redis}, $endpoint,
        $run->{workload}{batch});

    die "$stored events are stored, of $events\n"
        if defined $stored && $stored < $events;
}


sub result {
    my ($got, $events, $rate) = @_;

    die "nothing was answered in time\n" if $rate == 0;

    my $cores = Bench::Machine::described()->{cores};

    return {
        rate       => $rate,
        server_cpu => $got->{server_cpu_s} * 1e6 / $events,
        redis_cpu  => $got->{redis_cpu_s} * 1e6 / $events,
        other_cpu  => 100 * $got->{other_cpu_s} / $got->{wall_s} / $cores,
        p50_us     => $got->{p50_us},
        p99_us     => $got->{p99_us},
        rss_kb     => $got->{server_rss_kb},
    };
}


1;
