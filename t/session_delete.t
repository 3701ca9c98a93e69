# Why: DELETE /session/<id> (contract, section 2; where eventsession_delete is
# on) takes somebody's session away for good, and nobody else's.  Known to fail
# by: a DELETE that is answered where it isn't allowed; an Allow or a preflight
# that says otherwise than the endpoint does; a key that stays when the
# connection to Redis breaks, or a 404 then for what has just been deleted; a
# reader whose tree ends well-formed and short when the session goes away
# under it; marks for the feed's history that hide what came later, or pile
# up in Redis for ever.

use strict;
use warnings;

use lib 't/lib';

use EventSession;
use EventSession::Session;
use Test::More;
use Time::HiRes qw(sleep);

use constant STREAM  => 'es:{feed}:stream';
use constant DELETED => 'es:{feed}:deleted';

my $origin = 'Origin: https://a.example';

my $t     = EventSession->new;
my $redis = $t->redis;
my $off   = EventSession::Redis::free_port();
my $h2    = EventSession::Redis::free_port();

# no feed here: the stream has what the tests put there

my $nginx = $t->nginx(
    redis         => $redis,
    redis_options => 'reconnect=50ms:300ms',
    http          => <<END,
        eventsession_timeout 2s;
        eventsession_feed off;

        server {
            listen 127.0.0.1:$off;
            include $EventSession::root/conf/eventsession.conf;

            location /on/ {
                eventsession session;
                eventsession_delete on;
            }
        }

        server {
            listen 127.0.0.1:$h2 http2;

            location /session/ {
                eventsession session;
                eventsession_delete on;
                eventsession_cors https://a.example;
            }
        }
END
    server => <<'END',
        eventsession_delete on;

        location /off/ {
            eventsession session;
            eventsession_delete off;
        }

        location /any/ {
            eventsession session;
            eventsession_session_id any;
        }

        location = /any-ws {
            eventsession ws;
            eventsession_session_id any;
        }

        location /other/ {
            eventsession session;
            eventsession_prefix other:;
        }

        location ~ ^/v1/sessions/[^/]+$ {
            eventsession session;
        }

        location /guarded/ {
            eventsession session;
            limit_except GET { deny all; }
        }

        location /mirrored/ {
            mirror /mirror;
            eventsession session;
            eventsession_delete off;
        }

        location = /mirror {
            internal;
            proxy_pass http://127.0.0.1:1;
        }
END
);


sub key { "es:{$_[0]}" }

sub exists_in_redis { $redis->cli('EXISTS', key($_[0])) }


sub remove {
    my ($path, %options) = @_;

    return $nginx->request('DELETE', $path, %options);
}


sub is_deleted {
    my ($sid, $name) = @_;

    local $Test::Builder::Level = $Test::Builder::Level + 1;

    my $res = remove("/session/$sid");

    is($res->status, 204, "$name: deleted");
    is($res->error, undef, "$name: and said so");
    is(exists_in_redis($sid), 0, "$name: the key is gone");
}


sub is_problem {
    my ($res, $status, $title, $detail, $name) = @_;

    local $Test::Builder::Level = $Test::Builder::Level + 1;

    is($res->status, $status, $name);
    is($res->body, qq({"type":"about:blank","title":"$title","status":$status,)
        . qq("detail":"$detail"}), "$name: says why");
    is($res->header('Content-Type'), 'application/problem+json',
        "$name: as a problem");
}


sub is_unknown {
    is_problem($_[0], 404, 'Not Found', 'there is no such session', $_[1]);
}


# a session comes and goes, and its neighbours stay

my $sid   = uuid();
my $other = uuid();
my @tree  = (start(1), event(2, 'a'), end(3));

store($nginx, $_, @tree) for $sid, $other;

my $http = $nginx->connect;
my $res  = $http->request('DELETE', "/session/$sid");

is($res->status, 204, 'DELETE is answered 204');
is($res->header('Content-Length'), undef, 'without a length');
is($res->header('Content-Type'), undef, 'without a type');
is($res->header('Transfer-Encoding'), undef, 'without chunks');

is_unknown($http->request('GET', "/session/$sid"), 'GET behind it');
is(exists_in_redis($sid), 0, 'the key is really gone');
is_unknown($http->request('DELETE', "/session/$sid"), 'a second DELETE');
is_unknown(remove('/session/' . uuid()), 'DELETE of what never was');

is($nginx->get("/session/$other")->body, tree(1, 3, event(2, 'a')),
    'another session is untouched');
