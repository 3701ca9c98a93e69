# Why: each kind of events can have its own schema, of which an operator must
# be able to trust that it is checked: a mistake in it ends nginx -t, with the
# file and the place, and no way to write an event goes around it.  The
# verdicts of all the keywords are tested in t/unit.  Known to fail by: a kind
# that is compared as it was written, so that another escape or a blank evades
# its schema; a number that the checker can't hold, and that passes unchecked;
# a schema that is shared by accident between blocks, or outlives a reload.

use strict;
use warnings;

use lib 't/lib';

use EventSession;
use EventSession::Track;
use Test::More;

use constant WHERE => 'eventsession_schema c n';

my $t     = EventSession->new;
my $files = $t->folder('schemas');


sub file {
    my ($name, $text) = @_;

    open(my $file, '>:raw', "$files/$name") or die("$files/$name: $!");
    print $file $text;
    close($file);

    return "$files/$name";
}


conf_right();
conf_wrong();
faults();
kinds();
numbers();
costs();
inherited();
reload();

done_testing();


sub conf_test {
    my ($line, %blocks) = @_;

    my $nginx = $t->nginx_unstarted(redis => undef, locations => '',
        http => $line, %blocks);

    return ($nginx->conf_test, $nginx);
}


sub conf_right {
    for my $schema ('true', 'false', '{}', '{"minimum":1}',
        '{"$schema":"https://json-schema.org/draft/2020-12/schema",'
        . '"$id":"https://example.com/a.schema.json","title":"t",'
        . '"format":"email"}')
    {
        my $path = file('right.json', $schema);

        for my $block (qw(http server locations)) {
            my $line = WHERE . " $path;";

            $line = "location / { $line }" if $block eq 'locations';

            my ($fine, $text) = conf_test('', $block => $line);

            ok($fine, "right in $block: $schema") or diag($text);
        }
    }

    # a path is the configuration's

    my ($fine, $text, $nginx) = conf_test(WHERE . ' relative.json;');

    ok(!$fine, 'no such file');

    open(my $file, '>', $nginx->dir . '/relative.json') or die($!);
    print $file '{}';
    close($file);

    ($fine, $text) = $nginx->conf_test;
    ok($fine, 'a path is relative to the configuration') or diag($text);
}


# What nginx -t says of a schema.

sub refused {
    my ($schema, $message) = @_;

    local $Test::Builder::Level = $Test::Builder::Level + 1;

    my $path = file('wrong.json', $schema);

    fails(WHERE . " $path;", qq(the schema "$path" $message));
}


