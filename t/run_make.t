# Why: `make run` is the first thing that anybody does with this project, and
# what it leaves behind, processes or a lost session, is what they would
# remember.  Known to fail by: children of a signalled or killed shell that
# live on; a Ctrl-C that reaches Redis before nginx; an example in the output
# that can't be pasted; socket paths longer than 107 bytes; a Redis that was
# killed to see what happens, and took nginx along.

use strict;
use warnings;

use lib 't/lib';

use EventSession;
use EventSession::SSE;
use EventSession::Track;
use Test::More;

my $t    = EventSession->new;
my $root = $EventSession::root;
my $dir  = $t->dir . '/run';
my $port = EventSession::Redis::free_port();
my $sid  = 'e6fa79ca-d142-4046-a134-5134f16a0b5e';

my $tree = '{"type":"SESSION","start":1569972082,"end":1569972090,"children":'
    . '[{"type":"EVENT","timestamp":1569972083,"name":"cart_loaded"}]}';

my $count = 0;


# A make run with these settings, once it is ready or has ended.

sub make_run {
    my (%settings) = @_;

    %settings = (RUNDIR => $dir, PORT => $port, %settings);

    my $output = $t->dir . '/output-' . ++$count;

    my $make = EventSession::Process->spawn(
        [ 'make', '--no-print-directory', '-C', $root, 'run',
          map { "$_=$settings{$_}" } sort(keys(%settings)) ],
        output => $output, dies => 'TERM');

    my $run = { make => $make, output => $output, dir => $settings{RUNDIR},
                port => $settings{PORT} };

    wait_for { !$make->alive || output($run) =~ /^ready /m } 60;

    return $run;
}


sub output { EventSession::Redis::slurp($_[0]{output}) }


sub http { EventSession::HTTP->connect($_[0]{port}, timeout => 30) }


sub request {
    my ($run, $method, $path) = @_;

    return http($run)->request($method, $path,
        headers => [ 'Connection: close' ]);
}


sub get { request($_[0], 'GET', $_[1]) }


# The pids of a run's servers, from when it was ready.

sub pid_of {
    my ($run, $name) = @_;

    return EventSession::Redis::slurp("$run->{dir}/$name.pid") =~ /(\d+)/
        ? $1 : 0;
}


sub left {
    my ($run) = @_;

    return grep { $_ && kill(0, $_) } @{ $run->{pids} };
}


sub ok_ended {
    my ($run, $name) = @_;

    local $Test::Builder::Level = $Test::Builder::Level + 1;

    ok($run->{make}->exited(20 * slow()), "$name: make has ended");
    ok((wait_for { !left($run) } 10), "$name: nothing is left running");
}