is_deeply([ grep { !/\{workers\}/ } @{ $redis->cli('KEYS', '*') } ],
    [ key($other) ], 'nothing else came or went');


# every form of the id, every kind of location

for my $path (uc($other), $other =~ tr/-//dr) {
    store($nginx, $other, @tree);
    is(remove("/session/$path")->status, 204, "deleted as $path");
    is(exists_in_redis($other), 0, 'it is the same session');
}

store($nginx, $other, @tree);
is(remove("/v1/sessions/$other")->status, 204, 'in a regex location');
is(exists_in_redis($other), 0, 'gone');

store($nginx->ws('/any-ws?sessionId=order.17&ack=1'), undef, event(1, 'a'));
store($nginx->ws('/any-ws?sessionId=feed&ack=1'), undef, event(1, 'a'));
is(remove('/any/order.17')->status, 204, 'an id of any kind');
is(exists_in_redis('order.17'), 0, 'gone');
is(remove('/any/feed')->status, 204, 'also one that is called as the feed');

store($nginx, $other, @tree);
is_unknown(remove("/other/$other"), 'another prefix has other sessions');
is(exists_in_redis($other), 1, 'which are not these');

for my $bad ('', 'x', "${sid}0", "$sid/", "$sid/x", '%ff', '*', 'es:*',
    "{$sid}", 'a%0d%0ab')
{
    is_problem(remove("/session/$bad"), 400, 'Bad Request',
        'the session id must be a UUID', "not an id: $bad");
}

for my $part (qw(from=1 to=2 limit=1 after=1.1.ff limit= x=1&from=x)) {
    my ($name) = $part =~ /(\w+)=[^=]*$/;

    is_problem(remove("/session/$other?$part"), 400, 'Bad Request',
        "a session is deleted as a whole: DELETE takes no $name", "?$part");
}

is(exists_in_redis($other), 1, 'nothing of it was deleted');
is(remove("/session/$other?reason=tired")->status, 204,
    'other arguments mean nothing');


# bodies, and requests behind each other

store($nginx, $sid, @tree);
$http = $nginx->connect;

for my $size (0, 3, 5_000, 500_000) {
    store($nginx, $sid, @tree);

    $http->send($http->text_of('DELETE', "/session/$sid", body => 'x' x $size)
        . $http->text_of('GET', "/session/$sid"));

    is($http->response->status, 204, "with a body of $size bytes");
    is($http->response->status, 404, 'the next request is told from it');
}

store($nginx, $sid, @tree);
$http->send($http->text_of('DELETE', "/session/$sid",
    headers => [ 'Content-Length: 100000', 'Host: a' ]));
$redis->pipeline([ 'PING' ], [ 'PING' ]);
$http->send('x' x 100_000 . $http->text_of('GET', "/session/$sid"));
is($http->response->status, 204, 'with a body that comes later');
is($http->response->status, 404, 'too');


# where it isn't allowed

store($nginx, $sid, @tree);

my $plain = EventSession::HTTP->connect($off);

for my $case ([ 'by default', $plain, "/session/$sid" ],
    [ 'off in a location', $nginx->connect, "/off/$sid" ],
    [ 'off, and mirrored', $nginx->connect, "/mirrored/$sid" ])
{
    my ($name, $http, $path) = @$case;

    $res = $http->request('DELETE', $path);
    is_problem($res, 405, 'Method Not Allowed',
        'this endpoint does not answer DELETE', $name);
    is($res->header('Allow'), 'GET, HEAD', "$name: Allow does not list it");
}

is(EventSession::HTTP->connect($off)->request('DELETE', "/on/$other")->status,
    404, 'where it is on, it is asked for');
is($nginx->request('DELETE', "/guarded/$sid")->status, 403,
    'what nginx forbids stays forbidden');
is(exists_in_redis($sid), 1, 'nothing was deleted');

for my $path ('/ws?sessionId=' . $sid, '/healthcheck', '/ready') {
    is(remove($path)->status, 405, "DELETE $path");
}

for my $method (qw(POST PUT PATCH)) {
    is($nginx->request($method, "/session/$sid")->header('Allow'),
        'GET, HEAD, DELETE', "$method: Allow lists it where it is on");
}

is($nginx->request('HEAD', "/session/$sid")->status, 200, 'HEAD reads');
is(exists_in_redis($sid), 1, 'and deletes nothing');


# CORS, over HTTP/2 also

sub curl {
    my ($method, $path, @headers) = @_;

    my $out = $t->dir . '/curl';

    system(qw(curl -sS --max-time 20 --http2-prior-knowledge -o /dev/null -D),
        $out, '-X', $method, (map { ('-H', $_) } @headers),
        "http://127.0.0.1:$h2$path");

    return EventSession::Redis::slurp($out);
}

