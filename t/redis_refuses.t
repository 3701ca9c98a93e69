# Why: Redis says no in several ways, and each asks for something else: what
# passes by itself is tried again until it does or until the client's time is
# up; what can't be mended is told to the one whose message it was, and to
# nobody else on the same connection.  Known to fail by: an error that counts
# as stored; one bad key that breaks the pipeline; a read-only replica that is
# asked for ever; commands sent to a Redis that still loads.

use strict;
use warnings;

use lib 't/lib';

use EventSession;
use Test::More;

use constant EVENT => '[{"type":"EVENT","timestamp":1,"name":"a"}]';

# patient and impatient locations, on the same Redis

my $locations = <<'END';
    location = /ws { eventsession ws; }
    location = /ws/hasty { eventsession ws; eventsession_timeout 500ms; }
    location /session/ { eventsession session; }
    location = /ready { eventsession ready; }
END

my $t = EventSession->new;

out_of_memory();
wrong_type();
replica_at_start();
replica_at_run_time();
loading();

done_testing();


sub nginx {
    my (%options) = @_;

    return $t->nginx(
        redis_options => 'reconnect=50ms:300ms',
        locations     => $locations,
        http          => 'eventsession_timeout 20s;',
        %options);
}


sub tree {
    my ($events) = @_;

    return '{"type":"SESSION","start":null,"end":null,"children":['
        . join(',', ('{"type":"EVENT","timestamp":1,"name":"a"}') x $events)
        . ']}';
}


sub out_of_memory {
    my $redis = $t->redis(appendonly => 'yes');
    my $nginx = nginx(redis => $redis);

    my $sid = uuid();

    my $patient = $nginx->ws("/ws?sessionId=$sid&ack=1");
    my $hasty   = $nginx->ws("/ws/hasty?sessionId=$sid&ack=1");

    $redis->cli('CONFIG', 'SET', 'maxmemory', 1);

    $patient->text(EVENT);
    $hasty->text(EVENT);

    like($hasty->message, qr/^\{"error":"not stored: [^"]+","message":1\}$/,
        'no memory in Redis: the error comes in time');

    is($nginx->get("/session/$sid")->status, 404, 'sessions can be read');

    $redis->cli('CONFIG', 'SET', 'maxmemory', 0);

    is($patient->message, '{"ack":1,"events":1}',
        'who has the patience is acknowledged when there is memory again');

    $hasty->text(EVENT);
    is($hasty->message, '{"ack":2,"events":1}', 'and so is what comes next');

    is($nginx->get("/session/$sid")->body, tree(2), 'and stored');

    is(scalar(my @told = $nginx->log =~ /\[warn\].*OOM/g), 1,
        'one line in the log said why');

    finish($nginx, $patient, $hasty);
}


