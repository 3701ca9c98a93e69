# Why: most clients are browsers and Node, and npm's ws is the client that the
# most of them have.  Our own test client and our server could agree on a
# misreading of RFC 6455; ws would not.  Known to fail by: an extension or a
# subprotocol that is answered without having been offered; a close frame that
# ws takes for an abnormal end, 1006.

use strict;
use warnings;

use lib 't/lib';

use EventSession;
use EventSession::Node;
use JSON::PP ();
use Test::More;

my $missing = EventSession::Node->missing;

plan(skip_all => $missing) if $missing;

my $t     = EventSession->new;
my $nginx = $t->nginx;


sub run_client { [ EventSession::Node->run('session.js', @_) ] }


# the eventservice's own example

my $sid = '0d856b46-48cd-4fba-946b-53d15b7b43e0';
my $at  = 'ws://127.0.0.1:' . $nginx->port;

my $message = JSON::PP->new->canonical->encode([
    { timestamp => 1624422533298, type => 'SESSION_START',
      session_id => $sid },
    (map { { timestamp => 1624422533298, type => 'EVENT', name => $_ } }
        qw(event2 test event2)),
    { timestamp => 1624422533298, type => 'SESSION_END', session_id => $sid },
]);

is_deeply(run_client("$at/ws?sessionId=$sid", $message), [
    { open    => 'eventsession.v1' },
    { message => '{"ack":1,"events":5}' },
    { message => '{"message":"bye"}' },
    { close   => 1000 },
], 'a session from START to END');

is($nginx->get("/session/$sid")->body,
    '{"type":"SESSION","start":1624422533298,"end":1624422533298,"children":['
    . join(',', map { '{"type":"EVENT","timestamp":1624422533298,'
        . qq("name":"$_"}) } qw(event2 test event2)) . ']}',
    'is kept in order of arrival');


# a message that ws sends with a 64-bit length

my $long = uuid();

my $many = JSON::PP->new->canonical->encode([
    map({ { timestamp => $_, type => 'EVENT', name => "n$_" } } 1 .. 2000),
    { timestamp => 3000, type => 'SESSION_END' },
]);

cmp_ok(length($many), '>', 65535, 'a long message');

is_deeply(run_client("$at/ws?sessionId=$long", $many), [
    { open    => 'eventsession.v1' },
    { message => '{"ack":1,"events":2001}' },
    { message => '{"message":"bye"}' },
    { close   => 1000 },
], 'is taken');

is(scalar(@{ $nginx->get("/session/$long")->json->{children} }), 2000,
    'whole');


# refusals as ws sees them

is_deeply(run_client("$at/ws?sessionId=abc"), [
    { open    => 'eventsession.v1' },
    { message => '{"error":"param sessionId must be a UUID: abc"}' },
    { close   => 1008 },
], 'a malformed id: said, and 1008');

$nginx->quit;
ok_log($nginx);
done_testing();
