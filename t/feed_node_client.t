# Why: programs follow the feed with npm's EventSource, which reads the
# standard as its authors do, not as ours.  It has to come through a reload and
# the death of Redis with every event once, by the id that it was told.  Known
# to fail by: a 503 while Redis is away, after which an EventSource never comes
# back; ids that it doesn't give back as they were; a stream that is cut
# instead of ended.

use strict;
use warnings;

use lib 't/lib';

use EventSession;
use EventSession::Node;
use EventSession::Session;
use JSON::PP ();
use Test::More;

my $missing = EventSession::Node->missing;

plan(skip_all => $missing) if $missing;

my $t     = EventSession->new;
my $redis = $t->redis(appendonly => 'yes');
my $nginx = $t->nginx(redis => $redis, workers => 2);
my $sid   = uuid();
my $count = 0;

# that is not reloaded: it takes what comes at any time

my $writer = $t->nginx(redis => $redis);

my @clients = map { EventSession::Node->start($t->folder('node'), 'feed.js',
    'http://127.0.0.1:' . $nginx->port . '/database_events' . $_) }
    '', "?sessionId=$sid";


ok((wait_for { 2 == grep { opened($_) == 1 } @clients } 20),
    'two clients are connected');

write_events(50);
is_deeply([ map { said_last($_) } @clients ], [ ($count) x 2 ],
    'and are told of events');


# a reload: ended, and back with the last id

$nginx->reload;
write_events(50);

ok((wait_for { 2 == grep { opened($_) == 2 } @clients } 20),
    'both come back after a reload');

write_events(50);


# Redis dies and comes back: nobody is disconnected

$redis->kill9;
$redis->start_again;
write_events(50);

wait_for { 2 == grep { (said_last($_) // 0) == $count } @clients } 10;

for my $client (@clients) {
    my @lines    = $client->lines;
    my @messages = grep { $_->[0] eq 'message' } @lines;

    is(join(' ', map { name($_) } @messages), join(' ', 1 .. $count),
        'every event once, in order, to the end');

    my %ids = map { $_->[1] => 1 } @messages;

    is(scalar(keys(%ids)), $count, 'each with an id of its own');
    is((grep { $_->[3] ne 'message' } @messages) . ' others', '0 others',
        'of the type "message"');

    is(opened($client), 2, 'it was disconnected by the reload alone');
    is((grep { $_->[0] eq 'gap' } @lines) . ' gaps', '0 gaps',
        'and has missed nothing');

    $client->stop;
}


# an id that was never given is the client's fault: it doesn't try again

my $lost = EventSession::Node->start($t->folder('node'), 'feed.js',
    'http://127.0.0.1:' . $nginx->port . '/database_events?lastEventId=1');

ok((wait_for { grep { $_->[0] eq 'error' } $lost->lines } 20),
    'a made-up id is an error');
is_deeply([ $lost->lines ], [ [ 'error', 2, 400 ] ], 'for good');

$lost->stop;

for ($nginx, $writer) {
    is($_->quit, 0, 'nginx quits');
    ok_log($_);
}

done_testing();


sub write_events {
    my ($n) = @_;

    store($writer, $sid, map { [ event($_, $_) ] } $count + 1 .. $count + $n)
        ->abort;

    $count += $n;

    wait_for { 2 == grep { (said_last($_) // 0) == $count } @clients } 2;
}


sub opened { scalar(grep { $_->[0] eq 'open' } $_[0]->lines) }


sub said_last {
    my ($client) = @_;

    my @messages = grep { $_->[0] eq 'message' } $client->lines;

    return @messages ? name($messages[-1]) : undef;
}


sub name { JSON::PP::decode_json($_[0][2])->{event_name} }
