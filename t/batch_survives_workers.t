# Why: a worker process that dies takes along the bodies that it had in hand, a
# reload and a quit finish them; a producer whose connection broke sends his
# body again with its key, to another process, and each event is stored once.
# What the registry says of the workers must be as true: those of a process
# that has ended are finished.  Known to fail by: a plan that only the process
# knows that made it; a process that exits while a partial batch waits for the
# linger, or while only the record of the workers is under way; a client whose
# connection is closed before its answer.

use strict;
use warnings;

use lib 't/lib';

use EventSession;
use EventSession::Batch qw(array batch batch_bytes counted entry events);
use EventSession::BatchLoad;
use Test::More;

my $locations = <<'END';
    location = /events { eventsession batch; }
    location /session/ { eventsession session; }
    location = /workers { eventsession workers; }
    location = /feed { eventsession feed; }
END

my $t = EventSession->new;

killed();
reloaded();
quit_with_bodies_under_way();
quit_with_a_partial_batch();
redis_that_never_answers();
one_process_alone();

done_testing();


sub nginx {
    my (%options) = @_;

    return $t->nginx(locations => $locations, workers => 2, %options);
}


sub killed {
    my $redis = $t->redis(appendonly => 'yes');
    my $nginx = nginx(redis => $redis);
    my $load  = EventSession::BatchLoad->new($nginx, vanish => 25);

    for my $round (1 .. 3) {
        ok($load->run_acked(30), "bodies are accepted, round $round");

        # in the second round what is under way is carried out afterwards

        $redis->freeze, $load->run(0.2) if $round == 2;

        $nginx->kill9_worker;

        $redis->thaw if $round == 2;
    }

    ok($load->run_acked(30), 'and still');

    ok_answered($load);
    ok_kept($load);
    ok_counted($load, $redis);

    cmp_ok($load->dropped, '>', 0, 'clients had to come back');

    finish($nginx);
}


# Ten times, with bodies under way all the time.

sub reloaded {
    my $redis = $t->redis(appendonly => 'yes');
    my $nginx = nginx(redis => $redis);

    # an old worker closes connections on which nothing is under way, and what
    # is sent on one at that moment is lost

    my $load = EventSession::BatchLoad->new($nginx, close => 1);

    for my $round (1 .. 10) {
        $load->run_acked(8) or fail("no bodies are accepted in round $round");

        my %old = map { $_ => 1 } $nginx->workers;

        $nginx->signal('HUP');

        $load->run_until(sub {
            my @workers = $nginx->workers;

            @workers == 2 && !grep { $old{$_} } @workers;
        }) or fail("no new workers in round $round");
    }

    ok($load->run_acked(20), 'bodies are accepted over ten reloads');

    ok_answered($load);
    ok_kept($load);
    ok_counted($load, $redis);

    is($load->errors, 0, 'nobody was told to come again');
    is($load->dropped, 0, 'or sent away without an answer');

    # two processes of 15 workers are there, those of the others are finished

    ok((wait_for { scalar(open_workers($nginx)) == 30 } 20),
        'the workers of old processes are finished')
        or diag(scalar(open_workers($nginx)) . ' are not');

    my $all = $nginx->get('/workers')->json->{workers};

    is(scalar(@$all), 11 * 30, 'each has its record');

    my %n     = counted($nginx);
    my $count = 0;

    $count += $_ for values(%n);

    cmp_ok($count, '>=', scalar(events($nginx)),
        'their counts have all that is stored');

    finish($nginx);
}


