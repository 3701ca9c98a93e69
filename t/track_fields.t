# Why: an application is told exactly what is wrong with its events, in the
# sentences that it already knows, or gets them back in canonical form; what is
# told must be the same over HTTP as in the parser's own tests, where a body
# comes from no socket.  Known to fail by: one fault that hides another; a good
# event that is stored though another of its array is bad; numbers that pass
# through a double; a text that is changed in place before it is shown.

use strict;
use warnings;

use lib 't/lib';

use EventSession;
use EventSession::Session;
use EventSession::Track;
use Test::More;

use constant {
    KIND => 'Invalid data. Expected a dictionary, but got ',
    NUL  => 'Null characters are not allowed.',
};

my @names = qw(session_id category name data timestamp);

my $t     = EventSession->new;
my $redis = $t->redis;

my $nginx = $t->nginx(redis => $redis, http => track_conf(),
    locations => <<END);
        location = /api/v1/events/ {
            eventsession track;
        }

        location = /narrow {
            eventsession track;
            eventsession_max_entries 3;
            eventsession_max_name 12;
            eventsession_max_category 6;
            eventsession_max_data 24;
        }

        location = /any {
            eventsession track;
            eventsession_session_id any;
        }

        location /session/ {
            eventsession session;
            eventsession_session_id any;
        }

        location = /database_events {
            eventsession feed;
        }
END

my $http = $nginx->connect(timeout => 30);


# What is posted is answered with this.

sub ok_reply {
    my ($status, $body, $reply, $what, %options) = @_;

    local $Test::Builder::Level = $Test::Builder::Level + 1;

    my $res = track($http, $body, %options);

    is(join(' ', $res->status, $res->header('Content-Type') // 'no type',
        $res->body), "$status application/json $reply", $what);

    return $res;
}


sub stored { ok_reply(201, @_) }
sub refused { ok_reply(400, @_) }


sub limit { "Ensure this field has no more than $_[0] " . ($_[1]
    // 'characters') . '.' }

sub unread { qq({"detail":"JSON parse error - Expecting $_[0]"}) }


sub sessions { scalar(@{ $redis->cli('KEYS', 'es:{*') }) }


# the assignment's own requests

my $seed = <<'END';
{
    "session_id": "e2085be5-9137-4e4e-80b5-f1ffddc25423",
    "category": "page interaction",
    "name": "pageview",
    "data": {
        "host": "www.consumeraffairs.com",
        "path": "/"
    },
    "timestamp": "2021-01-01 09:15:27.243860"
}
END

my $told = '{"session_id":"e2085be5-9137-4e4e-80b5-f1ffddc25423","category":'
    . '"page interaction","name":"pageview","data":{"host":'
    . '"www.consumeraffairs.com","path":"/"},"timestamp":'
    . '"2021-01-01T09:15:27.243860Z"}';

my $missing = $seed =~ s/ "name".*\},(?=\s+"timestamp")//sr;

refused($missing, fault(name => REQUIRED, data => REQUIRED),
    "the assignment's request with two faults");
refused($seed =~ s/\}\s*\z//r, unread(q(',' or '}' after a value: )
    . 'line 10 column 1'), 'and one that is cut');
is(sessions(), 0, 'nothing is stored of them');

my $res = stored($seed, $told, "the assignment's request");

is($res->header('Content-Length'), length($told), 'with its length');
stored($res->body, $told, 'its reply is a request, and another event');
stored("[$seed,$seed]", "[$told,$told]", 'an array of it');
refused("[$seed,$missing,$seed]", '[{},' . fault(name => REQUIRED,
    data => REQUIRED) . ',{}]', 'an array with a bad one');
stored($seed =~ s/"(?=\n\}\s*\z)/",/r, $told, 'with a comma before its end');

my @children = map { event($_, 'pageview', category => '"page interaction"',
    data => '{"host":"www.consumeraffairs.com","path":"/"}') }
    ('"2021-01-01 09:15:27.243860"', '"2021-01-01T09:15:27.243860Z"',
    ('"2021-01-01 09:15:27.243860"') x 3);

is($nginx->get('/session/' . SID)->body, tree(undef, undef, @children),
    'its session has the good ones, as they were sent');


# each field alone, and all at once

for my $field (@names) {
    refused(fields($field => undef), fault($field => REQUIRED),
        "$field: missing");
    refused(fields($field => 'null'), fault($field => NULL), "$field: null");
}

refused('{}', fault(map { $_ => REQUIRED } @names), 'nothing at all');

