# Why: where an application is required, only trusted ones may write, and an
# operator adds, renames and revokes them in Redis, without a reload, with the
# certainty that all workers follow within the cache time, also for WebSockets
# that are open.  Known to fail by: a worker that never asks again; a message
# that overtakes the answer about its sender; a Redis that is away and lets
# everybody in, or nobody; the UUID, a credential, in a log.

use strict;
use warnings;

use lib 't/lib';

use EventSession;
use EventSession::Session;
use Test::More;
use Time::HiRes qw(time sleep);

use constant {
    UNKNOWN => '{"error":"application not found"}',
    LATE    => 'not stored: the store did not confirm in time',
    DOUBT   => 'not stored: the store did not say in time whether the '
               . 'application is trusted',
};

my $t = EventSession->new;


forms();
run_time();
hidden();
cached();
waiting();
redis_away('killed', sub { $_[0]->kill9 }, sub { $_[0]->start_again });
redis_away('frozen', sub { $_[0]->freeze }, sub { $_[0]->thaw });
redis_refuses();

done_testing();


# A WebSocket that shows this application, if any, in its header.

sub ws {
    my ($nginx, $sid, $uuid, %options) = @_;

    return $nginx->ws("/ws?sessionId=$sid&ack=1", %options,
        defined $uuid ? (headers => [ "application: $uuid" ]) : ());
}


