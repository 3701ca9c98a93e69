# Why: what a session costs in Redis is decided by its members: while each is
# at most 64 bytes, Redis keeps a small session as a listpack, at a third of
# the memory.  And members written today are read by every later version.
# Known to fail by: a byte more in the format, numbers kept as text, members
# of an older format that are passed over.

use strict;
use warnings;

use lib 't/lib';

use EventSession;
use EventSession::Session;
use Test::More;


my $t     = EventSession->new;
my $redis = $t->redis;
my $nginx = $t->nginx(redis => $redis);
my $name  = 'a_name_of_forty_bytes_is_long_for_events';

is(length($name), 40, 'a name of 40 bytes');


# forms of a timestamp; %d is a number of the event, which varies the digits

my %forms = (
    's'                => '16244%05d',
    's.1'              => '16244%05d.5',
    's.3'              => '16244%05d.298',
    's.6'              => '16244%05d.298001',
    's.9'              => '16244%05d.298001999',
    'ms'               => '16244%05d298',
    'ms.3'             => '16244%05d298.001',
    'ms.6'             => '16244%05d298.001999',
    'µs'               => '16244%05d298001',
    'µs.3'             => '16244%05d298001.999',
    'ns'               => '16244%05d298001999',
    'the last s'       => '999999%05d',
    'the last s.8'     => '999999%05d.99999999',
    'the last ms'      => '999999999%05d',
    'the last µs'      => '999999999999%05d',
    'ns of 19 digits'  => '99999999999999%05d',
    'with an exponent' => '1.6%05de9',
);

for my $form (sort(keys(%forms))) {
    my $sid    = uuid();
    my $key    = "es:{$sid}";
    my @events = map { event(sprintf($forms{$form}, 100 * $_), $name) }
        1 .. 100;

    store($nginx, $sid, @events);

    my ($longest) = sort { $b <=> $a } map { length($_) }
        @{ $redis->cli('ZRANGE', $key, 0, -1) };

    cmp_ok($longest, '<=', 64, "$form: at most 64 bytes ($longest)");
    is($redis->cli('OBJECT', 'ENCODING', $key), 'listpack', 'a listpack');
    cmp_ok($redis->cli('MEMORY', 'USAGE', $key, 'SAMPLES', 0) / 100, '<', 100,
        'of less than 100 bytes an event');
    is($nginx->get("/session/$sid")->body, tree(undef, undef, @events),
        'and none of them is lost in it');
}

my $sid = uuid();

store($nginx, $sid, start(1624422533298), event(1624422533298, $name),
    end(1624422533298));
is_deeply([ map { length($_) } @{ $redis->cli('ZRANGE', "es:{$sid}", 0, -1) } ],
    [ 16, 58, 16 ], 'START, EVENT in ms, END');

store($nginx, $sid, event(1624422533298, $name, id => '"x"'));
is((grep { /^\x02/ } @{ $redis->cli('ZRANGE', "es:{$sid}", 0, -1) })[0],
    "\x02\x01x\x06\x01\x7a\x37\x20\xc8\xb2$name", 'an id is kept as it is');

is_deeply($redis->cli('ZRANGEBYSCORE', "es:{$sid}", '-inf', '-inf'),
    [ "\x03\x80\x05\xc5\x67\x58\x0f\xf7\x50\x06\x01\x7a\x37\x20\xc8\xb2" ],
    'START at -inf');
is($redis->cli('ZCOUNT', "es:{$sid}", 1624422533298000, 1624422533298000), 2,
    'EVENTs at their µs');
is($redis->cli('ZCOUNT', "es:{$sid}", '+inf', '+inf'), 1, 'END at +inf');


# what an older version has written: member.h as of the first release

my $old = "es:{11111111-2222-3333-4444-555555555555}";
my $id  = 'i' x 10;

$redis->cli('ZADD', $old, @$_) for (
    [ '-inf', "\x03\x80\0\0\0\x3b\x9a\xca\x00\x02\x03\xe8" ],
    [ 1e9, "\x01$id\x02\x03\xe8plain" ],
    [ 1001500000, "\x01$id\x0b\x03\x0f\x48\x1cdecimal" ],
    [ 1002000000, "\x01$id\x00\x071.002e3text" ],
    [ 1003000000,
      "\x01$id\x22\x03\xeb\x04more,\"category\":\"c\",\"data\":[1]" ],
    [ 1624422533000000, "\x02\x03own\x00\x16\"2021-06-23T04:28:53Z\"date" ],
    [ '+inf', "\x04\x80\x05\xc5\x67\x58\x0b\x6b\x40\x04\x60\xd2\xb8\x85" ],
);

is($nginx->get('/session/11111111-2222-3333-4444-555555555555')->body,
    tree(1000, 1624422533, event(1000, 'plain'), event('1001.500', 'decimal'),
        event('1.002e3', 'text'),
        event(1003, 'more', category => '"c"', data => '[1]'),
        event('"2021-06-23T04:28:53Z"', 'date')), 'is read by this one');


$nginx->quit;
ok_log($nginx);
done_testing();
