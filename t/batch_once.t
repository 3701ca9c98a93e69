# Why: a producer that got no answer sends its body again, with the same
# Idempotency-Key, to whichever process there is, and all of it has to be there
# once (contract, section 3).  Known to fail by: a plan that is made anew, so
# that half of a body is there twice; shards that are drawn again, or counted
# by another number of them; a key that holds for other bytes; a record that
# stays for ever, or goes too soon.
#
# A body is left half done by taking from nginx the right to write to some of
# the shards.

use strict;
use warnings;

use lib 't/lib';

use EventSession;
use EventSession::Batch;
use EventSession::Session ();
use EventSession::Track;
use Test::More;
use Time::HiRes qw(sleep);

my $OTHER   = 'the Idempotency-Key was sent with another body: a new body '
    . 'needs a new key';
my $BAD     = 'the Idempotency-Key must be one, of 1 to 255 printable ASCII '
    . 'characters';
my $TWICE   = 'a body with this Idempotency-Key is under way: send it again '
    . 'when that one is answered';
my $REFUSED = 'not known to be stored: the store refused, try again later';
my $DAMAGED = 'not stored: what is known of the Idempotency-Key is damaged, '
    . 'try again later';

my $t     = EventSession->new;
my $redis = $t->redis(user => 'events on nopass ~* &* +@all');
my $user  = $redis->url . '?user=events&password=x';
my $sid   = uuid();

# the process that answers says which one it is

my $server = 'add_header X-Pid $pid always;';

my $nginx = $t->nginx(redis => $user, workers => 2, server => $server,
    http => track_conf());

my @entries = map {
    entry(timestamp => $_, data => qq("$_"), $_ % 10 ? ()
        : (name => qq("n$_"), session_id => qq("$sid")))
} 1 .. 500;

my $body = array(@entries);

my $keys = 0;


sub new_key { "key $$ " . ++$keys }


# Redis has no events any more, but knows the keys.

