# Why: load balancers send clients where /ready is 200 and restart what
# /healthcheck does not answer (contract, section 7): the one must tell Redis'
# state as it is, with the reason, the other must not care.  Known to fail by:
# a ready that is answered from memory, one that waits as long as clients do,
# pings that pile up, a client that leaves before its answer came.

use strict;
use warnings;

use lib 't/lib';

use EventSession;
use Test::More;
use Time::HiRes qw(time sleep);


my $t     = EventSession->new;
my $redis = $t->redis->stop;
my $other = $t->redis;
my $nginx = $t->nginx(redis => $redis, redis_options => 'reconnect=20ms:100ms',
    locations => <<END);
    include $EventSession::root/conf/eventsession.conf;

    location = /other/ready {
        eventsession ready;
        eventsession_redis @{[ $other->url ]};
    }

    location = /quick/ready {
        eventsession ready;
        eventsession_timeout 200ms;
    }
END


sub is_ready {
    my ($path, $name) = @_;

    local $Test::Builder::Level = $Test::Builder::Level + 1;

    my $res = $nginx->get($path);

    is(join(' ', $res->status, $res->header('Content-Type'),
        $res->header('Content-Length'), $res->body),
        '200 text/plain 2 OK', $name);
}


sub is_unready {
    my ($path, $reason, $name) = @_;

    local $Test::Builder::Level = $Test::Builder::Level + 1;

    my $res = $nginx->get($path);

    is(join(' ', $res->status, $res->header('Content-Type'),
        $res->header('Retry-After'), $res->body),
        '503 application/problem+json 1 {"type":"about:blank",'
        . '"title":"Service Unavailable","status":503,"detail":"'
        . $reason . '"}', $name);

    my $head = $nginx->request('HEAD', $path);

    is(join(' ', $head->status, $head->header('Content-Type'),
        $head->header('Content-Length'), $head->body),
        '503 application/problem+json ' . length($res->body) . ' ',
        'HEAD as GET');
}


# How long it takes, in seconds.

sub lasts(&) {
    my ($code) = @_;

    my $begin = time();

    $code->();

    return time() - $begin;
}


# Redis is not there yet

is_unready('/ready', 'Redis has not answered yet', 'not ready before Redis is');
is_ready('/healthcheck', '/healthcheck does not care');
ok((wait_for { $nginx->get('/other/ready')->status == 200 }),
    'another Redis is another question');
is_unready('/ready', 'Redis has not answered yet', 'and no answer to this one');

$redis->start_again;

ok((wait_for { $nginx->get('/ready')->status == 200 }), 'Redis has come');
is_ready('/ready', 'so nginx is ready');

my $head = $nginx->request('HEAD', '/ready');

is(join(' ', $head->status, $head->header('Content-Type'),
    $head->header('Content-Length'), $head->body), '200 text/plain 2 ',
    'HEAD as GET');


# Redis stands still: its connection is open, and of no use

$redis->freeze;

my $seconds = lasts {
    is_unready('/quick/ready', 'Redis does not answer', 'a frozen Redis');
};

cmp_ok($seconds, '<', 4 * slow(), 'after eventsession_timeout');

$seconds = lasts { is($nginx->get('/ready')->status, 503, 'not ready') };

cmp_ok($seconds, '>', 0.9, 'without a shorter one Redis has a second');
cmp_ok($seconds, '<', 2 * slow(), 'and not more');

is_ready('/other/ready', 'the other Redis is ready all the time');

$seconds = lasts { is_ready('/healthcheck', 'and nginx is well') };

cmp_ok($seconds, '<', 0.5 * slow(), 'at once');


# many who ask, and leave before they are answered

my ($worker) = $nginx->workers;
my $files    = $nginx->open_files($worker);
my @clients  = map { $nginx->connect } 1 .. 200;

$_->send($_->text_of('GET', '/ready')) for @clients;
sleep(0.1);
$_->close for @clients[0 .. 99];

my %answers;

$answers{ $_->response->status }++ for @clients[100 .. 199];
$_->close for @clients[100 .. 199];

is_deeply(\%answers, { 503 => 100 }, '100 of 200 wait, and are told');
ok((wait_for { $nginx->open_files($worker) <= $files }),
    'nothing is left of the others');


# it goes on, in the middle of a question

my $asked = $nginx->connect;

$asked->send($asked->text_of('GET', '/ready'));
sleep(0.2);
$redis->thaw;

ok((wait_for { $nginx->get('/ready')->status == 200 }), 'Redis goes on');
isnt($asked->response->status, 0, 'who asked before is answered, too');

for my $turn (1 .. 3) {
    $redis->kill9;
    ok((wait_for { $nginx->get('/ready')->status == 503 } 2),
        "Redis is killed, turn $turn");
    is_unready('/ready', 'Redis does not answer', 'that is the reason');
    is_ready('/healthcheck', '/healthcheck does not care');
    $redis->start_again;
    ok((wait_for { $nginx->get('/ready')->status == 200 }), 'and is back');
}

is(($nginx->workers)[0], $worker, 'it is the same worker all the time');

$nginx->quit;
ok_log($nginx);
done_testing();
