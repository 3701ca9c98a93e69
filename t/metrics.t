# Why: whoever runs this at night believes what /metrics says (contract,
# section 7): each counter must agree with what clients did, to the event, for
# all workers together, and go on when a worker ends, is killed or reloaded.
# Known to fail by: counters that begin anew at a reload, or shrink when a
# worker dies; gauges of the dead that stay, or go below zero; a message that
# is counted twice or not at all, above all when its client has left; text that
# Prometheus does not take; a page that hangs while Redis is away.

use strict;
use warnings;

use lib 't/lib';

use EventSession;
use EventSession::LogPost ();
use EventSession::Metrics;
use EventSession::Track;
use Test::More;

use constant { JSON => 'Content-Type: application/json' };

my $t     = EventSession->new;
my $redis = $t->redis;
my $other = $t->redis;

my $nginx = $t->nginx(redis => $redis, workers => 2,
    redis_options => 'reconnect=20ms:50ms command_timeout=500ms',
    http          => track_conf() . 'eventsession_delete on;',
    locations     => <<END);
    include $EventSession::root/conf/eventsession.conf;

    location = /other/ws {
        eventsession ws;
        eventsession_redis @{[ $other->url ]};
    }

    location = /other/events {
        eventsession track;
        eventsession_redis @{[ $other->url ]};
    }
END

# all that is there twice, for each of two Redis
my %label = (here => 'server="' . $redis->url . '"',
    there => 'server="' . $other->url . '"');

ok((wait_for { gauge("redis_connections{$label{here},state=\"up\"}") == 2 }),
    'both workers have a connection');

exposition();
websockets();
applications();
batches();
records();
sessions();
feed();
others();
redis_away();
client_gone();

ok_log($nginx);
done_testing();


sub gauge { metrics($nginx)->value("eventsession_$_[0]") }


# What the code does to all that is counted, but for Redis, to which some goes
# of itself; its errors are there if some are expected.

sub counts {
    my ($name, $code, %expected) = @_;

    local $Test::Builder::Level = $Test::Builder::Level + 1;

    my $before = metrics($nginx);

    $code->();

    my $since;

    # the counts of an end may follow what the client sees of it

    wait_for {
        $since = metrics($nginx)->since($before);
        delete(@{$since}{ grep { /^redis_/ && !$expected{$_} }
            keys(%$since) });

        Test::More::eq_hash($since, \%expected);
    } 5;

    is_deeply($since, \%expected, $name);
}


sub post {
    my ($path, $body, @headers) = @_;

    @headers = (JSON) if !@headers;

    return $nginx->request('POST', $path, body => $body,
        headers => \@headers)->status;
}


sub exposition {
    my $res = $nginx->get('/metrics');

    is($res->header('Content-Type'),
        'text/plain; version=0.0.4; charset=utf-8', 'the type of the text');

    my $head = $nginx->request('HEAD', '/metrics');

    is($head->status . $head->body, '200', 'HEAD is GET without the text');
    cmp_ok($head->header('Content-Length'), '>', 10_000, 'but its length');

    for my $method (qw(POST PUT DELETE)) {
        my $refused = $nginx->request($method, '/metrics');

        is(join(' ', $refused->status, $refused->header('Allow')),
            '405 GET, HEAD', "no $method");
    }

    open(my $promtool, '|-', 'promtool check metrics > '
        . $t->dir . '/promtool 2>&1') or die "promtool: $!";
    print {$promtool} $res->body;
    close($promtool);

    is(EventSession::Redis::slurp($t->dir . '/promtool') . $?, '0',
        'promtool takes it, and has nothing to say');

    my $m = metrics($nginx);

    is($m->value('eventsession_worker_processes'), 2, 'two workers');
    is_deeply($m->families, documented(), 'README has all of them');
    is_deeply([ $m->faults ], [], 'all is in order');
    is($m->sum('eventsession_build_info',
        version => version(), nginx => nginx_version()), 1, 'the versions');

    # a series that comes later has lost what was before

    is($m->value("eventsession_requests_total{endpoint=\"$_\",code=\"5xx\"}"),
        0, "$_ is there") for qw(ws session track batch log feed workers
        healthcheck ready metrics);
    is($m->value("eventsession_redis_errors_total{$label{there},"
        . "class=\"$_\"}"), 0, "errors by $_ are there")
        for qw(poison forbidden retry auth reconnect timeout lost);
}


