# Why: WebSocket ingest is what the service is for (contract, section 1, and of
# section 0 what concerns it): entries in, the session's tree out, and a client
# that always knows what is safe.  Known to fail by: acks that overtake the
# error of a bad message in front of them; entries of a bad message that stay;
# identical events that become one; a bye before the last message is safe;
# numbers that went through a double; trailing commas refused, which the
# assignment's own example has.

use strict;
use warnings;

use lib 't/lib';

use EventSession;
use JSON::PP;
use Test::More;

my $t     = EventSession->new;
my $redis = $t->redis;
my $nginx = $t->nginx(redis => $redis, server => <<'END');
    location = /limits {
        eventsession ws;
        eventsession_max_message 300;
        eventsession_max_entries 3;
        eventsession_max_name 4;
        eventsession_max_category 3;
        eventsession_max_data 10;
    }

    location = /impatient {
        eventsession ws;
        eventsession_timeout 300ms;
    }
END


sub ws {
    my ($sid, $args, %options) = @_;

    my $path = delete $options{path} // '/ws';

    return $nginx->ws("$path?sessionId=$sid" . ($args // '&ack=1'), %options);
}


sub event { qq({"type":"EVENT","timestamp":$_[0],"name":"$_[1]"}) }


sub tree {
    my ($start, $end, @children) = @_;

    return qq({"type":"SESSION","start":$start,"end":$end,"children":[)
        . join(',', @children) . ']}';
}


sub body { $nginx->get("/session/$_[0]")->body }


sub shows {
    my ($sid, $tree, $name) = @_;

    local $Test::Builder::Level = $Test::Builder::Level + 1;

    is(body($sid), $tree, $name);
}


sub is_unknown {
    my ($sid, $name) = @_;

    local $Test::Builder::Level = $Test::Builder::Level + 1;

    is($nginx->get("/session/$sid")->status, 404, "$name: nothing is stored");
}


# the messages' answers, and nothing behind them

sub answers_are {
    my ($ws, $name, @answers) = @_;

    local $Test::Builder::Level = $Test::Builder::Level + 1;

    is(join("\n", map { $_ // 'none' } $ws->messages(scalar(@answers))),
        join("\n", @answers), $name);
}


sub ended {
    my ($ws, $code, $name) = @_;

    local $Test::Builder::Level = $Test::Builder::Level + 1;

    is($ws->message, undef, "$name: no more messages");
    is($ws->close_code, $code, "$name: $code");
    ok($ws->eof, "$name: the end");
    is($ws->error, 'end', "$name: without a reset");
}


# A message is refused with this field and index, as all of a reply; then the
# same message behind a good entry, of which nothing may stay.

my $bad_sid = uuid();
my $bad_ws  = ws($bad_sid);
my $bad_n   = 0;

sub refused {
    my ($message, $field, $name, %options) = @_;

    local $Test::Builder::Level = $Test::Builder::Level + 1;

    my $rest = '"message":' . ++$bad_n;

    $rest .= ',"index":' . ($options{index} // 0) if defined $field;
    $rest .= qq(,"field":"$field") if length($field // '');

    $options{binary} ? $bad_ws->binary($message) : $bad_ws->text($message);

    my $answer = $bad_ws->message // 'none: ' . $bad_ws->error;

    like($answer, qr/^\{"error":"[^"\\]+(?:\\.[^"\\]*)*",\Q$rest\E\}$/, $name);

    like($answer, $options{says}, "$name: why") if $options{says};
    ok(eval { JSON::PP->new->utf8->decode($answer) }, "$name: valid JSON");

    return $answer;
}


# An entry's fault at the second place, too: the first is not kept.

sub refused_entry {
    my ($entry, $field, $name, %options) = @_;

    local $Test::Builder::Level = $Test::Builder::Level + 1;

    my $good = event(1, 'good');

    refused("[$entry]", $field, $name, says => qr/\Q$field\E/, %options);
    refused("[$good,$entry,$good]", $field, "$name, the second of three",
        index => 1, %options);
}


sub refused_json {
    my ($message, $name, %options) = @_;

    local $Test::Builder::Level = $Test::Builder::Level + 1;

    refused($message, undef, $name, says => qr/line \d+, column \d+/,
        %options);
}


# the assignment's example: START, EVENT, END with their commas before "}"

my $sid = 'e6fa79ca-d142-4046-a134-5134f16a0b5e';
my $ws  = ws($sid, '');

$ws->text($_) for seed_messages($sid);
answers_are($ws, 'the assignment: bye', '{"message":"bye"}');
ended($ws, 1000, 'the assignment');
shows($sid, tree(1569972082, 1569972090, event(1569972083, 'cart_loaded')),
    'the assignment: its tree');

$sid = uuid();
$ws  = ws($sid, '');

$ws->text(<<"END");
[
  {
    "timestamp": 1569972082,
    "type": "SESSION_START",
    "session_id": "$sid",
  },
  {
    "timestamp": 1569972083,
    "type": "EVENT",
    "name": "cart_loaded"
  }
]
END
$ws->text(<<"END");

    {
      "timestamp": 1569972090,
      "type": "SESSION_END",
      "session_id": "$sid",
    }
  ]
END

# the document has lost the "[" of its second message

my $answer = $ws->message;

like($answer, qr/^\{"error":"[^"]*line 7, column 3[^"]*","message":2\}$/,
    'the assignment: its torn message is told where');

$ws->text(<<"END");
[
    {
      "timestamp": 1569972090,
      "type": "SESSION_END",
      "session_id": "$sid",
    },
]
END
answers_are($ws, 'the assignment, in lines: bye', '{"message":"bye"}');
ended($ws, 1000, 'the assignment, in lines');
shows($sid, tree(1569972082, 1569972090, event(1569972083, 'cart_loaded')),
    'the assignment, in lines: its tree');


# eventservice's README: all in one message, with equal timestamps; what it
# prints there is JavaScript

$sid = uuid();
$ws  = ws($sid, '');

$ws->text(<<"END");
[
  {
    timestamp: 1624422533298,
    type: 'SESSION_START',
    session_id: '$sid'
  },
  { timestamp: 1624422533298, type: 'EVENT', name: 'event2' }
]
END
like($ws->message,
    qr/^\{"error":"[^"]*line 3, column 5[^"]* in double [^"]*","message":1\}$/,
    'JavaScript is no JSON: where, and what is');
is_unknown($sid, 'JavaScript');

$ws->text(<<"END");
[
  {
    "timestamp": 1624422533298,
    "type": "SESSION_START",
    "session_id": "$sid"
  },
  { "timestamp": 1624422533298, "type": "EVENT", "name": "event2" },
  { "timestamp": 1624422533298, "type": "EVENT", "name": "test" },
  { "timestamp": 1624422533298, "type": "EVENT", "name": "event2" },
  {
    "timestamp": 1624422533298,
    "type": "SESSION_END",
    "session_id": "$sid"
  }
]
END
answers_are($ws, 'eventservice: bye', '{"message":"bye"}');
ended($ws, 1000, 'eventservice');
shows($sid, tree(1624422533298, 1624422533298,
    map { event(1624422533298, $_) } qw(event2 test event2)),
    'eventservice: its tree');


# acks: numbers, counts, order

$sid = uuid();
$ws  = ws($sid);

$ws->text('[]');
$ws->text('[' . event(5, 'a') . ']');
$ws->text('[' . join(',', event(4, 'b'), event(3, 'c'), event(3, 'd')) . ',]');
$ws->binary('[' . event(2, 'binary') . ']');
$ws->text('[' . event('x', 'bad') . ']');
$ws->text("[\n]");
$ws->text('[{"type":"EVENT","timestamp":1}]');
$ws->text('[{"type":"SESSION_START","timestamp":1}]');

my @answers = $ws->messages(8);

is($answers[0], '{"ack":1,"events":0}', 'ack of []');
is($answers[1], '{"ack":2,"events":1}', 'ack of one');
is($answers[2], '{"ack":3,"events":3}', 'ack of three');
is($answers[3], '{"ack":4,"events":1}', 'ack of a binary message');
like($answers[4], qr/^\{"error":"[^"]*line 1, column 30[^"]*","message":5\}$/,
    'an error in its turn');
is($answers[5], '{"ack":6,"events":0}', 'ack of [] in lines');
like($answers[6], qr/^\{"error":"[^"]*name[^"]*","message":7,"index":0,
    "field":"name"\}$/x, 'another error in its turn');
is($answers[7], '{"ack":8,"events":1}', 'ack of a START');

shows($sid, tree(1, 'null', event(2, 'binary'), event(3, 'c'), event(3, 'd'),
    event(4, 'b'), event(5, 'a')), 'all that was acknowledged is there');

my $n   = 3000;
my $out = '';
my @expected;

for my $i (9 .. 8 + $n) {
    my ($message, $expected) =
        $i % 7 == 0 ? ('[', qr/^\{"error":"[^"]+","message":$i\}$/)
      : $i % 5 == 0 ? ('[{"type":"EVENT","timestamp":1,"name":1}]',
          qr/^\{"error":"[^"]+","message":$i,"index":0,"field":"name"\}$/)
      : $i % 3 == 0 ? ('[]', qr/^\{"ack":$i,"events":0\}$/)
      :               ('[' . event($i, "e$i") . ',' . event($i, 'f') . ']',
          qr/^\{"ack":$i,"events":2\}$/);

    $out .= EventSession::WS::frame_bytes(payload => $message);
    push(@expected, $expected);
}

$ws->raw($out);

my @got   = $ws->messages($n);
my @wrong = grep { ($got[$_] // '') !~ $expected[$_] } 0 .. $n - 1;

is(scalar(@wrong), 0, "$n good and bad messages at once: all in order")
    or diag($got[$wrong[0]]);


# silence without acks

$sid = uuid();
$ws  = ws($sid, '');

$ws->text('[' . event($_, "e$_") . ']') for 1 .. 20;
ok((wait_for { body($sid) eq tree('null', 'null',
    map { event($_, "e$_") } 1 .. 20) } 5), 'without acks: it is stored');
$ws->ping('p');

my $frame = $ws->next_frame // {};

is($frame->{opcode}, 10, 'without acks: and nothing was said');

$ws->text('[');
like($ws->message, qr/^\{"error":"[^"]+","message":21\}$/,
    'without acks: but for errors');

$ws->text('[{"type":"SESSION_END","timestamp":21}]');
answers_are($ws, 'without acks: and the bye', '{"message":"bye"}');
ended($ws, 1000, 'without acks');


# what is no JSON

for my $case (
    [ 'nothing',              '' ],
    [ 'blanks',               " \n" ],
    [ 'words',                'hello' ],
    [ 'half a message',       '[{"type":"EVENT","timestamp":1,"name":"x"}' ],
    [ 'half an entry',        '[{"type":"EVENT",' ],
    [ 'half a string',        '[{"type":"EV' ],
    [ 'something behind',     '[' . event(1, 'x') . '] x' ],
    [ 'two arrays',           '[][]' ],
    [ 'single quotes',        q([{'type':'EVENT','timestamp':1,'name':'x'}]) ],
    [ 'a comment',            '[/* */]' ],
    [ 'a comma alone',        '[,]' ],
    [ 'a comma in front',     '[,' . event(1, 'x') . ']' ],
    [ 'two commas',           '[' . event(1, 'x') . ',,]' ],
    [ 'an entry of a comma',  '[{,}]' ],
    [ 'two commas in an entry', '[{"type":"EVENT","timestamp":1,"name":"x",,}]'
    ],
    [ 'no comma',             '[{"type":"EVENT" "timestamp":1,"name":"x"}]' ],
    [ 'no colon',             '[{"type" "EVENT"}]' ],
    [ 'a semicolon',          '[' . event(1, 'x') . ';' . event(1, 'x') . ']' ],
    [ 'the wrong bracket',    '[' . event(1, 'x') . '}' ],
    [ 'NaN',                  '[' . event('NaN', 'x') . ']' ],
    [ 'Infinity',             '[' . event('-Infinity', 'x') . ']' ],
    [ 'a leading zero',       '[' . event('01', 'x') . ']' ],
    [ 'a plus',               '[' . event('+1', 'x') . ']' ],
    [ 'a point alone',        '[' . event('1.', 'x') . ']' ],
    [ 'a fraction alone',     '[' . event('.5', 'x') . ']' ],
    [ 'hexadecimal',          '[' . event('0x10', 'x') . ']' ],
    [ 'an empty exponent',    '[' . event('1e', 'x') . ']' ],
    [ 'True',                 '[{"data":True}]' ],
    [ 'a raw line feed',      "[" . event(1, "a\nb") . ']' ],
    [ 'a raw tab',            "[" . event(1, "a\tb") . ']' ],
    [ 'a raw NUL',            "[" . event(1, "a\0b") . ']' ],
    [ 'a NUL behind',         '[' . event(1, 'x') . "]\0" ],
    [ 'a strange escape',     '[' . event(1, '\\x') . ']' ],
    [ 'half an escape',       '[' . event(1, '\\u12') . ']' ],
    [ 'a high surrogate',     '[' . event(1, '\\ud800') . ']' ],
    [ 'a low surrogate',      '[' . event(1, '\\udc00x') . ']' ],
    [ 'surrogates turned round', '[' . event(1, '\\udc00\\ud800') . ']' ],
    [ 'a byte order mark',    "\xef\xbb\xbf[" . event(1, 'x') . ']' ],
    [ 'a name twice',
      '[{"type":"EVENT","timestamp":1,"name":"x","name":"x"}]' ],
    [ 'a name twice, once escaped',
      '[{"type":"EVENT","timestamp":1,"name":"x","n\u0061me":"y"}]' ],
    [ 'an unknown name twice',
      '[{"type":"EVENT","timestamp":1,"name":"x","a":1,"a":2}]' ],
    [ 'a name twice in data',
      '[{"type":"EVENT","timestamp":1,"name":"x","data":{"a":1,"a":2}}]' ],
    [ 'a name twice deep in data', '[{"type":"EVENT","timestamp":1,"name":"x",'
      . '"data":[[{"b":{"":1,"a":0,"":2}}]]}]' ],
    [ 'NUL in the name of a member',
      '[{"type":"EVENT","timestamp":1,"name":"x","a\u0000b":1}]' ],
    [ 'NUL in the name of a member of data',
      '[{"type":"EVENT","timestamp":1,"name":"x","data":{"a\u0000":1}}]' ],
    [ 'a depth of 33', '[{"type":"EVENT","timestamp":1,"name":"x","data":'
      . '[' x 31 . ']' x 31 . '}]' ],
    [ 'a depth of 33 of objects', '[{"type":"EVENT","timestamp":1,"name":"x",'
      . '"data":' . '{"a":' x 31 . '1' . '}' x 31 . '}]' ],
    [ 'a depth of 100000',    '[' x 100_000 ],
    [ 'a depth of 100000 objects', '[' . '{"a":' x 100_000 ],
) {
    my ($name, $message) = @$case;

    refused_json($message, $name);
}

refused_json("[" . event(1, "\xff") . ']', 'invalid UTF-8 in a binary message',
    binary => 1);
refused_json("[" . event(1, "\xed\xa0\x80") . ']',
    'a surrogate in a binary message', binary => 1);
refused_json("[" . event(1, 'x') . "]\xc3", 'invalid UTF-8 behind it',
    binary => 1);

like(refused_json("[\n\n  {\"type\": tru}\n]", 'a place'),
    qr/line 3, column 12/, 'a place: which');

# a fault of syntax anywhere goes first: what is no JSON has no entries

refused_json('[{"type":"NONE"},{"session_id":"x"}', 'entries of no JSON');


# what is JSON, but no message

for my $message ('{}', event(1, 'x'), '"x"', '1', 'null', 'true', ' {"a":[]}')
{
    refused($message, undef, "$message is no array", says => qr/array/);
}

for my $entry ('1', '"x"', 'null', '[]', 'true', '[' . event(1, 'x') . ']') {
    refused("[$entry]", '', "$entry is no entry", says => qr/object/);
    refused('[' . event(1, 'x') . ",$entry]", '',
        "$entry is no entry, the second", index => 1);
}

for my $case (
    [ '{}',                                              'type' ],
    [ '{"timestamp":1,"name":"x"}',                      'type' ],
    [ '{"type":"event","timestamp":1,"name":"x"}',       'type' ],
    [ '{"type":"EVENTS","timestamp":1,"name":"x"}',      'type' ],
    [ '{"type":"","timestamp":1,"name":"x"}',            'type' ],
    [ '{"type":null,"timestamp":1,"name":"x"}',          'type' ],
    [ '{"type":["EVENT"],"timestamp":1,"name":"x"}',     'type' ],
    [ '{"TYPE":"EVENT","timestamp":1,"name":"x"}',       'type' ],
    [ '{"type":"EVENT","name":"x"}',                     'timestamp' ],
    [ '{"type":"SESSION_START"}',                        'timestamp' ],
    [ '{"type":"SESSION_END"}',                          'timestamp' ],
    [ '{"type":"SESSION_END","timestamp":null}',         'timestamp' ],
    [ '{"type":"EVENT","timestamp":1}',                  'name' ],
    [ '{"type":"EVENT","timestamp":1,"name":null}',      'name' ],
    [ '{"type":"EVENT","timestamp":1,"name":1}',         'name' ],
    [ '{"type":"EVENT","timestamp":1,"name":["x"]}',     'name' ],
    [ '{"type":"EVENT","timestamp":1,"name":"a\u0000b"}', 'name' ],
    [ event(1, 'x" ,"session_id":1,"a":"'),              'session_id' ],
    map({ [ event(1, qq(x","category":$_,"a":")), 'category' ] }
        '1', 'null', '["a"]', 'true'),
    map({ [ event(1, qq(x","id":$_,"a":")), 'id' ] }
        '1', 'null', '""', '" "', '"a b"', '"\u0000"', '"\n"', '"\u007f"',
        "\"\xc3\xa4\"", '"' . 'x' x 65 . '"', '{}'),
    map({ [ event($_, 'x'), 'timestamp' ] }
        '-1', '-0.5', '1e30', '99999999999999999999999', 'null', 'true', '""',
        '"x"', '"1569972082"', '[1]', '{}', '"2021-02-29T00:00:00Z"',
        '"2021-04-31T00:00:00Z"', '"2021-13-01T00:00:00Z"',
        '"2021-00-01T00:00:00Z"', '"2021-01-00T00:00:00Z"',
        '"2021-01-01T24:00:01Z"', '"2021-01-01T00:60:00Z"',
        '"2021-01-01T00:00:61Z"', '"2021-01-01T00:00:00+24:00"',
        '"2021-01-01T00:00:00Zx"', '"2021-01-01T00:00:00 "',
        '" 2021-01-01T00:00:00"', '"2021-01-01T00:00:00."',
        '"2021-01-01X00:00:00"', '"21-01-01T00:00:00"', '"2021-1-1T00:00:00"',
        '"today"', '"1900-02-29T00:00:00Z"'),
) {
    my ($entry, $field) = @$case;

    refused_entry($entry, $field, $entry);
}

is_unknown($bad_sid, 'all those bad messages');
$bad_n++;
$bad_ws->text('[' . event(7, 'fine') . ']');
is($bad_ws->message, qq({"ack":$bad_n,"events":1}),
    'and the connection is still open');
shows($bad_sid, tree('null', 'null', event(7, 'fine')), 'and works');

is(ws(uuid(), '', more => EventSession::WS::frame_bytes(payload =>
    '[{"type":"EVENT","timestamp":1,"name":"x","a\"\u0001":1,}},]'))->message
    =~ /^\{"error":"[^\x00-\x1f]+","message":1\}$/, 1,
    'and without acks it is told, too');


# whose text is invalid UTF-8, that is the WebSocket's own business: 1007

$ws = ws(uuid());
$ws->text('[' . event(1, "\xff") . ']');
ended($ws, 1007, 'invalid UTF-8 in a text message');


# session_id: that of the URL, in any form, or none

$sid = uuid();
$ws  = ws($sid);

my $plain = $sid =~ s/-//gr;

for my $id ($sid, uc($sid), $plain, uc($plain), $sid =~ s/-/\\u002d/gr) {
    $ws->text(qq([{"type":"SESSION_START","timestamp":9,"session_id":"$id"},)
        . qq({"type":"EVENT","timestamp":9,"name":"x","session_id":"$id"}]));
}

answers_are($ws, 'session_id in all its forms',
    map { qq({"ack":$_,"events":2}) } 1 .. 5);
shows($sid, tree(9, 'null', (event(9, 'x')) x 5), 'and all is there');

my $other = uuid();

for my $entry (
    qq({"type":"SESSION_START","timestamp":1,"session_id":"$other"}),
    qq({"type":"SESSION_END","timestamp":1,"session_id":"$other"}),
    qq({"type":"EVENT","timestamp":1,"name":"x","session_id":"$other"}),
    qq({"session_id":"$other","type":"EVENT","timestamp":1,"name":"x"}),
    qq({"type":"EVENT","timestamp":1,"name":"x","session_id":"no UUID"}),
    qq({"type":"EVENT","timestamp":1,"name":"x","session_id":""}),
) {
    for my $index (0, 1, 5) {
        my $sid = uuid();
        my $ws  = ws($sid);

        my $error = '{"error":"event session_id does not match sessionId '
            . qq(parameter: $sid","index":$index});

        $ws->text('[' . join(',', (event(2, 'good')) x $index, $entry,
            event(2, 'good')) . ']');
        $ws->text('[' . event(3, 'late') . ']');

        answers_are($ws, "$entry at $index", $error);
        ended($ws, 1008, "$entry at $index");
        is_unknown($sid, "$entry at $index");

        # what came in front of it is stored, and told, in order

        $ws = ws($sid);
        $ws->text('[' . event($_, 'n') . ']') for 1 .. 3;
        $ws->text('[]');
        $ws->text('[' . join(',', (event(2, 'good')) x $index, $entry) . ']');
        answers_are($ws, "$entry at $index, behind others",
            map({ qq({"ack":$_,"events":1}) } 1 .. 3),
            '{"ack":4,"events":0}', $error);
        ended($ws, 1008, "$entry at $index, behind others");
        shows($sid, tree('null', 'null', map { event($_, 'n') } 1 .. 3),
            "$entry at $index, behind others: only they are stored");
    }
}

is_unknown($other, 'the session that was not meant');

# with megabytes behind it: not lost in a reset

$ws = ws(uuid());
ok($ws->raw(EventSession::WS::frame_bytes(payload =>
    qq([{"type":"SESSION_END","timestamp":1,"session_id":"$other"}]))
    . EventSession::WS::frame_bytes(payload => '[' . event(1, 'x') . ']')
        x 100_000), 'a mismatch, 5 MB behind it: taken');
like($ws->message, qr/^\{"error":"event session_id does not match/,
    'a mismatch, 5 MB behind it: told');
ended($ws, 1008, 'a mismatch, 5 MB behind it');

$ws = ws(uc($sid), '');
$ws->text(qq([{"type":"SESSION_END","timestamp":1,"session_id":"$sid"}]));
answers_are($ws, 'the URL may have another form', '{"message":"bye"}');


# events: what they may have, and how they are shown

$sid = uuid();
$ws  = ws($sid);

my @shown;

sub stored {
    my ($entry, $shown, $name) = @_;

    local $Test::Builder::Level = $Test::Builder::Level + 1;

    $ws->text("[$entry]");
    is($ws->message, sprintf('{"ack":%d,"events":1}', @shown + 1), $name);
    push(@shown, $shown);
}

# the time is their order: t(1), t(2) ...

sub t { sprintf('%d', 1_700_000_000 + @shown) }

for my $name ('', ' ', 'x' x 255, "\xc3\xa4" x 127 . 'x', "\xe2\x82\xac" x 85,
    "\xf0\x9d\x84\x9e", '/', '\"', '\\\\', '\n\t\r\b\f', '\u0001\u001f',
    "\x7f", '{}[],:', "\xe2\x80\xa8", 'null')
{
    my $event = event(t(), $name);

    stored($event, $event, "name '$name'");
}

for my $case ([ '\u0041\/\u00e4\u20ac', "A/\xc3\xa4\xe2\x82\xac" ],
    [ '\ud834\udd1e', "\xf0\x9d\x84\x9e" ],
    [ '\u000A\u0022\u005C', '\n\"\\\\' ],
    [ '\u0061' x 255, 'a' x 255 ])
{
    my ($name, $shown) = @$case;

    stored(event(t(), $name), event(t(), $shown), "name '$name'");
}

my $head = sub { '{"type":"EVENT","timestamp":' . t() . ',"name":"n"' };

for my $category ('', 'x', "\xc3\xa4" x 200, "\xf0\x9d\x84\x9e" x 200, '\n\"') {
    my $event = $head->() . qq(,"category":"$category"});

    stored($event, $event, "category '$category'");
}

for my $data ('null', 'true', 'false', '0', '-0', '1', '""', '"x"', '[]', '{}',
    '1.10', '1E5', '1e-7', '-1.0e+10', '1624422533298', '9007199254740993',
    '123456789012345678901234567890', '1e400', '0.1000000000000000055511151231',
    '[1,[2,[3,{"a":[]}]]]', '{"z":1,"a":{"z":2,"a":3},"":0}',
    '"' . "\xf0\x9d\x84\x9e" . '"', '[' x 30 . ']' x 30,
    '{"a":' x 30 . '1' . '}' x 30, '[' . join(',', 1 .. 5000) . ']',
    '"' . 'x' x 65534 . '"', '{"type":"SESSION_END","timestamp":1}')
{
    my $event = $head->() . qq(,"data":$data});

    stored($event, $event, 'data ' . substr($data, 0, 60));
}

stored($head->() . qq(, "data" : [ 1 , { "a" :\n "b c" , } , ] }),
    $head->() . ',"data":[1,{"a":"b c"}]}', 'data with blanks and commas');

stored($head->() . ',"data":' . ' ' x 70_000 . '1}',
    $head->() . ',"data":1}', 'data with many blanks');

stored('{"data":{"a":1},"category":"c","name":"n","timestamp":' . t()
    . ',"type":"EVENT"}', $head->() . ',"category":"c","data":{"a":1}}',
    'another order of members');

stored($head->() . ',"id":"an-id"}', $head->() . '}', 'an id is not shown');

stored($head->() . ',"x":1,"names":[{"name":"y"}],"Type":"z","id2":" "}',
    $head->() . '}', 'other members are ignored');

stored('{"\u0074ype":"EV\u0045NT","timest\u0061mp":' . t()
    . ',"n\u0061me":"n"}', $head->() . '}', 'escapes in what we know');

shows($sid, tree('null', 'null', @shown), 'all of them as they came');

$ws->text('[{"type":"SESSION_START","timestamp":1,"name":1,"id":"","data":{},'
    . '"category":[]},]');
answers_are($ws, 'members of events are nothing to a START',
    sprintf('{"ack":%d,"events":1}', @shown + 1));


# limits

$bad_sid = uuid();
$bad_ws  = ws($bad_sid);
$bad_n   = 0;

refused_entry(event(1, $_), 'name', 'a name of 256 bytes') for 'x' x 256,
    "\xc3\xa4" x 128, "\xe2\x82\xac" x 86, '\u00e4' x 128, '\"' x 256;
refused_entry($head->() . qq(,"category":"$_"}), 'category',
    'a category of 201 characters') for 'x' x 201, "\xc3\xa4" x 201,
    '\u0041' x 201;
refused_entry($head->() . qq(,"data":$_}), 'data', 'data of 65537 bytes')
    for '"' . 'x' x 65535 . '"', '[' . '1,' x 32767 . '100]';

my $full = uuid();

$ws = ws($full);
$ws->text('[' . join(',', map { event($_, 'n') } 1 .. 20_000) . ']');
answers_are($ws, '20000 entries', '{"ack":1,"events":20000}');
shows($full, tree('null', 'null', map { event($_, 'n') } 1 .. 20_000),
    '20000 entries are there');

refused('[' . join(',', map { event($_, 'n') } 1 .. 20_001) . ']', '',
    '20001 entries', index => 20_000, says => qr/20000/);

my $entry = '{"type":"EVENT","timestamp":1,"name":"n","data":"' . 'x' x 65_000
    . '"}';
my $big = '[' . join(',', ($entry) x 16) . ']';

$ws->text(' ' x ((1 << 20) - length($big)) . $big);
answers_are($ws, 'a message of 1 MB', '{"ack":2,"events":16}');
$ws->text(' ' x ((1 << 20) - length($big) + 1) . $big);
ended($ws, 1009, 'a byte more');

is_unknown($bad_sid, 'what is over the limits');

$bad_sid = uuid();
$bad_ws  = ws($bad_sid, '&ack=1', path => '/limits');
$bad_n   = 0;

refused_entry(event(1, '12345'), 'name', 'eventsession_max_name');
refused_entry($head->() . ',"category":"1234"}', 'category',
    'eventsession_max_category');
refused_entry($head->() . ',"data":"123456789"}', 'data',
    'eventsession_max_data');
refused('[' . join(',', (event(1, 'n')) x 4) . ']', '',
    'eventsession_max_entries', index => 3, says => qr/\b3\b/);

$bad_ws->text('[' . event(1, '1234') . ',' . $head->()
    . ',"category":"123","data":"12345678"},' . event(1, '1') . ']');
answers_are($bad_ws, 'and what is within them',
    sprintf('{"ack":%d,"events":3}', $bad_n + 1));

$bad_ws->text(' ' x 299 . '[');
like($bad_ws->message, qr/^\{"error":/, 'eventsession_max_message');
$bad_ws->text(' ' x 300 . '[');
ended($bad_ws, 1009, 'eventsession_max_message and a byte');


# time: in all forms, ordered by µs, shown as it came, ties as they came

$sid = uuid();
$ws  = ws($sid);

my @times = (
    '0', '0.000001', '1', '1.5', '"1970-01-01T00:00:01.500001Z"',
    '86400', '99999999',

    # 1973-03-03T09:46:40Z: the smallest numbers of ms, µs and ns

    '100000000000', '100000000000000', '100000000000000000',
    '"1973-03-03T09:46:40Z"', '100000000000.001', '100000000000001.9',
    '100000000000001999', '100000000000002000',

    '951782400', '"2000-02-29 00:00:00.000001"',

    '1624422533', '1624422533.297999', '1624422533297.9999', '1624422533.298',
    '1624422533298', '1624422533298.0', '1624422533298000',
    '1624422533298000000', '"2021-06-23T04:28:53.298Z"',
    '"2021-06-23T06:28:53.298+02:00"', '"2021-06-22T23:58:53.298-04:30"',
    '"2021-06-23 04:28:53.298"', '"2021-06-23T04:28:53.2980000000000000"',
    '"2021-06-23T04:28:53.2980009Z"', '1624422533298.0009',
    '1624422533.298001', '1624422533298001', '"2021-06-23T04:28:53.298002"',

    # the largest numbers of seconds, ms and µs; and beyond them

    '99999999999', '99999999999999', '99999999999999999',
    '"9999-12-31T23:59:59.999999Z"',
);

$ws->text('[' . event($times[$_], $_) . ']') for 0 .. $#times;
is(scalar($ws->messages(scalar(@times))), scalar(@times), 'times are taken');

shows($sid, tree('null', 'null', map { event($times[$_], $_) } 0 .. $#times),
    'times: shown as they came, in order');

# the same in another order: those that are the same µs keep that

my @order = map { my $third = $_; grep { $_ % 3 == $third } 0 .. $#times }
    2, 0, 1;

my %arrived = map { $order[$_] => $_ } 0 .. $#order;
my %instant = map { $_ => $_ } 0 .. $#times;

for my $same ([ 7 .. 10 ], [ 11 .. 13 ], [ 20 .. 31 ], [ 32, 33 ]) {
    $instant{$_} = $same->[0] for @$same;
}

my @sorted = sort { $instant{$a} <=> $instant{$b}
    || $arrived{$a} <=> $arrived{$b} } 0 .. $#times;

$sid = uuid();
$ws  = ws($sid);
$ws->text('[' . join(',', map { event($times[$_], $_) } @order) . ']');
answers_are($ws, 'times, shuffled',
    sprintf('{"ack":1,"events":%d}', scalar(@times)));

shows($sid, tree('null', 'null', map { event($times[$_], $_) } @sorted),
    'times, shuffled');

for my $case ([ '"2021-06-23T04:28:53Z"', '"2021-06-23T04:28:54Z"' ],
    [ '1.50', '1000000000000000.0' ])
{
    my ($start, $end) = @$case;
    my $sid = uuid();

    $ws = ws($sid);
    $ws->text(qq([{"type":"SESSION_START","timestamp":$start},)
        . qq({"type":"SESSION_END","timestamp":$end}]));
    answers_are($ws, "start $start", '{"ack":1,"events":2}',
        '{"message":"bye"}');
    shows($sid, tree($start, $end), "start $start, end $end, as they came");
}


# equal events are distinct, unless their id says that they are not

$sid = uuid();
$ws  = ws($sid);

my $same = event(1, 'same');

$ws->text("[$same,$same,$same]");
$ws->text("[$same]");
answers_are($ws, 'equal events', '{"ack":1,"events":3}',
    '{"ack":2,"events":1}');

my $second = ws($sid);

$second->text("[$same,$same]");
answers_are($second, 'equal events, another connection',
    '{"ack":1,"events":2}');
shows($sid, tree('null', 'null', ($same) x 6), 'equal events are all kept');

$sid = uuid();

my @with_id = map { qq({"type":"EVENT","timestamp":2,"name":"n","id":"$_"}) }
    'a', 'b', '!"#~' =~ s/"/\\"/r, 'x' x 64;

for my $i (1 .. 3) {
    my $ws = ws($sid);

    $ws->text('[' . join(',', @with_id) . ']');
    $ws->text("[$with_id[0],$with_id[0]]");
    answers_are($ws, "with ids, time $i", '{"ack":1,"events":4}',
        '{"ack":2,"events":2}');
    shows($sid, tree('null', 'null', (event(2, 'n')) x 4),
        "with ids, time $i: once");
}


# START and END: any order, any number, the session's ends

$sid = uuid();
$ws  = ws($sid);

$ws->text('[{"type":"SESSION_START","timestamp":50}]');
$ws->text('[' . event(60, 'a') . ',{"type":"SESSION_START","timestamp":40},'
    . event(10, 'early') . ']');
$ws->text('[{"type":"SESSION_START","timestamp":45000000}]');
answers_are($ws, 'several STARTs', '{"ack":1,"events":1}',
    '{"ack":2,"events":3}', '{"ack":3,"events":1}');
shows($sid, tree(40, 'null', event(10, 'early'), event(60, 'a')),
    'of several STARTs the earliest counts');

$ws->text('[{"type":"SESSION_END","timestamp":70},'
    . '{"type":"SESSION_END","timestamp":90},' . event(100, 'late') . ','
    . '{"type":"SESSION_END","timestamp":80}]');
answers_are($ws, 'several ENDs', '{"ack":4,"events":4}', '{"message":"bye"}');
ended($ws, 1000, 'several ENDs');
shows($sid, tree(40, 90, map { event(@$_) } [ 10, 'early' ], [ 60, 'a' ],
    [ 100, 'late' ]), 'of several ENDs the latest counts');

$sid = uuid();
$ws  = ws($sid);

$ws->text('[{"type":"SESSION_END","timestamp":5}]');
answers_are($ws, 'an END first', '{"ack":1,"events":1}', '{"message":"bye"}');
ended($ws, 1000, 'an END first');
shows($sid, tree('null', 5), 'a session of an END');

# it may be continued, and ended once more

$ws = ws($sid);
$ws->text('[{"type":"SESSION_START","timestamp":1},' . event(2, 'b') . ']');
answers_are($ws, 'behind an END', '{"ack":1,"events":2}');
$ws->abort;
shows($sid, tree(1, 5, event(2, 'b')), 'a session goes on behind its END');

$ws = ws($sid);
$ws->text('[{"type":"SESSION_END","timestamp":7}]');
answers_are($ws, 'a second END', '{"ack":1,"events":1}', '{"message":"bye"}');
shows($sid, tree(1, 7, event(2, 'b')), 'and ends once more');


# behind an END: what is under way is stored and acknowledged, then bye

for my $in_one (1, 0) {
    my $name = 'behind an END, ' . ($in_one ? 'one packet' : 'many packets');
    my $sid = uuid();
    my $ws  = ws($sid);

    my @frames = map { EventSession::WS::frame_bytes(payload => $_) }
        '[' . event(1, 'a') . ']', '[{"type":"SESSION_END","timestamp":3}]',
        '[' . event(4, 'b') . ',' . event(5, 'c') . ']', '[', '[]',
        '[{"type":"SESSION_END","timestamp":2}]', '[' . event(6, 'd') . ']';

    if ($in_one) {
        $ws->raw(join('', @frames));

    } else {
        # at once all the same: while Redis answers nothing
        $redis->freeze;
        $ws->raw($_) for @frames;
        select(undef, undef, undef, 0.2);
        $redis->thaw;
    }

    my @got = $ws->messages(8);

    like($got[3], qr/^\{"error":"[^"]+","message":4\}$/, "$name: an error");
    splice(@got, 3, 1);

    is(join(' ', @got), '{"ack":1,"events":1} {"ack":2,"events":1} '
        . '{"ack":3,"events":2} {"ack":5,"events":0} {"ack":6,"events":1} '
        . '{"ack":7,"events":1} {"message":"bye"}', "$name: all in order");
    ended($ws, 1000, $name);
    shows($sid, tree('null', 3, map { event(@$_) } [ 1, 'a' ], [ 4, 'b' ],
        [ 5, 'c' ], [ 6, 'd' ]), "$name: all is stored");
}

$sid = uuid();
$ws  = ws($sid, '&ack=1', answer => 0);

$ws->text('[{"type":"SESSION_END","timestamp":1}]');
answers_are($ws, 'on its way when bye is said', '{"ack":1,"events":1}',
    '{"message":"bye"}');
$ws->text('[' . event(2, 'late') . ']');
$ws->fragments('[' . event(3, 'later'), ']');
is($ws->close_code, 1000, 'on its way when bye is said: 1000');
$ws->text('[' . event(4, 'last') . ']');
$ws->close(1000);
ok($ws->eof, 'on its way when bye is said: the end');
ok((wait_for { body($sid) eq tree('null', 1, event(2, 'late'),
    event(3, 'later'), event(4, 'last')) } 5),
    'on its way when bye is said: stored') or diag(body($sid));

# the END of a bad message is none

$sid = uuid();
$ws  = ws($sid);
$ws->text('[{"type":"SESSION_END","timestamp":1},{}]');
$ws->text('[' . event(1, 'a') . ']');
like($ws->message, qr/"message":1,"index":1,"field":"type"\}$/,
    'the END of a bad message');
answers_are($ws, 'the END of a bad message is none', '{"ack":2,"events":1}');
shows($sid, tree('null', 'null', event(1, 'a')), 'and is not stored');

# bye, while a message is half here, waits for its other half

$sid = uuid();
$ws  = ws($sid);
$ws->raw(EventSession::WS::frame_bytes(
    payload => '[{"type":"SESSION_END","timestamp":1}]')
    . EventSession::WS::frame_bytes(fin => 0,
        payload => '[' . event(1, 'half')));
answers_are($ws, 'half a message behind an END', '{"ack":1,"events":1}');
$ws->frame(opcode => 0, payload => ']');
answers_are($ws, 'and the other half', '{"ack":2,"events":1}',
    '{"message":"bye"}');
ended($ws, 1000, 'half a message behind an END');

# closing behind what was sent: answered first

$ws = ws(uuid());
$ws->text('[' . event($_, 'x') . ']') for 1 .. 100;
$ws->close(1000);
answers_are($ws, 'a Close behind 100 messages: their acks',
    map { qq({"ack":$_,"events":1}) } 1 .. 100);
ended($ws, 1000, 'a Close behind 100 messages');

$ws = ws(uuid());
$ws->text('[' . event($_, 'x') . ']') for 1 .. 100;
$ws->frame(opcode => 7);
answers_are($ws, 'a fault behind 100 messages: their acks',
    map { qq({"ack":$_,"events":1}) } 1 .. 100);
ended($ws, 1002, 'a fault behind 100 messages');


# several connections, one session; one that is gone

$sid = uuid();

my @ws = map { ws($sid) } 1 .. 10;

for my $round (1 .. 5) {
    $ws[$_]->text('[' . event($round * 10 + $_, "c$_") . ']') for 0 .. 9;
}

for my $ws (@ws) {
    answers_are($ws, 'one of ten', map { qq({"ack":$_,"events":1}) } 1 .. 5);
}

my @all = map { my $r = $_; map { event($r * 10 + $_, "c$_") } 0 .. 9 } 1 .. 5;

shows($sid, tree('null', 'null', @all), 'ten connections feed one session');

$ws[0]->abort;
$ws[1]->abort(reset => 1);
$ws[2]->close(1000);
is($ws[2]->close_code, 1000, 'the third closes');
shows($sid, tree('null', 'null', @all), 'gone without END: it is open');

$ws[3]->text('[{"type":"SESSION_END","timestamp":99}]');
answers_are($ws[3], 'the fourth ends the session', '{"ack":6,"events":1}',
    '{"message":"bye"}');
ended($ws[3], 1000, 'the fourth ends the session');

$ws[4]->text('[' . event(98, 'more') . ']');
answers_are($ws[4], 'the fifth is not concerned', '{"ack":6,"events":1}');
shows($sid, tree('null', 99, @all, event(98, 'more')), 'and feeds it on');

my $new = ws($sid);

$new->text('[]');
$new->text('[' . event(97, 'new') . ']');
answers_are($new, 'a new connection counts from 1', '{"ack":1,"events":0}',
    '{"ack":2,"events":1}');


# what can't be kept is told, and the connection lives on

$sid = uuid();
$ws  = ws($sid, '&ack=1', path => '/impatient');

$redis->freeze;
$ws->text('[' . event(1, 'a') . ']');
like($ws->message, qr/^\{"error":"not stored: [^"]+","message":1\}$/,
    'Redis is silent: told');
$redis->thaw;
ok((wait_for { $nginx->get('/ready')->status == 200 } 5), 'Redis is back');
$ws->text('[' . event(2, 'b') . ']');
answers_are($ws, 'Redis is back: acks', '{"ack":2,"events":1}');
like(body($sid), qr/"b"/, 'Redis is back: stored');

undef $_ for $ws, $bad_ws, $second, $new;
@ws = ();

is($nginx->quit, 0, 'it quits');
ok_log($nginx);
done_testing();