sub open_workers {
    my ($nginx) = @_;

    my $workers = ($nginx->get('/workers')->json // {})->{workers} // [];

    return grep { !defined $_->{finished_at} } @$workers;
}


# Redis is slow, so that there are bodies in every stage.

sub quit_with_bodies_under_way {
    my $redis = $t->redis(appendonly => 'yes');
    my $nginx = nginx(redis => $redis);
    my $load  = EventSession::BatchLoad->new($nginx);
    my $port  = $nginx->port;

    ok($load->run_acked(30), 'bodies are accepted');

    $redis->freeze;
    $load->run(0.3);

    my @waiting = grep { $_->{body} } @{ $load->{all} };

    $nginx->signal('QUIT');
    $load->{ending} = 1;

    wait_for { $nginx->log =~ /gracefully shutting down/ };

    is($nginx->{process}->alive, 1, 'nginx waits for them');

    my $before = $load->acked;

    $redis->thaw;

    $load->run_until(sub { !grep { $_->{body} } @waiting });

    is($load->dropped, 0, 'nobody was sent away without his answer');
    is($load->acked - $before, scalar(@waiting), 'which is 200');

    is($nginx->quit, 0, 'nginx quits');
    ok_log($nginx);

    # the next one sees what there is, and the producers go on

    $nginx = nginx(redis => $redis, port => $port);

    $load->{nginx}  = $nginx;
    $load->{ending} = 0;

    ok($load->run_acked(30), 'they go on with the next nginx');
    ok_answered($load);
    ok_kept($load);
    ok_counted($load, $redis);

    finish($nginx);
}


# The linger is longer than the test would wait for anything else.

sub quit_with_a_partial_batch {
    my $nginx = nginx(workers => 1,
        http => 'eventsession_workers batch=1000 linger=1s;');

    for my $way (qw(reload quit)) {
        my @http = map { $nginx->connect } 1 .. 3;

        for my $n (0 .. 2) {
            $http[$n]->send(batch_bytes($http[$n],
                array(map { entry(timestamp => $_, data => qq("$way $n")) }
                    1 .. 20), key => "$way $n"));
        }

        is($nginx->get('/workers')->status, 200, "$way: partial batches wait");

        my ($old) = $nginx->workers;

        $way eq 'reload' ? $nginx->reload : $nginx->signal('QUIT');

        is($_->response->body, '{"accepted":20}',
            "$way: who waits for them has his answer") for @http;

        ok((wait_for { !-e "/proc/$old" } 20), 'and the old process ends');
    }

    ok_log($nginx);
}


# worker_shutdown_timeout is the end of all patience, in whichever stage a body
# is: what Redis knows of its key, of its chunks, or its events.

sub redis_that_never_answers {
    my $redis = $t->redis;
    my $nginx = nginx(redis => $redis, workers => 1,
        redis_options => 'command_timeout=60s',
        main => 'worker_shutdown_timeout 1s;',
        http => 'eventsession_timeout 60s;');

    my $body = array(map { entry(timestamp => $_, data => $_) } 1 .. 1003);

    for my $stage (qw(chunks events)) {
        $redis->freeze;

        my @http = map { $nginx->connect } 1 .. 4;

        for my $n (0 .. 3) {
            $http[$n]->send(batch_bytes($http[$n], $body,
                key => $n % 2 ? "$stage $n" : undef));
        }

        is($nginx->get('/events?limit=x')->status, 400, 'bodies are there');

        my ($old) = $nginx->workers;

        $nginx->reload;

        ok((wait_for { !-e "/proc/$old" } 10),
            "$stage: a Redis that never answers can not hold an old worker");

        isnt($_->response->status, 200, 'nor was anything accepted')
            for @http;

        $redis->thaw;

        # and one that did not come before knows the chunks

        is(batch($nginx, $body, key => "$stage $_")->body,
            '{"accepted":1003}', 'it is when it comes again') for 1, 3;
    }

    cmp_ok(scalar(events($nginx)), '>=', 4 * 1003, 'all are there');
    cmp_ok(scalar(events($nginx)), '<=', 6 * 1003,
        'and of those without a key what Redis was told');

    finish($nginx);
}


# "master_process off" is for who debugs: nginx ends at once there.

sub one_process_alone {
    my $redis = $t->redis;

    my $nginx = $t->nginx_unstarted(redis => $redis, locations => $locations);

    no warnings 'redefine';

    my $conf = \&EventSession::Nginx::conf;

    local *EventSession::Nginx::conf = sub {
        $conf->(@_) =~ s/^master_process on/master_process off/mr;
    };

    local *EventSession::Nginx::listening = sub {
        wait_for { eval { $nginx->connect } };
    };

    $nginx->start;

    my $body = array(map { entry(timestamp => $_) } 1 .. 103);

    is(batch($nginx, $body)->body, '{"accepted":103}', 'without a master');

    $redis->freeze;

    my $http = $nginx->connect;

    $http->send(batch_bytes($http, $body));
    is($nginx->get('/events?limit=x')->status, 400, 'a body is under way');

    is($nginx->quit, 0, 'it quits');
    is($http->response->status, 503, 'who waited is told');

    $redis->thaw;

    ok_log($nginx);
}


sub finish {
    my ($nginx) = @_;

    is($nginx->quit, 0, 'nginx quits');
    ok_log($nginx);
}
