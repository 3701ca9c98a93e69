# Why: counters are only worth an alert if they go on through what operators do
# and what goes wrong: reloads under load, a worker that is killed, a Redis that
# is too slow.  Known to fail by: a reload that begins a new zone; the slot of a
# dead worker that is lost, or whose gauges stay for ever; a sum that is smaller
# than it was; a module that has shared memory where nobody uses it; a log with
# a line for each request that was refused.

use strict;
use warnings;

use lib 't/lib';

use EventSession;
use EventSession::Load;
use EventSession::Metrics;
use EventSession::Track;
use Test::More;

my $t = EventSession->new;

merely_loaded();
reloads();
killed();
without_master();
bound_reached();

done_testing();


# Shared mappings of some size: nginx itself has small ones.

sub zones {
    my ($pid) = @_;

    no warnings 'portable';

    return scalar(grep {
        /^([0-9a-f]+)-([0-9a-f]+) rw-s/ && hex($2) - hex($1) > 500_000
    } split(/\n/, EventSession::Redis::slurp("/proc/$pid/maps")));
}


sub merely_loaded {
    my $nginx = $t->nginx(redis => undef, locations => '');

    is(zones($_), 0, 'no zone where nothing is used')
        for $nginx->pid, $nginx->workers;

    # an endpoint without Redis is one, too

    $nginx->{locations} = 'location = /metrics { eventsession metrics; }'
        . 'location = /healthcheck { eventsession healthcheck; }';
    $nginx->reload;

    is(zones($_), 1, 'one where there is an endpoint')
        for $nginx->pid, $nginx->workers;

    $nginx->get('/healthcheck') for 1 .. 3;

    my $m = metrics($nginx);

    is($m->value('eventsession_requests_total{endpoint="healthcheck",'
        . 'code="2xx"}'), 3, 'counts');
    is((grep { /server=/ } keys(%{ $m->series })) . '', '0', 'of no Redis');

    $nginx->{locations} = '';
    $nginx->reload;

    is(zones($_), 0, 'and none when it is gone')
        for $nginx->pid, $nginx->workers;

    $nginx->quit;
    ok_log($nginx);
}


# What Redis has is what was counted, after three reloads under load.

sub reloads {
    my $redis = $t->redis(appendonly => 'yes');
    my $nginx = $t->nginx(redis => $redis, workers => 2);
    my $load  = EventSession::Load->new($nginx, clients => 20);
    my $last  = metrics($nginx);
    my $long  = $nginx->ws('/ws?sessionId=' . uuid(), answer => 0);
    my @wrong;

    my $looks_well = sub {
        my $m = metrics($nginx);

        push(@wrong, $m->shrunk($last), $m->faults);
        $last = $m;
    };

    for my $round (1 .. 3) {
        $load->run_acked(300) or fail("clients don't write in round $round");
        $looks_well->();

        my %old = map { $_ => 1 } $nginx->workers;

        $nginx->write_conf;
        $nginx->signal('HUP');

        $load->run_until(sub {
            my @workers = $nginx->workers;

            $looks_well->();
            @workers == 2 && !grep { $old{$_} } @workers;
        }) or fail("no new workers in round $round");

        $looks_well->();
    }

    ok($load->run_acked(300), 'clients still write');
    ok_answered($load);

    is_deeply(\@wrong, [], 'no counter was ever less, no gauge below 0');

    $long->eof;

    ok((wait_for {
        metrics($nginx)->value('eventsession_worker_processes') == 2
            && metrics($nginx)->value('eventsession_websockets_open') == 0
    } 20), 'the old workers are gone from the gauges');

    my $m = metrics($nginx);

    is($m->sum('eventsession_events_total', outcome => 'stored'),
        stored($redis), 'what was counted is what Redis has');
    is($m->sum('eventsession_websockets_opened_total'),
        $m->sum('eventsession_websockets_closed_total'),
        'all WebSockets that were opened are closed');
    is($m->value('eventsession_websocket_acks_total'),
        $m->value('eventsession_acknowledge_seconds_count{endpoint="ws"}'),
        'each message was acknowledged');
    is($m->value('eventsession_messages_total{endpoint="ws",'
        . 'outcome="stored"}'), $m->value('eventsession_websocket_acks_total'),
        'all of them');
    is($m->value('eventsession_inflight_events'), 0, 'nothing is under way');
    is($m->sum('eventsession_inflight_bytes'), 0, 'no byte of it');
    is($m->sum('eventsession_events_total', outcome => 'failed'), 0,
        'nothing failed');

    is($nginx->quit, 0, 'nginx quits');
    ok_log($nginx);
}


sub stored {
    my ($redis) = @_;

    my $stored = 0;

    $stored += $redis->cli('ZCARD', $_)
        for grep { !/\{feed\}/ } @{ $redis->cli('KEYS', 'es:{*}') };

    return $stored;
}


