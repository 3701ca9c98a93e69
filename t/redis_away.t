# Why: a Redis that stays away must cost each client the configured time and
# not more, be told to whoever asks, and need nobody's hand when it is back.
# Known to fail by: messages that wait for ever; an nginx that doesn't start
# without Redis; a /ready that believes in an open connection; a line in the
# log for every attempt to connect.

use strict;
use warnings;

use lib 't/lib';

use EventSession;
use Test::More;
use Time::HiRes qw(time);

use constant EVENT => '[{"type":"EVENT","timestamp":1,"name":"a"}]';

my $t = EventSession->new;


stays_away('killed', sub { $_[0]->kill9 }, sub { $_[0]->start_again });
stays_away('frozen', sub { $_[0]->freeze }, sub { $_[0]->thaw });

never_there('a socket that is not there', 0);
never_there('a port that nobody listens on', 1);

done_testing();


sub stays_away {
    my ($how, $leave, $come_back) = @_;

    my $redis = $t->redis(appendonly => 'yes');

    my $nginx = $t->nginx(
        redis         => $redis,
        redis_options => 'connect_timeout=300ms command_timeout=300ms '
                         . 'reconnect=50ms:300ms',
        http          => 'eventsession_timeout 500ms;');

    my ($pid) = $nginx->workers;

    my $sid = uuid();
    my $ws  = $nginx->ws("/ws?sessionId=$sid&ack=1");

    $ws->text(EVENT);
    is($ws->message, '{"ack":1,"events":1}', "$how: Redis is there");
    ok((wait_for { $nginx->get('/ready')->status == 200 }),
        "$how: nginx is ready");

    $leave->($redis);

    # three messages, one of which has nothing to be stored

    my $since = time();

    $ws->text($_) for EVENT, '[]', EVENT;

    my @answers = $ws->messages(3);
    my $took    = time() - $since;

    like($answers[0], qr/^\{"error":"not stored: [^"]+","message":2\}$/,
        "$how: a message gets its error");
    is($answers[1], '{"ack":3,"events":0}', "$how: what is empty its ack");
    like($answers[2], qr/^\{"error":"not stored: [^"]+","message":4\}$/,
        "$how: and the next one its error");

    cmp_ok($took, '>', 0.4, "$how: not before eventsession_timeout");
    cmp_ok($took, '<', 4 * EventSession::slow(), "$how: but then");

    ok_unavailable($nginx, $sid, $how);

    # whoever leaves while he waits hurts nobody

    my $leaver = $nginx->ws("/ws?sessionId=$sid&ack=1");
    $leaver->text(EVENT);
    $leaver->abort;

    my $reader = $nginx->connect;
    $reader->send("GET /session/$sid HTTP/1.1\r\nHost: a\r\n\r\n");
    $reader->close;

    # long enough for a few attempts to connect

    ok(!(wait_for { $nginx->get('/ready')->status == 200 } 1.5),
        "$how: nginx stays unready");

    is(scalar(my @away = $nginx->log =~ /\[warn\].*Redis does not answer/g), 1,
        "$how: one line in the log says so");

    $come_back->($redis);

    ok_back($nginx, $how);

    $ws->text(EVENT);
    is($ws->message, '{"ack":5,"events":1}',
        "$how: the same WebSocket works");

    my $children = $nginx->get("/session/$sid")->json->{children};

    # of two messages and of the leaver's, nobody knows
    cmp_ok(scalar(@$children), '>=', 2, "$how: the session has what was acked");
    cmp_ok(scalar(@$children), '<=', 5, "$how: and nothing twice");

    is(join(' ', $nginx->workers), $pid, "$how: in the same worker");

    $ws->abort;
    is($nginx->quit, 0, "$how: nginx quits");
    ok_log($nginx);
}


sub ok_unavailable {
    my ($nginx, $sid, $how) = @_;

    my $since = time();
    my $res   = $nginx->get("/session/$sid");

    is($res->status, 503, "$how: a session can't be read");
    like($res->header('Retry-After'), qr/^\d+$/, "$how: Retry-After says when");
    is($res->header('Content-Type'), 'application/problem+json',
        "$how: it is a problem");
    is($res->json->{status}, 503, "$how: of status 503");
    unlike($res->body, qr/127\.0\.0\.1|redis\.sock|es:\{/,
        "$how: without address or key");
    cmp_ok(time() - $since, '<', 4 * EventSession::slow(), "$how: in time");

    $res = wait_for {
        my $ready = $nginx->get('/ready');

        $ready->status == 503 && $ready;
    } 5;

    is($res && $res->status, 503, "$how: nginx is not ready");
    like($res && $res->json->{detail}, qr/^Redis /, "$how: and says why");
    like($res && $res->header('Retry-After'), qr/^\d+$/,
        "$how: and when to ask again");
    unlike($res && $res->body, qr/127\.0\.0\.1|redis\.sock/,
        "$how: without an address");

    is($nginx->get('/healthcheck')->status, 200, "$how: but healthy");
}


sub ok_back {
    my ($nginx, $how) = @_;

    my $since = time();

    ok((wait_for { $nginx->get('/ready')->status == 200 } 10),
        "$how: nginx is ready when Redis is back");

    note("$how: after ", sprintf('%.1f', time() - $since), ' s');
}


sub never_there {
    my ($what, $tcp) = @_;

    # only to have a place for it

    my $redis = $t->redis($tcp ? (tcp => 1) : (), appendonly => 'yes');
    $redis->stop;

    my $nginx = $t->nginx(
        redis         => $tcp ? $redis->tcp_url : $redis->url,
        redis_options => 'reconnect=50ms:300ms',
        http          => 'eventsession_timeout 500ms;');

    my $sid = uuid();

    ok_unavailable($nginx, $sid, $what);

    is($nginx->get('/healthcheck')->body, 'OK', "$what: /healthcheck is OK");

    my $ws = $nginx->ws("/ws?sessionId=$sid&ack=1");

    is($ws->status, 101, "$what: WebSockets open");

    $ws->text(EVENT);
    like($ws->message, qr/^\{"error":"not stored: [^"]+","message":1\}$/,
        "$what: a message gets its error");

    $redis->start_again;

    ok_back($nginx, $what);

    $ws->text(EVENT);
    is($ws->message, '{"ack":2,"events":1}', "$what: the WebSocket works");

    is($nginx->get("/session/$sid")->body,
        '{"type":"SESSION","start":null,"end":null,"children":'
        . '[{"type":"EVENT","timestamp":1,"name":"a"}]}',
        "$what: what had its error is not there");

    $ws->abort;
    is($nginx->quit, 0, "$what: nginx quits");
    ok_log($nginx);
}
