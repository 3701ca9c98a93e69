# Why: over HTTP/1.1 a browser has six connections to a site, and six pages
# with a feed use them up; over HTTP/2 all share one.  There a stream is ended,
# not a connection closed, and nothing tells an idle stream that the worker
# quits.  Known to fail by: streams that hold an old worker until its timeout;
# END_STREAM that never comes, which curl calls an error; events that wait
# until a frame is full; one slow stream that holds up the others.

use strict;
use warnings;

use lib 't/lib';

use EventSession;
use EventSession::Node;
use EventSession::Process;
use EventSession::Session;
use EventSession::SSE;
use Test::More;

use constant FEED => '/database_events';

my $missing = EventSession::Node->missing;

plan(skip_all => $missing) if $missing;

my $t     = EventSession->new;
my $redis = $t->redis(appendonly => 'yes');
my $nginx = $t->nginx(redis => $redis, listen => 'http2 sndbuf=64k',
    http => 'eventsession_feed_ping 300ms; eventsession_feed_buffer 256k;');

# WebSockets want HTTP/1.1

my $writer = $t->nginx(redis => $redis, http => 'eventsession_feed on;');
my $ws     = $writer->ws('/ws?ack=1&sessionId=' . uuid());
my $count  = 0;

my ($pid) = $nginx->workers;


# headers

my ($status, $out) = wait_curl(curl('-I', FEED));

is($status, 0, 'HEAD');
like($out, qr{^HTTP/2 200 \r\n}, 'over HTTP/2');
like($out, qr/^content-type: text\/event-stream\r$/m, 'the type');
like($out, qr/^cache-control: no-cache\r$/m, 'not to be cached');
like($out, qr/^x-accel-buffering: no\r$/m, 'nor kept by a proxy');
unlike($out, qr/^(?:transfer-encoding|connection|content-length)/m,
    'and none that HTTP/2 has not');

($status, $out) = wait_curl(curl('-i', FEED . '?lastEventId=1'));
like($out, qr{^HTTP/2 400 .*"status":400}s, 'refusals, too');


# a stream, and many of them on one connection

my $one = curl('-i', FEED);

my $many = EventSession::Node->start($t->folder('node'), 'http2.js',
    'http://127.0.0.1:' . $nginx->port, FEED,
    map { FEED . '?name=n' . ($_ % 2) } 1 .. 9);

ok((wait_for { output($one) =~ /^retry: \d+\nid: /m }),
    'headers come at once');
ok((wait_for { 10 == grep { $_->[1] eq 'open' && $_->[2] == 200 }
    $many->lines }), 'on each of many streams');
is(sockets($nginx->port), 3, 'of one connection');

write_events(4);
ok((wait_for { seen($one) == 4 }), 'events come when they are there');

wait_for { (() = told($many, 0 .. 9) =~ /event_id/g) == 4 + 9 * 2 };

is(told_names($many, 0), 'n1 n0 n1 n0', 'on each stream');
is(join(' ', map { told_names($many, $_) } 1, 2), 'n1 n1 n0 n0',
    'what it wants');
ok((wait_for { (() = output($one) =~ /^:/mg) >= 2 }), 'and so do pings');


# a reload: each stream ended, the connections closed, no worker left

$nginx->reload;

is((wait_curl($one))[0], 0, 'a reload ends a stream');
ok((wait_for { grep { $_->[0] eq 'closed' } $many->lines }),
    'and closes a connection with many');

is(join(' ', map { said($many, $_) } 0 .. 9),
    join(' ', ('open end close-0') x 10), 'all of which have ended well');
is(join(' ', map { $_->[1] } grep { $_->[0] eq 'goaway' } $many->lines), '0',
    'without an error');

$many->stop;

ok((wait_for { !-e "/proc/$pid" } 5), 'and the old worker leaves');


# back with an id

my @ids = output($one) =~ /^id: (\S+)\nevent: /mg;

is(scalar(@ids), 4, 'each event had its id');

write_events(2);

my $back = curl('-H', "Last-Event-ID: $ids[1]", FEED);

