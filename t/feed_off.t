# Why: the feed's stream costs Redis memory and time, so that those who have no
# feed must not pay for one, and those who have must not miss what is written
# elsewhere.  eventsession_feed says whether a location's events are on it;
# unless it is said, they are where this configuration has a feed of the same
# Redis and prefix.  Known to fail by: a default that looks at the location's
# own server alone; off that is inherited by nobody; a feed that shows what
# was not to be on it.

use strict;
use warnings;

use lib 't/lib';

use EventSession;
use EventSession::Session;
use Test::More;

use constant STREAM => 'es:{feed}:stream';

my $t     = EventSession->new;
my $redis = $t->redis;

my $ws   = 'location = /ws { eventsession ws; }';
my $feed = 'location = /database_events { eventsession feed; }';


is(writes($ws), 0, 'no feed, no stream');
is(writes("$ws $feed"), 1, 'a feed in the same server');
is(writes($ws, http => "server { listen 127.0.0.1:@{[ free() ]}; $feed }"), 1,
    'a feed in another server');

is(writes($ws, http => 'eventsession_feed on;'), 1, 'on, for a feed elsewhere');
is(writes("$ws $feed", http => 'eventsession_feed off;'), 0, 'off');
is(writes("$ws $feed", server => 'eventsession_feed off;'), 0,
    'off in the server');
is(writes("location = /ws { eventsession ws; eventsession_feed off; } $feed"),
    0, 'off in a location');
is(writes("location = /ws { eventsession ws; eventsession_feed on; } $feed",
    http => 'eventsession_feed off;'), 1, 'on in a location');

is(writes("$ws location = /database_events { eventsession feed;"
    . ' eventsession_prefix other:; }'), 0, 'a feed of another prefix');

my $other = $t->redis;

is(writes("$ws location = /database_events { eventsession feed;"
    . ' eventsession_redis ' . $other->url . '; }'), 0,
    'a feed of another Redis');
is($other->cli('DBSIZE'), 0, 'which has nothing of it');

is(writes("location = /ws { eventsession ws; eventsession_prefix a:; } $feed",
    http => 'eventsession_feed on;'), 0, 'not in a stream of another prefix');


# some are on it and some aren't, in one process

my $nginx = $t->nginx(redis => $redis, locations => <<END);
    $ws $feed
    location = /quiet { eventsession ws; eventsession_feed off; }
END

my $sse = $nginx->sse('/database_events');

is($sse->opened, 200, 'a subscriber');

my ($loud, $quiet) = map { $nginx->ws("$_?ack=1&sessionId=" . uuid()) }
    qw(/ws /quiet);

for my $n (1 .. 50) {
    $quiet->text('[' . event($n, "quiet$n") . ']');
    $loud->text('[' . event($n, "loud$n") . ']');
}

is(join(' ', map { $_->{event_name} } $sse->json_until('loud50')),
    join(' ', map { "loud$_" } 1 .. 50), 'is told of those alone');
is(scalar($quiet->messages(50)), 50, 'while all are stored');

$_->abort for $sse, $loud, $quiet;

is($nginx->quit, 0, 'nginx quits');
ok_log($nginx);
done_testing();


# How many entries the stream has once an event is acknowledged.

sub writes {
    my ($locations, %options) = @_;

    $redis->cli('FLUSHALL');

    my $nginx = $t->nginx(redis => $redis, locations => $locations, %options);
    my $sid   = uuid();

    store($nginx, $sid, event(1, 'a'))->abort;

    $nginx->quit;

    my ($bad) = $nginx->bad_log;
    fail("log: $bad") if $bad;

    return $redis->cli('XLEN', STREAM);
}


sub free { EventSession::Redis::free_port() }
