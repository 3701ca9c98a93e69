# Why: shapes of bodies and moments that POST /events once handled badly.
# Known to fail by: a feed whose messages are counted by the average event; a
# timestamp that lies on the stack of who has returned; events on the feed that
# were never stored; a location that waits for as long as its neighbour does; a
# process that ends with a partial batch in its hands, and tells nobody; a
# command for each event of a session that comes by turns to all shards.

use strict;
use warnings;

use lib 't/lib';

use EventSession;
use EventSession::Session;
use EventSession::SSE;
use Test::More;
use Time::HiRes qw(time);

my $t = EventSession->new;

large_events_on_the_feed();
session_and_no_timestamp();
feed_of_what_is_stored();
neighbours_of_other_patience();
partial_batch_at_the_end();
session_over_all_shards();

done_testing();


sub nginx {
    my (%options) = @_;

    my $more = delete $options{more} // '';

    return $t->nginx(
        locations => <<END . $more,
            location = /events { eventsession batch; }
            location /session/ { eventsession session; }
            location = /workers { eventsession workers; }
            location = /feed { eventsession feed; }
END
        %options);
}


sub post {
    my ($nginx, $body, @headers) = @_;

    return $nginx->request('POST', '/events', body => $body,
        headers => [ 'Content-Type: application/json', @headers ]);
}


# An entry of the feed takes 8 KB of events, or one: of events of 5 KB as many
# entries as there are events.

sub large_events_on_the_feed {
    my $redis = $t->redis;
    my $nginx = nginx(redis => $redis, server => 'client_max_body_size 8m;');

    my @sizes = (5000) x 300;
    push(@sizes, 8100, 10, 8100, 10, 60_000, 1, 1, 1, (4000, 4300) x 100);

    my $feed = $nginx->sse('/feed');

    is($feed->opened && $feed->status, 200, 'a feed');

    my $res = post($nginx, '[' . join(',', map { '{"data":"' . $_ x 1 . ':'
        . 'x' x $sizes[$_] . '"}' } 0 .. $#sizes) . ']');

    is($res->body, '{"accepted":' . @sizes . '}', 'large events are stored');

    my %seen;

    for (@sizes) {
        my $event = $feed->next or last;

        my ($n, $x) = $event->{data} =~ /"data":"(\d+):(x+)"/ or last;

        $seen{$n}++ if length($x) == $sizes[$n];
    }

    is(scalar(keys(%seen)), scalar(@sizes), 'and each is on the feed');

    finish($nginx);
}


sub session_and_no_timestamp {
    my $nginx = nginx();
    my $sid   = uuid();

    for my $key ('', 'Idempotency-Key: 1') {
        my $before = time() - 2;

        is(post($nginx, qq([{"session_id":"$sid","name":"a"}]),
            $key ne '' ? $key : ())->status, 200, 'an event of no timestamp');

        my $tree = $nginx->get("/session/$sid")->json;
        my $got  = $tree ? $tree->{children}[-1]{timestamp} : undef;

        like($got, qr/^2\d\d\d-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}Z$/,
            'its session has the time when it came');
    }

    my $all = $nginx->get('/events')->json // [];

    is_deeply([ map { $_->{timestamp} } @$all ],
        [ map { $_->{timestamp} }
          @{ $nginx->get("/session/$sid")->json->{children} } ],
        'the same as where batches are read');

    finish($nginx);
}


# The chunk of one shard can't be written.

sub feed_of_what_is_stored {
    my $redis = $t->redis;
    my $nginx = nginx(redis => $redis);
    my $feed  = $nginx->sse('/feed');
    my $sid   = uuid();
    my $body  = '[' . join(',', map { qq({"timestamp":$_,"data":$_}) } 1 .. 99)
                . qq(,{"timestamp":3,"session_id":"$sid","data":100}]);

    ok($feed->opened, 'a feed');

    $redis->cli('SET', 'es:{s03}:batch:0', 'no sorted set');

    is(post($nginx, $body, 'Idempotency-Key: a')->status, 503,
        'a body is not stored as a whole');

    is(post($nginx, '[{"timestamp":1,"data":"mark"}]')->status, 200,
        'another one is');

    my @before = grep { $_ ne '100' } until_mark($feed);

    is(join(' ', @before), '', 'the feed has only what is stored');

    $redis->cli('DEL', 'es:{s03}:batch:0');

    is(post($nginx, $body, 'Idempotency-Key: a')->body, '{"accepted":100}',
        'the first one comes again');
    is(post($nginx, '[{"timestamp":1,"data":"mark"}]')->status, 200, 'a mark');

    is(join(' ', sort { $a <=> $b } grep { $_ ne '100' } until_mark($feed)),
        join(' ', 1 .. 99), 'and is on the feed, once');

    is(scalar(@{ $nginx->get('/events')->json }), 102, 'as it is stored');

    finish($nginx);
}


