# Why: one nginx serves many sites: settings come from the block around, may
# differ from location to location, change at a reload, and cost nothing where
# they are not used.  Known to fail by: a second Redis that gets what was meant
# for the first; connections that nobody uses, or of a configuration that is
# gone; workers that crash because the module is loaded and not used
# (slact/nchan#713).

use strict;
use warnings;

use lib 't/lib';

use EventSession;
use EventSession::Session;
use Test::More;


# An nginx whose configuration is changed before it is written.

package Edited {
    our @ISA = ('EventSession::Nginx');

    sub conf {
        my ($self) = @_;

        return $self->{edit}->($self->SUPER::conf);
    }
}


my $t = EventSession->new;
my $a = $t->redis;
my $b = $t->redis(tcp => 1);


sub edited {
    my ($edit, %options) = @_;

    return Edited->new($t->folder('nginx'), redis => undef, locations => '',
        edit => $edit, %options);
}


# Clients of a Redis, but for this test.

sub clients {
    my ($redis) = @_;

    return scalar(grep { /\S/ && !/cmd=client/ }
        split(/\n/, $redis->cli('CLIENT', 'LIST')));
}


sub sockets {
    my ($nginx) = @_;

    my ($worker) = $nginx->workers;

    return scalar(grep { (readlink($_) // '') =~ /^socket:/ }
        glob("/proc/$worker/fd/*"));
}


# But for those of the workers of batches, which come by themselves.

sub keys_of { sort(grep { !/\{workers\}/ } @{ $_[0]->cli('KEYS', '*') }) }


# http, server and location, and other servers beside it

my $other = EventSession::Redis::free_port();
my $nginx = $t->nginx(
    redis => $a,
    http  => <<END,
        eventsession_prefix http:;
        eventsession_max_name 10;
        eventsession_session_id any;

        server {
            listen 127.0.0.1:$other;

            location = /ws { eventsession ws; }
            location /session/ { eventsession session; }
        }
END
    server    => 'eventsession_prefix server:; eventsession_max_name 3;',
    locations => <<END);
        location = /ws { eventsession ws; }
        location /session/ { eventsession session; }

        location /x/ {
            eventsession_prefix location:;
            eventsession_max_name 5;
            eventsession_session_id uuid;
            eventsession_redis @{[ $b->tcp_url ]}/3;

            location = /x/ws { eventsession ws; }
            location /x/session/ { eventsession session; }

            location = /x/y/ws {
                eventsession ws;
                eventsession_prefix nested:;
                eventsession_max_name 1;
            }

            location /x/y/session/ {
                eventsession session;
                eventsession_prefix nested:;
            }
        }
END

my $sid   = uuid();
my @sites = (
    [ 'the other server', $other,       '',     10, 'http:' ],
    [ 'the server',       $nginx->port, '',     3,  'server:' ],
    [ 'the location',     $nginx->port, '/x',   5,  'location:' ],
    [ 'one inside of it', $nginx->port, '/x/y', 1,  'nested:' ],
);

for my $site (@sites) {
    my ($what, $port, $path, $length) = @$site;

    my $ws = EventSession::WS->connect($port,
        "$path/ws?sessionId=$sid&ack=1");

    $ws->text('[' . event(1, 'x' x ($length + 1)) . ']');
    is($ws->message, qq({"error":"entry 0: name is longer than $length )
        . 'bytes","message":1,"index":0,"field":"name"}',
        "$what has its own limit");

    store($ws, $sid, event(1, 'x' x $length));
    $ws->close(1000);
    is($ws->close_code, 1000, 'that can be reached');
}

for my $site (@sites) {
    my ($what, $port, $path, $length) = @$site;

    is(EventSession::HTTP->connect($port)
        ->request('GET', "$path/session/$sid")->body,
        tree(undef, undef, event(1, 'x' x $length)), "$what has its own");
}

is_deeply([ keys_of($a) ], [ "http:{$sid}", "server:{$sid}" ],
    'a prefix for each in one Redis');
is_deeply([ keys_of($b) ], [], 'the other Redis has nothing in database 0');
$b->cli('SELECT', 3);
is_deeply([ keys_of($b) ], [ "location:{$sid}", "nested:{$sid}" ],
    'but in that of its URL');

is($nginx->get('/session/any.id')->status, 404, 'any id by inheritance');
is($nginx->get('/x/session/any.id')->status, 400, 'or a UUID again');

is(clients($a), 1, 'three locations of one Redis: one connection');
is(clients($b), 1, 'and one to the other');

$nginx->quit;
ok_log($nginx);
ok(wait_for { clients($a) == 0 && clients($b) == 0 }, 'none is left behind');


# loaded, and what is not used

my $plain = edited(sub { $_[0] =~ s/^load_module .*$//mr })->start;

my $base = sockets($plain);

is($plain->get('/nothing')->status, 404, 'nginx without the module');

$plain->quit;

my $redis = 'eventsession_redis ' . $a->url . ';';

for my $case (
    [ 'loaded, and nothing else', '', '' ],
    [ 'a Redis, and no endpoint', $redis, '' ],
    [ 'a Redis, and /healthcheck', $redis,
      'location = /healthcheck { eventsession healthcheck; }' ],
    [ 'settings, and no Redis', 'eventsession_timeout 1s; '
        . 'eventsession_prefix p:; eventsession_cors *;', '' ],
) {
    my ($what, $http, $locations) = @$case;

    my $nginx = $t->nginx(redis => undef, http => $http,
        locations => $locations);

    is($nginx->get('/nothing')->status, 404, $what);
    ok((wait_for { sockets($nginx) == $base } 2),
        'has the sockets that nginx alone has');
    is(clients($a), 0, 'no connection to Redis');

    $nginx->reload;
    is($nginx->get('/nothing')->status, 404, 'nor after a reload');
    is(clients($a), 0, 'a connection');

    $nginx->quit;
    ok_log($nginx);
}

for my $case (
    [ 'one Redis for all', 2, "http: $redis" ],
    [ 'one Redis in each location', 2, $redis, $redis, $redis ],
    [ 'options make another one of it', 6, $redis,
      $redis =~ s/;/ connect_timeout=2s;/r, $redis =~ s/;/?db=1;/r ],
) {
    my ($what, $count, @redis) = @$case;

    my $http = $redis[0] =~ s/^http: // ? shift(@redis) : '';
    my $n    = 0;

    my $nginx = $t->nginx(redis => undef, workers => 2, http => $http,
        locations => join('', map {
            "location /$_/ { eventsession $_; " . ($redis[$n++] // '') . '}'
        } qw(ws session ready)));

    ok((wait_for { $nginx->get('/ready/')->status == 200 }), $what);
    ok((wait_for { clients($a) == $count }), "connections of two workers");
    is(clients($a), $count, 'so many');

    $nginx->quit;
    ok_log($nginx);
}

# no http block at all

my $none = edited(sub { $_[0] =~ s/^http \{.*//msr });

$none->{port} = EventSession::Redis::free_port();

my ($fine, $text) = $none->conf_test;

ok($fine, 'nginx -t without a http block') or diag($text);
$none->start;
is(scalar(my @workers = $none->workers), 1, 'it runs');
$none->reload;
$none->quit;
ok_log($none);

# one process

my $single = edited(sub { $_[0] =~ s/^master_process on/master_process off/mr },
    locations => undef, redis => $a);

{
    no warnings 'redefine';

    local *EventSession::Nginx::listening = sub {
        wait_for { eval { $single->connect } };
    };

    $single->start;
}

$sid = uuid();
store($single, $sid, event(1, 'a'));
is($single->get("/session/$sid")->body, tree(undef, undef, event(1, 'a')),
    'without a master');
$single->terminate;
ok_log($single);


# nginx -T shows what nginx -t takes

$nginx = $t->nginx(redis => $a);

($fine, $text) = $nginx->conf_test('-T');

ok($fine, 'nginx -T');
like($text, qr/eventsession_redis unix:.*eventsession session;/s,
    'has the directives');


# a reload changes everything

$sid = uuid();
store($nginx, $sid, event(1, 'a'));

$b->cli('SELECT', 0);
$nginx->{redis} = $b->tcp_url;
$nginx->reload;

is($nginx->get("/session/$sid")->status, 404, 'another Redis after a reload');
store($nginx, $sid, event(1, 'b'));
is($nginx->get("/session/$sid")->body, tree(undef, undef, event(1, 'b')),
    'which has its own sessions');
ok((wait_for { clients($a) == 0 }), 'the one before is left');

$nginx->{http} = 'eventsession_prefix other:;';
$nginx->reload;

is($nginx->get("/session/$sid")->status, 404, 'another prefix');
store($nginx, $sid, event(1, 'c'));
is_deeply([ keys_of($b) ], [ sort(map { ("$_\{$sid}", "$_\{feed}:stream") }
    'es:', 'other:') ], 'other keys');

$nginx->{http} = 'eventsession_prefix "{}";';
$nginx->write_conf;
$nginx->signal('HUP');

ok($nginx->log_has(qr/\[emerg\].*invalid eventsession_prefix "\{\}"/),
    'a mistake is told at a reload');
is($nginx->get("/session/$sid")->body, tree(undef, undef, event(1, 'c')),
    'and all goes on as before');

@{$nginx}{qw(http redis locations)} = ('', undef, '');
$nginx->reload;

is($nginx->get("/session/$sid")->status, 404, 'it can be taken out');
is($nginx->get('/healthcheck')->status, 404, 'altogether');
ok((wait_for { clients($b) == 0 }), 'with its connections');

@{$nginx}{qw(redis locations)} = ($a, undef);
$nginx->reload;

is($nginx->get("/session/$sid")->body, tree(undef, undef, event(1, 'a')),
    'and put in again');

$nginx->quit;
ok_log($nginx, qr/invalid eventsession_prefix/);
done_testing();