refused(fields(session_id => '1', category => '[]', name => '" "',
    data => 'null', timestamp => '"x"'),
    fault(session_id => NO_UUID, category => NO_STRING, name => BLANK,
        data => NULL, timestamp => NO_TIME), 'all fields have a fault');

stored('{"more":[{"name":1}],' . substr(fields(), 1), shown(),
    'other keys are ignored');
stored(fields() =~ s/"name"/"n\\u0061me"/r, shown(), 'a key with an escape');
refused('{"Name":"n",' . substr(fields(name => undef), 1),
    fault(name => REQUIRED), 'but not another case');


# session_id

my $plain = SID =~ tr/-//dr;

stored(fields(session_id => qq("$_")), shown(), "session_id: $_")
    for SID, uc(SID), $plain, uc($plain), '{' . SID . '}', 'urn:uuid:' . SID,
    '\\u0065' . substr(SID, 1);

refused(fields(session_id => $_), fault(session_id => NO_UUID),
    "session_id: $_") for '""', '"x"', '1', 'true', '[]', '{}',
    '"' . SID . '0"', '" ' . SID . '"', '"' . SID =~ s/-/_/r . '"',
    '"' . substr(SID, 1) . '"', '"{' . SID . '"', '["' . SID . '"]',
    '"' . SID . '\\u0000"', '"order.17"';

stored(fields(session_id => '"order.17"'),
    shown(session_id => '"order.17"'), 'any session_id, where that is',
    path => '/any');
stored(fields(session_id => '"' . uc($plain) . '"'), shown(),
    'where a UUID is one, too', path => '/any');
refused(fields(session_id => '"a b"'), fault(session_id => 'Must be a valid '
    . 'session id: 1 to 128 letters, digits, dots, underscores, tildes or '
    . 'dashes.'), 'but not this', path => '/any');


# category and name

my $e200 = "\xc3\xa9" x 200;
my @edge = ([ '"\\u0062"', '"b"' ], [ '" a\\tb\\n"', '"a\\tb"' ],
    [ '"\\u2003\\u00a0 a \\u3000"', '"a"' ],
    [ '"a\\"\\\\\\/b"', '"a\\"\\\\/b"' ],
    [ '1', '"1"' ], [ '-1.50e3', '"-1.50e3"' ], [ '"null"', '"null"' ],
    [ '"' . 'x' x 200 . '"' ], [ qq("$e200") ],
    [ qq("  $e200\\t"), qq("$e200") ],
    [ '"' . '\\ud83d\\ude00' x 200 . '"',
      '"' . "\xf0\x9f\x98\x80" x 200 . '"' ]);

for my $field (qw(category name)) {
    for my $pair (@edge) {
        my ($sent, $shown) = (@$pair, @$pair);

        stored(fields($field => $sent), shown($field => $shown),
            "$field: " . substr($sent, 0, 40));
    }

    refused(fields($field => $_), fault($field => BLANK), "$field: $_")
        for '""', '" "', '"\\t\\r\\n"', '"\\u2028\\u001f"';
    refused(fields($field => $_), fault($field => NO_STRING), "$field: $_")
        for qw(true false [] {} ["a"]);
    refused(fields($field => qq("$_")), fault($field => limit(200)),
        "$field: too long") for 'x' x 201, "${e200}x", 'x' x 50_000;
    refused(fields($field => '"a\\u0000b"'), fault($field => NUL),
        "$field: with a NUL");
    refused(fields($field => '"\\u0000' . 'x' x 200 . '"'),
        fault($field => [ limit(200), NUL ]), "$field: two faults");
}


# data: any JSON but null, the very digits

