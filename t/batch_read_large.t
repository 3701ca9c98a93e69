# Why: batches make the largest sets of events, and GET /events streams all of
# them, out of thousands of chunks, in bounded memory; and what was stored
# before the request began is there once, whatever becomes of the connection to
# Redis.  Known to fail by: buffers for each chunk that add up, the more so
# when each begins with a large event; a page that is lost or comes twice when
# the connection breaks; a reply that ends well-formed and short when Redis is
# gone, or comes back empty; a worker that quits while the reply is between two
# pages; buffers of a client that reads slowly, or went away.

use strict;
use warnings;

use lib 't/lib';

use EventSession;
use EventSession::Chunks;
use Test::More;
use Time::HiRes qw(sleep);

use constant MB => 1024 * 1024;


my $t      = EventSession->new;
my $redis  = $t->redis;
my @common = (http => "eventsession_timeout @{[ 2 * slow() ]}s;",
    server => <<END);
        send_timeout 20s;

        location = /stored {
            eventsession batch;
        }
END


sub bounded {
    my ($got, $mb, $name) = @_;

    local $Test::Builder::Level = $Test::Builder::Level + 1;

    SKIP: {
        skip('memory means little under the sanitizers', 1)
            if $ENV{EVS_SANITIZE} || $ENV{EVS_VALGRIND};

        cmp_ok($got, '<', $mb * MB, "$name: " . sprintf('%.1f MB', $got / MB));
    }
}


sub peak {
    my ($nginx) = @_;

    return $nginx->peak($nginx->workers);
}


# Reads by a small window; the code is called after each part, with their
# number.

sub read_slowly {
    my ($nginx, $path, $code) = @_;

    my $http = $nginx->connect(rcvbuf => 65_536, timeout => 20);
    my $body = '';
    my $n    = 0;

    my $res = $http->request('GET', $path, each => sub {
        $body .= $_[0];
        $code->(++$n);
    });

    return ($body, $res->error);
}


# $n events over five shards of some chunks, at random times, and what is to
# come of them.  With $more bytes each, it is more than sockets take.

