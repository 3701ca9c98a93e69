# Why: an image is started by an engine that is not here when it is written, by
# somebody who reads its log when it does not start.  Known to fail by: a
# signal that a shell keeps for itself, so that each stop is a kill; a log that
# the unprivileged user may not open; a file that can't be written once nobody
# is root; a health check for which the image lacks the client; a compose file
# whose Redis would forget.
#
# Run by `make docker-test`, as root, in namespaces of its own: the ports are
# free.  buildah has no --read-only, and takes no command from the image: so
# what was written is looked for, and the command is what the image says.

use strict;
use warnings;

use lib 't/lib';

use EventSession;
use EventSession::Readme;
use IO::Socket::IP;
use JSON::PP ();
use Test::More;
use Time::HiRes qw(time sleep);
use YAML::XS ();

plan(skip_all => 'make docker-test runs it') if !$ENV{EVS_IMAGE};

use constant EVENT => '[{"type":"EVENT","timestamp":1,"name":"a"}]';

my $t       = EventSession->new;
my @buildah = split(/ /, $ENV{EVS_BUILDAH});
my $compose = YAML::XS::LoadFile('docker/compose.yaml');
my $image   = inspect();
my ($redis, $dns, $root);

# what is mounted is for www-data to read
chmod(0711, $t->dir);

what_the_image_says();
what_compose_says();
dns('127.0.0.1');
redis_of_compose();
session_through_the_image();
redis_moves();
redis_is_away();
settings();
wrong_settings();
mounted_files();
mounted_configuration();

done_testing();


sub what_the_image_says {
    is($image->{User}, '33:33', 'www-data, by number');
    is($image->{StopSignal}, 'SIGQUIT', 'is stopped gracefully');
    is_deeply($image->{Healthcheck}{Test},
        [ 'CMD', 'eventsession-healthcheck' ], 'has a health check');
    is_deeply([ keys(%{ $image->{ExposedPorts} }) ], [ '8080/tcp' ],
        'and a port');
}


sub what_compose_says {
    my ($nginx, $kept) = @{ $compose->{services} }{qw(nginx redis)};

    ok(-f "docker/$nginx->{build}{context}/$nginx->{build}{dockerfile}",
        'compose builds our Dockerfile');

    is($nginx->{depends_on}{redis}{condition}, 'service_healthy',
        'and waits for Redis');

    is_deeply([ map { (split(/:/))[1] } @{ $kept->{volumes} } ], [ '/data' ],
        'whose data is on a volume');

    is_deeply([ keys(%{ $compose->{volumes} }) ],
        [ map { (split(/:/))[0] } @{ $kept->{volumes} } ], 'that is there');

    ok($nginx->{read_only}, 'nothing but /tmp is written');
}


# Started as compose does, by Debian's redis-server.

sub redis_of_compose {
    mkdir($t->dir . '/data');

    start_redis('127.0.0.1');

    my @health = @{ $compose->{services}{redis}{healthcheck}{test} };

    is(shift(@health), 'CMD', 'the health check of Redis is a command');
    ok((wait_for { run('sh', '-c', '"$0" "$@" 2>&1', @health) =~ /PONG/ }),
        'that says when it is there');

    is(cli(qw(CONFIG GET maxmemory-policy)), "maxmemory-policy\nnoeviction\n",
        'it evicts nothing');
    is(cli(qw(CONFIG GET appendonly)), "appendonly\nyes\n", 'it has an AOF');
}


sub start_redis {
    my ($address) = @_;

    $redis = EventSession::Process->spawn(
        [ 'sh', '-c', 'cd "$0" && exec "$@"', $t->dir . '/data',
          @{ $compose->{services}{redis}{command} }, '--bind', $address ],
        output => $t->dir . '/redis.log');
}


# The name server of the containers, from whom "redis" has this address.  There
# is no answer to questions of other types.