sub ok_ready {
    my ($run, $name) = @_;

    local $Test::Builder::Level = $Test::Builder::Level + 1;

    like(output($run), qr{^ready http://127\.0\.0\.1:$run->{port}$}m,
        "$name: ready") or die(output($run));

    $run->{pids} = [ map { pid_of($run, $_) } qw(nginx redis) ];
}


# the first run: the session in, by pasting the example as it is printed

my $run = make_run();

ok_ready($run, 'first run');

is(get($run, '/healthcheck')->body, 'OK', 'healthy');

my @paths = output($run) =~ m{^  (?:http|ws)://127\.0\.0\.1:$port([\w/.]+)}mg;

is(join(' ', @paths), '/ws /session/ /api/v1/events/ /events /workers /event '
    . '/database_events /healthcheck /ready /metrics /docs/ '
    . '/openapi.yaml /asyncapi.yaml', 'says where it serves what');

my $feed = EventSession::SSE->connect($port, '/database_events');

is($feed->opened, 200, 'the feed');

my ($example) = output($run) =~ m{^('\S+/tools/wscat' .*?\nEND\n)}ms;

is(qx($example), qq({"message":"bye"}\n), 'the example is taken');

is(join(' ', map { $feed->json->{type} } 1 .. 3),
    'SESSION_START EVENT SESSION_END', 'and on the feed');

my $res = get($run, "/session/$sid");

is($res->status, 200, 'the session is there');
is($res->body, $tree, 'as the assignment shows it');

my ($curl) = output($run) =~ m{^(curl .*)$}m;

like(qx($curl 2>/dev/null), qr/\Q$tree\E$/, 'and curl as printed shows it');


# the application of the assignment's example is trusted

$res = track(http($run), fields(session_id => '"' . uuid() . '"'));

is($res->status, 201, 'an event of an application') or diag($res->body);
is($feed->json->{application}, 'example', 'is on the feed, by its name');
$feed->abort;

is(track(http($run), fields(), app => uuid())->body, NOT_FOUND,
    'no other application is');


# what is in the way is said in one sentence

my $second = make_run(PORT => EventSession::Redis::free_port());

ok_ended_at_once($second, qr/^RUNDIR=\S+ is in use by another make run$/m);

my $taken = make_run(RUNDIR => $t->dir . '/taken');

ok_ended_at_once($taken, qr/^port $port of 127\.0\.0\.1 is taken .*$/m);

my $wrong = make_run(RUNDIR => $t->dir . '/wrong', PORT => 'http');

ok_ended_at_once($wrong, qr/^PORT=http is not a port$/m);


sub ok_ended_at_once {
    my ($failed, $sentence) = @_;

    local $Test::Builder::Level = $Test::Builder::Level + 1;

    ok($failed->{make}->exited(10), 'it ends');
    isnt($failed->{make}->status, 0, 'with a failure');
    like(output($failed), $sentence, 'that it explains');
}


# Ctrl-C reaches every process of the terminal's foreground group

kill('INT', -$run->{make}->pid);
ok_ended($run, 'Ctrl-C');

my $log = EventSession::Redis::slurp("$dir/error.log");

unlike($log, qr/\[(?:alert|crit|emerg)\]/, 'nothing bad in the log');

my $redis_log = EventSession::Redis::slurp("$dir/redis.log");

like($redis_log, qr/ready to exit, bye bye/, 'Redis ended in peace');


# the next one has the session

$run = make_run(WORKERS => 2);

ok_ready($run, 'second run');
is(get($run, "/session/$sid")->body, $tree, 'the session is still there');


# a Redis that ends by itself comes back, with all it had; nginx serves on

my $killed = pid_of($run, 'redis');
my $nginx  = pid_of($run, 'nginx');

ok(kill('KILL', $killed), 'Redis is killed');
ok((wait_for { get($run, '/ready')->status == 503 } 10), 'not ready');
is(get($run, '/healthcheck')->body, 'OK', 'but healthy');
ok((wait_for { output($run) =~ /^Redis was started again$/m } 30),
    'Redis comes back');
like(output($run), qr/^Redis ended by itself/m, 'which is said');
ok((wait_for { get($run, '/ready')->status == 200 } 30), 'ready again');

is(get($run, "/session/$sid")->body, $tree, 'the session is still there');
is(pid_of($run, 'nginx'), $nginx, 'and so is nginx');
isnt(pid_of($run, 'redis'), $killed, 'another Redis');
push(@{ $run->{pids} }, pid_of($run, 'redis'));


# one that somebody starts himself is left to him

ok(kill('KILL', pid_of($run, 'redis')), 'that one is killed');

my $own = EventSession::Process->spawn(
    [ 'redis-server', "$dir/redis.conf" ], output => $t->dir . '/own');

ok((wait_for { output($run) =~ /^Redis was started by somebody else/m } 30),
    'a Redis that another has started');
ok((wait_for { get($run, '/ready')->status == 200 } 30), 'is used');
is(get($run, "/session/$sid")->body, $tree, 'with the session');

kill('INT', -$run->{make}->pid);
ok_ended($run, 'Ctrl-C without a Redis of its own');
ok($own->alive, 'which lives on');
$own->end;


# one that cannot come back takes the others along

$run = make_run();
ok_ready($run, 'after a Redis of another');
is(get($run, "/session/$sid")->body, $tree, 'the session is still there');

rename("$dir/redis", "$dir/kept") or die("$dir/redis: $!");
ok(kill('KILL', pid_of($run, 'redis')), 'Redis and its data are gone');
ok_ended($run, 'Redis gone');
like(output($run), qr/^Redis did not start, see /m, 'it says so');
rename("$dir/kept", "$dir/redis") or die("$dir/kept: $!");


# nginx that ends by itself takes Redis along

$run = make_run();
ok_ready($run, 'with its data');

ok(kill('KILL', pid_of($run, 'nginx')), 'nginx is killed');
ok_ended($run, 'nginx killed');
like(output($run), qr/^nginx ended by itself/m, 'it says so');

ok((wait_for { !eval { EventSession::HTTP->connect($port); 1 } } 5),
    'no worker holds the port');

$run = make_run();
ok_ready($run, 'after a killed nginx');
$run->{make}->signal('TERM');
ok_ended($run, 'make terminated');

$run = make_run();
ok_ready($run, 'after a terminated make');
$run->{make}->signal('KILL');
ok_ended($run, 'make killed');


# somebody else's Redis, and none of ours

my $redis = $t->redis(tcp => 1);

$run = make_run(RUNDIR => $t->dir . '/other', REDIS => $redis->tcp_url);

ok_ready($run, 'with REDIS=');
is(pid_of($run, 'redis'), 0, 'no Redis was started');

qx($example);
is(get($run, "/session/$sid")->body, $tree, 'a session is taken');
is(scalar(@{ $redis->cli('KEYS', "*$sid*") }), 1, 'into that Redis');

is(request($run, 'DELETE', "/session/$sid")->status, 204,
    'and can be deleted');
is(scalar(@{ $redis->cli('KEYS', "*$sid*") }), 0, 'from it');

kill('HUP', -$run->{make}->pid);
ok_ended($run, 'terminal closed');
is($redis->cli('PING'), 'PONG', 'that Redis lives on');


# a folder whose path is no socket's

$run = make_run(RUNDIR => $t->dir . '/' . 'long-' x 22 . "and \"strange\"");

ok_ready($run, 'in a folder of a long name');
$run->{make}->signal('TERM');
ok_ended($run, 'in a folder of a long name');

done_testing();
