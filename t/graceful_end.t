# Why: reload and quit are daily business: a client is told 1001 and finds the
# next worker, what is under way is finished, and no client can hold an old
# worker for ever by keeping silent.  Known to fail by: idle WebSockets that
# are cut, with an "open socket left" alert each; a streamed session that ends
# in its middle; a worker that exits while only Redis has its commands, or that
# never does.

use strict;
use warnings;

use lib 't/lib';

use EventSession;
use Test::More;
use Time::HiRes qw(time sleep);

use constant EVENT => '[{"type":"EVENT","timestamp":1,"name":"a"}]';

my $t = EventSession->new;

idle_websockets();
reader_of_a_long_session();
reader_that_never_reads();
writer_that_never_reads();
quit_while_redis_is_frozen();
quit_while_redis_is_away();
redis_that_never_answers();

done_testing();


sub idle_websockets {
    my $nginx = $t->nginx;

    # one that answers the Close, others that never do: silent, in the middle
    # of a frame, of a fragmented message

    my @ws = map { $nginx->ws('/ws?ack=1&sessionId=' . uuid(),
        answer => $_ == 0) } 0 .. 20;

    $_->text(EVENT) for @ws;

    $ws[1]->raw("\x81");
    $ws[2]->raw("\x81\xfe\x01");
    $ws[3]->raw("\x81\x85abcdhe");
    $ws[4]->frame(opcode => 1, fin => 0, payload => '[');

    is(scalar(grep { ($_->message // '') eq '{"ack":1,"events":1}' } @ws), 21,
        'WebSockets that have nothing to say are open');

    my ($old) = $nginx->workers;

    $nginx->reload;

    is(join(' ', map { $_->close_code } @ws), join(' ', (1001) x 21),
        'reload tells each of them to go away');

    ok($ws[0]->eof, 'who has answered that is disconnected at once');
    ok(-e "/proc/$old", 'while the others have time to');

    ok((wait_for { !-e "/proc/$old" } 10),
        'the old worker leaves, though they never do');

    my $ws = $nginx->ws('/ws?ack=1&sessionId=' . uuid());

    $ws->text(EVENT);
    is($ws->message, '{"ack":1,"events":1}', 'the new one is at work');

    finish($nginx, $ws);
}


# Returns what its tree will be.

sub long_session {
    my ($nginx, $sid, $events) = @_;

    my $ws = $nginx->ws("/ws?sessionId=$sid&ack=1", timeout => 30);

    my @children;

    for my $n (1 .. $events) {
        push(@children,
            qq({"type":"EVENT","timestamp":$n,"name":"event number $n"}));
    }

    for (my $i = 0; $i < $events; $i += 5000) {
        $ws->text('[' . join(',', @children[$i .. $i + 4999]) . ']');
        $ws->message =~ /^\{"ack":\d+,"events":5000\}$/ or die 'not stored';
    }

    $ws->close(1000);
    $ws->eof;

    return '{"type":"SESSION","start":null,"end":null,"children":['
        . join(',', @children) . ']}';
}


sub reader_of_a_long_session {
    my $nginx = $t->nginx;
    my $sid   = uuid();
    my $tree  = long_session($nginx, $sid, 100_000);

    my ($old) = $nginx->workers;

    my $reader = $nginx->connect(rcvbuf => 65_536, timeout => 30);

    $reader->send("GET /session/$sid HTTP/1.1\r\nHost: a\r\n"
        . "Connection: close\r\n\r\n");

    my ($body, $reloaded) = ('', 0);

    my $res = $reader->response(each => sub {
        $body .= $_[0];

        if (!$reloaded && length($body) > 200_000) {
            $nginx->reload;
            $reloaded = 1;

            # long enough for the old worker to be told

            wait_for { $nginx->log =~ /gracefully shutting down/ };
        }

        sleep(0.002) if $reloaded;
    });

    is($res->status, 200, 'a slow client reads a long session during a reload');
    is($res->error, undef, 'to its end');
    ok($body eq $tree, 'and all of it is right')
        or diag(length($body) . ' bytes instead of ' . length($tree));

    ok((wait_for { !-e "/proc/$old" } 10), 'then the old worker leaves');

    finish($nginx);
}


sub reader_that_never_reads {
    my $nginx = $t->nginx(main => 'worker_shutdown_timeout 1s;');
    my $sid   = uuid();

    long_session($nginx, $sid, 100_000);

    my ($old) = $nginx->workers;

    my @readers = map { $nginx->connect(rcvbuf => 4096) } 1 .. 3;

    $_->send("GET /session/$sid HTTP/1.1\r\nHost: a\r\n\r\n") for @readers;

    # each has its header, so it is being answered

    ok((wait_for { $_->fill; $_->{in} =~ /\r\n\r\n/ }), 'a client is answered')
        for @readers;

    $nginx->reload;

    ok((wait_for { !-e "/proc/$old" } 10),
        'clients that read no more can not hold an old worker');

    finish($nginx);
}


# Its replies fill the socket, then the worker's bound; then it isn't read.

sub writer_that_never_reads {
    my $nginx = $t->nginx(main => 'worker_shutdown_timeout 1s;',
        listen => 'sndbuf=16k rcvbuf=16k');

    my ($old) = $nginx->workers;

    my $ws = $nginx->ws('/ws?ack=1&sessionId=' . uuid(), rcvbuf => 4096,
        blocking => 0);

    # messages of two bytes are answered by twenty

    $ws->raw(EventSession::WS::frame_bytes(payload => '[]') x 4_000_000);

    my ($unsent, $since) = (0, time());

    ok((wait_for {
        $ws->flush;

        ($unsent, $since) = ($ws->unsent, time()) if $ws->unsent != $unsent;

        return $unsent && time() - $since > 0.5;
    } 20), 'a client that never reads its acks is not read');

    my $rss = $nginx->rss($old);

    cmp_ok($rss, '<', ($ENV{EVS_SANITIZE} ? 400 : 30) << 20,
        'nor are its acks kept without bound');

    $nginx->reload;

    ok((wait_for { !-e "/proc/$old" } 10), 'it can not hold an old worker');

    finish($nginx, $ws);
}


sub quit_while_redis_is_frozen {
    my $redis = $t->redis(appendonly => 'yes');
    my $nginx = $t->nginx(redis => $redis);
    my $sid   = uuid();

    my $ws   = $nginx->ws("/ws?sessionId=$sid&ack=1");
    my $idle = $nginx->ws('/ws?ack=1&sessionId=' . uuid());

    # read at once, and so under way

    $ws->text(EVENT);
    is($ws->message, '{"ack":1,"events":1}', 'a message is acknowledged');

    $redis->freeze;

    $ws->text(EVENT) for 1 .. 10;
    $ws->ping('read');
    is($ws->next_frame->{opcode}, EventSession::WS::PONG,
        'messages are under way while Redis is frozen');

    $nginx->signal('QUIT');

    is($idle->close_code, 1001, 'quit sends away who waits for nothing');
    ok($nginx->{process}->alive, 'but nginx stays');

    $redis->thaw;

    is_deeply([ $ws->messages(10) ],
        [ map { qq({"ack":$_,"events":1}) } 2 .. 11 ],
        'until what was under way is acknowledged');
    is($ws->close_code, 1001, 'then it says so to the others');

    is($nginx->quit, 0, 'and quits');

    is($redis->cli('ZCARD', "es:{$sid}"), 11, 'with everything stored');

    ok_log($nginx);
}


sub quit_while_redis_is_away {
    my $redis = $t->redis(appendonly => 'yes');
    my $nginx = $t->nginx(redis => $redis,
        http => 'eventsession_timeout 1s;');

    my $ws = $nginx->ws('/ws?ack=1&sessionId=' . uuid());

    $redis->kill9;

    $ws->text(EVENT);
    $ws->ping('read');
    is($ws->next_frame->{opcode}, EventSession::WS::PONG,
        'a message waits for a Redis that is away');

    $nginx->signal('QUIT');

    like($ws->message, qr/^\{"error":"not stored: [^"]+","message":1\}$/,
        'it has its error when its time is up');
    is($ws->close_code, 1001, 'then quit sends its client away');

    is($nginx->quit, 0, 'and nginx quits');
    ok_log($nginx);
}


# worker_shutdown_timeout is the end of all patience, also with Redis.

sub redis_that_never_answers {
    my $redis = $t->redis(appendonly => 'yes');

    my $nginx = $t->nginx(
        redis         => $redis,
        redis_options => 'command_timeout=60s',
        main          => 'worker_shutdown_timeout 1s;',
        http          => 'eventsession_timeout 60s;');

    my $sid = uuid();
    my @ws  = map { $nginx->ws("/ws?ack=1&sessionId=$sid") } 1 .. 5;

    $redis->freeze;

    my $reader = $nginx->connect;
    $reader->send("GET /session/$sid HTTP/1.1\r\nHost: a\r\n\r\n");

    for my $ws (@ws) {
        $ws->text(EVENT);
        $ws->ping('read');
        $ws->next_frame;
    }

    my ($old) = $nginx->workers;

    $nginx->reload;

    ok((wait_for { !-e "/proc/$old" } 10),
        'a Redis that never answers can not hold an old worker');

    # those who were told anything were told the truth

    like($_->message // '{"error":""}', qr/^\{"error":/, 'no ack was made up')
        for @ws;

    unlike($reader->response->status, qr/^(?:200|404)$/, 'and no session');

    $redis->thaw;

    finish($nginx, @ws);
}


sub finish {
    my ($nginx, @ws) = @_;

    $_->abort for @ws;

    is($nginx->quit, 0, 'nginx quits');
    ok_log($nginx);
}
