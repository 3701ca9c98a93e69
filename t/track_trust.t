# Why: only trusted applications are heard, an operator changes who they are in
# Redis while all is running, and every worker follows within the cache time.
# What shows who an application is, is a secret, and in no log and no reply.
# Known to fail by: an application that is told before the faults of its body,
# which tells strangers who is trusted; a worker that never asks again, or one
# that asks for each event; two headers, of which one counts; the UUID in a
# message of the error log.

use strict;
use warnings;

use lib 't/lib';

use EventSession;
use EventSession::Session;
use EventSession::Track;
use Test::More;
use Time::HiRes qw(sleep);

my $t = EventSession->new;


forms();
run_time();
cached();

done_testing();


sub ok_trusted {
    my ($res, $what, $body) = @_;

    local $Test::Builder::Level = $Test::Builder::Level + 1;

    is($res->status . ' ' . $res->body, '201 ' . ($body // shown()), $what);
}


sub ok_unknown {
    my ($res, $what) = @_;

    local $Test::Builder::Level = $Test::Builder::Level + 1;

    is(join(' ', $res->status, $res->header('Content-Type') // '', $res->body),
        '400 application/json ' . NOT_FOUND, $what);
}


# Who is meant, in each way that it can be said, and what goes first.

sub forms {
    my $redis = $t->redis;
    my $other = uuid();
    my $sid   = uuid();

    my $nginx = $t->nginx(
        redis     => $redis,
        http      => track_conf(),
        server    => 'access_log access.log combined;',
        locations => <<END);
        location = /api/v1/events/ { eventsession track; }

        location = /other {
            eventsession track;
            eventsession_application $other "The Eye";
        }

        location = /required {
            eventsession track;
            eventsession_require_application on;
        }

        location /session/ { eventsession session; }
        location = /database_events { eventsession feed; }
END

    my $http  = $nginx->connect(timeout => 30);
    my $app   = APP;
    my $plain = $app =~ tr/-//dr;
    my $wrong = uuid();

    ok_trusted(track($http, fields(), app => $_), "application: $_")
        for $app, uc($app), $plain, uc($plain);
    ok_trusted(track($http, fields(), app => undef,
        headers => [ "APPLICATION:$app" ]), 'the header in another case');
    ok_trusted(track($http, '[]'), 'no event, of a trusted one', '[]');

    ok_unknown(track($http, fields(), app => $_), 'application: '
        . ($_ // 'none')) for undef, '', 'x', $wrong, "$app $app", "$app,$app",
        "${app}0", substr($app, 1), "{$app}", "urn:uuid:$app", "'$app'",
        $app =~ s/-/_/gr, 'example', 'a' x 5000;
    ok_unknown(track($http, fields(), headers => [ "application: $_" ]),
        'two headers') for $app, $wrong;
    ok_unknown(track($http, fields(), app => undef,
        path => "/api/v1/events/?application=$app"), 'it is no argument');
    ok_unknown(track($http, '[]', app => $wrong), 'no event, of no one');

    # the body goes first, and so do the method and the type

    for my $app (undef, 'x', $wrong) {
        is(track($http, fields(name => undef), app => $app)->body,
            fault(name => REQUIRED), 'a fault goes first');
        is(track($http, '[1]', app => $app)->body, '[' . fault(
            non_field_errors => 'Invalid data. Expected a dictionary, but got '
            . 'int.') . ']', 'in an array, too');
        is(track($http, '{', app => $app)->body, '{"detail":"JSON parse error '
            . '- Expecting a name in double quotes: line 1 column 2"}',
            'and what is no JSON');
        is(track($http, '{}', app => $app, type => 'x/y')->status, 415,
            'and another type');
        is(track($http, '{}', app => $app, method => 'PUT')->status, 405,
            'and another method');
    }

    # by location

    ok_trusted(track($http, fields(), app => $other, path => '/other'),
        'an inner block has its own');
    ok_unknown(track($http, fields(), path => '/other'),
        'and none of the outer one');
    ok_unknown(track($http, fields(), app => $other), 'nor has that one its');
    ok_trusted(track($http, fields(), path => '/required'),
        'where it is required, it is no other');

    # by its name, and nowhere by its UUID

    my $feed = $nginx->sse('/database_events', timeout => 30);

    is($feed->opened, 200, 'the feed');

    my %event = (session_id => qq("$sid"));

    ok_trusted(track($http, fields(%event), @$_), 'an event', shown(%event))
        for [], [ app => $other, path => '/other' ];

    my @told = map { $_->{data} } $feed->events(2);

    like($told[0], qr/"type":"EVENT","application":"example","category":"c",/,
        'the feed has its name');
    like($told[1], qr/"type":"EVENT","application":"The Eye","category":"c",/,
        'and that of the other one');

    my $tree = $nginx->get("/session/$sid")->body;

    is($tree, tree(undef, undef, (event(1, 'n', category => '"c"',
        data => '{}')) x 2), 'the session has both');

    $feed->abort;
    $http->close;
    is($nginx->quit, 0, 'nginx quits');
    ok_log($nginx);

    # a request line with an argument is the client's own

    my $log = ($nginx->log . EventSession::Redis::slurp($nginx->dir
        . '/access.log')) =~ s/\?application=\S+//gr;

    like($log, qr/client is of no trusted application/,
        'the log tells of some');

    for my $uuid ($app, $plain, $other, $wrong) {
        unlike($log, qr/\Q$uuid\E/i, 'no UUID in a log');
        unlike("@told $tree", qr/\Q$uuid\E/i, 'nor in what is shown');
        is(scalar(grep { /\Q$uuid\E/i } values_of($redis)), 0,
            'nor in what is stored');
    }
}


# All that Redis has, as it has it.

sub values_of {
    my ($redis) = @_;

    return map {
        my $type = $redis->cli('TYPE', $_);

        $type eq 'zset' ? @{ $redis->cli('ZRANGE', $_, 0, -1) }
            : $type eq 'stream' ? map { @{ $_->[1] } }
                @{ $redis->cli('XRANGE', $_, '-', '+') } : die $type;
    } @{ $redis->cli('KEYS', '*') };
}


# Applications that come and go in Redis, on two workers.

sub run_time {
    my $redis  = $t->redis;
    my $ours   = uuid();
    my $theirs = uuid();

    my $nginx = $t->nginx(
        redis   => $redis,
        workers => 2,
        listen  => 'reuseport',
        http    => <<END);
        eventsession_application $ours ours;
        eventsession_application_cache 500ms;
        add_header X-Worker \$pid always;
END

    my $feed = $nginx->sse('/database_events', timeout => 30);

    is($feed->opened, 200, 'the feed');

    # On each worker, over a connection that is kept.

    my %of;

    for (1 .. 200) {
        my $http = $nginx->connect(timeout => 30);

        $of{ $http->request('GET', '/healthcheck')->header('X-Worker') }
            = $http;
        last if keys(%of) == 2;
    }

    is(scalar(keys(%of)), 2, 'two workers');

    my $each = sub {
        my ($app, $name, $what) = @_;

        for my $http (values(%of)) {
            my $res = track($http, fields(), app => $app);

            if (!defined $name) {
                ok_unknown($res, $what);
                next;
            }

            ok_trusted($res, $what);
            is($feed->json->{application}, $name, 'by its name');
        }
    };

    my $followed = sub { sleep(0.55) };

    $each->($ours, 'ours', 'configured');
    $each->($theirs, undef, 'not known yet');

    $redis->cli('HSET', 'es:apps', $theirs, 'first');
    $followed->();
    $each->($theirs, 'first', 'added');

    $redis->cli('HSET', 'es:apps', $theirs, 'second', $ours, 'renamed');
    $followed->();
    $each->($theirs, 'second', 'renamed');
    $each->($ours, 'renamed', 'a configured one, renamed');

    $redis->cli('HDEL', 'es:apps', $theirs);
    $redis->cli('HSET', 'es:apps', $ours, '');
    $followed->();
    $each->($theirs, undef, 'taken out');
    $each->($ours, undef, 'a configured one, revoked');

    $redis->cli('HSET', 'es:apps', $theirs, "no\nname", uc($ours), 'upper');
    $followed->();
    $each->($theirs, undef, 'a name that is none');
    $each->($ours, undef, 'revoked, whatever another case says');

    $redis->cli('DEL', 'es:apps');
    $followed->();
    $each->($ours, 'ours', 'as it was configured');
    $each->($theirs, undef, 'and not the other one');

    # a reload, which closes connections that are idle

    $nginx->{http} =~ s/\Q$ours\E ours/$theirs new/;
    $nginx->reload;
    ok((wait_for { track($nginx, fields(), app => $ours)->status == 400 }),
        'a reload changes the configured ones');
    ok((wait_for { track($nginx, fields(), app => $theirs)->status == 201 }),
        'both ways');

    $feed->abort;
    $_->close for values(%of);
    is($nginx->quit, 0, 'nginx quits');
    ok_log($nginx);
    unlike($nginx->log, qr/\Q$_\E/i, 'no UUID in the log') for $ours, $theirs;
}


# How often Redis is asked.

sub cached {
    for my $cache (0, '1h') {
        my $redis = $t->redis;

        my $nginx = $t->nginx(redis => $redis, http => track_conf()
            . "eventsession_application_cache $cache;");

        my $http = $nginx->connect(timeout => 30);

        ok_trusted(track($http, fields()), "cache $cache: trusted");
        $redis->cli('CONFIG', 'RESETSTAT');
        ok_trusted(track($http, fields()), 'again') for 1 .. 5;
        is(hgets($redis), $cache ? 0 : 5, 'so often Redis was asked');

        # those of one moment ask once, and are answered in order

        my @all = map { $nginx->connect(timeout => 30) } 1 .. 20;
        my $new = uuid();

        $redis->cli('HSET', 'es:apps', $new, 'new');
        $redis->cli('CONFIG', 'RESETSTAT');
        $redis->freeze;
        $_->send(track_bytes($_, fields(), app => $new) x 2) for @all;

        # in time for all of them to be read

        sleep(0.3 * slow());
        $redis->thaw;

        ok_trusted($_->response, 'one of twenty') for @all, @all;
        cmp_ok(hgets($redis), $cache ? '==' : '<', $cache ? 1 : 40,
            'with fewer questions than requests');

        $_->close for $http, @all;
        is($nginx->quit, 0, 'nginx quits');
        ok_log($nginx);
    }
}


sub hgets {
    my ($redis) = @_;

    return $redis->cli('INFO', 'commandstats') =~ /cmdstat_hget:calls=(\d+)/
        ? $1 : 0;
}
