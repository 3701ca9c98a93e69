package Bench::Profile;

# Where the CPU of a server's processes goes, of perf's samples.
#
#     my $profile = Bench::Profile->record($folder, @pids);
#     …
#     $profile->stop;                  # dies with what perf said if it failed
#
#     my $shares = $profile->shares;   # { class => share of all, 0 to 1 }
#     my $shares = Bench::Profile::shares_of($text);    # of `perf script`
#
#     Bench::Profile::classes();       # [ class, what it is ], in order
#
# The kernel's work is told by the call it was done for, the module's by its
# rooms, the rest by where the code is.  With loopback the kernel's work for
# who receives, and to wake him, is done in, and charged to, who sends.

use strict;
use warnings;

use EventSession;

my @classes = (
    [ client_send  => 'kernel: sending to clients' ],
    [ client_wake  => 'kernel: waking the client, while sending' ],
    [ client_read  => 'kernel: reading from clients' ],
    [ redis_send   => 'kernel: sending to Redis, and waking it' ],
    [ redis_read   => 'kernel: reading from Redis' ],
    [ epoll        => 'kernel: epoll, going to sleep' ],
    [ switch       => 'kernel: another process has its turn' ],
    [ kernel       => 'kernel: the rest' ],
    [ nginx        => 'nginx' ],
    [ room_proto   => 'module, proto: frames' ],
    [ room_event   => 'module, event: JSON, numbers' ],
    [ room_http    => 'module, http: connections, requests' ],
    [ room_store   => 'module, store: members, commands, pages' ],
    [ room_redis   => 'module, redis: the pipeline' ],
    [ room_stats   => 'module, stats: counters' ],
    [ libc         => 'libc: memory, copying' ],
    [ other        => 'other' ],
);

# the first that a sample's calls have, from the inside out

my @kernel = (
    [ qr/^exit_to_user_mode/,                          'switch' ],
    [ qr/^(?:do_)?epoll_|^__x64_sys_epoll/,            'epoll' ],
    [ qr/^unix_stream_send/,                           'redis_send' ],
    [ qr/^unix_stream_re/,                             'redis_read' ],
    [ qr/^sock_def_readable/,                          'client_wake' ],
    [ qr/^tcp_sendmsg|^(?:__x64_sys|__sys)_send/,      'client_send' ],
    [ qr/^tcp_recvmsg|^(?:__x64_sys|__sys)_recv/,      'client_read' ],
);

my @rooms = (
    [ qr/^evs_(?:ws|utf8|sse)/,                                  'proto' ],
    [ qr/^evs_(?:scan|json|lex|number|time|sid|fields|email|filter|schema)/,
                                                                 'event' ],
    [ qr/^evs_(?:redis|resp)/,                                   'redis' ],
    [ qr/^evs_stats/,                                            'stats' ],
    [ qr/^evs_/,                                                 'store' ],
    [ qr/^ngx_http_eventsession/,                                'http' ],
);


sub classes { @classes }


sub record {
    my ($class, $folder, @pids) = @_;

    my $self = bless { data => "$folder/perf.data", said => "$folder/perf" },
        $class;

    $self->{perf} = EventSession::Process->spawn(
        [ qw(perf record -q -e cpu-clock -F 4000 -g -o), $self->{data},
            '-p', join(',', @pids) ],
        output => $self->{said}, dies => 'TERM');

    return $self;
}


# perf writes what it has when it is interrupted.

sub stop {
    my ($self) = @_;

    $self->{perf}->signal('INT') if $self->{perf}->alive;
    $self->{perf}->wait(20);

    die 'perf: ', EventSession::Redis::slurp($self->{said}), "\n"
        if !-s $self->{data};

    return;
}


sub shares {
    my ($self) = @_;

    open(my $pipe, '-|', 'perf', 'script', '-i', $self->{data},
        '-F', 'ip,sym,dso') or die "perf: $!\n";

    local $/;

    return shares_of(<$pipe> // '');
}


sub shares_of {
    my ($text) = @_;

    my (%count, $all);

    for my $sample (split(/\n\s*\n/, $text)) {
        my @calls = map { /^\s*[0-9a-f]+ (.+?)(?:\+0x\w+)? \((.*)\)$/
            ? [ $1, $2 ] : () } split(/\n/, $sample);

        next if !@calls;

        $count{ class_of(@calls) }++;
        $all++;
    }

    die "perf has no samples\n" if !$all;

    return { map { $_ => $count{$_} / $all } keys(%count) };
}


# The calls of a sample, the innermost first, each [ symbol, where ].

sub class_of {
    my (@calls) = @_;

    my ($symbol, $where) = @{ $calls[0] };

    return class_of_kernel(@calls) if $where =~ /kernel|^\[(?!vdso)/;

    if ($where =~ /eventsession/) {
        for my $room (@rooms) {
            return "room_$room->[1]" if $symbol =~ $room->[0];
        }
    }

    return 'nginx' if $where =~ m{/nginx$};
    return 'libc'  if $where =~ m{/libc[.-]|^\[vdso\]};

    return 'other';
}


sub class_of_kernel {
    my (@calls) = @_;

    for my $call (@calls) {
        for my $known (@kernel) {
            return $known->[1] if $call->[0] =~ $known->[0];
        }
    }

    return 'kernel';
}


1;