# The data of what is on the feed up to the mark.

sub until_mark {
    my ($feed) = @_;

    my @data;

    while (my $event = $feed->json) {
        return @data if $event->{data} eq 'mark';

        push(@data, $event->{data});
    }

    return (@data, 'no mark');
}


# With the same settings, but for the time that a client waits.

sub neighbours_of_other_patience {
    my $redis = $t->redis;
    my $nginx = nginx(redis => $redis, redis_options => 'command_timeout=20s',
        http => 'eventsession_timeout 20s;', more => <<'END');
            location = /hasty {
                eventsession batch;
                eventsession_timeout 300ms;
            }
            location = /first {
                eventsession batch;
                eventsession_timeout 200ms;
            }
END
    my $body = '[{"timestamp":1}]';

    is(post($nginx, $body)->status, 200, 'chunks are known');

    $redis->freeze;

    my @http = map {
        my $http = $nginx->connect;
        $http->send($http->text_of('POST', $_, body => $body,
            headers => [ 'Content-Type: application/json' ]));
        $http;
    } qw(/events /hasty /first);

    is($http[$_]->response->status, 503, 'who has no patience is told')
        for 1, 2;

    $redis->thaw;

    is($http[0]->response->body, '{"accepted":1}', 'who has waits');

    finish($nginx);
}


sub partial_batch_at_the_end {
    my $redis = $t->redis;
    my $nginx = nginx(redis => $redis,
        http => 'eventsession_workers batch=10 linger=60s;');

    my @body = map { '[' . join(',', ('{"timestamp":1}') x $_) . ']' } 9, 10;

    is(post($nginx, $body[1])->status, 200, 'a batch leaves at once');

    my $http = $nginx->connect;

    $http->send($http->text_of('POST', '/events', body => $body[0],
        headers => [ 'Content-Type: application/json' ]));

    # which is there, as what comes behind it is answered

    is($nginx->get('/workers')->status, 200, 'less than a batch waits');

    $nginx->terminate;

    my $res = $http->response;

    is($res->status, 503, 'who waits for it is told when nginx ends');
    like($res->body, qr/shutting down/, 'why');
    ok_log($nginx);
}


sub session_over_all_shards {
    my $redis = $t->redis;
    my $nginx = nginx(redis => $redis);
    my @sids  = map { uuid() } 1 .. 2;

    is(post($nginx, '[' . join(',', map { my $n = $_; map {
            qq({"timestamp":$n,"session_id":"$_","name":"a"})
        } @sids } 1 .. 500) . ']')->body, '{"accepted":1000}',
        'events of two sessions, by turns, and by turns in each shard');

    my ($calls) = $redis->cli('INFO', 'commandstats')
        =~ /^cmdstat_sadd:calls=(\d+)/m;

    is($calls, 10, 'where they are is told once a session and shard');

    finish($nginx);
}


sub finish {
    my ($nginx) = @_;

    is($nginx->quit, 0, 'nginx quits');
    ok_log($nginx);
}
