package Bench::Machine;

# What /proc says of processes and of this machine, and which versions of what
# are on it.
#
#     Bench::Machine::cpu(@pids);       # seconds so far, of all their threads
#     Bench::Machine::busy();           # the same of all processes
#     Bench::Machine::tree($pid);       # it and all below it
#     Bench::Machine::open_files();     # how many this process may have
#     Bench::Machine::described();      # { cpu => …, cores => …, … }
#     Bench::Machine::versions(@names); # [ [ nginx => '1.22.1' ], … ]
#     Bench::Machine::commit();         # 'abcdef0', with '+' when changed

use strict;
use warnings;

use POSIX ();

use EventSession::Redis;


# The scheduler's nanoseconds of each thread: utime and stime are rounded.

sub cpu {
    my (@pids) = @_;

    my $ns = 0;

    for my $pid (@pids) {
        for my $task (glob("/proc/$pid/task/*/schedstat")) {
            $ns += (split(/ /, EventSession::Redis::slurp($task)))[0] // 0;
        }
    }

    return $ns / 1e9;
}


sub busy {
    my @ticks = split(/\s+/, EventSession::Redis::slurp('/proc/stat')
        =~ s/\n.*//sr);

    # user, nice, system, irq, softirq

    my $sum = 0;

    $sum += $ticks[$_] // 0 for 1, 2, 3, 6, 7;

    return $sum / POSIX::sysconf(POSIX::_SC_CLK_TCK());
}


sub tree {
    my ($pid) = @_;

    my @children = map { split(/ /, EventSession::Redis::slurp($_)) }
        glob("/proc/$pid/task/*/children");

    return ($pid, map { tree($_) } @children);
}


sub open_files {
    my ($limit) = EventSession::Redis::slurp('/proc/self/limits')
        =~ /^Max open files\s+(\d+)/m;

    return $limit // 1024;
}


sub described {
    my $cpu    = EventSession::Redis::slurp('/proc/cpuinfo');
    my $memory = EventSession::Redis::slurp('/proc/meminfo');
    my $system = EventSession::Redis::slurp('/etc/os-release');

    my ($model) = $cpu =~ /^model name\s*:\s*(.+)/m;
    my ($kb)    = $memory =~ /^MemTotal:\s*(\d+)/m;
    my ($name)  = $system =~ /^PRETTY_NAME="?([^"\n]+)/m;

    return {
        cpu    => $model // (POSIX::uname())[4],
        cores  => scalar(my @all = $cpu =~ /^processor\s*:/mg) || 1,
        memory => sprintf('%.0f GiB', ($kb // 0) / (1 << 20)),
        kernel => (POSIX::uname())[2],
        system => $name // (POSIX::uname())[0],
    };
}


# A command and what to find in what it says, or the name of a Debian package.

my %versions = (
    nginx             => [ ($ENV{EVS_NGINX} || 'nginx') . ' -v 2>&1',
                           qr{nginx/(\S+)} ],
    Redis             => [ 'redis-server --version', qr/v=(\S+)/ ],
    gcc               => [ 'gcc -dumpfullversion', qr/(\S+)/ ],
    wrk               => [ 'wrk -v 2>&1', qr{wrk (?:debian/)?(\d[\d.]*)} ],
    Node              => [ 'node --version', qr/v(\S+)/ ],
    Go                => [ 'build/bench/go/usr/lib/go-*/bin/go version',
                           qr/go(\d\S+)/ ],
    'lua-nginx-module'  => 'libnginx-mod-http-lua',
    nchan               => 'libnginx-mod-nchan',
    'gorilla/websocket' => 'golang-github-gorilla-websocket-dev',
    redigo              => 'golang-github-gomodule-redigo-dev',
    fastjson            => 'golang-github-valyala-fastjson-dev',
    (map { $_ => [ "cat build/bench/node/node_modules/$_/package.json",
                   qr/"version": "([^"]+)"/ ] } qw(ws redis ioredis)),
    yyjson              => [ 'ls build/bench/yyjson/usr/lib/*/libyyjson.so.?*',
                             qr/\.so\.(\d+\.\d+\S*)/ ],
);


sub versions {
    my (@names) = @_;

    return [ map { [ $_ => version($_) // 'unknown' ] } @names ];
}


sub version {
    my ($name) = @_;

    my $how = $versions{$name} // return;

    if (!ref($how)) {
        my $version = qx(dpkg-query -Wf '\${Version}' $how 2> /dev/null);

        # without epoch and revision

        return $version =~ /^(?:\d+:)?([^-+]+)/ ? $1 : undef;
    }

    my ($command, $pattern) = @$how;

    return qx(( $command ) 2> /dev/null) =~ $pattern ? $1 : undef;
}


sub commit {
    chomp(my $commit = qx(git rev-parse --short HEAD 2> /dev/null));

    return 'unknown' if !$commit;

    my $changed = qx(git status --porcelain -uno 2> /dev/null);

    return $commit . ($changed ? '+' : '');
}


1;