# The counters of one that was killed stay, and its gauges go at once.

sub killed {
    my $redis = $t->redis;
    my $nginx = $t->nginx(redis => $redis, workers => 2, http => track_conf());
    my @ws    = map { $nginx->ws('/ws?ack=1&sessionId=' . uuid()) } 1 .. 16;
    my $n     = 0;

    my $write = sub {
        for my $ws (@_) {
            $ws->text('[{"type":"EVENT","timestamp":1,"name":"a"}]');
            $n++ if $ws->message;
        }
    };

    for my $round (1 .. 3) {
        $write->(@ws);
        track($nginx, fields()) for 1 .. 4;

        my $before = metrics($nginx);

        is($before->value('eventsession_events_total{endpoint="ws",'
            . 'outcome="stored"}'), $n, "all events in round $round");
        is($before->value('eventsession_events_total{endpoint="track",'
            . 'outcome="stored"}'), 4 * $round, 'of applications, too');
        is($before->value('eventsession_websockets_open'), scalar(@ws),
            'all are open');

        $nginx->kill9_worker;

        # its clients are gone, those of the other one are not

        my @left = grep { !ended($_) } @ws;
        my $m    = metrics($nginx);

        is_deeply([ $m->shrunk($before), $m->faults ], [], 'nothing is less');
        is($m->value('eventsession_websockets_open'), scalar(@left),
            'the gauges are those of the living');
        is($m->value('eventsession_worker_processes'), 2, 'and there are two');
        is($m->value('eventsession_events_total{endpoint="ws",'
            . 'outcome="stored"}'), $n, 'its counters are still there');

        @ws = (@left, map { $nginx->ws('/ws?ack=1&sessionId=' . uuid()) }
            @left + 1 .. 16);
    }

    $write->(@ws);
    is(stored($redis), $n + 12, 'Redis has as many');

    $nginx->quit;
    ok_log($nginx);
}


sub ended {
    my ($ws) = @_;

    $ws->ping('a');

    return !$ws->next_frame;
}


sub without_master {
    my $nginx = $t->nginx(alone => 1);

    is(zones($nginx->pid), 1, 'alone: a zone, too');
    ok((wait_for { $nginx->get('/ready')->status == 200 }), 'it serves');

    my $m = metrics($nginx);

    is($m->value('eventsession_worker_processes'), 1, 'one process');
    cmp_ok($m->value('eventsession_requests_total{endpoint="ready",'
        . 'code="2xx"}'), '==', 1, 'counts');

    $nginx->quit;
    ok_log($nginx);
}


sub bound_reached {
    my $redis = $t->redis;
    my $nginx = $t->nginx(redis => $redis,
        http => track_conf() . 'eventsession_max_inflight 4k;');
    my $server = 'server="' . $redis->url . '"';
    my $body   = '[' . join(',', (fields()) x 30) . ']';
    my $reach  = "eventsession_inflight_limit_reached_total{$server}";

    my $lines = sub {
        my $n = () = $nginx->log =~ /\[warn\].*is too far behind/g;
        my $m = () = $nginx->log =~ /\[notice\].*has caught up/g;

        return "$n $m";
    };

    is(metrics($nginx)->value("eventsession_inflight_limit_bytes{$server}"),
        4096, 'the bound');

    $redis->freeze;

    my $waits = $nginx->connect;

    $waits->send(track_bytes($waits, $body));
    ok((wait_for {
        metrics($nginx)->value('eventsession_inflight_ratio') > 1
    }), 'more than it is under way');

    is(track($nginx, fields())->status, 503, 'so the next one is refused')
        for 1 .. 20;

    my $m = metrics($nginx);

    is($m->value($reach), 1, 'the bound was reached once');
    is($m->value('eventsession_messages_total{endpoint="track",'
        . 'outcome="failed"}'), 20, 'with 20 that were refused');
    is($lines->(), '1 0', 'and one line says so');

    $redis->thaw;
    is($waits->response->status, 201, 'all is stored');
    is(track($nginx, fields())->status, 201, 'and there is room again');

    # no line again and again when it comes and goes

    $redis->freeze;
    $waits->send(track_bytes($waits, $body));
    ok((wait_for {
        metrics($nginx)->value('eventsession_inflight_ratio') > 1
    }), 'too much again');
    is(track($nginx, fields())->status, 503, 'refused');
    is(metrics($nginx)->value($reach), 2, 'it was reached twice');
    is($lines->(), '1 0', 'in the same bad time');

    $redis->thaw;
    is($waits->response->status, 201, 'stored');

    ok((wait_for {
        track($nginx, fields());
        $lines->() eq '1 1';
    } 20), 'after a while it is over');

    $nginx->quit;
    ok_log($nginx);
}
