package Bench::Servers;

# The servers that bench/compare measures: how each is started, what it is
# asked, and how many events it has stored.
#
#     my @names  = Bench::Servers::names();
#     my $reason = Bench::Servers::missing($name);    # undef: can be started
#
#     my $server = Bench::Servers->start($t, $name, $redis,
#         workers => 1, connections => 1024);
#
#     $server->{port};  $server->{pids};
#     $server->path('ws');             # the session's id is appended
#     $server->stored($redis);         # events
#     $server->stop;                   # what its log had that is bad
#
# $t is an EventSession: what is started ends with it.

use strict;
use warnings;

use Carp;
use IO::Socket::INET;
use Time::HiRes qw(time sleep);

use Bench::Machine;
use EventSession;

my $root    = $EventSession::root;
my $built   = $ENV{EVS_PEERS} || "$root/build/bench";
my $peers   = "$root/bench/peers";
my $modules = '/usr/lib/nginx/modules';

my $sessions = 'es:{*-*}';

my @read  = qw(W5a W5b W5c);
my @sized = qw(M100 M1000);
my @all   = (qw(W1 W2 W3 W4), @read, 'W6', @sized);


# start: a function of this package, with the arguments behind it.  needs: a
# file that is there when the server can be started.  keys: the sorted sets
# that have its events, by endpoint; DBSIZE: each message is a key.  slower: it
# is sent so many times less.  two: what is measured with more than one worker
# of it.

my @servers = (
    eventsession => {
        start => [ \&eventsession, 'off' ],
        ws    => '/ws?ack=1&sessionId=',
        keys  => { ws => $sessions, post => 'es:{s*}:batch:*' },
        two   => [ qw(W1 W2 W3 W4) ],
    },
    feed => {
        start     => [ \&eventsession, 'on' ],
        ws        => '/ws?ack=1&sessionId=',
        workloads => [ qw(W1 W2 W3) ],
    },
    go => {
        start => [ \&go ],
        needs => "$built/go-peer",
    },
    lua => {
        start => [ \&lua ],
        needs => "$modules/ngx_http_lua_module.so",
    },
    node => {
        start => [ \&node, 'redis' ],
        needs => "$built/node/node_modules/redis/package.json",
    },
    ioredis => {
        start     => [ \&node, 'ioredis' ],
        needs     => "$built/node/node_modules/ioredis/package.json",
        workloads => [ qw(W1 W2 W3 W4), @read ],
    },
    nchan => {
        start     => [ \&nchan ],
        needs     => "$modules/ngx_nchan_module.so",
        tcp       => 1,
        keys      => 'DBSIZE',
        slower    => 3,
        workloads => [ qw(W1 W2 W3 W4 W6) ],
    },
    null => {
        start     => [ \&ceiling, 'null' ],
        needs     => "$built/ceiling-null",
        keys      => 'none',
        workloads => [ qw(W1 W2 W3) ],
    },
    yyjson => {
        start     => [ \&ceiling, 'yyjson' ],
        needs     => "$built/ceiling-yyjson",
        workloads => [ qw(W1 W2 W3), @sized ],
    },
);

my %servers = @servers;


sub names { grep { !ref($_) } @servers }

sub known { exists $servers{ $_[0] } }


# Redis on TCP, for what can't speak over a unix socket.

sub needs_tcp { $servers{ $_[0] }{tcp} }


sub does {
    my ($name, $workload, $workers) = @_;

    my $server = $servers{$name};
    my $does   = $server->{workloads} // \@all;

    $does = $server->{two} if $workers > 1 && $server->{two};

    return grep { $_ eq $workload } @$does;
}


# tools/bench-peers leaves a sentence where it could not get one.

sub missing {
    my ($name) = @_;

    my $needs = $servers{$name}{needs} // return;

    return if -e $needs;

    chomp(my $reason = EventSession::Redis::slurp("$built/$name.missing"));

    return $reason || "it needs $needs";
}


sub start {
    my ($class, $t, $name, $redis, %options) = @_;

    my ($start, @more) = @{ $servers{$name}{start} };

    my $self = bless { %{ $servers{$name} }, name => $name }, $class;

    $self->$start($t, $redis, \%options, @more);

    my $main = $self->{nginx} // $self->{process};

    $self->wait_listening($main);

    # the others of several workers

    sleep(0.3) if $options{workers} > 1;

    $self->{pids} = [ Bench::Machine::tree($main->pid) ];

    return $self;
}


sub wait_listening {
    my ($self, $main) = @_;

    for (my $end = time() + 20; time() < $end; sleep(0.02)) {
        return if IO::Socket::INET->new(PeerAddr => '127.0.0.1',
            PeerPort => $self->{port});

        last if $self->{process} && !$main->alive;
    }

    die "$self->{name} does not listen: ", $self->output, "\n";
}


sub output {
    my ($self) = @_;

    return $self->{nginx}->log if $self->{nginx};

    return EventSession::Redis::slurp($self->{output});
}