sub fails {
    my ($line, $message) = @_;

    local $Test::Builder::Level = $Test::Builder::Level + 1;

    my ($fine, $text) = conf_test($line);
    my ($said) = $text =~ /\[emerg\] (?:\d+#\d+: )?(.*) in \S+:\d+$/m;

    $line =~ s/.*\K(?<=.{150}).*/.../s;

    is($said // $text, $message, "wrong: $line");
    ok(!$fine, 'nginx -t fails');
}


sub conf_wrong {
    refused('', "can't be read at line 1, column 0: unexpected token near "
        . 'end of file');
    refused("{\n \"type\": \"string\",\n \"a\"}",
        q(can't be read at line 3, column 5: ':' expected near '}'));
    refused('{"type":"null","type":"null"}',
        q(can't be read at line 1, column 21: duplicate object key near )
        . q('"type"'));
    refused('{"maximum":1e999}',
        "can't be read at line 1, column 16: real number overflow near "
        . "'1e999'");

    refused('[]', 'is wrong at "": must be an object or a boolean, not an '
        . 'array');
    refused('{"properties":{"a/b":{"minimun":1}}}',
        'is wrong at "/properties/a~1b/minimun": "minimun" is no keyword of '
        . 'JSON Schema 2020-12, and would check nothing');
    refused('{"unevaluatedProperties":false}',
        'is wrong at "/unevaluatedProperties": "unevaluatedProperties" is not '
        . 'supported: "additionalProperties" checks what "properties" and '
        . '"patternProperties" beside it do not');
    refused('{"definitions":{}}', 'is wrong at "/definitions": "definitions" '
        . 'was renamed by draft 2019-09: use "$defs"');
    refused('{"$schema":"http://json-schema.org/draft-07/schema#"}',
        'is wrong at "/$schema": must be "https://json-schema.org/draft/'
        . '2020-12/schema", no other dialect is supported');
    refused('{"items":{"type":"int"}}', 'is wrong at "/items/type": a type is '
        . '"null", "boolean", "integer", "number", "string", "array" or '
        . '"object"');
    refused('{"not":{"$ref":"#/$defs/a"}}', 'is wrong at "/not/$ref": there '
        . 'is no schema at "#/$defs/a"');
    refused('{"allOf":[{"$ref":"#"}]}', 'is wrong at "": this schema leads '
        . 'back to itself for the same value, without an end');

    fails(WHERE . " $files/none.json;", qq(open() "$files/none.json" failed )
        . '(2: No such file or directory)');

    my ($fine, $text) = conf_test(WHERE . " $files;");

    ok(!$fine, 'a folder is no schema');
    like($text, qr/the schema "\Q$files\E" can't be read/, 'and is named');

    my $any = file('any.json', '{}');

    for my $same ('c n', '"c " " n"', "'c' \"\tn\"") {
        fails(WHERE . " $any; eventsession_schema $same $any;",
            'duplicate schema of category "' . kind_of($same, 0)
            . '" and name "' . kind_of($same, 1) . '" in '
            . '"eventsession_schema": each kind of events must have one at '
            . 'most');
    }

    for my $blank ('', ' ', "\xc2\xa0", "a\xff") {
        fails("eventsession_schema $_ $any;", 'invalid category or name "'
            . $blank . '": must be UTF-8, and not blank')
            for qq("$blank" n), qq(c "$blank");
    }

    fails("eventsession_schema $_;", 'invalid number of arguments in '
        . '"eventsession_schema" directive') for '', 'c', 'c n', "c n $any x";
}


sub kind_of { (map { s/^['"]|['"]$//gr } $_[0] =~ /("[^"]*"|'[^']*'|\S+)/g)
    [$_[1]] }


# An nginx with these schemas: lines of the directive, for http.

sub start {
    my ($lines, %options) = @_;

    return $t->nginx(http => track_conf() . $lines, locations => <<'END',
        location = /api/v1/events/ { eventsession track; }
        location /session/ { eventsession session; }
END
        %options);
}


sub is_reply {
    my ($nginx, $body, $status, $reply, $what) = @_;

    local $Test::Builder::Level = $Test::Builder::Level + 1;

    my $res = ref($body) ? track($nginx, @$body) : track($nginx, $body);

    is($res->body, $reply, $what);
    is($res->status, $status, "with $status");
}


# The event is stored, or its data has these faults.

sub stored {
    my ($nginx, $what, %fields) = @_;

    local $Test::Builder::Level = $Test::Builder::Level + 1;

    is_reply($nginx, fields(%fields), 201, shown(%fields), $what);
}


sub faulty {
    my ($nginx, $what, $faults, %fields) = @_;

    local $Test::Builder::Level = $Test::Builder::Level + 1;

    is_reply($nginx, fields(%fields), 400, fault(data => $faults), $what);
}


sub children {
    my ($nginx, $sid) = @_;

    my $res = $nginx->get("/session/$sid");

    return $res->status == 404 ? 0 : scalar(@{ $res->json->{children} });
}


sub faults {
    my $path = file('order.json', <<'END');
{
    "$schema": "https://json-schema.org/draft/2020-12/schema",
    "type": "object",
    "required": ["id", "items"],
    "properties": {
        "id": { "type": "string", "pattern": "^[A-Z]{2}[0-9]+$" },
        "mail": { "type": "string", "format": "email" },
        "items": {
            "type": "array",
            "minItems": 1,
            "items": { "$ref": "#/$defs/item" }
        }
    },
    "additionalProperties": false,
    "$defs": {
        "item": {
            "required": ["price"],
            "properties": { "price": { "minimum": 0, "multipleOf": 0.01 } }
        }
    }
}
END

    my $nginx = start(WHERE . " $path;");

    stored($nginx, 'it fits',
        data => '{"id":"AB1","items":[{"price":19.99}]}');
    stored($nginx, 'a format checks nothing',
        data => '{"id":"AB1","items":[{"price":0}],"mail":"x"}');

    faulty($nginx, 'the value itself', ': Must be an object, not an array.',
        data => '[]');
    faulty($nginx, 'what is missing, where it should be',
        [ map { "/$_: " . REQUIRED } 'id', 'items' ]);
    faulty($nginx, 'deep within, and all at once', [
        '/id: Must match the pattern \\"^[A-Z]{2}[0-9]+$\\".',
        '/items/1/price: ' . REQUIRED,
        '/items/2/price: Must be at least 0, not -1.',
        '/items/3/price: Must be a multiple of 0.01, not 0.015.',
        '/a~1b~0\\"c\\\\\\n' . "\xc3\xa9" . ': Must not be here: known are '
        . '\\"id\\", \\"mail\\", \\"items\\".' ],
        data => '{"id":"ab","items":[{"price":1},{},{"price":-1},'
            . '{"price":0.015}],"a/b~\\"c\\\\\\n\\u00e9":1}');

    # 20 are told

    my $many = join(',', ('{"price":-1}') x 30);

    faulty($nginx, 'many faults', [ map {
            "/items/$_/price: Must be at least 0, not -1." } 0 .. 19 ],
        data => qq({"id":"AB1","items":[$many]}));

    # what has other faults is of no certain kind yet

    is_reply($nginx, fields(data => '[]', timestamp => undef), 400,
        fault(timestamp => REQUIRED), 'other faults come first');

    # an array is all or nothing

    my $sid = uuid();

    my @good = (session_id => qq("$sid"),
        data => '{"id":"AB1","items":[{"price":1}]}');

    is_reply($nginx, '[' . join(',', fields(@good), fields(@good, data => '1'),
        fields(@good), fields(@good, name => '"other"', data => '1')) . ']',
        400, '[{},' . fault(data => ': Must be an object, not an integer.')
        . ',{},{}]', 'one of an array');
    is(children($nginx, $sid), 0, 'nothing of it is stored');

    is_reply($nginx, '[' . join(',', (fields(@good)) x 3) . ']', 201,
        '[' . join(',', (shown(@good)) x 3) . ']', 'an array that fits');
    is(children($nginx, $sid), 3, 'all of it is stored');

    # the body is validated before the application is looked at

    is_reply($nginx, [ fields(data => '1'), app => uuid() ], 400,
        fault(data => ': Must be an object, not an integer.'),
        'a stranger is told the same');

    $nginx->quit;
    ok_log($nginx);
}


# One schema refuses all: what gets through is of another kind.

sub kinds {
    my $never = file('never.json', 'false');
    my $not   = ': Must not be here.';

    my $nginx = start(qq(
        eventsession_schema "page view" "a/b \xc3\xa9" $never;
        eventsession_schema 'q"\\\\' "t\tb\x01" $never;
        eventsession_schema 7 1.50 $never;
        eventsession_schema " padded " "\xe3\x80\x80x" $never;));

    my @kind = (category => '"page view"', name => qq("a/b \xc3\xa9"));

    faulty($nginx, 'the kind', $not, @kind);
    stored($nginx, 'another name', @kind, name => '"a/b e"');
    stored($nginx, 'another category', @kind, category => '"pageview"');
    stored($nginx, 'another case', @kind, category => '"Page view"');
    stored($nginx, 'a longer name', @kind, name => qq("a/b \xc3\xa9."));
    stored($nginx, 'the two the other way round', category => $kind[3],
        name => $kind[1]);

    faulty($nginx, "written $_->[0], $_->[1]", $not, category => $_->[0],
        name => $_->[1]) for
        [ '"\\u0070age view"', $kind[3] ],
        [ $kind[1], qq("a\\/b \xc3\xa9") ],
        [ $kind[1], qq("a\\u002fb\\u0020\xc3\xa9") ],
        [ $kind[1], '"a\\u002Fb \\u00e9"' ],
        [ $kind[1], '"a/b \\u00E9"' ],
        [ '" page view\\n"', qq("\\u2003a/b \xc3\xa9\\t\\u0085") ],
        [ '"q\\"\\\\"', '"t\\tb\\u0001"' ],
        [ '"\\u0071\\u0022\\u005C"', '"\\u0074\\u0009b\\u0001"' ],
        [ '"7"', '"1.50"' ],
        [ '7', '1.50' ],
        [ '"\\u0037"', '1.50' ],
        [ '"padded"', '"x"' ],
        [ '" padded"', '"x\\u3000"' ];

    # the order of keys carries no meaning

    is_reply($nginx, '{"name":"\\u0061/b \\u00e9","data":1,"timestamp":1,'
        . '"category":"page view","session_id":"' . SID . '"}', 400,
        fault(data => $not), 'keys in another order');

    $nginx->quit;
    ok_log($nginx);
}


# Numbers and texts at the edges of what the checker holds; as they were sent
# they are stored where no schema is asked for.

sub numbers {
    my $any  = file('any.json', '{}');
    my $max  = file('max.json', '{"maximum":9007199254740992}');
    my $one  = file('one.json', '{"maxLength":1}');
    my $same = file('same.json', '{"enum":["a\\tb",1.50,{"k":[]}]}');

    my $nginx = start(qq(
        eventsession_schema c any $any;
        eventsession_schema c max $max;
        eventsession_schema c one $one;
        eventsession_schema c same $same;));

    my $large = ': Must have no integer beyond 64 bits and no number beyond '
        . "1e308: it can't be checked by the schema.";

    for my $number (qw(1e400 -1e400 9223372036854775808
        -9223372036854775809 123456789012345678901234567890))
    {
        for my $data ($number, qq({"a":[0,{"b":$number}]})) {
            faulty($nginx, "data $data", $large, name => '"any"',
                data => $data);
            stored($nginx, "$data without a schema", data => $data);
        }
    }

    stored($nginx, "data $_", name => '"any"', data => $_) for
        qw(1e308 -1e308 1e-400 -0 -0.0 9223372036854775807
        -9223372036854775808 1.0E+2 true "" [] {} "\\u0000"
        "\\ud83d\\ude00"), '9' x 300 . '.0';

    stored($nginx, "data $_", name => '"max"', data => $_) for
        qw(9007199254740992 9007199254740992.0 9.007199254740992e15);
    faulty($nginx, 'one more', ': Must be at most 9007199254740992, not '
        . '9007199254740993.', name => '"max"', data => '9007199254740993');

    stored($nginx, "data $_", name => '"one"', data => $_) for
        '"\\u0000"', '"\\ud83d\\ude00"', "\"\xf0\x9f\x98\x80\"", '"\\n"';
    faulty($nginx, "data $_", ': Must have no more than 1 character, not 2.',
        name => '"one"', data => $_) for
        '"\\u0000\\u0000"', '"\\u0000a"', '"a\\u0000"';

    stored($nginx, "data $_", name => '"same"', data => $_) for
        '"a\\tb"', '"\\u0061\\u0009b"', '1.5', '15e-1', '{"k":[]}';

    is_reply($nginx, fields(name => '"same"', data => ' { "k" : [ ] , } '),
        201, shown(name => '"same"', data => '{"k":[]}'), 'blanks and a comma');

    $nginx->quit;
    ok_log($nginx);
}


# A schema that is expensive for some values keeps no worker for long, however
# many of them a body has.

sub costs {
    my $path = file('costs.json', '{"type":"array","anyOf":['
        . '{"items":{"$ref":"#"}},{"items":{"$ref":"#"}}]}');

    my $nginx = start(WHERE . " $path;");
    my $deep  = '[' x 29 . '1' . ']' x 29;

    my $body = '[' . join(',', (fields(data => $deep)) x 2000,
        fields(data => '[]'), fields(name => '"other"')) . ']';

    my $res = track($nginx, $body);

    is($res->status, 400, 'expensive data');

    my @maps = @{ $res->json };

    is(scalar(@maps), 2002, 'with a map for each');
    like($_, qr/: Must be simpler: to check it by the schema takes too much /,
        'it is told') for $maps[0]{data}[-1], $maps[1999]{data}[-1];
    like($maps[2000]{data}[-1], qr/: Must be simpler: /,
        'so is what would have been cheap');
    is_deeply($maps[2001], {}, 'but not what has no schema');

    stored($nginx, 'each body begins anew', data => '[[],[]]');

    $nginx->quit;
    ok_log($nginx);
}


sub inherited {
    my %file = map { $_ => file("$_.json", qq({"const":"$_"})) }
        qw(http server outer inner);

    my $nginx = $t->nginx(redis => $t->redis,
        http   => track_conf() . WHERE . " $file{http}; "
                  . "eventsession_schema c http $file{http};",
        server => '',
        locations => <<END);
        location /http { eventsession track; }

        location /outer {
            eventsession track;
            eventsession_schema c n $file{outer};

            location /outer/same { eventsession track; }

            location /outer/inner {
                eventsession track;
                eventsession_schema c n $file{inner};
                eventsession_schema d n $file{inner};
            }
        }

        location /none {
            eventsession track;
            eventsession_schema other other $file{inner};
        }
END

    my $ok = sub {
        my ($path, $data, $what, %fields) = @_;

        local $Test::Builder::Level = $Test::Builder::Level + 1;

        for my $sent (sort(keys(%file))) {
            my $fits = !defined $data || $sent eq $data;
            my $res  = track($nginx, fields(data => qq("$sent"), %fields),
                path => $path);

            is($res->status, $fits ? 201 : 400, "$what: $sent");
            is($res->body, fault(data => qq(: Must be \\"$data\\".)),
                'and told') if !$fits;
        }
    };

    $ok->('/http', 'http', 'of http');
    $ok->('/outer', 'outer', 'a location of its own');
    $ok->('/outer', undef, 'which replaces all', name => '"http"');
    $ok->('/outer/same', 'outer', 'a location in it');
    $ok->('/outer/inner', 'inner', 'one in it with another');
    $ok->('/outer/inner', 'inner', 'one more', category => '"d"');
    $ok->('/none', undef, 'a location with those of other kinds');

    $nginx->{server} = WHERE . " $file{server};";
    reload_all($nginx);

    $ok->('/http', 'server', 'the server has its own');
    $ok->('/http', undef, 'in place of all of http', name => '"http"');
    $ok->('/outer', 'outer', 'a location keeps its own');

    $nginx->quit;
    ok_log($nginx);
}


# Until the old workers are gone, too, and answer no more.

sub reload_all {
    my ($nginx) = @_;

    $nginx->reload;

    ok($nginx->until(20, sub { $nginx->workers == $nginx->{workers} }),
        'reloaded');
}


sub reload {
    my $path  = file('reload.json', '{"type":"string"}');
    my $nginx = start(WHERE . " $path;", workers => 2);

    my $all = sub {
        my ($check, @args) = @_;

        local $Test::Builder::Level = $Test::Builder::Level + 1;

        $check->($nginx, @args) for 1 .. 4;
    };

    $all->(\&stored, 'a string', data => '"a"');
    $all->(\&faulty, 'no string', ': Must be a string, not an integer.',
        data => '1');

    file('reload.json', '{"type":"integer"}');

    $all->(\&stored, 'a file is not read again by itself', data => '"a"');

    reload_all($nginx);

    $all->(\&stored, 'the new schema', data => '1');
    $all->(\&faulty, 'in place of the old one',
        ': Must be an integer, not a string.', data => '"a"');

    # a broken one changes nothing

    file('reload.json', '{"type":"whole"}');

    my @workers = $nginx->workers;

    $nginx->signal('HUP');
    ok($nginx->until(10, sub { $nginx->log =~ /is wrong at "\/type"/ }),
        'a broken schema is told at a reload');
    is_deeply([ $nginx->workers ], \@workers, 'the workers stay');

    $all->(\&stored, 'with the schema they have', data => '1');

    $nginx->quit;
    ok_log($nginx, qr/is wrong at "\/type"/);
}
