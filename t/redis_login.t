# Why: a Redis in production asks who we are, keeps us in a database of our
# own, and may be set up so that it loses data: the operator has to learn from
# /ready and the log what is wrong, and nobody may learn a password.  Known to
# fail by: AUTH that is forgotten on the second connection; SELECT the same; a
# password in the log; a warning at every reconnect, or none.

use strict;
use warnings;

use lib 't/lib';

use EventSession;
use Test::More;

use constant EVENT => '[{"type":"EVENT","timestamp":1,"name":"a"}]';

my $t = EventSession->new;

my $redis = $t->redis(
    tcp        => 1,
    appendonly => 'yes',
    user       => [
        'default on >hush-default ~* &* +@all',
        'ingest on >hush-p@ss/w:rd ~es:* +zadd +zrange +zrevrangebyscore '
            . '+zcount +xadd +xrange +ping +select +info +client|id '
            . '+client|kill',
        'reader on >hush-reader ~es:* +zrange +zrevrangebyscore +zcount +ping '
            . '+select',
    ]);

my $at = '127.0.0.1:' . $redis->port;

$redis->cli('AUTH', 'hush-default');


# a password may have any characters: in a URL they are escaped

works('a user and a database over TCP',
    "redis://ingest:hush-p%40ss%2Fw%3Ard\@$at/3", 3);

works('a user and a database over a unix socket',
    $redis->url . '?db=2&user=ingest&password=hush-p%40ss%2Fw%3Ard', 2);

works('a password alone over TCP', "redis://:hush-default\@$at", 0);

works('a password alone over a unix socket',
    $redis->url . '?password=hush-default&db=15', 15);

refused('a wrong password', "redis://ingest:hush-wrong\@$at/3",
    qr/^Redis refuses our credentials/);
refused('an unknown user', "redis://hush-who:hush-wrong\@$at",
    qr/^Redis refuses our credentials/);
refused('no password', "redis://$at/3", qr/^Redis refuses our credentials/);
refused('a database that is not there', "redis://:hush-default\@$at/16",
    qr/^Redis refuses the configured database/);

may_not_write();
password_changes();

warns('without AOF', { appendonly => 'no' }, qr/appendonly yes/);
warns('that evicts', { appendonly => 'yes', maxmemory => '100mb',
    'maxmemory-policy' => 'allkeys-lru' }, qr/noeviction/);
warns('with an AOF that evicts nothing', { appendonly => 'yes',
    maxmemory => '100mb', 'maxmemory-policy' => 'noeviction' }, undef);
warns('that would evict, but has no limit', { appendonly => 'yes',
    'maxmemory-policy' => 'allkeys-lru' }, undef);

done_testing();


sub nginx {
    my ($url) = @_;

    return $t->nginx(redis => $url, redis_options => 'reconnect=50ms:300ms',
        http => 'eventsession_timeout 500ms;', log_level => 'debug');
}


sub works {
    my ($what, $url, $db) = @_;

    my $nginx = nginx($url);
    my $sid   = uuid();
    my $ws    = $nginx->ws("/ws?sessionId=$sid&ack=1");

    ok((wait_for { $nginx->get('/ready')->status == 200 }),
        "$what: nginx is ready");

    $ws->text(EVENT);
    is($ws->message, '{"ack":1,"events":1}', "$what: it takes events");

    # and again on the next connection

    $redis->cli('CLIENT', 'KILL', 'TYPE', 'normal', 'SKIPME', 'yes');

    $ws->text(EVENT);
    is($ws->message, '{"ack":2,"events":1}', "$what: after a reconnect, too");

    is($nginx->get("/session/$sid")->status, 200, "$what: and can be read");

    $redis->cli('SELECT', $db);
    is($redis->cli('ZCARD', "es:{$sid}"), 2, "$what: in database $db");

    finish($what, $nginx, $ws);
}