sub path {
    my ($self, $endpoint) = @_;

    return $self->{$endpoint} // {
        ws      => '/ws?sessionId=',
        post    => '/events?sessionId=',
        session => '/session/',
    }->{$endpoint};
}


# Of the endpoint; undef where there is nothing to count.  $batch: how many
# events a message has, for who keeps messages.

sub stored {
    my ($self, $redis, $endpoint, $batch) = @_;

    my $keys = $self->{keys} // $sessions;

    return undef if $keys eq 'none';
    return $redis->cli('DBSIZE') * $batch if $keys eq 'DBSIZE';

    $keys = $keys->{$endpoint} if ref($keys);

    return $redis->cli('EVAL', <<'END', 0, $keys);
        local cursor, total = '0', 0
        repeat
            local page = redis.call('SCAN', cursor, 'COUNT', 1000,
                                    'MATCH', ARGV[1], 'TYPE', 'zset')
            cursor = page[1]
            for _, key in ipairs(page[2]) do
                total = total + redis.call('ZCARD', key)
            end
        until cursor == '0'
        return total
END
}


sub stop {
    my ($self) = @_;

    if ($self->{nginx}) {
        $self->{nginx}->terminate;

        return $self->{nginx}->bad_log;
    }

    $self->{process}->end('TERM', 5);

    return;
}


sub eventsession {
    my ($self, $t, $redis, $options, $feed) = @_;

    $self->start_nginx($t, $options, redis => $redis,
        http => "eventsession_feed $feed;", locations => <<'END');
        location = /ws { eventsession ws; }
        location /session/ { eventsession session; }
        location = /events {
            eventsession          batch;
            eventsession_workers  batch=100;
        }
END
}


sub lua {
    my ($self, $t, $redis, $options) = @_;

    my $socket = $redis->socket;

    $self->start_nginx($t, $options, without => 1,
        main => "load_module $modules/ndk_http_module.so;"
                . "load_module $modules/ngx_http_lua_module.so;",
        http => <<END,
        lua_package_path "$peers/lua/?.lua;/usr/share/lua/5.1/?.lua;;";
        init_worker_by_lua_block { require("session_peer").init("$socket") }
END
        locations => <<'END');
        location = /ws {
            content_by_lua_block { require("session_peer").ws() }
        }
        location = /events {
            content_by_lua_block { require("session_peer").post() }
        }
        location /session/ {
            content_by_lua_block { require("session_peer").session() }
        }
END
}


# It keeps a message as it came, and does not look into it.

sub nchan {
    my ($self, $t, $redis, $options) = @_;

    my $channel = <<'END';
            nchan_channel_id $arg_sessionId;
            nchan_redis_pass redis;
            nchan_message_buffer_length 1000000;
            nchan_message_timeout 0;
END

    $self->start_nginx($t, $options, without => 1,
        main => "load_module $modules/ngx_nchan_module.so;",
        http => 'nchan_shared_memory_size 2g; upstream redis {'
            . ' nchan_redis_server "' . $redis->tcp_url . '"; }',
        locations => <<END);
        location = /ws {
            nchan_publisher websocket;
$channel
        }
        location = /events {
            nchan_publisher http;
$channel
        }
END

    # it refuses everything until it knows its Redis

    EventSession::wait_for {
        $self->{nginx}->request('POST', '/events?sessionId=first',
            body => '[]')->status < 500;
    };
}


sub start_nginx {
    my ($self, $t, $options, %more) = @_;

    my $http = delete $more{http};

    my $nginx = $t->nginx(
        redis       => undef,
        workers     => $options->{workers},
        connections => $options->{connections},
        listen      => 'backlog=4096',
        log_level   => 'warn',
        http        => <<END, %more);
    keepalive_requests 10000000;
    client_max_body_size 64m;
    client_body_buffer_size 4m;
    $http
END

    $self->{nginx} = $nginx;
    $self->{port}  = $nginx->port;
}


sub go {
    my ($self, $t, $redis, $options) = @_;

    $self->spawn($t, { GOMAXPROCS => $options->{workers} },
        "$built/go-peer", '@PORT@', $redis->socket);
}


sub node {
    my ($self, $t, $redis, $options, $client) = @_;

    $self->spawn($t, {}, 'node', "$built/node/server.js", '@PORT@',
        $options->{workers}, $redis->socket, $client);
}


sub ceiling {
    my ($self, $t, $redis, $options, $what) = @_;

    $self->spawn($t, {}, "$built/ceiling-$what", '@PORT@',
        $what eq 'null' ? () : $redis->socket);
}


sub spawn {
    my ($self, $t, $env, @command) = @_;

    $self->{port}   = EventSession::Redis::free_port();
    $self->{output} = $t->folder($self->{name}) . '/output';

    $self->{process} = EventSession::Process->spawn(
        [ map { $_ eq '@PORT@' ? $self->{port} : $_ } @command ],
        output => $self->{output}, env => $env, dies => 'TERM');
}


1;