my $preflight = curl('OPTIONS', "/session/$sid", $origin,
    'Access-Control-Request-Method: DELETE');

like($preflight, qr/^HTTP\/2 204/, 'a preflight');
like($preflight, qr/^access-control-allow-methods: GET, HEAD, DELETE\r$/m,
    'lists DELETE');
like(curl('PATCH', "/session/$sid", $origin),
    qr/^allow: GET, HEAD, DELETE, OPTIONS\r$/m, 'so does Allow');

my $head = curl('DELETE', "/session/$sid", $origin);

like($head, qr/^HTTP\/2 204/, 'DELETE over HTTP/2');
like($head, qr/^access-control-allow-origin: https:\/\/a\.example\r$/m,
    'can be read by the page');
is(exists_in_redis($sid), 0, 'and deletes');
like(curl('DELETE', "/session/$sid", $origin), qr/^HTTP\/2 404/, 'once');


# whoever still writes begins anew

$sid = uuid();

my $ws = $nginx->ws("/ws?sessionId=$sid&ack=1");

store($ws, $sid, start(1), event(2, 'old'), end(9));
is_deleted($sid, 'while a client is connected');
is_unknown($nginx->get("/session/$sid"), 'it begins with nothing');

$ws = $nginx->ws("/ws?sessionId=$sid&ack=1");
store($ws, $sid, event(3, 'new'));
is_deleted($sid, 'while a client writes');
store($ws, $sid, event(4, 'newer'));

is($nginx->get("/session/$sid")->body, tree(undef, undef, event(4, 'newer')),
    'a new session has what came behind the deletion, and nothing else');

$ws->abort;


# a large one; and readers, who must not take a part for the whole

my @story = map { event($_, "n$_", data => '"' . 'x' x 40 . '"') } 1 .. 100_000;

store($nginx, $sid, batches(1000, @story));
is($redis->cli('ZCARD', key($sid)), 100_001, 'a session of 100,000 events');
is_deleted($sid, '100,000 events');

store($nginx, $sid, batches(1000, @story));

my ($parts, $body) = (0, '');

$http = $nginx->connect(rcvbuf => 65_536, timeout => 20);
$res  = $http->request('GET', "/session/$sid", each => sub {
    $body .= $_[0];
    is_deleted($sid, 'under a reader') if ++$parts == 3;
    sleep(0.01);
});

is($res->status, 200, 'a reader had begun');
like($res->error // '', qr/closed/, 'is cut');
ok($body !~ /\]\}$/, 'and not told that this was all');

# the next page of a session that is gone, by its link

store($nginx, $sid, @story[0 .. 9]);

my ($next) = $nginx->get("/session/$sid?limit=4")->header('Link') =~ /<(.*)>/;

is_deleted($sid, 'between pages');
is_unknown($nginx->get($next), 'the next page');

# to the very end: a page that would be empty if it were there

for my $count (999, 1000, 1001, 5000, 5999, 6000, 6001) {
    store($nginx, $sid, batches(1000, @story[0 .. $count - 1]));
    ok($nginx->get("/session/$sid")->body
        eq tree(undef, undef, @story[0 .. $count - 1]), "$count are read");
    is_deleted($sid, "$count");
}


# a client that does not wait

store($nginx, $sid, @tree);
$redis->cli('CLIENT', 'PAUSE', 500);
$http = $nginx->connect;
$http->send($http->text_of('DELETE', "/session/$sid"));
sleep(0.1);
$http->close;
ok((wait_for { !exists_in_redis($sid) }), 'what it asked for is done');


# marks for the history of the feed

sub score {
    my ($ms, $seq) = @_;

    return $ms * 4096 + ($seq > 4095 ? 4095 : $seq);
}

sub deleted {
    return { @{ $redis->cli('ZRANGE', DELETED, 0, -1, 'WITHSCORES') } };
}

is($redis->cli('EXISTS', DELETED), 0, 'without a feed there are none');

my ($one, $two, $three) = map { uuid() } 1 .. 3;

$redis->cli('XADD', STREAM, $_, 'm', 'x' x 100_000)
    for qw(1624422533298-0 1624422533298-7);
store($nginx, $_, @tree) for $one, $two, $three;
is_deleted($one, 'with a feed');
is_deeply(deleted(), { $one => score(1624422533298, 7) },
    'the mark has the score of the last entry');

