# Why: who looks for what became of a session asks the access log: each request
# is to name its session, how many events it stored, how long that took, and
# what the client was told (contract, section 7).  Known to fail by: a line of a
# WebSocket that is written before there is anything to say; a text of a client
# that breaks a line of the log; variables that are there where they mean
# nothing; idle WebSockets that keep their request for nothing.

use strict;
use warnings;

use lib 't/lib';

use EventSession;
use EventSession::LogPost ();
use EventSession::Track;
use Test::More;
use Time::HiRes qw(sleep);

use constant { JSON => 'Content-Type: application/json' };

my $t     = EventSession->new;
my $redis = $t->redis;
my $sid   = '5e1fbf2e-ab3b-4e66-9a3b-5d7d0a7e2f10';
my $lines = 0;

my $nginx = $t->nginx(redis => $redis,
    http => track_conf() . 'eventsession_delete on;' . <<'END',
    log_format all '$uri $status $eventsession_id $eventsession_events '
                   '$eventsession_store_time $eventsession_error';
    map $eventsession_error $wrong { '' 0; default 1; }
    map $eventsession_events $stored { '' no; 0 none; default some; }
    log_format wrong '$uri $stored';
END
    server    => 'access_log all.log all;'
        . 'access_log wrong.log wrong if=$wrong;',
    locations => <<END);
    include $EventSession::root/conf/eventsession.conf;

    location = /plain { return 200; }

    location = /quick {
        eventsession track;
        eventsession_timeout 300ms;
    }
END

ok((wait_for { $nginx->get('/ready')->status == 200 }), 'Redis is there');
line('/ready 200 - - - -', 'ready');

plain_requests();
posts();
websockets();
slow_store();
hostile_texts();
conditions();

$nginx->quit;
ok_log($nginx);

at_upgrade();

done_testing();


# The next line of the log, with the time of storing as T, is this one.

sub line {
    my ($expected, $name) = @_;

    local $Test::Builder::Level = $Test::Builder::Level + 1;

    my @all;

    wait_for { @all = logged('all'); @all > $lines } 5;

    my $line = $all[$lines++] // 'none';

    $line =~ s/^(\S+ \S+ \S+ \S+ )\d+\.\d{3} /$1T /;

    is($line, $expected, $name);
}


sub logged {
    my ($name) = @_;

    return split(/\n/, EventSession::Redis::slurp($nginx->dir . "/$name.log"));
}


sub post {
    my ($path, $body, @headers) = @_;

    return $nginx->request('POST', $path, body => $body,
        headers => [ JSON, @headers ]);
}


sub plain_requests {
    $nginx->get('/plain');
    line('/plain 200 - - - -', 'a request that is not ours');

    $nginx->get($_) for qw(/healthcheck /metrics);
    line('/healthcheck 200 - - - -', 'the healthcheck');
    line('/metrics 200 - - - -', 'metrics');

    $nginx->request('PUT', '/workers');
    line('/workers 405 - - - this endpoint does not answer PUT', 'a method');

    my $upper = uc($sid) =~ s/-//gr;

    $nginx->get("/session/$upper");
    line("/session/$upper 404 $sid - - there is no such session",
        'a session, in its canonical form');

    $nginx->get('/session/x');
    line('/session/x 400 - - - the session id must be a UUID',
        'one that is none');

    my $sse = $nginx->sse("/database_events?sessionId=$sid");
    $sse->opened;
    $sse->abort;
    line("/database_events 200 $sid - - -", 'the feed of a session');
}


sub posts {
    my $one   = fields(session_id => "\"$sid\"");
    my $other = fields(session_id => '"' . uuid() . '"');
    my $path  = '/api/v1/events/';

    track($nginx, $one);
    line("$path 201 $sid 1 T -", 'an event of an application');

    track($nginx, "[$one,$one,$one]");
    line("$path 201 $sid 3 T -", 'three of one session');

    track($nginx, "[$one,$other]");
    line("$path 201 - 2 T -", 'two of two');

    track($nginx, '[]');
    line("$path 201 - 0 - -", 'none');

    track($nginx, fields(session_id => "\"$sid\"", name => undef));
    line("$path 400 $sid 0 - name: This field is required.", 'a fault');

    track($nginx, "[$one," . fields(category => 'null') . ']');
    line("$path 400 - 0 - item 1: category: This field may not be null.",
        'one of several');

    track($nginx, '{"a":');
    line("$path 400 - 0 - Expecting a value: line 1 column 6", 'no JSON');

    track($nginx, $one, app => undef);
    line("$path 400 $sid 0 - Application not found.", 'of nobody');

    track($nginx, $one, type => 'text/plain');
    line("$path 415 - 0 - the Content-Type must be application/json",
        'another type');

    post('/events', '[{},{},{}]', 'Idempotency-Key: k');
    line('/events 200 - 3 T -', 'a batch');

    post('/events', '[{},{},{}]', 'Idempotency-Key: k');
    line('/events 200 - 0 - -', 'that is stored already');

    post('/events', '[{}]', 'Idempotency-Key: k');
    line('/events 422 - 0 - the Idempotency-Key was sent with another body: '
        . 'a new body needs a new key', 'another one');

    $nginx->get('/events?limit=1');
    line('/events 200 - - - -', 'batches are read');

    post('/event', EventSession::LogPost::record());
    line('/event 201 - 1 T -', 'a record of the log');

    post('/event', EventSession::LogPost::record(email => undef));
    line('/event 400 - 0 - email: This field is required.', 'a wrong one');

    $nginx->request('DELETE', "/session/$sid");
    line("/session/$sid 204 $sid - - -", 'a session is deleted');
}


