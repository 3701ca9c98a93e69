# Why: a 201 means that Redis has the events, whatever happened on the way, and
# that they are there once; what Redis refuses, or has no room for, is told as
# not stored.  Known to fail by: a 201 before Redis has confirmed; an event that
# is there twice since it was sent again; one of two sessions that is refused,
# and forgotten; requests that wait for a slow Redis without a bound.

use strict;
use warnings;

use lib 't/lib';

use EventSession;
use EventSession::Track;
use IO::Select;
use Test::More;
use Time::HiRes qw(sleep);

my $t = EventSession->new;

# the details of problems

my $full   = qr/the store is too far behind, try again later/;
my $not    = qr/not stored: [^"]+, try again later/;


comes_back('restarted', sub { $_[0]->stop }, sub { $_[0]->start_again });
comes_back('frozen', sub { $_[0]->freeze }, sub { $_[0]->thaw });

refuses();
behind();

done_testing();


sub ok_unavailable {
    my ($res, $detail, $what) = @_;

    local $Test::Builder::Level = $Test::Builder::Level + 1;

    is($res->status . ' ' . ($res->header('Retry-After') // ''), '503 1',
        $what);
    is($res->header('Content-Type'), 'application/problem+json', 'a problem');
    like($res->body, qr/^\{"type":"about:blank","title":"Service Unavailable",/,
        'as such');
    like($res->body, qr/,"status":503,"detail":"$detail"\}$/, 'that says why');
}


sub ok_stored {
    my ($res, $what) = @_;

    local $Test::Builder::Level = $Test::Builder::Level + 1;

    is($res->status . ' ' . $res->body, '201 ' . shown(), $what);
}


# Sooner than anybody gives up: the answer is late, and right.

sub comes_back {
    my ($how, $leave, $come_back) = @_;

    my $redis = $t->redis(appendonly => 'yes');

    my $nginx = $t->nginx(
        redis         => $redis,
        redis_options => 'command_timeout=1s reconnect=50ms:300ms',
        http          => track_conf() . 'eventsession_timeout 60s;'
                         . 'eventsession_application_grace 1h;');

    my $feed = $nginx->sse('/database_events', timeout => 60);

    is($feed->opened, 200, 'the feed');

    my @all = map { $nginx->connect(timeout => 60) } 1 .. 20;

    ok_stored(track($all[0], fields()), "$how: there");
    $leave->($redis);

    my $others = join(',', map { fields(session_id => '"' . uuid() . '"') }
        1 .. 50);

    $_->send(track_bytes($_, fields()) . track_bytes($_, "[$others]"))
        for @all;
    sleep(0.5);

    is(scalar(grep { IO::Select->new($_->socket)->can_read(0) } @all), 0,
        "$how: nobody is answered");

    $come_back->($redis);

    ok_stored($_->response, "$how: late, but stored") for @all;
    is($_->response->status, 201, "$how: so are the ones behind") for @all;

    is($redis->cli('ZCARD', 'es:{' . SID . '}'), 21, "$how: each of them once");
    is_deeply([ map { $redis->cli('ZCARD', "es:{$_}") }
        $others =~ /"session_id":"([^"]+)"/g ], [ (20) x 50 ],
        "$how: in each session");

    my %ids;

    $ids{ $_->{id} }++ for $feed->events(1 + 20 * 51);
    is(scalar(keys(%ids)), 1 + 20 * 51, "$how: and on the feed");

    $feed->abort;
    $_->close for @all;
    is($nginx->quit, 0, "$how: nginx quits");
    ok_log($nginx);
}


# It answers, but takes nothing.

sub refuses {
    my $redis = $t->redis;
    my $sid   = uuid();

    my $nginx = $t->nginx(redis => $redis,
        http => track_conf() . 'eventsession_timeout 500ms;');

    my $http = $nginx->connect(timeout => 30);

    ok_stored(track($http, fields()), 'it takes one');
    $redis->cli('CONFIG', 'SET', 'maxmemory', 1);
    ok_unavailable(track($http, fields()), $not, 'its memory is used up');
    $redis->cli('CONFIG', 'SET', 'maxmemory', 0);
    ok_stored(track($http, fields()), 'it takes one again');
    is($redis->cli('ZCARD', 'es:{' . SID . '}'), 2, 'and only these');

    # a key of somebody else's: all is told as not stored

    $redis->cli('SET', "es:{$sid}", 'a string');
    ok_unavailable(track($http, '[' . fields() . ','
        . fields(session_id => qq("$sid")) . ']'), $not,
        'one of two sessions is refused');
    ok_unavailable(track($http, '[' . fields(session_id => qq("$sid")) . ','
        . fields() . ']'), $not, 'in any order');
    is($redis->cli('GET', "es:{$sid}"), 'a string', 'it is as it was');
    ok_stored(track($http, fields()), 'others go on');

    $http->close;
    is($nginx->quit, 0, 'nginx quits');
    ok_log($nginx);
}


# More comes in than Redis takes: it is told at once, and costs no memory.

sub behind {
    my $redis = $t->redis;

    my $nginx = $t->nginx(redis => $redis, http => track_conf() . <<END);
        eventsession_timeout 60s;
        eventsession_application_grace 1h;
        eventsession_max_inflight 256k;
END

    my $large = fields(data => '"' . 'x' x 60_000 . '"');
    my @all   = map { $nginx->connect(timeout => 60) } 1 .. 20;
    my $last  = pop(@all);

    ok_stored(track($last, fields()), 'it takes one');
    $redis->freeze;
    $_->send(track_bytes($_, $large)) for @all;

    my $res;

    # until those have been read

    ok((wait_for {
        $last->send(track_bytes($last, fields(), app => 'x'));
        $res = $last->response;
        scalar(grep { IO::Select->new($_->socket)->can_read(0) } @all);
    }), 'some are refused at once');

    ok_unavailable(track($last, fields()), $full, 'and so is the next');

    $redis->thaw;

    my %status;

    $status{ $_->response->status }++ for @all;

    cmp_ok($status{201} // 0, '>', 0, 'those that had room are stored');
    is(($status{201} // 0) + ($status{503} // 0), 19, 'others are refused');
    ok((wait_for { track($last, fields())->status == 201 }), 'it takes more');
    cmp_ok($redis->cli('ZCARD', 'es:{' . SID . '}'), '==',
        2 + $status{201}, 'as it said');

    $_->close for @all, $last;
    is($nginx->quit, 0, 'nginx quits');
    ok_log($nginx);
}