$redis->cli('XADD', STREAM, '1624422533298-5000', 'm', '9-9');
is_deleted($two, 'behind more of it');
is_deeply(deleted(), { $one => score(1624422533298, 7),
    $two => score(1624422533298, 4095) },
    'each has the score of its time, one of 4,096 in a ms');

is_unknown(remove("/session/$one"), 'a second time');
is(deleted()->{$one}, score(1624422533298, 7), 'does not move the mark');

store($nginx, $one, @tree);
is_deleted($one, 'when it has begun anew');
is(deleted()->{$one}, score(1624422533298, 4095), 'moves it');

$redis->cli('ZADD', DELETED, score(1724422533298, 0), $three);
is_deleted($three, 'beside a deletion that saw more');
is(deleted()->{$three}, score(1724422533298, 0), 'the later mark stays');

$redis->cli('ZADD', DELETED, score(1624422533297, 4095), uuid());
$redis->cli('XTRIM', STREAM, 'MINID', '1624422533298-5000');
store($nginx, $two, @tree);
is_deleted($two, 'when the history was cut');
is_deeply([ sort(keys(%{ deleted() })) ], [ sort($one, $two, $three) ],
    'marks of what the stream has lost are gone');

$redis->cli('XADD', STREAM, '1624422533299-0', 'm', '');
$redis->cli('XTRIM', STREAM, 'MINID', '1624422533299-0');
store($nginx, $two, @tree);
is_deleted($two, 'once more');
is_deeply([ sort(keys(%{ deleted() })) ], [ sort($two, $three) ],
    'once the stream begins behind them');

$redis->cli('XTRIM', STREAM, 'MAXLEN', 0);
store($nginx, $two, @tree);
is_deleted($two, 'with an empty stream');
$redis->cli('DEL', STREAM, DELETED);


# The connection to Redis breaks: with the command not carried out, and with
# its reply lost.

$sid = uuid();

for my $round (1 .. 5) {
    store($nginx, $sid, @tree);

    my $http = $nginx->connect;

    $redis->cli('CLIENT', 'PAUSE', 300, 'WRITE');
    $http->send($http->text_of('DELETE', "/session/$sid"));
    sleep(0.05);
    $redis->cli('CLIENT', 'KILL', 'TYPE', 'normal', 'SKIPME', 'yes');

    my $res = $http->response;

    is($res->status, 204, "killed in round $round: deleted")
        or diag($res->body);
    is(exists_in_redis($sid), 0, "killed in round $round: gone");
}

my $socket = $t->dir . '/cutter';

# Passes bytes on; but after every other EXISTS and UNLINK, which Redis has
# carried out, hangs up in the place of the reply.

my $cutter = EventSession::Process->spawn([ $^X, '-e', <<'END', $socket,
    use strict; use warnings; use IO::Select; use IO::Socket::UNIX;

    my ($path, $redis) = @ARGV;
    my $listen = IO::Socket::UNIX->new(Local => $path, Listen => 5) or die;
    my $select = IO::Select->new($listen);
    my (%peer, %client, %seen);

    while (1) {
        for my $from ($select->can_read) {
            if ($from == $listen) {
                my $client = $listen->accept;
                my $server = IO::Socket::UNIX->new(Peer => $redis) or die;

                ($peer{$client}, $peer{$server}) = ($server, $client);
                $client{$client} = 1;
                $select->add($client, $server);
                next;
            }

            my $to = $peer{$from} // next;
            my $n  = sysread($from, my $bytes, 65536);

            syswrite($to, $bytes) if $n;

            my $cut = !$n;

            if ($n && $client{$from} && $bytes =~ /(EXISTS|UNLINK)/
                && ++$seen{$1} % 2)
            {
                sysread($to, $bytes, 65536);
                $cut = 1;
            }

            if ($cut) {
                $select->remove($from, $to);
                delete @peer{$from, $to};
                close($_) for $from, $to;
            }
        }
    }
END
    $redis->socket ], output => $t->dir . '/cutter.log');

wait_for { -S $socket };

my $cut = $t->nginx(redis => "unix:$socket", redis_options =>
    'reconnect=50ms:300ms',
    server => 'eventsession_delete on; eventsession_feed off;');

$redis->cli('XADD', STREAM, '7-7', 'm', '');

for my $round (1 .. 5) {
    store($cut, $sid, @tree);

    my $res = $cut->request('DELETE', "/session/$sid");

    is($res->status, 204, "reply lost in round $round: deleted")
        or diag($res->body);
    is(exists_in_redis($sid), 0, "reply lost in round $round: gone");
    is_deeply(deleted(), { $sid => score(7, 7) },
        "reply lost in round $round: marked");
}

