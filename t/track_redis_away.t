# Why: an application must not be left hanging, nor be told that something is
# stored which isn't: a Redis that is away costs it the configured time, then
# 503 with Retry-After, and needs nobody's hand when it is back.  Known to fail
# by: requests that wait for ever; a stranger who is let in, or is told that he
# is one, when that can't be known; a fault that is told only when Redis is
# there.

use strict;
use warnings;

use lib 't/lib';

use EventSession;
use EventSession::Track;
use Test::More;
use Time::HiRes qw(time sleep);

my $t = EventSession->new;

# the details of problems

my $unsure = qr/the application can't be looked up, try again later/;
my $not    = qr/not stored: [^"]+, try again later/;


stays_away('killed', sub { $_[0]->kill9 }, sub { $_[0]->start_again });
stays_away('frozen', sub { $_[0]->freeze }, sub { $_[0]->thaw });

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


# Longer than anybody waits.

sub stays_away {
    my ($how, $leave, $come_back) = @_;

    my $redis = $t->redis(appendonly => 'yes');
    my %app   = map { $_ => uuid() } qw(theirs revoked unknown);
    my $grace = 5 + slow();

    my $nginx = $t->nginx(
        redis         => $redis,
        redis_options => 'connect_timeout=300ms command_timeout=300ms '
                         . 'reconnect=50ms:300ms',
        http          => track_conf() . <<END);
        eventsession_application $app{revoked} revoked;
        eventsession_application_cache 500ms;
        eventsession_application_grace ${grace}s;
        eventsession_timeout 500ms;
END

    $redis->cli('HSET', 'es:apps', $app{theirs}, 'theirs', $app{revoked}, '');

    my $http = $nginx->connect(timeout => 30);

    ok_stored(track($http, fields(), app => $_), "$how: trusted")
        for APP, $app{theirs};
    is(track($http, fields(), app => $app{revoked})->body, NOT_FOUND,
        "$how: not trusted");

    $leave->($redis);

    my $left = time();

    sleep(0.6);

    is(track($http, fields(name => undef))->body, fault(name => REQUIRED),
        "$how: a fault is told");
    is(track($http, '[]')->body, '[]', "$how: nothing is to be stored");
    ok_unavailable(track($http, fields(), app => $_), $not, "$how: known")
        for APP, $app{theirs};
    is(track($http, fields(), app => $app{revoked})->body, NOT_FOUND,
        "$how: known as revoked");
    ok_unavailable(track($http, fields(), app => $app{unknown}),
        $unsure, "$how: not known");

    # when the grace is over, nobody is known

    if ($how eq 'killed') {
        my $rest = $left + $grace + 0.2 - time();

        sleep($rest) if $rest > 0;

        ok_unavailable(track($http, fields(), app => $_), $unsure,
            "$how: known too long ago") for APP, $app{theirs}, $app{revoked};
    }

    $come_back->($redis);
    ok((wait_for { $nginx->get('/ready')->status == 200 } 20), "$how: is back");

    # the answer to a question of the time before may take a moment

    my $tries = 0;

    ok((wait_for { $tries++; track($http, fields())->status == 201 }),
        "$how: at work");
    ok_stored(track($http, fields(), app => $_), "$how: trusted again")
        for APP, $app{theirs};
    is(track($http, fields(), app => $app{$_})->body, NOT_FOUND,
        "$how: $_, as before") for qw(revoked unknown);

    # of those that were told 503, nobody knows

    my $count = $redis->cli('ZCARD', 'es:{' . SID . '}');

    cmp_ok($count, '>=', 5, "$how: what was acknowledged is there");
    cmp_ok($count, '<=', 6 + $tries, "$how: and nothing twice");

    $http->close;
    is($nginx->quit, 0, "$how: nginx quits");
    ok_log($nginx);
}