sub send_event {
    my ($ws, $name) = @_;

    $ws->text('[' . event(1, $name // 'a') . ']');

    return $ws->message;
}


sub ok_trusted {
    my ($ws, $what) = @_;

    local $Test::Builder::Level = $Test::Builder::Level + 1;

    like(send_event($ws), qr/^\{"ack":\d+,"events":1\}$/, $what);
}


sub ok_refused {
    my ($ws, $what) = @_;

    local $Test::Builder::Level = $Test::Builder::Level + 1;

    is($ws->status, 101, "$what: the upgrade succeeds");
    is($ws->message, UNKNOWN, 'it is told over it');
    is($ws->close_code, 1008, 'and closed');
    is($ws->close_reason, 'application not found', 'with the reason');
}


# How many events of the session have this application's name.

sub events_of {
    my ($redis, $sid, $name) = @_;

    my $members = $redis->cli('ZRANGE', "es:{$sid}", 0, -1);

    return scalar(grep { index($_, chr(length($name)) . $name) > 0 }
        @$members);
}


sub hgets {
    my ($redis) = @_;

    return $redis->cli('INFO', 'commandstats') =~ /cmdstat_hget:calls=(\d+)/
        ? $1 : 0;
}


# Who is meant, in each way that it can be said.

sub forms {
    my $redis = $t->redis;
    my $uuid  = '0e302fce-66ad-4721-911e-0ab9d33697bf';
    my $upper = '0E302FCE66AD4721911E0AB9D33697BF';
    my $other = uuid();

    my $nginx = $t->nginx(redis => $redis, http => <<END,
        eventsession_application $upper "The Eye";
        eventsession_application $other inner;
END
        locations => <<END);
        location = /open { eventsession ws; }

        location = /ws {
            eventsession ws;
            eventsession_require_application on;
        }

        location = /other {
            eventsession ws;
            eventsession_require_application on;
            eventsession_application $other other;
        }
END

    my $sid  = uuid();
    my $path = "/ws?sessionId=$sid&ack=1";

    for my $form ($uuid, uc($uuid), $upper, lc($upper)) {
        ok_trusted(ws($nginx, $sid, $form), "header: $form");
        ok_trusted($nginx->ws("$path&application=$form"), "argument: $form");
    }

    my $encoded = join('', map { sprintf('%%%02x', ord($_)) }
        split(//, $uuid));

    ok_trusted($nginx->ws("/ws?application=$encoded&ack=1&sessionId=$sid"),
        'argument, each byte encoded');
    ok_trusted($nginx->ws("$path&application=x",
        headers => [ "Application: $uuid" ]), 'the header goes first');

    is(events_of($redis, $sid, 'The Eye'), 10, 'events have the name');

    my $wrong = uuid();

    ok_refused($nginx->ws($path), 'none');
    ok_refused($nginx->ws("$path&application"), 'an argument without a value');
    ok_refused($nginx->ws("$path&application="), 'an empty one');
    ok_refused($nginx->ws("$path&application=$encoded%20"), 'a blank more');
    ok_refused($nginx->ws("$path&application=${\substr($uuid, 1)}"), 'short');
    ok_refused($nginx->ws("$path&application=" . 'a' x 3000), 'long');
    ok_refused($nginx->ws("$path&applications=$uuid"), 'another argument');
    ok_refused(ws($nginx, $sid, "$uuid $uuid"), 'two in a header');
    ok_refused(ws($nginx, $sid, $wrong), 'an unknown one');
    ok_refused($nginx->ws("$path&application=$wrong"), 'as an argument');
    ok_refused($nginx->ws("$path&application=$uuid",
        headers => [ "application: $wrong" ]), 'the header goes first');
    ok_refused($nginx->ws($path, headers => [ ("application: $uuid") x 2 ]),
        'two headers');

    # messages right behind the upgrade wait for the answer, or are not heard

    my $more = join('', map { EventSession::WS::frame_bytes(payload => $_) }
        '[' . event(2, 'b') . ']', '[]', '[' . event(2, 'c') . ']');

    is_deeply([ ws($nginx, $sid, $uuid, more => $more)->messages(3) ],
        [ '{"ack":1,"events":1}', '{"ack":2,"events":0}',
          '{"ack":3,"events":1}' ], 'answered in order');

    my $refused = uuid();

    ok_refused(ws($nginx, $refused, uuid(), more => $more), 'messages at once');
    is($redis->cli('EXISTS', "es:{$refused}"), 0, 'nothing of it is stored');

    my $ws = $nginx->ws('/ws?sessionId=x');

    is($ws->message, '{"error":"param sessionId must be a UUID: x"}',
        'a bad sessionId goes first');
    is($ws->close_code, 1008, 'and closes');

    # by location

    ok_trusted($nginx->ws($path =~ s/ws/open/r), 'off by default');
    ok_trusted($nginx->ws($path =~ s/ws/other/r . "&application=$other"),
        'an inner block has its own');
    ok_refused($nginx->ws($path =~ s/ws/other/r . "&application=$uuid"),
        'and none of the outer one');
    is(events_of($redis, $sid, 'other'), 1, 'by its own name');

    # the end, with what is under way behind it

    $ws = ws($nginx, $sid, $uuid, answer => 0,
        more => join('', map { EventSession::WS::frame_bytes(payload => $_) }
            '[' . end(9) . ']', '[' . event(3, 'behind') . ']'));

    is_deeply([ $ws->messages(3) ], [ '{"ack":1,"events":1}',
        '{"ack":2,"events":1}', '{"message":"bye"}' ], 'the END is answered');
    $ws->text('[' . event(4, 'late') . ']');
    $ws->close(1000);
    $ws->eof;
    ok((wait_for { $redis->cli('ZCOUNT', "es:{$sid}",
        4000000, 4000000) == 1 }), 'what comes behind the bye is stored');

    $nginx->quit;
    ok_log($nginx);
}


# Applications that come and go in Redis, on two workers.

sub run_time {
    my $redis  = $t->redis;
    my $ours   = uuid();
    my $theirs = uuid();
    my $sid    = uuid();

    my $nginx = $t->nginx(
        redis   => $redis,
        workers => 2,
        listen  => 'reuseport',
        http    => <<END);
        eventsession_require_application on;
        eventsession_application_cache 1s;
        eventsession_application $ours ours;
        add_header X-Worker \$pid always;
END

    # On each worker; the code gets a WebSocket of it.

    my $each = sub {
        my ($uuid, $code) = @_;

        my %seen;

        for (1 .. 200) {
            my $ws = ws($nginx, $sid, $uuid);

            $code->($ws)
                if !$seen{ $ws->response->header('X-Worker') }++;

            $ws->abort;
            last if keys(%seen) == 2;
        }

        is(scalar(keys(%seen)), 2, 'of two workers');
    };

    my $followed = sub { sleep(1.05) };

    $each->($ours, sub { ok_trusted($_[0], 'configured') });
    $each->($theirs, sub { ok_refused($_[0], 'not known yet') });

    $redis->cli('HSET', 'es:apps', $theirs, 'first');
    $followed->();
    $each->($theirs, sub { ok_trusted($_[0], 'added') });
    is(events_of($redis, $sid, 'first'), 2, 'by its name');

    # over a connection that is open

    my @open = map { ws($nginx, $sid, $theirs) } 1 .. 8;

    ok_trusted($_, 'an open connection') for @open;

    $redis->cli('HSET', 'es:apps', $theirs, 'second');
    $redis->cli('HSET', 'es:apps', $ours, 'renamed');
    $followed->();
    $each->($theirs, sub { ok_trusted($_[0], 'renamed') });
    is(events_of($redis, $sid, 'second'), 2, 'by its new name');
    $each->($ours, sub { ok_trusted($_[0], 'a configured one, renamed') });
    is(events_of($redis, $sid, 'renamed'), 2, 'by its new name');

    ok_trusted($_, 'an open connection') for @open;
    is(events_of($redis, $sid, 'second'), 10, 'by its new name, too');

    $redis->cli('HDEL', 'es:apps', $theirs);
    $redis->cli('HSET', 'es:apps', $ours, '');
    $followed->();

    my $count = $redis->cli('ZCARD', "es:{$sid}");

    $each->($theirs, sub { ok_refused($_[0], 'taken out') });
    $each->($ours, sub { ok_refused($_[0], 'a configured one, revoked') });

    for my $ws (@open) {
        $ws->text('[' . event(1, 'no more') . ']');
        $ws->text('[' . event(1, 'nor this') . ']');
        ok_refused($ws, 'a message over an open connection');
    }

    is($redis->cli('ZCARD', "es:{$sid}"), $count, 'nothing more is stored');

    $redis->cli('DEL', 'es:apps');
    $followed->();
    $each->($ours, sub { ok_trusted($_[0], 'configured, as before') });

    # what is no name

    for my $name ('a"b', 'a\\b', "a\nb", ' a', 'a ', 'x' x 65, "\xc3\xa9",
        'y' x 100_000)
    {
        my $uuid = uuid();

        $redis->cli('HSET', 'es:apps', $uuid, $name);
        ok_refused(ws($nginx, $sid, $uuid), 'a name that is none');
    }

    ok($nginx->log_has(qr/\[error\].* a name that is none and is not trusted/),
        'the log says so');

    my $long = uuid();

    $redis->cli('HSET', 'es:apps', $long, 'x' x 64);
    ok_trusted(ws($nginx, $sid, $long), 'a name of 64');
    is(events_of($redis, $sid, 'x' x 64), 1, 'is a name');

    # a change that a reload brings

    $nginx->{http} =~ s/\Q$ours\E ours/$theirs theirs/;
    $nginx->reload;
    ok((wait_for { my $ws = ws($nginx, $sid, $ours); send_event($ws);
        $ws->close_code == 1008 }), 'a reload changes the configured ones');
    ok_trusted(ws($nginx, $sid, $theirs), 'both ways');

    $nginx->quit;
    ok_log($nginx);
    unlike($nginx->log, qr/\Q$_\E/i, 'no UUID in the log')
        for $ours, $theirs, $long;
}


# The argument is a credential, and what nginx logs of a request isn't.

sub hidden {
    my $redis = $t->redis;
    my $uuid  = uuid();
    my $sid   = uuid();

    my $nginx = $t->nginx(
        redis     => $redis,
        http      => "eventsession_application $uuid shop;",
        server    => 'access_log access.log combined;',
        locations => <<END);
        location = /ws {
            eventsession ws;
            eventsession_require_application on;
        }
END

    my $ws = $nginx->ws("/ws?application=$uuid&sessionId=$sid&ack=1"
        . "&Application=$uuid");

    ok_trusted($ws, 'trusted');
    $ws->text('bad');
    like($ws->message, qr/"error"/, 'a message that is logged');

    my $stars = '*' x 36;

    is($nginx->get("/ws?a=b&application=$uuid&c=d")->status, 426,
        'no WebSocket');
    is($nginx->request('POST', "/ws?application=$uuid")->status, 405,
        'another method');

    $ws->abort;
    $nginx->quit;
    ok_log($nginx);

    my $log = EventSession::Redis::slurp($nginx->dir . '/access.log');

    like($log, qr/\Q$_\E/, 'the access log has the request')
        for "GET /ws?application=$stars&sessionId=$sid&ack=1&Application="
                . "$stars HTTP/1.1",
            "GET /ws?a=b&application=$stars&c=d HTTP/1.1",
            "POST /ws?application=$stars HTTP/1.1";

    unlike($log . $nginx->log, qr/\Q$uuid\E/, 'without the UUID');
}


# How often Redis is asked.

sub cached {
    my $redis = $t->redis;
    my $uuid  = uuid();
    my $no    = uuid();
    my $sid   = uuid();

    my $nginx = $t->nginx(
        redis     => $redis,
        http      => 'eventsession_require_application on;'
                     . 'eventsession_application_cache 1h;',
        locations => <<END);
        location = /ws { eventsession ws; }

        location = /short {
            eventsession ws;
            eventsession_application_cache 2s;
        }

        location = /never {
            eventsession ws;
            eventsession_application_cache 0;
        }
END

    $redis->cli('HSET', 'es:apps', $uuid, 'shop');

    for (1 .. 5) {
        ok_trusted(ws($nginx, $sid, $uuid), 'trusted');
        ok_refused(ws($nginx, $sid, $no), 'not trusted');
    }

    is(hgets($redis), 2, 'one question about each');

    my $ws = ws($nginx, $sid, $uuid);

    $ws->text('[]') for 1 .. 1000;
    is(scalar($ws->messages(1000)), 1000, 'many messages');
    is(hgets($redis), 2, 'no further question');

    my $path = "never?sessionId=$sid&ack=1&application=$uuid";

    ok_trusted($nginx->ws("/$path"), 'without a cache') for 1 .. 3;
    cmp_ok(hgets($redis), '>=', 5, 'a question for each');

    my $short = $nginx->ws('/' . $path =~ s/never/short/r);
    my $count = hgets($redis);

    ok_trusted($short, 'a cache of 2s');
    sleep(1.1);
    ok_trusted($short, 'when half of it is over');
    ok((wait_for { hgets($redis) == $count + 1 }), 'one question');

    $_->abort for $ws, $short;
    $nginx->quit;
    ok_log($nginx);
}


# Who waits, for one answer together, and who doesn't wait any more.

sub waiting {
    my $redis = $t->redis;
    my $uuid  = uuid();
    my $sid   = uuid();

    my $nginx = $t->nginx(
        redis         => $redis,
        redis_options => 'command_timeout=1m',
        http          => 'eventsession_require_application on;'
                         . 'eventsession_timeout 20s;');

    ok((wait_for { $nginx->get('/ready')->status == 200 }), 'connected');
    $redis->cli('HSET', 'es:apps', $uuid, 'shop');

    my $count = hgets($redis);

    $redis->freeze;

    my @ws = map { ws($nginx, $sid, $uuid) } 1 .. 20;

    for my $ws (@ws) {
        $ws->text('[' . event(1, $_) . ']') for qw(a b c);
    }

    $ws[0]->abort;
    $ws[1]->close(1000);
    $ws[2]->abort(reset => 1);
    $ws[3]->ping('x');

    $redis->thaw;

    is_deeply([ $ws[$_]->messages(3) ], [ map {
        qq({"ack":$_,"events":1}) } 1 .. 3 ], "answers of $_") for 1, 3 .. 19;

    is($ws[1]->close_code, 1000, 'who has closed gets his answers, too');
    is(hgets($redis), $count + 1, 'one question for all');

    $_->abort for @ws;
    $nginx->quit;
    ok_log($nginx);

    # a worker that quits lets them have it

    my $no = uuid();

    $nginx = $t->nginx(
        redis => $redis,
        http  => 'eventsession_require_application on;'
                 . 'eventsession_timeout 1s;');

    ok((wait_for { $nginx->get('/ready')->status == 200 }), 'connected');
    $redis->freeze;

    my $in_doubt = ws($nginx, $sid, $no);

    $in_doubt->text('[' . event(1, 'x') . ']');
    $nginx->signal('QUIT');

    is($in_doubt->message, '{"error":"' . DOUBT . '","message":1}',
        'a worker that quits answers');
    is($in_doubt->close_code, 1001, 'and closes');

    $redis->thaw;
    is($nginx->quit, 0, 'and ends');
    ok_log($nginx);
}


sub redis_away {
    my ($how, $leave, $come_back) = @_;

    my $redis = $t->redis(appendonly => 'yes');
    my $sid   = uuid();

    my %uuid = map { $_ => uuid() } qw(ours theirs revoked unknown);

    my $grace = 5 * slow();

    my $nginx = $t->nginx(
        redis         => $redis,
        redis_options => 'connect_timeout=300ms command_timeout=300ms '
                         . 'reconnect=50ms:300ms',
        http          => <<END);
        eventsession_application $uuid{ours} ours;
        eventsession_application $uuid{revoked} revoked;
        eventsession_require_application on;
        eventsession_application_cache 500ms;
        eventsession_application_grace ${grace}s;
        eventsession_timeout 500ms;
END

    $redis->cli('HSET', 'es:apps', $uuid{theirs}, 'theirs',
        $uuid{revoked}, '');

    my %open = map { $_ => ws($nginx, $sid, $uuid{$_}) } qw(ours theirs);

    ok_trusted($open{$_}, "$how: $_ is trusted") for qw(ours theirs);
    ok_refused(ws($nginx, $sid, $uuid{revoked}), "$how: revoked");

    my $left = time();

    $leave->($redis);
    sleep(0.6);

    # each sends, over the open connection and a new one

    my %new = map { $_ => ws($nginx, $sid, $uuid{$_}) } keys(%uuid);

    for my $ws (values(%open), @new{qw(ours theirs unknown)}) {
        $ws->text('[' . event(2, 'away') . ']');
    }

    ok_refused($new{revoked}, "$how: a configured one that was revoked");

    for my $name (qw(ours theirs)) {
        is($open{$name}->message, '{"error":"' . LATE . '","message":2}',
            "$how: $name is still trusted, open");
        is($new{$name}->message, '{"error":"' . LATE . '","message":1}',
            "$how: and over a new connection");
    }

    is($new{unknown}->message, '{"error":"' . DOUBT . '","message":1}',
        "$how: who is not known is not");

    cmp_ok(time() - $left, '<', $grace, "$how: all in time");

    sleep($left + $grace + 0.1 - time());

    $_->text('[' . event(3, 'later') . ']') for values(%open);

    is($open{$_}->message, '{"error":"' . DOUBT . '","message":3}',
        "$how: $_ is no more, when that was long ago") for qw(ours theirs);

    $come_back->($redis);
    ok((wait_for { $nginx->get('/ready')->status == 200 }), "$how: Redis back");

    ok_trusted($open{$_}, "$how: and $_ again") for qw(ours theirs);
    ok_refused(ws($nginx, $sid, $uuid{revoked}), "$how: but not revoked");

    $new{unknown}->text('[' . event(4, 'b') . ']');
    ok_refused($new{unknown}, "$how: nor unknown");

    is(events_of($redis, $sid, 'unknown'), 0, "$how: which has stored nothing");
    unlike($nginx->get("/session/$sid")->body, qr/"later"/,
        "$how: nor has a message of doubt");

    $_->abort for values(%open), values(%new);
    $nginx->quit;
    ok_log($nginx);
}


# A Redis that answers with an error has said nothing, either.

sub redis_refuses {
    my $redis = $t->redis;
    my $uuid  = uuid();
    my $sid   = uuid();
    my $grace = 2 * slow();

    my $nginx = $t->nginx(redis => $redis, http => <<END);
        eventsession_application $uuid shop;
        eventsession_require_application on;
        eventsession_application_cache 100ms;
        eventsession_application_grace ${grace}s;
END

    $redis->cli('SET', 'es:apps', 'no hash');

    my $ws = ws($nginx, $sid, $uuid);

    ok_trusted($ws, 'configured, and Redis refuses');
    sleep($grace + 0.1);
    is(send_event($ws), '{"error":"' . DOUBT . '","message":2}',
        'but not for ever');
    $redis->cli('DEL', 'es:apps');
    sleep(0.1);
    is(send_event($ws), '{"ack":3,"events":1}', 'until it does not');

    ok($nginx->log_has(qr/refused a command: WRONGTYPE/), 'the log says why');
    $ws->abort;
    $nginx->quit;
    ok_log($nginx);
}