sub story {
    my ($redis, $n, $chunks, $more) = @_;

    my @events = map {
        batch_event(1_500_000_000 + int(rand(3e8)), data => $_,
            $more ? (name => 'x' x $more) : ())
    } 1 .. $n;

    my @places;

    push(@{ $places[$_->{us} / 1e6 % 5][rand($chunks)] }, $_) for @events;

    for my $shard (0 .. 4) {
        put($redis, $shard, $_, @{ $places[$shard][$_] // [] })
            for 0 .. $chunks - 1;
    }

    return shown(by_time(@events));
}


srand(6);

# 200,000 events: the worker grows with neither their number nor the chunks'

my $reader = $t->nginx(redis => $redis, @common);
my $whole  = story($redis, 20_000, 1);
my $before = peak($reader);

ok($reader->get('/stored')->body eq $whole, '20,000 events in 5 chunks');
bounded(peak($reader) - $before, 8, 'take some memory');

$redis->cli('FLUSHALL');
$whole = story($redis, 200_000, 3);

my $res = $reader->get('/stored');

ok($res->body eq $whole, '200,000 events in 15 chunks');
is($res->error, undef, 'to the end');
is($res->header('Transfer-Encoding'), 'chunked', 'streamed');
bounded(peak($reader) - $before, 16, 'take little more');

$redis->cli('FLUSHALL');
$whole = story($redis, 200_000, 600, 60);
ok($reader->get('/stored')->body eq $whole, 'in 3000 chunks');
bounded(peak($reader) - $before, 24, 'take little more');
ok(index($whole, $reader->get('/stored?limit=100')->body =~ s/\]$//r) == 0,
    'the first 100 of them');

my @events = split(/(?<=\}),/, $whole);
my ($from) = $events[150_000] =~ /(\d+)/;

ok(index($whole, $reader->get("/stored?limit=1000&from=$from")->body
    =~ s/^\[|\]$//gr) > 0, '1000 from the midst');

my ($body, $path, $pages) = ('', '/stored?limit=60000', 0);

while (defined $path) {
    my $res = $reader->get($path);

    $body .= ',' . $res->body =~ s/^\[|\]$//gr;
    $pages++;
    ($path) = ($res->header('Link') // '') =~ /^<([^>]+)>/;
}

ok('[' . substr($body, 1) . ']' eq $whole, 'all of them by 60,000');
is($pages, 4, 'in 4 pages');
bounded(peak($reader) - $before, 40, 'held whole');


# those who read slowly, or not at all, and go away

my ($worker) = $reader->workers;
my $files    = $reader->open_files($worker);
my @peaks    = (peak($reader));

for my $round (1 .. 3) {
    my @clients = map { $reader->connect(rcvbuf => 16_384) } 1 .. 8;

    $_->send($_->text_of('GET', '/stored')) for @clients;
    $_->fill for @clients;

    # some by a reset, others by a FIN
    for my $i (0 .. $#clients) {
        setsockopt($clients[$i]->socket, Socket::SOL_SOCKET(),
            Socket::SO_LINGER(), pack('ii', 1, 0)) if $i % 2;
        $clients[$i]->close;
    }

    ok(wait_for { $reader->open_files($worker) == $files },
        "8 clients went away, round $round");
    push(@peaks, peak($reader));
}

bounded($peaks[1] - $peaks[0], 100, '8 clients that do not read');
bounded($peaks[3] - $peaks[1], 16, 'and others after them: nothing is left');

# before a first page is there, too

for (1 .. 20) {
    my $http = $reader->connect;

    $http->send($http->text_of('GET', '/stored'));
    sleep(rand(0.005));
    $http->close;
}

ok(wait_for { $reader->open_files($worker) == $files }, 'clients in a hurry');

my ($slow, $error) = read_slowly($reader, '/stored', sub {
    sleep(0.001);
});

ok($slow eq $whole, 'a slow client gets all');
is($error, undef, 'to the end');
undef $slow;


# the connection to Redis breaks, and Redis stands still for a while

($body, $error) = read_slowly($reader, '/stored', sub {
    $redis->cli('CLIENT', 'KILL', 'TYPE', 'normal', 'SKIPME', 'yes')
        if $_[0] % 50 == 0;
});

is($error, undef, 'connections to Redis break, the reply does not');
ok($body eq $whole, 'nothing is missing or doubled');

my $killer = fork() // die($!);

if (!$killer) {

    # also in the midst of a round: the first is of 3000 commands

    my $mine = EventSession::Redis::slurp('/dev/null') . $redis->socket;

    for (1 .. 60) {
        my $socket = IO::Socket::UNIX->new(Peer => $mine) // next;

        print {$socket} "CLIENT KILL TYPE normal SKIPME yes\r\n";
        $socket->flush;
        readline($socket);
        sleep(0.005 + rand(0.03));
    }

    require POSIX;
    POSIX::_exit(0);
}

ok($reader->get('/stored')->body eq $whole, "while they break, $_")
    for 1 .. 3;
waitpid($killer, 0);

$redis->hang_up;
($body, $error) = read_slowly($reader, '/stored', sub {
    return if $_[0] != 20;

    $redis->freeze;
    sleep(0.5);
    $redis->thaw;
});

is($error, undef, 'Redis was away for a moment');
ok($body eq $whole, 'nothing is missing or doubled');


# a reload and a quit in the middle

for my $how ('reload', 'quit') {
    my $nginx = $t->nginx(redis => $redis, @common);

    ($body, $error) = read_slowly($nginx, '/stored', sub {
        return if $_[0] != 20;

        $how eq 'reload' ? $nginx->reload : $nginx->signal('QUIT');
    });

    is($error, undef, "$how: the reply is finished");
    ok($body eq $whole, 'with all that is there');

    $nginx->quit;
    ok_log($nginx);
}


# Redis goes for good, and comes back

my $mortal = $t->redis(appendonly => 'yes', appendfsync => 'always');
my $h2     = EventSession::Redis::free_port();
my $other  = $t->nginx(redis => $mortal, @common, http => <<END);
    eventsession_timeout @{[ 2 * slow() ]}s;

    server {
        listen 127.0.0.1:$h2 http2;
        limit_rate \$arg_rate;

        location = /stored {
            eventsession batch;
        }
    }
END

$whole = story($mortal, 60_000, 1, 250);

($body, $error) = read_slowly($other, '/stored', sub {
    $mortal->kill9->start_again if $_[0] == 10;
});

is($error, undef, 'Redis died and came back');
ok($body eq $whole, 'nothing is missing or doubled');

my $count = 0;

($body, $error) = read_slowly($other, '/stored', sub {
    $mortal->kill9 if ++$count == 10;
});

is($error, 'the connection was closed', 'Redis died: the reply is cut');
ok(index($whole, $body) == 0 && length($body) < length($whole),
    'what came was right');
like($other->log, qr/\[error\] .*eventsession: events read was cut short: /,
    'and the log says so');

my $res503 = $other->get('/stored');

is($res503->status, 503, 'without Redis there is nothing to begin with');
is($res503->header('Content-Type'), 'application/problem+json', 'a problem');
is($res503->header('Retry-After'), 1, 'that may pass');
unlike($res503->body, qr/sock|redis|es:/, 'without names');

$mortal->start_again;
ok(wait_for { $other->get('/ready')->status == 200 }, 'Redis is back');
ok($other->get('/stored')->body eq $whole, 'and all that it had');

# over HTTP/2 an end that is none is a reset of the stream

my $out  = $t->dir . '/h2';
my @curl = (qw(curl -sS --max-time 30 --http2-prior-knowledge -o), $out);
my $url  = "http://127.0.0.1:$h2/stored";

is(system(@curl, "$url?rate=99m"), 0, 'over HTTP/2 at a limited rate');
ok(EventSession::Redis::slurp($out) eq $whole, 'it is whole');
unlink($out);

my $curl = EventSession::Process->spawn([ @curl, "$url?rate=500k" ],
    output => "$out.log");

wait_for { -s $out };
$mortal->kill9;

isnt($curl->wait(20 * slow()) >> 8, 0, 'curl sees the reset stream of HTTP/2');

# it comes back, and has forgotten

my $forgetful = $t->redis;
my $third     = $t->nginx(redis => $forgetful, @common);

$whole = story($forgetful, 60_000, 1, 250);

($body, $error) = read_slowly($third, '/stored', sub {
    $forgetful->kill9->start_again if $_[0] == 10;
});

is($error, 'the connection was closed', 'Redis came back empty: cut, too');
ok(index($whole, $body) == 0, 'what came was right');
is($third->get('/stored')->body, '[]', 'and nothing is there any more');

$_->quit for $third, $other;
ok_log($_) for $third, $other;


# each chunk begins with a large event

$redis->cli('FLUSHALL');

my @large = map { batch_event(1000 + $_,
    data => '"' . chr(97 + $_ % 26) x 60_000 . '"') } 1 .. 800;

put($redis, $_ % 5, int($_ / 5), $large[$_], batch_event(9000 + $_))
    for 0 .. $#large;

my $fresh = $t->nginx(redis => $redis, @common);

$before = peak($fresh);
$body   = $fresh->get('/stored')->body;
bounded(peak($fresh) - $before, 20, '48 MB, each chunk begins with 60 KB');
ok($body eq shown(@large, map { batch_event(9000 + $_) } 0 .. $#large),
    'and all of it is there');

$_->quit for $fresh, $reader;
ok_log($_) for $fresh, $reader;
done_testing();