sub wrong_type {
    my $redis = $t->redis(appendonly => 'yes');
    my $nginx = nginx(redis => $redis);

    my @sids = map { uuid() } 0 .. 4;
    my @ws   = map { $nginx->ws("/ws?sessionId=$_&ack=1") } @sids;

    $redis->cli('SET', "es:{$sids[2]}", 'a string');

    # all of them in as few event-loop turns as possible: one pipeline

    for my $n (1 .. 20) {
        $_->text(EVENT) for @ws;
    }

    for my $i (0, 1, 3, 4) {
        is_deeply([ $ws[$i]->messages(20) ],
            [ map { qq({"ack":$_,"events":1}) } 1 .. 20 ],
            "session $i is stored");
        is($nginx->get("/session/$sids[$i]")->body, tree(20),
            "as it was sent");
    }

    my @errors = $ws[2]->messages(20);

    is(scalar(grep { $errors[$_ - 1] =~
        /^\{"error":"not stored: [^"]+","message":$_\}$/ } 1 .. 20), 20,
        'the session whose key is taken gets an error for each message');
    unlike($errors[0], qr/WRONGTYPE|es:/, 'without the words of Redis');

    is($nginx->get("/session/$sids[2]")->status, 503, 'and is not read');

    $redis->cli('DEL', "es:{$sids[2]}");
    $ws[2]->text(EVENT);
    is($ws[2]->message, '{"ack":21,"events":1}',
        'and is stored when the key is free');

    ok((wait_for { $nginx->get('/ready')->status == 200 }),
        'nginx is ready');
    like($nginx->log, qr/\[error\].*WRONGTYPE/, 'the log has the words');

    finish($nginx, @ws);
}


sub replica_at_start {
    my $master = $t->redis(tcp => 1);
    my $redis  = $t->redis(appendonly => 'yes',
        replicaof => '127.0.0.1 ' . $master->port);

    my $nginx = nginx(redis => $redis);

    ok_unready($nginx, qr/^Redis is a read-only replica/, 'a replica');

    my $sid = uuid();
    my $ws  = $nginx->ws("/ws/hasty?sessionId=$sid&ack=1");

    $ws->text(EVENT);
    like($ws->message, qr/^\{"error":"not stored: /, 'a message has its error');

    $redis->cli('REPLICAOF', 'NO', 'ONE');

    ok_ready($nginx, 'what has become a master');

    $ws->text(EVENT);
    is($ws->message, '{"ack":2,"events":1}', 'takes events');

    finish($nginx, $ws);
}


sub replica_at_run_time {
    my $master = $t->redis(tcp => 1);
    my $redis  = $t->redis(appendonly => 'yes');
    my $nginx  = nginx(redis => $redis);

    my $sid = uuid();
    my $ws  = $nginx->ws("/ws?sessionId=$sid&ack=1");

    $ws->text(EVENT);
    is($ws->message, '{"ack":1,"events":1}', 'a master takes events');

    $redis->cli('REPLICAOF', '127.0.0.1', $master->port);

    $ws->text(EVENT);

    ok_unready($nginx, qr/^Redis is a read-only replica/,
        'a master that has become a replica');

    $redis->cli('REPLICAOF', 'NO', 'ONE');

    is($ws->message, '{"ack":2,"events":1}',
        'what waited is acknowledged when it is a master again');

    ok_ready($nginx, 'what is a master again');

    finish($nginx, $ws);
}


# 3000 keys at half a millisecond each.

sub loading {
    my $redis = $t->redis;

    $redis->pipeline(map { [ 'SET', "key-$_", 'x' x 100 ] } 1 .. 3000);
    $redis->cli('SAVE');

    my $nginx = nginx(redis => $redis);
    my $sid   = uuid();
    my $ws    = $nginx->ws("/ws?sessionId=$sid&ack=1");
    my $hasty = $nginx->ws("/ws/hasty?sessionId=$sid&ack=1");

    $redis->{options}{'key-load-delay'} = 500;
    $redis->{options}{'loading-process-events-interval-bytes'} = 1024;

    $redis->kill9->start_again(loading => 1);

    $ws->text(EVENT);
    $hasty->text(EVENT);

    ok_unready($nginx, qr/^Redis is loading its data/, 'a Redis that loads');

    like($hasty->message, qr/^\{"error":"not stored: [^"]+","message":1\}$/,
        'who has no patience has his error');

    is($ws->message, '{"ack":1,"events":1}',
        'what waited is acknowledged when it has loaded');

    ok_ready($nginx, 'a Redis that has loaded');

    is($nginx->get("/session/$sid")->body, tree(1), 'and is there');

    finish($nginx, $ws, $hasty);
}


sub ok_unready {
    my ($nginx, $why, $what) = @_;

    my $detail = '';

    ok((wait_for {
        my $res = $nginx->get('/ready');

        $res->status == 503 && ($detail = $res->json->{detail}) =~ $why;
    } 5), "$what: nginx is not ready, and says why") or diag($detail);
}


sub ok_ready {
    my ($nginx, $what) = @_;

    ok((wait_for { $nginx->get('/ready')->status == 200 } 10),
        "$what: nginx is ready");
}


sub finish {
    my ($nginx, @ws) = @_;

    $_->abort for @ws;

    is($nginx->quit, 0, 'nginx quits');
    ok_log($nginx);
}