# README's table: the type and the labels of each.

sub documented {
    my %documented;

    for my $line (split(/\n/, EventSession::Redis::slurp(
        "$EventSession::root/README.md")))
    {
        my ($name, $type, $labels) = $line
            =~ /^\| `(eventsession_\w+)` \| (\w+) \| (.*?) \|/ or next;

        $documented{$name} = join(' ', $type, sort($labels =~ /`(\w+)`/g));
    }

    return \%documented;
}


# As debian/changelog has it, which is the only other place.

sub version {
    my ($version) = EventSession::Redis::slurp(
        "$EventSession::root/debian/changelog") =~ /\((\S+?)-/;

    return $version;
}


sub nginx_version {
    my ($version) = $nginx->log =~ m{nginx/(\S+)};

    return $version;
}


sub websockets {
    my $sid  = uuid();
    my @text = ('[{"type":"EVENT","timestamp":1,"name":"a"},'
        . '{"type":"EVENT","timestamp":2,"name":"b"}]',
        '[{"type":"EVENT"}]', '[{', '[]');
    my $bytes = 0;
    my ($ws, $silent);

    $bytes += length for @text;

    counts('two WebSockets are opened', sub {
        $ws     = $nginx->ws("/ws?sessionId=$sid&ack=1");
        $silent = $nginx->ws("/ws?sessionId=$sid");
    }, websockets_opened_total => 2, websockets_open => 2,
        'requests_total{endpoint="ws",code="1xx"}' => 2);

    counts('messages: right, wrong, no JSON, empty', sub {
        $ws->text($_) for @text;
        $ws->messages(4);
    }, 'messages_total{endpoint="ws",outcome="stored"}'  => 2,
        'messages_total{endpoint="ws",outcome="refused"}' => 2,
        'events_total{endpoint="ws",outcome="stored"}'    => 2,
        'received_bytes_total{endpoint="ws"}'             => $bytes,
        'parse_errors_total{endpoint="ws"}'               => 1,
        'acknowledge_seconds_count{endpoint="ws"}'        => 2,
        websocket_acks_total                              => 2);

    counts('one that asks for no acks, and ends its session', sub {
        $silent->text('[{"type":"SESSION_END","timestamp":3}]');
        $silent->close_code;
        $silent->eof;
    }, 'messages_total{endpoint="ws",outcome="stored"}' => 1,
        'events_total{endpoint="ws",outcome="stored"}'   => 1,
        'received_bytes_total{endpoint="ws"}'            => 38,
        'acknowledge_seconds_count{endpoint="ws"}'       => 1,
        'websockets_closed_total{code="1000"}'           => 1,
        websockets_open                                  => -1);

    my %ends = (
        1001 => sub { $_[0]->close(1001) },
        1002 => sub { $_[0]->frame(opcode => 1, mask => 0, payload => 'a') },
        1005 => sub { $_[0]->close },
        1007 => sub { $_[0]->text("\xff") },
        1009 => sub { $_[0]->frame(opcode => 1, length => 1 << 40) },
        other => sub { $_[0]->close(4000) },
        none => sub { $_[0]->abort },
    );

    for my $code (sort(keys(%ends))) {
        counts("a WebSocket that ends with $code", sub {
            my $ends = $nginx->ws("/ws?sessionId=$sid");

            wait_for { gauge('websockets_open') == 2 };
            $ends{$code}->($ends);
            $ends->eof if $code ne 'none';
        }, websockets_opened_total                      => 1,
            "websockets_closed_total{code=\"$code\"}"    => 1,
            'requests_total{endpoint="ws",code="1xx"}'   => 1);
    }

    counts('a bad sessionId, and a bad upgrade', sub {
        is($nginx->ws('/ws?sessionId=x')->close_code, 1008, 'closed');
        is($nginx->get('/ws')->status, 426, 'refused');
    }, websockets_opened_total                    => 1,
        'websockets_closed_total{code="1008"}'     => 1,
        'requests_total{endpoint="ws",code="1xx"}' => 1,
        'requests_total{endpoint="ws",code="4xx"}' => 1);

    counts('it goes without a word', sub { $ws->abort },
        'websockets_closed_total{code="none"}' => 1, websockets_open => -1);
}


sub applications {
    my $one  = fields();
    my $many = "[$one,$one,$one]";
    my $bad  = fields(name => undef);

    counts('events of applications', sub {
        is(track($nginx, $one)->status, 201, 'one');
        is(track($nginx, $many)->status, 201, 'three');
        is(track($nginx, '[]')->status, 201, 'none');
        is(track($nginx, $bad)->status, 400, 'one that is wrong');
        is(track($nginx, '{')->status, 400, 'no JSON');
        is(track($nginx, $one, app => uuid())->status, 400, 'a stranger');
        is(track($nginx, $one, type => 'text/plain')->status, 415, 'a type');
        is(track($nginx, $one, path => '/other/events')->status, 201,
            'into another Redis');
        is($nginx->get('/api/v1/events/')->status, 405, 'no POST');
    }, 'messages_total{endpoint="track",outcome="stored"}'  => 4,
        'messages_total{endpoint="track",outcome="refused"}' => 4,
        'events_total{endpoint="track",outcome="stored"}'    => 5,
        'received_bytes_total{endpoint="track"}' => 3 * length($one)
            + length($many) + 2 + length($bad) + 1,
        'parse_errors_total{endpoint="track"}'        => 1,
        'acknowledge_seconds_count{endpoint="track"}' => 3,
        'requests_total{endpoint="track",code="2xx"}' => 4,
        'requests_total{endpoint="track",code="4xx"}' => 5);
}


sub batches {
    my $sid  = uuid();
    my $body = '[' . join(',', map { "{\"timestamp\":$_}" } 1 .. 1000)
        . ",{\"session_id\":\"$sid\",\"name\":\"a\"}]";
    my $lines = "{}\n" x 10;
    my @key   = (JSON, 'Idempotency-Key: a');

    counts('batches', sub {
        is(post('/events', $body), 200, 'an array');
        is(post('/events', $lines, 'Content-Type: application/x-ndjson'), 200,
            'lines');
        is(post('/events', '[{}]', @key), 200, 'with a key');
        is(post('/events', '[{}]', @key), 200, 'and again');
        is(post('/events', '[{},{}]', @key), 422, 'and another one');
        is(post('/events', '[]'), 200, 'an empty one');
        is(post('/events', '[{"timestamp":"never"}]'), 400, 'a wrong one');
        is(post('/events', '[{}'), 400, 'no JSON');
    }, 'messages_total{endpoint="batch",outcome="stored"}'  => 5,
        'messages_total{endpoint="batch",outcome="refused"}' => 3,
        'events_total{endpoint="batch",outcome="stored"}'    => 1012,
        'received_bytes_total{endpoint="batch"}' => length($body) + 30 + 4 + 4
            + 7 + 2 + 23 + 3,
        'parse_errors_total{endpoint="batch"}'        => 1,
        'acknowledge_seconds_count{endpoint="batch"}' => 3,
        'requests_total{endpoint="batch",code="2xx"}' => 5,
        'requests_total{endpoint="batch",code="4xx"}' => 3);

    counts('batches are read', sub {
        is($nginx->get('/events?limit=10')->status, 200, 'a page');
        is($nginx->get('/events?limit=x')->status, 400, 'no page');
    }, 'requests_total{endpoint="batch",code="2xx"}' => 1,
        'requests_total{endpoint="batch",code="4xx"}' => 1);

    is(gauge('batch_workers'), 2 * 5 * 3, 'workers of batches, by default');
}


sub records {
    my $record = EventSession::LogPost::record();

    counts('records of the log', sub {
        is(post('/event', $record), 201, 'one');
        is(post('/event', '{}'), 400, 'a wrong one');
        is(post('/event', '}'), 400, 'no JSON');
        is($nginx->get('/event')->status, 200, 'all of them');
        is($nginx->get('/event?q=(')->status, 400, 'a broken filter');
    }, 'messages_total{endpoint="log",outcome="stored"}'  => 1,
        'messages_total{endpoint="log",outcome="refused"}' => 2,
        'events_total{endpoint="log",outcome="stored"}'    => 1,
        'received_bytes_total{endpoint="log"}'    => length($record) + 3,
        'parse_errors_total{endpoint="log"}'          => 1,
        'acknowledge_seconds_count{endpoint="log"}'   => 1,
        'requests_total{endpoint="log",code="2xx"}'   => 2,
        'requests_total{endpoint="log",code="4xx"}'   => 3);
}


sub sessions {
    my $path = '/session/' . SID;

    counts('sessions', sub {
        is($nginx->get($path)->status, 200, 'one');
        is($nginx->get("$path?limit=1")->status, 200, 'a page of it');
        is($nginx->get('/session/x')->status, 400, 'none');
        is($nginx->get('/session/' . uuid())->status, 404, 'unknown');
        is($nginx->request('DELETE', $path)->status, 204, 'deleted');
        is($nginx->request('DELETE', $path)->status, 404, 'already');
    }, 'requests_total{endpoint="session",code="2xx"}' => 3,
        'requests_total{endpoint="session",code="4xx"}' => 3,
        sessions_read_total => 2, sessions_deleted_total => 1);
}


sub feed {
    my $sid = uuid();
    my $ws  = $nginx->ws("/ws?sessionId=$sid&ack=1");
    my ($all, $few, $last);

    my $event = sub {
        $ws->text('[' . join(',', map {
            "{\"type\":\"EVENT\",\"timestamp\":1,\"name\":\"$_\"}" } @_) . ']');
        $ws->message;
    };

    my $before = metrics($nginx);

    $all = $nginx->sse('/database_events');
    $few = $nginx->sse("/database_events?sessionId=$sid&name=b");
    $_->opened for $all, $few;
    wait_for { gauge('feed_subscribers') == 2 };

    $event->('a', 'b', 'c');

    is(scalar($all->events(3)), 3, 'one has all three');
    is(scalar($few->events(1)), 1, 'and one of them');

    my $m = metrics($nginx);

    is($m->value('eventsession_feed_subscribers'), 2, 'two subscribers');
    is($m->since($before)->{feed_events_total}, 4, 'were given four events');

    $last = $all->last_id;
    $_->abort for $all, $few;
    ok((wait_for { gauge('feed_subscribers') == 0 }), 'none are left');

    $event->('d', 'e');

    counts('history', sub {
        my $sse = $nginx->sse('/database_events', last_id => $last);

        is(scalar($sse->events(2)), 2, 'two events');
        $sse->abort;
        wait_for { gauge('feed_subscribers') == 0 };
    }, feed_events_total => 2, 'requests_total{endpoint="feed",code="2xx"}'
        => 1);

    $redis->cli('DEL', 'es:{feed}:stream');
    $event->('f');

    counts('what is gone is a gap', sub {
        my $sse = $nginx->sse('/database_events', last_id => $last);

        is($sse->next->{type}, 'gap', 'a gap');
        $sse->next;
        $sse->abort;
        wait_for { gauge('feed_subscribers') == 0 };
    }, feed_gaps_total => 1, feed_events_total => 1,
        'requests_total{endpoint="feed",code="2xx"}' => 1);

    counts('refused', sub { $nginx->get('/database_events?type=x') },
        'requests_total{endpoint="feed",code="4xx"}' => 1);

    $ws->close;
    $ws->eof;
}


sub others {
    counts('the others', sub {
        $nginx->get($_) for qw(/healthcheck /ready /workers /workers/7);
    }, 'requests_total{endpoint="healthcheck",code="2xx"}' => 1,
        'requests_total{endpoint="ready",code="2xx"}'       => 1,
        'requests_total{endpoint="workers",code="2xx"}'     => 1,
        'requests_total{endpoint="workers",code="4xx"}'     => 1);

    my $before = metrics($nginx);
    my $since  = metrics($nginx)->value(
        'eventsession_requests_total{endpoint="metrics",code="2xx"}')
        - $before->value(
        'eventsession_requests_total{endpoint="metrics",code="2xx"}');

    is($since, 1, 'and metrics themselves');

    # a session's key that is none: the command fails, and says so

    my $sid = uuid();
    my $ws  = $nginx->ws("/ws?sessionId=$sid");

    $redis->cli('SET', "es:{$sid}", 'a');

    counts('Redis refuses', sub {
        $ws->text('[{"type":"EVENT","timestamp":1,"name":"a"}]');
        like($ws->message, qr/not stored: the store refused/, 'is told');
    }, 'messages_total{endpoint="ws",outcome="failed"}'   => 1,
        'events_total{endpoint="ws",outcome="failed"}'     => 1,
        'received_bytes_total{endpoint="ws"}'              => 43,
        "redis_errors_total{$label{here},class=\"poison\"}" => 1);

    $ws->abort;
    wait_for { gauge('websockets_open') == 0 };
}


# One of two Redis: /metrics is there, and says so.

sub redis_away {
    my $ws = $nginx->ws('/other/ws?ack=1&sessionId=' . uuid());
    my $m  = metrics($nginx);

    is($m->value("eventsession_redis_connections{$label{$_},state=\"up\"}"), 2,
        "$_ is up") for qw(here there);
    is($m->value("eventsession_inflight_limit_bytes{$label{there}}"),
        2 * 64 << 20, 'the bound, for both');

    $other->freeze;
    $ws->text('[{"type":"EVENT","timestamp":1,"name":"a"}]');

    ok((wait_for { gauge('inflight_events') == 1 }), 'an event is under way');

    my $bytes = gauge("inflight_bytes{$label{there}}");

    cmp_ok($bytes, '>', 40, 'so are its bytes');
    cmp_ok(gauge('inflight_ratio'), '==', sprintf('%.6f', $bytes / 2**26
        - 5e-7), 'a part of the bound of one of them');

    $other->thaw;
    is($ws->message, '{"ack":1,"events":1}', 'stored');
    ok((wait_for { gauge('inflight_events') == 0 }), 'nothing is under way');
    is(gauge("inflight_bytes{$label{there}}"), 0, 'nor its bytes');

    my $before = metrics($nginx);

    $other->kill9;

    ok((wait_for {
        gauge("redis_connections{$label{there},state=\"down\"}") == 2
    }), 'it is away, for both workers');
    is(gauge("redis_connections{$label{here},state=\"up\"}"), 2,
        'the other one is not');

    $ws->text('[{"type":"EVENT","timestamp":2,"name":"b"}]');
    $other->start_again;

    is($ws->message, '{"ack":2,"events":1}', 'stored when it is back');
    ok((wait_for {
        gauge("redis_connections{$label{there},state=\"up\"}") == 2
    }), 'it is back');

    is(metrics($nginx)->since($before)
        ->{"redis_reconnects_total{$label{there}}"}, 2,
        'both have connected again');

    $ws->abort;
    wait_for { gauge('websockets_open') == 0 };
}


# What is stored counts, whoever waits for the answer.

sub client_gone {
    my $one    = fields();
    my $record = EventSession::LogPost::record();

    # one worker, that has asked for all that it needs to know

    $nginx->quit;
    ok_log($nginx);

    $nginx = $t->nginx(redis => $redis, http => track_conf());
    is(post('/events', '[{}]'), 200, 'the worker knows its shards');

    my $gone = requests_refused();

    $redis->freeze;

    counts('clients that leave before they are answered', sub {
        my $http  = $nginx->connect;
        my $batch = $nginx->connect;
        my $log   = $nginx->connect;
        my $ws    = $nginx->ws('/ws?sessionId=' . uuid());

        $http->send(track_bytes($http, $one));
        $batch->send($batch->text_of('POST', '/events', body => '[{},{}]',
            headers => [ JSON ]));
        $log->send($log->text_of('POST', '/event', body => $record,
            headers => [ JSON ]));
        $ws->text('[{"type":"EVENT","timestamp":1,"name":"a"}]');

        ok((wait_for { gauge('inflight_events') == 5 }), 'all wait');
        $_->close for $http, $batch, $log;
        $ws->abort;

        ok((wait_for { requests_refused() == $gone + 3 }), 'they are gone');
        $redis->thaw;
    }, (map { ("messages_total{endpoint=\"$_\",outcome=\"stored\"}" => 1) }
            qw(ws track batch log)),
        (map { ("events_total{endpoint=\"$_\",outcome=\"stored\"}" => 1) }
            qw(ws track log)),
        'events_total{endpoint="batch",outcome="stored"}' => 2,
        (map { ("requests_total{endpoint=\"$_\",code=\"4xx\"}" => 1) }
            qw(track batch log)),
        'received_bytes_total{endpoint="ws"}'    => 43,
        'received_bytes_total{endpoint="batch"}' => 7,
        'received_bytes_total{endpoint="track"}' => length($one),
        'received_bytes_total{endpoint="log"}'   => length($record),
        websockets_opened_total                  => 1,
        'websockets_closed_total{code="none"}'   => 1,
        'requests_total{endpoint="ws",code="1xx"}' => 1);
}


sub requests_refused {
    return metrics($nginx)->sum('eventsession_requests_total', code => '4xx');
}