sub websockets {
    my $ws    = $nginx->ws("/ws?sessionId=$sid&ack=1");
    my $event = '{"type":"EVENT","timestamp":1,"name":"a"}';

    $ws->text("[$event,$event]");
    $ws->text("[$event]");
    $ws->messages(2);

    is(scalar(logged('all')), $lines, 'an open WebSocket is not logged yet');

    $ws->close;
    $ws->eof;
    line("/ws 101 $sid 3 T -", 'but at its end');

    $ws = $nginx->ws("/ws?sessionId=$sid&ack=1");
    $ws->text("[$event]");
    $ws->text('[{"type":"EVENT","timestamp":1}]');
    $ws->text("[$event]");
    $ws->messages(3);
    $ws->abort;
    line("/ws 101 $sid 2 T entry 0: name is required", 'with an error');

    $ws = $nginx->ws("/ws?sessionId=$sid");
    $ws->text('[{"type":"SESSION_END","timestamp":1}]');
    $ws->eof;
    line("/ws 101 $sid 1 T -", 'of one that ends its session');

    $ws = $nginx->ws("/ws?sessionId=$sid");
    $ws->close;
    $ws->eof;
    line("/ws 101 $sid 0 - -", 'of one that says nothing');

    $nginx->ws('/ws?sessionId=abc')->eof;
    line('/ws 101 - 0 - param sessionId must be a UUID: abc',
        'of one without a session');

    $nginx->get('/ws');
    line('/ws 426 - 0 - this endpoint speaks WebSocket: HTTP/1.1 with '
        . '\x22Upgrade: websocket\x22', 'of none');

    # those that are open when the worker goes are logged by it

    $ws = $nginx->ws("/ws?sessionId=$sid&ack=1");
    $ws->text("[$event]");
    $ws->message;
    $nginx->reload;
    is($ws->close_code, 1001, 'the server goes away');
    $ws->eof;
    line("/ws 101 $sid 1 T -", 'of one that a reload ends');
}


sub slow_store {
    my $ws = $nginx->ws("/ws?sessionId=$sid&ack=1");

    # a client has its answer before its line is written

    my $asked = 0;

    ok((wait_for { $asked++; $nginx->get('/ready')->status == 200 }),
        'a new worker');

    $lines += $asked;
    wait_for { logged('all') >= $lines };

    $redis->freeze;
    $ws->text('[{"type":"EVENT","timestamp":1,"name":"a"}]');

    my $res = track($nginx, fields(session_id => "\"$sid\""),
        path => '/quick');

    is($res->status, 503, 'the store is not there');
    line("/quick 503 $sid 0 - not stored: the store did not confirm in time, "
        . 'try again later', 'is told');

    sleep(0.3);
    $redis->thaw;
    is($ws->message, '{"ack":1,"events":1}', 'it is there again');
    $ws->close;
    $ws->eof;

    my $line = wait_for { (logged('all'))[$lines++] };

    like($line, qr{^/ws 101 $sid 1 [\d.]+ -$}, 'stored');

    my ($seconds) = $line =~ / ([\d.]+) -$/;

    cmp_ok($seconds, '>=', 0.6, 'and it took that long');
    cmp_ok($seconds, '<', 10 * slow(), 'in seconds');
}


# What comes from a client is in the log as nginx writes it there.

sub hostile_texts {
    $lines = logged('all');

    $nginx->ws('/ws?sessionId=a%22%0a%00%ff')->eof;

    my $line = wait_for { (logged('all'))[$lines++] };

    like($line, qr{^/ws 101 - 0 - param sessionId must be a UUID: a\\x5C}i,
        'one line, escaped');
    unlike($line, qr/[^\x20-\x7e]/, 'in printable ASCII');

    my $long = 'x' x 5000;

    $nginx->get("/database_events?lastEventId=$long");

    $line = wait_for { (logged('all'))[$lines++] };

    cmp_ok(length($line), '<', 350, 'a long one is cut');
}


sub conditions {
    my @before = logged('wrong');

    $nginx->get('/healthcheck');
    $nginx->get('/session/x');
    post('/events', '[{"timestamp":"x"}]');
    post('/events', '[{}]');
    $nginx->get('/events?limit=x');

    my @wrong;

    ok((wait_for { @wrong = logged('wrong'); @wrong == @before + 3 }),
        'a log has only what was wrong');
    is(join(', ', @wrong[-3 .. -1]), '/session/x no, /events none, /events no',
        'by maps');
}


# Where none of them is used, an idle WebSocket has no request, and its line is
# there at once.

sub at_upgrade {
    $nginx = $t->nginx(redis => $redis,
        http => "log_format none '\$uri \$status';",
        server => 'access_log all.log none;');

    my $ws = $nginx->ws("/ws?sessionId=$sid&ack=1");

    ok((wait_for { "@{[ logged('all') ]}" eq '/ws 101' }),
        'without them the line is written at the upgrade');

    $ws->text('[{"type":"EVENT","timestamp":1,"name":"a"}]');
    is($ws->message, '{"ack":1,"events":1}', 'before anything is said');

    $nginx->quit;
    ok_log($nginx);
}