stored(fields(data => $_->[0]), shown(data => $_->[1] // $_->[0]),
    "data: $_->[0]") for map { ref($_) ? $_ : [ $_ ] } qw([] {} "" "null" true
    false 0 -0 1.0 1E+2 1624422533298 12345678901234567890.0123456789012345),
    '"\\u0000"', '[null]', '{"":null}', '[[[{"a":[{}]}]]]',
    [ '[ 1 , [ ] ,]', '[1,[]]' ], [ " { \"a b\" :\n\"c  d\", } ",
    '{"a b":"c  d"}' ];

my $deep = '[' x 30 . ']' x 30;

stored(fields(data => $deep), shown(data => $deep), 'data: deep');
stored(fields(data => '"' . 'x' x 65534 . '"'), shown(data => '"' . 'x' x 65534
    . '"'), 'data: 64k');
refused(fields(data => '"' . 'x' x 65535 . '"'),
    fault(data => limit(65536, 'bytes')), 'data: one more');


# timestamps

stored(fields(timestamp => $_->[0]), shown(timestamp => qq("$_->[1]")),
    "timestamp: $_->[0]") for
    [ '0',                               '1970-01-01T00:00:00Z' ],
    [ '1609492527.243860',               '2021-01-01T09:15:27.243860Z' ],
    [ '1609492527.2438609',              '2021-01-01T09:15:27.243860Z' ],
    [ '1.609492527e9',                   '2021-01-01T09:15:27Z' ],
    [ '1609492527243',                   '2021-01-01T09:15:27.243000Z' ],
    [ '1609492527000',                   '2021-01-01T09:15:27Z' ],
    [ '1609492527243860',                '2021-01-01T09:15:27.243860Z' ],
    [ '1609492527243860999',             '2021-01-01T09:15:27.243860Z' ],
    [ '99999999999',                     '5138-11-16T09:46:39Z' ],
    [ '100000000000',                    '1973-03-03T09:46:40Z' ],
    [ '"2021-01-01 09:15:27.243860"',    '2021-01-01T09:15:27.243860Z' ],
    [ '"2021-01-01T09:15:27.243860Z"',   '2021-01-01T09:15:27.243860Z' ],
    [ '"2021-01-01T09:15"',              '2021-01-01T09:15:00Z' ],
    [ '"2021-01-01T09:15:27.000000Z"',   '2021-01-01T09:15:27Z' ],
    [ '"2021-01-01T09:15:27.5"',         '2021-01-01T09:15:27.500000Z' ],
    [ '"2021-01-01T09:15:27.1234567899Z"', '2021-01-01T09:15:27.123456Z' ],
    [ '"2021-01-01T09:15:27.0000001Z"',  '2021-01-01T09:15:27Z' ],
    [ '"2021-01-01T00:15:27+01:00"',     '2020-12-31T23:15:27Z' ],
    [ '"2021-01-01T09:15:27.25-0030"',   '2021-01-01T09:45:27.250000Z' ],
    [ '"2021-01-01 09:15+02"',           '2021-01-01T07:15:00Z' ],
    [ '"2020-02-29T00:00:00Z"',          '2020-02-29T00:00:00Z' ],
    [ '"1969-12-31T23:59:59.999999Z"',   '1969-12-31T23:59:59.999999Z' ],
    [ '"2016-12-31T23:59:60Z"',          '2017-01-01T00:00:00Z' ],
    [ '"\\u0032021-01-01T09:15:27Z"',    '2021-01-01T09:15:27Z' ];

refused(fields(timestamp => $_), fault(timestamp => NO_TIME), "timestamp: $_")
    for qw(-1 -0.5 1e400 253402300800000000000 true [] {} "" "x" "1609492527"
    "2021-01-01" "2021-02-29T00:00:00Z" "2021-13-01T00:00:00Z"
    "2021-01-01T24:00:00Z" "2021-01-01T09:60:00Z" "2021-01-01T09:15:60Z"
    "2021-01-01T09:15:27.Z" "2021-01-01T09:15:27+24:00" "09:15:27"
    "2021-01-01T9:15:27Z" "2021-01-01T09:15:27ZZ" "2021-01-01T09:15:27\u0000"),
    '"2021-01-01  09:15:27"', '"2021-01-01T09:15:27Z x"', '"now"';


# arrays

stored('[]', '[]', 'an empty array');
stored('[' . fields() . ']', '[' . shown() . ']', 'an array of one');
stored(' [ ' . fields() . ",\n\t" . fields(name => '"m"') . ' ,] ',
    '[' . shown() . ',' . shown(name => '"m"') . ']', 'of two, with blanks');

my @kinds = map { fault(non_field_errors => KIND . "$_.") }
    qw(int NoneType str list bool float);

refused('[1,null,"a",[],true,1.5,{},' . fields() . ']', '[' . join(',', @kinds,
    fault(map { $_ => REQUIRED } @names), '{}') . ']', 'an array of anything');

my @many  = map { fields(name => qq("n$_")) } 1 .. 3;
my @shown = map { shown(name => qq("n$_")) } 1 .. 3;

stored('[' . join(',', @many) . ']', '[' . join(',', @shown) . ']',
    'as many as may be', path => '/narrow');
refused('[' . join(',', @many, $many[0]) . ']', fault(non_field_errors =>
    limit(3, 'elements')), 'one more', path => '/narrow');


# limits of a location

stored(fields(name => '"' . 'x' x 12 . '"', category => '"' . "\xc3\xa9" x 6
    . '"', data => '"' . 'x' x 22 . '"'), shown(name => '"' . 'x' x 12 . '"',
    category => '"' . "\xc3\xa9" x 6 . '"', data => '"' . 'x' x 22 . '"'),
    'up to the limits', path => '/narrow');
refused(fields(name => '"' . 'x' x 13 . '"', category => '"' . 'x' x 7 . '"',
    data => '"' . 'x' x 23 . '"'), fault(category => limit(6),
    name => limit(12), data => limit(24, 'bytes')), 'beyond them',
    path => '/narrow');


# what is no event, and no JSON

refused($_->[0], fault(non_field_errors => KIND . "$_->[1]."),
    "a body of $_->[0]") for [ '1', 'int' ], [ '-0', 'int' ],
    [ '1.5', 'float' ], [ '1e3', 'float' ], [ '"a"', 'str' ],
    [ 'true', 'bool' ], [ ' null ', 'NoneType' ];

my $unread = qr/^\{"detail":"JSON parse error - Expecting (?:[^"\\]|\\.)+:/;