ok((wait_for { seen($back) == 4 }), 'one comes back');
is(join(' ', output($back) =~ /"event_name":"(\w+)"/g), 'n1 n0 n1 n0',
    'and gets what came since');


# Redis dies

$redis->kill9->start_again;
write_events(1);

ok((wait_for { seen($back) == 5 }), 'a restart of Redis is not noticed');


# one that does not read holds up itself

($pid) = $nginx->workers;

my $before = $nginx->rss($pid);
my $slow   = curl('--limit-rate', 100, FEED);

ok((wait_for { output($slow) ne '' || sockets($nginx->port) >= 3 }),
    'a slow one');

# the other one is not to be cut for a machine that has no time for it

my $big  = '"' . 'x' x 1000 . '"';
my $lost = 0;

for my $round (1 .. 50) {
    store($ws, '', (map { event($_, 'big', data => $big) } 1 .. 199),
        event(1, "round$round"));

    $lost++ if !wait_for { ends_with($back, qr/"event_name":"round$round"/) };
}

is($lost, 0, 'the other one has all events');
is(seen($back), 5 + 50 * 200, 'each of them');

cmp_ok($nginx->peak($pid) - $before, '<', ($ENV{EVS_SANITIZE} ? 400 : 8) << 20,
    'and the worker has not kept them');


# those who go away are noticed

$_->end('KILL') for map { $_->{process} } $slow, $back;

ok((wait_for { sockets($nginx->port) == 1 }), 'who goes is noticed');
ok((wait_for { $redis->cli('CLIENT', 'LIST') !~ /\bcmd=xread\b/ }),
    'and nobody waits for events any more');

is(join(' ', $nginx->workers), $pid, 'all that by one worker');

$ws->abort;

for ($nginx, $writer) {
    is($_->quit, 0, 'nginx quits');
    ok_log($_);
}

done_testing();


sub curl {
    my (@arguments) = @_;

    my $dir = $t->folder('curl');
    my $at  = 'http://127.0.0.1:' . $nginx->port;

    my @command = map { m{^/} ? "$at$_" : $_ } @arguments;

    return {
        output  => "$dir/output",
        process => EventSession::Process->spawn([ 'curl', '-sS', '-N',
            '--noproxy', '*', '--http2-prior-knowledge', '--max-time',
            60 * slow(), @command ], output => "$dir/output"),
    };
}


sub output { EventSession::Redis::slurp($_[0]{output}) }

sub seen { scalar(() = output($_[0]) =~ /^data: \{"event_id"/mg) }


# What the streams of a connection were told.

sub told {
    my ($node, @streams) = @_;

    my %wanted = map { $_ => 1 } @streams;

    return join('', map { $_->[2] } grep { $wanted{ $_->[0] }
        && $_->[1] eq 'data' } $node->lines);
}


sub told_names {
    my ($node, $stream) = @_;

    return join(' ', told($node, $stream) =~ /"event_name":"(\w+)"/g);
}


# And what happened to one, but for that.

sub said {
    my ($node, $stream) = @_;

    return join(' ', map { $_->[1] eq 'close' ? "close-$_->[2]" : $_->[1] }
        grep { $_->[0] eq $stream && $_->[1] ne 'data' } $node->lines);
}


sub wait_curl {
    my ($curl) = @_;

    my $status = $curl->{process}->wait(10 * slow());

    return ($status, output($curl));
}


# Their names are n1, n0, n1 ...

sub write_events {
    my ($n) = @_;

    store($ws, '', map { event($count, 'n' . (++$count % 2)) } 1 .. $n);
}


# Without all that is in front of it.

sub ends_with {
    my ($curl, $pattern) = @_;

    open(my $file, '<:raw', $curl->{output}) or return 0;

    my $size = -s $file;

    seek($file, $size > 1000 ? $size - 1000 : 0, 0);
    local $/;

    return (<$file> // '') =~ $pattern;
}


# The worker's connections to clients, and the socket it listens on.

sub sockets {
    my ($port) = @_;

    my $hex = sprintf('%04X', $port);

    return scalar(grep { /^\s*\d+: \w+:$hex \w+:\w+ (?:01|0A) / }
        split(/\n/, EventSession::Redis::slurp('/proc/net/tcp')));
}