sub forget {
    my @keys = grep { /:batch:\d|\{.*-/ } @{ $redis->cli('KEYS', '*') };

    $redis->cli('UNLINK', @keys) if @keys;
}


sub records { @{ $redis->cli('KEYS', 'es:{batch}:once:*') } }


sub refused {
    my ($body, $status, $detail, $name, %options) = @_;

    local $Test::Builder::Level = $Test::Builder::Level + 1;

    my $res = batch(delete $options{to} // $nginx, $body, %options);

    is($res->status, $status, $name);
    is($res->body, problem($status, $detail), "$name: says why");

    return $res;
}


# Each of them once, as it was sent, and in its session.

sub ok_once {
    my ($name, @wanted) = @_;

    local $Test::Builder::Level = $Test::Builder::Level + 1;

    @wanted = @entries if !@wanted;

    is(join("\n", events($nginx)), join("\n", @wanted), "$name: all is there, "
        . 'once');

    is($nginx->get("/session/$sid")->body,
        EventSession::Session::tree(undef, undef,
            map { s/^\{/{"type":"EVENT",/r =~ s/,"session_id.*\}/}/r }
            grep { /"$sid"/ } @wanted), "$name: in the session, too")
        if grep { /"$sid"/ } @wanted;

    forget();
}


# sent again at once

my $key = new_key();

my $res = accepted($nginx, $body, 500, 'a body with a key', key => $key);

for my $again (1 .. 5) {
    accepted($nginx, $body, 500, "sent again ($again)", key => $key);
}

is(scalar(records()), 1, 'there is one record');
ok_once('a body with a key');

accepted($nginx, $body, 500, 'sent again when the events are gone',
    key => $key);
is(stored_sum($redis), 0, 'is known, and is not written again');

my ($ttl) = map { $redis->cli('TTL', $_) } records();

ok($ttl > 86_300 && $ttl <= 86_400, 'it is known for a day') or diag($ttl);

$redis->cli('EXPIRE', records(), 100);
accepted($nginx, $body, 500, 'sent again later', key => $key);
is(stored_sum($redis), 0, 'is known, too');

$redis->cli('UNLINK', records());
accepted($nginx, $body, 500, 'sent again after more than a day', key => $key);
ok_once('after more than a day');


# another body

for my $other (array(@entries[0 .. 498]), "$body ", '[]', '', $body =~ s/1/2/r)
{
    refused($other, 422, $OTHER, 'another body of '. length($other) . ' bytes',
        key => $key);
}

is(stored_sum($redis), 0, 'is not stored');
accepted($nginx, $body, 500, 'the first one is still known', key => $key);


# keys that are none, and keys that are

my $n = records();

for my $bad ('', 'x' x 256, "a\tb", "a\x7f", "\xc3\xa4", "a\x01b") {
    refused($body, 400, $BAD, 'bad key: ' . length($bad), key => $bad);
}

refused($body, 400, $BAD, 'two keys', key => [ 'a', 'a' ]);

is(stored_sum($redis), 0, 'nothing is stored with bad ones');
is(scalar(records()), $n, 'nor known of them');

for my $good ('a', 'A', '"a"', 'a b', '!', '~', 'x' x 255, "x" x 254,
    '4b0e2c6e-0d0e-4a1c-8d1d-3a3b1d9e8f10', 'a, b')
{
    accepted($nginx, '[{}]', 1, "good key: $good", key => $good) for 1, 2;
}

is(stored_sum($redis), 10, 'each is its own');
is(scalar(records()), $n + 10, 'with a record each');
forget();


# a fault leaves the key free, and no event is no event

$key = new_key();
refused('[{},{"name":1}]', 400, 'entry 1: name must be a string', 'a fault',
    key => $key);
accepted($nginx, $body, 500, 'the same key with a good body', key => $key);
ok_once('behind a fault');

$key = new_key();
accepted($nginx, '[]', 0, 'no event with a key', key => $key);
accepted($nginx, '[]', 0, 'and again', key => $key);


# whose key it is

accepted($nginx, '[{"data":1}]', 1, 'an application', key => 'k',
    path => '/events', headers => [ 'application: ' . APP ]);
refused('[{"data":2}]', 422, $OTHER, 'where none is asked for they are all '
    . 'the same', key => 'k');
forget();


# another process of the same nginx: the one that has answered is stopped

$key = new_key();

my $pid = accepted($nginx, $body, 500, 'one process', key => $key)
    ->header('X-Pid');

kill('STOP', $pid);

# a connection may still wait for the one that is stopped

for my $try (1 .. 10) {
    $res = batch($nginx->connect(timeout => 1), $body, key => $key);

    last if $res->status;
}

kill('CONT', $pid);

is($res->body, '{"accepted":500}', 'another one');
isnt($res->header('X-Pid'), $pid, 'was really another one');
ok_once('by two processes');


# half done: only two of five shards could be written to

sub half_done {
    my ($key, $name, %options) = @_;

    local $Test::Builder::Level = $Test::Builder::Level + 1;

    my $shards = delete $options{shards} // [ 0, 1 ];

    $redis->cli('ACL', 'SETUSER', 'events', 'resetkeys', '~es:{batch}*',
        '~es:{workers}*', '~es:{feed}*', "~es:{$sid}*",
        map { sprintf('~es:{s%02d}*', $_) } @$shards);

    my $res = refused($body, 503, $REFUSED, $name, key => $key, %options);

    is($res->header('Retry-After'), 1, "$name: with Retry-After");

    $redis->cli('ACL', 'SETUSER', 'events', 'allkeys');

    is(stored_sum($redis), 100 * @$shards, "$name: some of it is stored");
}


my $feed = $nginx->sse('/database_events');

is($feed->opened, 200, 'the feed');

$key = new_key();
half_done($key, 'half a body');
accepted($nginx, $body, 500, 'half a body, sent again', key => $key);
ok_once('half a body');
accepted($nginx, $body, 500, 'and once more', key => $key);
is(stored_sum($redis), 0, 'then it is known to be done');

# what was on the feed before the body was given up may be there again, as
# the same event

EventSession::Session::store($nginx, uuid(),
    EventSession::Session::event(1, 'mark'))->close(1000);

my @fed = $feed->json_until('mark');

is((pop(@fed) // {})->{event_name}, 'mark', 'the feed goes on');

my (%by_id, %by_data);

for my $event (@fed) {
    $by_id{ $event->{event_id} }{ $event->{data} }++;
    $by_data{ $event->{data} }{ $event->{event_id} }++;
}

is_deeply([ sort { $a <=> $b } keys(%by_data) ], [ 1 .. 500 ],
    'the feed has all of them');
is(scalar(grep { keys(%$_) != 1 } values(%by_data), values(%by_id)), 0,
    'each with an id of its own, that stays the same');
is(scalar(grep { $_ % 10 && (values(%{ $by_data{$_} }))[0] != 1 } 1 .. 500), 0,
    'those of no session once');

$feed->abort;

$key = new_key();
half_done($key, 'half a body for the second time');
half_done($key, 'the same half again');
half_done($key, 'another half', shards => [ 0, 1, 2, 3 ]);
accepted($nginx, $body, 500, 'and in the end', key => $key);
ok_once('half a body, some times');


# the time of what names none is that of the first time

$key  = new_key();
$body = array(map { qq({"data":$_}) } 0 .. 499);

half_done($key, 'without times', path => '/events?single_shard=true',
    shards => []);
sleep(0.01);
accepted($nginx, $body, 500, 'without times, sent again', key => $key)
    for 1 .. 2;

my %n = stored($redis);

is_deeply([ values(%n) ], [ 500 ],
    'a single shard, though it did not say so the second time');

my %stamps;

$stamps{ s/,"data":\d+//r }++ for events($nginx);

is_deeply([ values(%stamps) ], [ 500 ], 'one time');
forget();

$body = array(@entries);

for my $again (1 .. 10) {
    $key = new_key();
    accepted($nginx, $body, 500, 'a single shard', key => $key,
        path => '/events?single_shard=true') for 1 .. 2;

    %n = stored($redis);
    is_deeply([ values(%n) ], [ 500 ], 'is one, also when sent again');
    forget();
}


# by another nginx, with another number of shards

for my $shards (2, 7, 64, 1) {
    $key = new_key();

    my $done = new_key();

    half_done($key, "before $shards shards");
    accepted($nginx, array('{"timestamp":9999}'), 1, 'one that is done',
        key => $done);

    my $other = $t->nginx(redis => $user, server => $server
        . "eventsession_workers shards=$shards batch=7;");

    accepted($other, $body, 500, "with $shards shards", key => $key);
    accepted($other, array('{"timestamp":9999}'), 1, 'one that was done',
        key => $done);

    is_deeply({ stored($redis) }, { map { $_ => 100 + ($_ == 4) } 0 .. 4 },
        'where they were to be');
    ok_once("$shards shards instead of 5", @entries, '{"timestamp":9999}');

    accepted($other, $body, 500, 'a new key', key => new_key());

    %n = stored($redis);
    is(scalar(keys(%n)), $shards, 'goes by the new number');
    forget();

    is($other->quit, 0, 'ends well');
    ok_log($other);
}


# after a reload that changes the shards, and after a restart

$key = new_key();
half_done($key, 'before a reload');

my @old = $nginx->workers;

$nginx->{server} = "$server eventsession_workers shards=3 workers=1;";
$nginx->reload;

wait_for { my %now = map { $_ => 1 } $nginx->workers;
    !grep { $now{$_} } @old };

accepted($nginx, $body, 500, 'behind it', key => $key);
is_deeply({ stored($redis) }, { map { $_ => 100 } 0 .. 4 },
    'where they were to be');
ok_once('a reload');

$key = new_key();
accepted($nginx, $body, 500, 'before a restart', key => $key);

my $half = new_key();

$body = array(map { entry(timestamp => $_, data => 'true') } 1 .. 300);

$redis->cli('ACL', 'SETUSER', 'events', 'resetkeys', '~es:{batch}*',
    '~es:{workers}*', '~es:{feed}*', '~es:{s01}*');
refused($body, 503, $REFUSED, 'half before a restart', key => $half);
$redis->cli('ACL', 'SETUSER', 'events', 'allkeys');

is($nginx->quit, 0, 'nginx ends');
ok_log($nginx);

$nginx = $t->nginx(redis => $user, workers => 2, server => $server);

accepted($nginx, array(@entries), 500, 'behind it', key => $key);
accepted($nginx, $body, 300, 'behind it, too', key => $half);

my @both = events($nginx);

is(scalar(grep { /"data":true/ } @both), 300, 'the half is whole');
is(scalar(@both), 800, 'and nothing is there twice');
forget();

$body = array(@entries);


# two at once

my $conflicts = 0;

for my $round (1 .. 20) {
    $key = new_key();

    my @http = map { $nginx->connect } 1 .. 4;

    # they ask before any of them is answered

    $redis->freeze;
    $_->send(batch_bytes($_, $body, key => $key)) for @http;
    sleep(0.05);
    $redis->thaw;

    my @said = sort(map { $_->response->body } @http);
    my @no   = grep { $_ eq problem(409, $TWICE) } @said;
    my @yes  = grep { $_ eq '{"accepted":500}' } @said;

    is(@no + @yes, 4, 'stored, or under way') or diag(@said);
    ok(@yes > 0, 'at least one is stored');
    is(stored_sum($redis), 500, 'once');

    accepted($nginx, $body, 500, 'and later, again', key => $key);
    ok_once('several at once');

    $conflicts += @no;

    last if $conflicts && $round > 2;
}

ok($conflicts, 'one that was too late to know is 409');

# a large one, and the same behind it while it is under way

my @large = map { entry(timestamp => $_) } 1 .. 15_000;

for my $pause (0, 0.005, 0.01, 0.02, 0.05) {
    $key = new_key();

    my @http = map { $nginx->connect(timeout => 30) } 1 .. 3;

    for my $http (@http) {
        $http->send(batch_bytes($http, array(@large), key => $key));
        sleep($pause);
    }

    my @said = map { $_->response->status } @http;

    is(scalar(grep { $_ != 200 && $_ != 409 } @said), 0,
        "sent again while it is under way: @said");
    is(stored_sum($redis), 15_000, 'stored once');
    forget();
}


# records that are none of ours, or damaged

$key = new_key();

my %before = map { $_ => 1 } records();

accepted($nginx, $body, 500, 'a record', key => $key);
forget();

my ($record) = grep { !$before{$_} } records();

# nobody waits for this

my $done = wait_for { my $now = $redis->cli('GET', $record);
    $now =~ /done/ && $now };

my ($digest) = $done =~ /^([0-9a-f]{40}) done 500$/;

ok(defined $digest, 'says that it is done') or diag($done);

my $id = '660cc6fed96cf05c11b8';

for my $bad ('', ' ', 'x', $digest, "$digest ", "$digest done", "$digest done ",
    "$digest done x", "$digest done -1", "$digest done 5 0",
    "$digest done 99999999999999999999", "$digest $id", "$digest $id 1",
    "$digest $id 1 -", "$digest $id 1 - ", "$digest $id x - 0",
    "$digest $id -1 - 0", "$digest $id 1 x 0", "$digest $id 1 1 0",
    "$digest $id 1 5 0 0 0 0 0", "$digest $id 1 - x", "$digest $id 1 - 0 x",
    "$digest $id 1 - 0  0", "$digest $id 1 - -1", "$digest ${id}0 1 - 0",
    "$digest zz$id 1 - 0", "$digest " . ($id =~ s/66/zz/r) . ' 1 - 0',
    "$digest $id 1 - " . join(' ', (0) x 1001),
    "$digest $id 99999999999999999999 - 0", 'x' x 40, 'x' x 100_000,
    "$digest $id 9223372036854775807 - 0", "\0" x 60)
{
    $redis->cli('SET', $record, $bad);

    $res = batch($nginx, $body, key => $key);

    my $what = substr($bad =~ s/$digest/<digest>/r, 0, 60);

    # of no digest that is ours: another body

    is($res->status, $bad =~ /^x{40}$/ ? 422 : 503, "damaged: $what")
        or diag($res->body);
    is($res->body, problem(503, $DAMAGED), 'says so') if $res->status == 503;
}

is(stored_sum($redis), 0, 'nothing is stored by those');

$redis->cli('UNLINK', $record);
$redis->cli('LPUSH', $record, 1);
is(batch($nginx, $body, key => $key)->status, 503, 'of another type');

# a plan as it may be: one shard of many, or 1000 of them

for my $plan ("1 - 0", '1 0 0', '1 - ' . join(' ', (0) x 1000),
    '1 999 ' . join(' ', (7) x 1000), '253402300799999999 - 0 3')
{
    $redis->cli('UNLINK', $record);
    $redis->cli('SET', $record, "$digest $id $plan");
    accepted($nginx, $body, 500, 'a plan: ' . substr($plan, 0, 40),
        key => $key);
    ok((wait_for { $redis->cli('GET', $record) eq $done }), 'is carried out');
    is(stored_sum($redis), 500, 'as a whole');
    ok_once('a plan: ' . substr($plan, 0, 40));
    $redis->cli('DEL', 'es:{batch}:chunks');
}

is($nginx->quit, 0, 'ends well');
ok_log($nginx);


# the rights that README names, and no more

$redis->cli('FLUSHALL');
$redis->cli('ACL', 'SETUSER', 'events', 'reset', 'on', '>x', '~es:*',
    qw(+zadd +zrange +zrevrangebyscore +zcount +ping +info +get +set +zcard
    +sadd +hset +hgetall +hdel +zrem +hget));

$nginx = $t->nginx(redis => $user, server => 'eventsession_feed off;');

for my $again (1, 2) {
    accepted($nginx, $body, 500, 'with few rights', key => 'few');
}

is_deeply([ sort { $a <=> $b } values(%{ { counted($nginx) } }) ],
    [ (100) x 5 ], 'is counted');
ok_once('with few rights');

unlike($nginx->log, qr/NOPERM/, 'they are enough');

is($nginx->quit, 0, 'ends well');
ok_log($nginx);

done_testing();