like(track($http, $_)->body, qr/$unread line \d+ column \d+"\}$/,
    'no JSON: ' . substr($_, 0, 30) =~ s/[^ -~]/?/gr) for '', ' ', '{', '[',
    '[1', '{"a"', '{"a":1', '{a:1}', "{'a':1}", '{"a":01}', '{"a":1}}',
    '[1] 2', 'nul', 'NaN', '[Infinity]', '[,]', '{,}', '[1,,]', '"a',
    "[\"\x01\"]", "[\"\xff\"]", "[\"\xc0\x80\"]", "[\"\xed\xa0\x80\"]",
    '["\\ud800"]', '["\\x"]', '{"a":1,"a":2}', '{"a":1,"\\u0061":2}',
    '{"\\u0000":1}', '[' x 33 . ']' x 33, "\xef\xbb\xbf[]", "[]\0",
    '[' x 100_000, fields() . fields(), fields() =~ s/1\}$/1/r;

my $bad = track($http, "[{\"a\":\"\xc3\xa9\",\n  tru}]");

is($bad->body, unread('a name in double quotes: line 2 column 3'),
    'where it is');


# nothing of what was refused

is($redis->cli('ZCOUNT', 'es:{' . SID . '}', '-inf', '+inf'),
    $redis->cli('ZCARD', 'es:{' . SID . '}'), 'all of them are events');

my $count = $redis->cli('ZCARD', 'es:{' . SID . '}');
my $keys  = sessions();
my $other = uuid();

refused('[' . fields(session_id => qq("$other")) . ',' . fields() . ',1]',
    '[{},{},' . fault(non_field_errors => KIND . 'int.') . ']',
    'the last of three is none');
is(sessions(), $keys, 'no session came of it');
is($redis->cli('ZCARD', 'es:{' . SID . '}'), $count, 'and no event');


# in order, and exactly as it was sent

my $sid = uuid();

my @sent = ([ '1609492527.5', '"c"', '"last"', '{"n":1.50,"m":[1E2,-0]}' ],
    [ '"2021-01-01T10:15:27+01:00"', '"\\u0063\\""', '" name "', 'false' ],
    [ '1609492527001', '7', '8', '"\\u00e9\\u0000"' ]);

my $feed = $nginx->sse('/database_events', timeout => 30);

is($feed->opened, 200, 'the feed');

is(track($http, '[' . join(',', map { fields(session_id => qq("$sid"),
    timestamp => $_->[0], category => $_->[1], name => $_->[2],
    data => $_->[3]) } @sent) . ']')->status, 201, 'three of a session');

is($nginx->get("/session/$sid")->body, tree(undef, undef,
    event('"2021-01-01T10:15:27+01:00"', 'name', category => '"c\\""',
        data => 'false'),
    event('1609492527001', '8', category => '"7"', data => '"\\u00e9\\u0000"'),
    event('1609492527.5', 'last', category => '"c"',
        data => '{"n":1.50,"m":[1E2,-0]}')), 'in the order of their time');

is($feed->next->{data} =~ s/"event_id":"\w+",//r, '{"event_timestamp":'
    . qq("2021-01-01T09:15:27.500Z","event_name":"last","session_id":"$sid",)
    . '"type":"EVENT","application":"example","category":"c","data":'
    . '{"n":1.50,"m":[1E2,-0]}}', 'on the feed, as one line');
is($feed->json->{event_name}, $_, 'and the next one') for 'name', '8';

$feed->abort;
is($nginx->quit, 0, 'nginx quits');
ok_log($nginx);
done_testing();