sub dns {
    my ($address) = @_;

    $dns->end('KILL') if $dns;

    my $server = 'use IO::Socket::INET; '
        . 'my $s = IO::Socket::INET->new(Proto => "udp", LocalPort => 53,'
        . '    LocalAddr => "127.0.0.1", ReuseAddr => 1) or die; '
        . 'while (my $from = $s->recv(my $q, 512)) {'
        . '    my $a = $q =~ /^.{12}\x05redis\0\0\x01\0\x01/s ? 1 : 0;'
        . '    my ($name) = $q =~ /^.{12}([^\0]*\0.{4})/s or next;'
        . '    $s->send(substr($q, 0, 2) . pack("n5", 0x8180, 1, $a, 0, 0)'
        . '        . $name . ($a ? pack("n3Nna4", 0xc00c, 1, 1, 1, 4,'
        . '        inet_aton($ARGV[0])) : ""), 0, $from);'
        . '}';

    $dns = EventSession::Process->spawn([ 'perl', '-e', $server, $address ],
        output => $t->dir . '/dns.log');
}


# As compose starts it: in with acks, a stop while a WebSocket is open, and out
# of the next container.

sub session_through_the_image {
    my ($sid, $open) = (uuid(), uuid());

    my $c = container(env => $compose->{services}{nginx}{environment});

    ok_ready($c, 'with the environment of compose');
    is(health($c), 0, 'healthy');

    my $ws = EventSession::WS->connect(8080, "/ws?sessionId=$sid");

    $ws->text($_) for seed_messages($sid);

    is($ws->message, '{"message":"bye"}', 'a session is taken');
    is($ws->close_code, 1000, 'and ended');

    is(get(8080, "/session/$sid")->body, tree(), 'and is given back');

    for my $name ('openapi.yaml', 'asyncapi.yaml') {
        my $res = get(8080, "/$name");

        is($res->header('Content-Type'), 'application/yaml', "$name is YAML");
        is($res->body, EventSession::Redis::slurp("conf/$name"), 'as it is');
    }

    unprivileged($c);

    like(get(8080, '/metrics')->body,
        qr/^eventsession_events_total\{endpoint="ws",outcome="stored"\} [1-9]/m,
        'shows itself its metrics');

    $ws = EventSession::WS->connect(8080, "/ws?sessionId=$open&ack=1");

    $ws->text(EVENT);

    is($ws->message, '{"ack":1,"events":1}', 'another session is open');

    # some of it is taken before the stop

    $ws->text(EVENT) for 1 .. 100;

    stop($c);

    my $acked = 1 + grep { /^{"ack":/ } $ws->messages(100);

    is($ws->close_code, 1001, 'a stop tells the WebSocket to come again');

    ok($c->{process}->exited(10), 'the container ends by itself');
    is($c->{process}->status, 0, 'with 0');

    logs($c, $sid);
    written($c);

    $c = container(env => $compose->{services}{nginx}{environment});

    ok_ready($c, 'the next container');

    my $events = () = get(8080, "/session/$open")->body =~ /"EVENT"/g;

    cmp_ok($events, '>=', $acked, "has all $acked that were acknowledged");

    end($c);
}


sub unprivileged {
    my ($c) = @_;

    my $master = master();
    my @pids   = ($master, workers($master));

    cmp_ok(scalar(@pids), '>=', 2, 'a master, and workers');

    for my $pid (@pids) {
        my $status = slurp("/proc/$pid/status");

        like($status, qr/^Uid:\s+33\s+33\s+33\s+33$/m, "$pid is not root");
        like($status, qr/^Gid:\s+33\s+33\s+33\s+33$/m, 'nor of its group');
        like($status, qr/^CapEff:\s+0+$/m, 'and may do nothing special');
    }

    my ($parent) = slurp("/proc/$master/status") =~ /^PPid:\s+(\d+)/m;

    like(slurp("/proc/$parent/cmdline"), qr/^buildah-chroot-exec\0/,
        'no shell stands between the engine and nginx');
}


sub logs {
    my ($c, $sid) = @_;

    my ($out, $err) = (slurp($c->{out}), slurp($c->{err}));

    like($out, qr{"GET /session/$sid HTTP/1\.1" 200 }, 'stdout: requests');
    unlike($out, qr{/ready HTTP/1\.." 200}, 'stdout: not the health checks');
    unlike($out, qr{\[notice\]}, 'stdout: nothing else');

    like($err, qr{\[notice\].*gracefully shutting down}, 'stderr: what nginx '
        . 'has to say');
    unlike($err, qr{\[(?:warn|error|crit|alert|emerg)\]},
        'stderr: nothing to worry about');
}


# It would have worked with a root file system that is read-only.

sub written {
    my ($c) = @_;

    my @written = split(/\n/, run('find', $root, '-xdev', '-newer',
        $c->{out} . '.began', '-user', 'www-data', '-not', '-path',
        "$root/tmp*"));

    is_deeply(\@written, [], 'nothing is written but in /tmp');
}


# Another container, with another address and the same volume.

sub redis_moves {
    my $c = container(env => $compose->{services}{nginx}{environment});

    ok_ready($c, 'before Redis moves');

    $redis->end('TERM');

    ok((wait_for { get(8080, '/ready')->status == 503 }), 'Redis is away');

    dns('127.0.0.2');
    start_redis('127.0.0.2');

    ok_ready($c, 'with Redis at another address');

    end($c);

    $redis->end('TERM');
    start_redis('127.0.0.1');
}


sub redis_is_away {
    my $c = container(env => { EVENTSESSION_REDIS => 'redis://127.0.0.1:1' });

    ok((wait_for { get(8080, '/healthcheck')->status == 200 }),
        'it starts without Redis');

    isnt(health($c), 0, 'but is not healthy');
    like($c->{health}, qr/Redis has not answered yet/, 'and says why');

    ok((wait_for { slurp($c->{out}) =~ m{"GET /ready HTTP/1\.0" 503 } }),
        'stdout: health checks that failed');
    like(slurp($c->{err}), qr/\[warn\].*is away/, 'stderr: that it is away');

    end($c);

    isnt(health($c), 0, 'nor is it when nginx is gone');
    like($c->{health}, qr/nobody listens on port 8080/, 'which is said, too');
}


sub settings {
    my $sid    = uuid();
    my $secret = $t->dir . '/secret';

    write_file($secret, "redis://127.0.0.1:6379/3\n");

    my $c = container(
        env => { EVENTSESSION_REDIS_FILE => '/run/secrets/redis',
                 EVENTSESSION_PORT => 8181, EVENTSESSION_WORKERS => 3,
                 EVENTSESSION_PREFIX => 'a"\\b:' },
        volumes => [ "$secret:/run/secrets/redis:ro" ], port => 8181);

    ok_ready($c, 'with settings');
    is(health($c, EVENTSESSION_PORT => 8181), 0, 'healthy at its port');
    is(scalar(workers(master())), 3, 'as many workers as set');

    my $ws = EventSession::WS->connect(8181, "/ws?sessionId=$sid&ack=1");

    $ws->text(EVENT);
    is($ws->message, '{"ack":1,"events":1}', 'takes an event');

    is(cli('-n', 3, 'EXISTS', "a\"\\b:{$sid}"), "1\n",
        'under the prefix, in the database of the secret');

    my $v6 = IO::Socket::IP->new(PeerAddr => '::1', PeerPort => 8181);

    ok($v6, 'reached by IPv6, too');

    end($c);
}


sub wrong_settings {
    for ([ EVENTSESSION_PORT => '', 'EVENTSESSION_PORT= is not a port' ],
         [ EVENTSESSION_PORT => 'a', 'EVENTSESSION_PORT=a is not a port' ],
         [ EVENTSESSION_WORKERS => '2; user root',
           'EVENTSESSION_WORKERS=2; user root is not a number of workers' ],
         [ EVENTSESSION_PREFIX => 'a b', 'EVENTSESSION_PREFIX=a b is not 1 to '
           . '64 characters without blanks' ],
         [ EVENTSESSION_REDIS_FILE => '/none',
           'EVENTSESSION_REDIS_FILE cannot be read' ],
         [ EVENTSESSION_REDIS => 'http://a', 'a Redis URL begins with' ],
         [ EVENTSESSION_REDIS => 'redis://none.invalid', 'host not found' ])
    {
        my ($name, $value, $text) = @$_;

        # buildah loses what is said by who ends in the same moment, at times

        for my $try (1 .. 5) {
            my $c = container(env => { $name => $value });

            isnt($c->{process}->wait(30), 0, "$name=$value: an error");

            next if slurp($c->{err}) !~ /\Q$text/ && $try < 5;

            like(slurp($c->{err}), qr/\Q$text/, 'which is explained');
            last;
        }
    }
}


sub mounted_files {
    my $dir = $t->dir;

    write_file("$dir/http.conf", "eventsession_application\n"
        . "    0e302fce-66ad-4721-911e-0ab9d33697bf example;\n");
    write_file("$dir/server.conf", "eventsession_delete on;\n"
        . "location = /mine { return 200 mine; }\n" . metrics_of_readme());

    my $c = container(env => { EVENTSESSION_REDIS => 'redis://127.0.0.1' },
        volumes => [ "$dir/http.conf:/etc/eventsession/http.d/a.conf:ro",
                     "$dir/server.conf:/etc/eventsession/server.d/a.conf:ro" ]);

    ok_ready($c, 'with mounted parts');

    my $http = EventSession::HTTP->connect(8080);

    is($http->request('POST', '/api/v1/events/', headers => [
        'application: 0e302fce-66ad-4721-911e-0ab9d33697bf',
        'Content-Type: application/json', 'Connection: close' ],
        body => '{"session_id":"' . uuid() . '","category":"a","name":"b",'
            . '"data":{},"timestamp":1}')->status, 201, 'of http');

    is(get(8080, '/mine')->body, 'mine', 'of the server');

    is(get_from('127.0.0.2', '/metrics')->status, 403,
        'metrics are for the container only');
    is(get_from('127.0.0.2', '/prometheus')->status, 200,
        'but for whom we name');
    is(get(8080, '/prometheus')->status, 403, 'and there for nobody else');

    # read anew by a reload, without a new container

    write_file("$dir/server.conf",
        "location = /mine { return 200 yours; }\n");

    kill('HUP', master());

    ok((wait_for { get(8080, '/mine')->body eq 'yours' }), 'and after a HUP');

    end($c);
}


# README's location, for an address that we have.

sub metrics_of_readme {
    my ($location) = map { $_->{text} } grep { $_->{section} eq 'Docker'
        && $_->{lang} eq 'nginx' } EventSession::Readme->new->blocks;

    $location =~ s{172\.16\.0\.0/12}{127.0.0.2} or die('no address there');

    return $location;
}


sub mounted_configuration {
    my $conf = $t->dir . '/nginx.conf';

    write_file($conf, <<'END');
pid /tmp/nginx.pid;
error_log stderr;

include /etc/nginx/modules-enabled/*.conf;

events {
}

http {
    access_log /dev/stdout;

    server {
        listen 8282;

        eventsession_redis redis://127.0.0.1:6379;
        include /etc/nginx/snippets/eventsession.conf;
    }
}
END

    my @mount = ("$conf:/etc/eventsession/nginx.conf:ro");

    my $c = container(command => [ 'nginx', '-t' ], volumes => \@mount);

    is($c->{process}->wait(30), 0, 'a configuration can be tested');
    like(slurp($c->{err}), qr{/etc/eventsession/nginx\.conf test is successful},
        'the mounted one');

    end($c);

    $c = container(port => 8282, volumes => \@mount,
        env => { EVENTSESSION_PORT => 8282 });

    ok_ready($c, 'with a configuration of our own');
    is(health($c, EVENTSESSION_PORT => 8282), 0, 'healthy');

    end($c);
}


# The command of the image in a container.  Options: env, volumes, command,
# port.  Files out and err have its two streams.  To make a container takes
# seconds: it is the same one each time, emptied of what may be written.

sub container {
    my (%options) = @_;

    my $dir = $t->folder('container');

    chmod(0711, $dir);

    if (!$root) {
        run(@buildah, 'from', '--pull=never', '--name', 'container',
            '--add-host', 'redis:127.0.0.1', '--dns', '127.0.0.1',
            $ENV{EVS_IMAGE});

        chomp($root = run(@buildah, 'mount', 'container'));
    }

    run('find', "$root/tmp", '-mindepth', 1, '-delete');

    my %env = %{ $options{env} // {} };

    my $c = { out => "$dir/out", err => "$dir/err",
              port => $options{port} // 8080 };

    my @command = @{ $options{command} // $image->{Cmd} };

    write_file("$c->{out}.began", '');
    write_file($c->{$_}, '') for qw(out err);

    $c->{process} = EventSession::Process->spawn(
        [ 'sh', '-c', 'exec 2>> "$0"; exec "$@"', $c->{err},
          in_container(\%env, $options{volumes},
              @{ $image->{Entrypoint} }, @command) ],
        output => $c->{out});

    return $c;
}


sub in_container {
    my ($env, $volumes, @command) = @_;

    return (@buildah, 'run', '--network', 'host',
        (map { ('--env', "$_=$env->{$_}") } sort(keys(%$env))),
        (map { ('--volume', $_) } @{ $volumes // [] }),
        'container', '--', @command);
}


# The status of the image's health check.

sub health {
    my ($c, %env) = @_;

    my (undef, @command) = @{ $image->{Healthcheck}{Test} };

    my $file = "$c->{out}.health";

    write_file($file, '');

    my $status = EventSession::Process->spawn(
        [ in_container(\%env, undef, @command) ], output => $file)
        ->wait(30);

    $c->{health} = slurp($file);

    return $status;
}


# The process that an engine would signal.

sub master {
    return slurp("$root/tmp/nginx.pid") =~ /(\d+)/ ? $1 : 0;
}


# The program cat, where the engine's stdout can't be opened, is no worker.

sub workers {
    my ($master) = @_;

    return grep { slurp("/proc/$_/cmdline") =~ /^nginx: worker/ }
        split(/\s+/, slurp("/proc/$master/task/$master/children"));
}


sub stop {
    my ($c) = @_;

    my ($signal) = $image->{StopSignal} =~ /^SIG(\w+)$/;

    kill($signal, master()) or die("no nginx to stop\n");
}


sub end {
    my ($c) = @_;

    stop($c) if $c->{process}->alive && master();

    $c->{process}->exited(20) or die("the container has not ended\n");
}


sub ok_ready {
    my ($c, $name) = @_;

    local $Test::Builder::Level = $Test::Builder::Level + 1;

    ok((wait_for { !$c->{process}->alive
            || get($c->{port}, '/ready')->status == 200 } 30)
        && $c->{process}->alive, "$name: ready")
        or die(slurp($c->{err}));
}


# A response with status 0 where nobody listens.

sub get {
    my ($port, $path) = @_;

    my $http = eval { EventSession::HTTP->connect($port) }
        or return bless { status => 0 }, 'EventSession::HTTP::Response';

    return $http->request('GET', $path, headers => [ 'Connection: close' ]);
}


# The same at 8080, from another address of ours.

sub get_from {
    my ($address, $path) = @_;

    my $socket = IO::Socket::INET->new(LocalAddr => $address,
        PeerAddr => '127.0.0.1', PeerPort => 8080) or die("$address: $!\n");

    return EventSession::HTTP->connect(8080, socket => $socket)
        ->request('GET', $path, headers => [ 'Connection: close' ]);
}


sub tree {
    return '{"type":"SESSION","start":1569972082,"end":1569972090,"children":'
        . '[{"type":"EVENT","timestamp":1569972083,"name":"cart_loaded"}]}';
}


sub cli { run('redis-cli', @_) }


# Its output.

sub run {
    my (@command) = @_;

    open(my $pipe, '-|', @command) or die("$command[0]: $!\n");

    local $/;

    return <$pipe> // '';
}


sub slurp { EventSession::Redis::slurp($_[0]) // '' }


sub write_file {
    my ($path, $text) = @_;

    open(my $file, '>', $path) or die("$path: $!\n");
    print {$file} $text;
    close($file);
}


sub inspect {
    return JSON::PP::decode_json(run(@buildah, 'inspect', '--type', 'image',
        $ENV{EVS_IMAGE}))->{Docker}{config};
}