is(scalar(my @back = $cut->log =~ /\[warn\].*the connection was closed/g), 10,
    'each of them was cut twice') or diag($cut->log);

$cut->quit;
$cutter->end;
ok_log($cut);
$redis->cli('DEL', STREAM, DELETED);


# Redis is away

store($nginx, $sid, @tree);
$redis->freeze;

$res = remove("/session/$sid");
is_problem($res, 503, 'Service Unavailable', 'the session may still be there: '
    . 'the store did not confirm in time, try again later', 'a frozen Redis');
like($res->header('Retry-After'), qr/^\d+$/, 'says when to try again');

$redis->thaw;
ok((wait_for { $nginx->get('/ready')->status == 200 }), 'it is back');
like(remove("/session/$sid")->status, qr/^(?:204|404)$/, 'and deletes');
is(exists_in_redis($sid), 0, 'it is gone then');

# what is asked for while it is away is done when it is back, if in time

$redis->stop;
$http = $nginx->connect;
$http->send($http->text_of('DELETE', "/session/$sid"));
sleep(0.2);
$redis->start_again;
is($http->response->status, 404, 'a Redis that was restarted has no session');


# Redis refuses

$redis->cli('SET', STREAM, 'not a stream');
store($nginx, $sid, @tree);
$res = remove("/session/$sid");
is_problem($res, 503, 'Service Unavailable', 'the session may still be there: '
    . 'the store refused, try again later', 'a foreign key in the place of '
    . 'the stream');
is(exists_in_redis($sid), 1, 'nothing happened');
$redis->cli('DEL', STREAM);
is_deleted($sid, 'without it');

# memory is used up: deleting is what makes room

$redis->cli('XADD', STREAM, '1-1', 'm', '');
store($nginx, $sid, batches(1000, @story[0 .. 19_999]));

my ($used) = $redis->cli('INFO', 'memory') =~ /^used_memory:(\d+)/m;

$redis->cli('CONFIG', 'SET', 'maxmemory', $used - 500_000);
$redis->cli('CONFIG', 'SET', 'maxmemory-policy', 'noeviction');
is_deleted($sid, 'in a full Redis');
is_deeply(deleted(), { $sid => score(1, 1) }, 'with its mark');
$redis->cli('CONFIG', 'SET', 'maxmemory', 0);


# with a feed: its history has nothing of what was deleted, and all the rest

my $fed  = $t->nginx(redis => $redis, server => 'eventsession_delete on;');
my $live = $fed->sse('/database_events');

is($live->opened, 200, 'somebody follows');

my ($kept, $gone) = (uuid(), uuid());

store($fed, $kept, event(1, 'first'));
store($fed, $gone, start(1), event(2, 'secret'), end(3));
store($fed, $kept, event(2, 'second'));

my ($first) = $live->events(5);

is($fed->request('DELETE', "/session/$gone")->status, 204, 'deleted');
store($fed, $gone, event(4, 'anew'));

my $late = $fed->sse('/database_events', last_id => $first->{id});

is($late->json->{event_name}, 'second', 'who comes back sees the others');
is($late->json->{event_name}, 'anew', 'and what came later');
is($live->json->{event_name}, 'anew', 'who was there sees that, and no more');

$_->abort for $live, $late;
$fed->quit;
ok_log($fed);
$redis->cli('DEL', STREAM, DELETED);


# the rights that README names, and no more

$redis->cli('ACL', 'SETUSER', 'events', 'on', '>s3cret', '~es:*', '+zadd',
    '+zrange', '+zrevrangebyscore', '+zcount', '+ping', '+info', '+exists',
    '+unlink', '+xrange', '+xrevrange', '+zremrangebyscore', '+smembers',
    '+zrem');

my $user = $t->nginx(redis => $redis->url . '?user=events&password=s3cret',
    server    => 'eventsession_delete on; eventsession_feed off;',
    locations => 'location = /ws { eventsession ws; }'
                 . 'location /session/ { eventsession session; }');

$redis->cli('XADD', STREAM, '8-0', 'm', '');
store($user, $sid, @tree);
is($user->get("/session/$sid?from=1&limit=9")->status, 200, 'a user reads');
is($user->request('DELETE', "/session/$sid")->status, 204, 'and deletes');
is(deleted()->{$sid}, score(8, 0), 'and marks');
unlike($user->log, qr/NOPERM/, 'with the rights that README names');

$user->quit;
ok_log($user);


is($nginx->quit, 0, 'nginx quits');
ok_log($nginx);
done_testing();