sub refused {
    my ($what, $url, $why) = @_;

    my $nginx  = nginx($url);
    my $ws     = $nginx->ws('/ws?ack=1&sessionId=' . uuid());
    my $detail = '';

    my $res = wait_for {
        my $res = $nginx->get('/ready');

        $res->status == 503 && $res->json->{detail} =~ $why && $res;
    } 5;

    ok($res, "$what: nginx is not ready, and says why");
    unlike($res && $res->body, qr/hush|127\.0\.0\.1/, "$what: but no secrets");

    $ws->text(EVENT);

    my $error = $ws->message;

    like($error, qr/^\{"error":"not stored: [^"]+","message":1\}$/,
        "$what: a message has its error");
    unlike($error, qr/hush|127\.0\.0\.1/, "$what: without secrets");

    is(scalar(my @lines = $nginx->log =~ /\[error\].*\bredis\b.*refuses/g), 1,
        "$what: one line in the log");

    finish($what, $nginx, $ws);
}


# An ACL that lacks ZADD, and INFO: ready, as far as can be told.

sub may_not_write {
    my $what  = 'a user who may not write';
    my $nginx = nginx("redis://reader:hush-reader\@$at");
    my $ws    = $nginx->ws('/ws?ack=1&sessionId=' . uuid());

    for my $n (1 .. 3) {
        $ws->text(EVENT);
        like($ws->message, qr/^\{"error":"not stored: [^"]+","message":$n\}$/,
            "$what: message $n has its error");
    }

    is($nginx->get('/session/' . uuid())->status, 404, "$what: but may read");

    is(scalar(my @told = $nginx->log =~ /\[error\].*NOPERM/g), 1,
        "$what: one line in the log");

    finish($what, $nginx, $ws);
}


sub password_changes {
    my $what  = 'a password that is changed and changed back';
    my $nginx = nginx("redis://ingest:hush-p%40ss%2Fw%3Ard\@$at");
    my $ws    = $nginx->ws('/ws?ack=1&sessionId=' . uuid());

    $ws->text(EVENT);
    is($ws->message, '{"ack":1,"events":1}', "$what: right");

    $redis->cli('ACL', 'SETUSER', 'ingest', 'resetpass', '>hush-new');
    $redis->cli('CLIENT', 'KILL', 'TYPE', 'normal', 'SKIPME', 'yes');

    ok((wait_for { $nginx->get('/ready')->status == 503 } 5), "$what: wrong");

    $redis->cli('ACL', 'SETUSER', 'ingest', 'resetpass', '>hush-p@ss/w:rd');

    ok((wait_for { $nginx->get('/ready')->status == 200 } 5),
        "$what: right again");

    $ws->text(EVENT);
    is($ws->message, '{"ack":2,"events":1}', "$what: the WebSocket works");

    finish($what, $nginx, $ws);
}


# Two workers, of which each reconnects.

sub warns {
    my ($what, $options, $pattern) = @_;

    my $server = $t->redis(%$options);
    my $nginx  = $t->nginx(redis => $server, workers => 2,
        redis_options => 'reconnect=50ms:300ms');

    connected($server, 2);

    for (1 .. 2) {
        $server->cli('CLIENT', 'KILL', 'TYPE', 'normal', 'SKIPME', 'yes');
        connected($server, 2);
    }

    finish("a Redis $what", $nginx);

    my @lines = grep { /\[warn\].*set "/ } split(/\n/, $nginx->log);
    my %pids  = map { /\[warn\] (\d+)/ ? ($1 => 1) : () } @lines;

    is(scalar(@lines), $pattern ? 2 : 0,
        'a Redis ' . $what . ': ' . ($pattern ? 'a warning' : 'no warning')
        . ' for each worker') or diag(@lines);

    if ($pattern) {
        is(scalar(keys(%pids)), 2, "a Redis $what: by each worker");
        is(scalar(grep { $_ =~ $pattern } @lines), 2,
            "a Redis $what: with what to do");
    }
}


# Workers that are connected and greeted.

sub connected {
    my ($server, $n) = @_;

    ok((wait_for {
        # the test's own connection has asked for this list
        my @clients = grep { /cmd=(?!NULL|auth|hello|client)/ }
            split(/\n/, $server->cli('CLIENT', 'LIST', 'TYPE', 'normal'));

        @clients == $n;
    }), "$n workers are connected");
}


sub finish {
    my ($what, $nginx, @ws) = @_;

    $_->abort for @ws;

    is($nginx->quit, 0, "$what: nginx quits");

    unlike($nginx->log, qr/hush/, "$what: no password is in the log");
    ok_log($nginx);
}
