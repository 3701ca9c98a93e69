# Why: what POST /event takes, and what it says to all the rest, word for word
# (contract, section 5, with the field map of section 4): clients show the
# sentences to people.  Known to fail by: one fault told at a time; data that
# comes back with other numbers or with blanks; lengths counted in bytes; an id
# that is not random; times that stand still within a process; an answer before
# Redis' reply; a record that goes with a client that did not wait.

use strict;
use warnings;

use lib 't/lib';

use Compress::Zlib ();
use EventSession;
use EventSession::LogPost;
use Test::More;

my $t     = EventSession->new;
my $redis = $t->redis;
my $nginx = $t->nginx(redis => $redis,
    http      => 'client_max_body_size 256k; eventsession_timeout 20s;
        keepalive_requests 1000000;',
    locations => <<'END');
    location = /event { eventsession log; }
    location = /small { eventsession log; eventsession_max_data 16; }
    location = /tiny { eventsession log; client_max_body_size 100; }
    location = /hasty { eventsession log; eventsession_timeout 300ms; }
    location = /bounded { eventsession log; eventsession_max_inflight 1; }
    location = /cors { eventsession log; eventsession_cors https://a.example; }
    location = /trusted {
        eventsession log;
        eventsession_require_application on;
        eventsession_application 0e302fce-66ad-4721-911e-0ab9d33697bf app;
    }
    location = /feed { eventsession feed; }
END

my $http = $nginx->connect;

examples();
values_come_back();
faults();
no_objects();
broken_bodies();
requests();
bodies();
trusted();
ids_and_times();
redis_is_away();
clients_leave();

is($nginx->quit, 0, 'nginx quits');
ok_log($nginx);

done_testing();


sub post { log_post($http, @_) }


sub bad {
    my ($body, $expected, $name) = @_;

    my $res = post($body);

    is($res->status . ' ' . $res->body, "400 $expected", $name);
}


sub long { "Ensure this field has no more than $_[0] characters." }


sub examples {
    my $res = post(<<'END');
      {
        "email": "diego@chefhero.com",
        "environment": "production",
        "component": "order",
        "message": "the buyer #1 has placed an order successfully",
        "data": {
            "key": 123,
            "another key": "Some value"
        }
      }
END

    my ($id, $at) = created($res, email => '"diego@chefhero.com"',
        environment => '"production"', component => '"order"',
        message => '"the buyer #1 has placed an order successfully"',
        data => '{"key":123,"another key":"Some value"}');

    is($res->header('Content-Type'), 'application/json', 'JSON');
    is($res->header('Content-Length'), length($res->body), 'of a known length');

    my $now = time() * 1_000_000;

    ok(log_us($at) > $now - 60_000_000 && log_us($at) < $now + 2_000_000,
        'made now');

    is(scalar(log_records($redis)), 1, 'and kept');
}


sub values_come_back {
    for my $data ('0', '-0.0', '1624422533298', '1E400',
        '123456789012345678901', 'true', 'false', '""',
        '"\u00e9\/\ud83d\ude00"',
        '[]', '[null]', '{}',
        '{"a":{"b":[1,{"c":"d"}]}}', '[' x 31 . ']' x 31,
        '"' . 'x' x 65_534 . '"')
    {
        created(post(record(data => $data)), data => $data);
    }

    created(post(record(data => " { \"a\" : [ 1 , 2 , ] ,\n } ")),
        data => '{"a":[1,2]}');

    created(post(record(message => '"\u00e9\/\"\\\\\n\u0001"')),
        message => "\"\xc3\xa9/\\\"\\\\\\n\\u0001\"");
    created(post(record(message => "\" \\t m\xc2\xa0 \"")));
    created(post(record(environment => '"' . "\xc3\xa9" x 100 . '"')),
        environment => '"' . "\xc3\xa9" x 100 . '"');
    created(post(record(component => '1.50', message => '7')),
        component => '"1.50"', message => '"7"');

    # what could be told from a query, or a key, by mistake

    for my $text ("') OR (email ne '", '{log}:1:e:x', '* ? [a]', '#', '/../',
        '<b>&amp;', "\xf0\x9f\x98\x80")
    {
        created(post(record(environment => qq("$text"),
            component => qq("$text"), message => qq("$text"))),
            environment => qq("$text"), component => qq("$text"),
            message => qq("$text"));
    }

    created(post(record(email => '"\"a b\"@c.de"' =~ s/ /\\\\ /r)),
        email => '"\"a\\\\ b\"@c.de"');
    created(post('{"id":1,"createdAt":2,"x":[{}],' . substr(record(), 1)));
}


sub faults {
    my @fields = qw(email environment component message data);

    bad('{}', log_fault(map { $_ => REQUIRED } @fields), 'nothing at all');
    bad(record(map { $_ => 'null' } @fields),
        log_fault(map { $_ => NULL } @fields), 'null everywhere');

    for my $field (@fields) {
        bad(record($field => undef), log_fault($field => REQUIRED),
            "without $field");
        bad(record($field => 'null'), log_fault($field => NULL),
            "$field is null");
    }

    for my $field (@fields[0 .. 3]) {
        my @more = $field eq 'email' ? (NO_EMAIL) : ();

        bad(record($field => '""'), log_fault($field => BLANK),
            "$field is empty");
        bad(record($field => '" \t\u3000\n"'), log_fault($field => BLANK),
            "$field is blank");

        for my $value (qw(true false [] {} ["a"])) {
            bad(record($field => $value), log_fault($field => NO_STRING),
                "$field is $value");
        }

        bad(record($field => '"a\u0000b"'),
            log_fault($field => [ NO_NUL, @more ]), "$field with a NUL");
    }

    bad(record(environment => '"' . 'x' x 101 . '"',
            component => '"' . "\xc3\xa9" x 101 . '"',
            message => '"' . 'x' x 1001 . '"'),
        log_fault(environment => long(100), component => long(100),
            message => long(1000)), 'too long');
    bad(record(email => '"' . 'a' x 300 . '@b.de"'),
        log_fault(email => long(254)), 'an address that is too long');
    bad(record(email => '"' . 'a' x 300 . '"'),
        log_fault(email => [ long(254), NO_EMAIL ]), 'and is none');

    for my $email (qw(a a@ @b.de a@b a@b. a@-b.de a.@b.de a..b@c.de a@b@c.de
        a@[1.2.3] a@b.d), 'a b@c.de', 'a@b.de c@d.ef', 'a@b..de',
        "\xc3\xa9\@b.de",
        'a(b)@c.de', '<a@b.de>', 'a@b_c.de')
    {
        bad(record(email => qq("$email")), log_fault(email => NO_EMAIL),
            "no address: $email");
    }

    bad(record(email => '7'), log_fault(email => NO_EMAIL), 'nor is a number');

    created(post(record(email => qq("$_"))), email => qq("$_"))
        for 'A.b+c@D-e.co.uk', 'a@localhost', 'a@[127.0.0.1]', 'a@[::1]',
        "a\@b\xc3\xbc" . 'cher.de', q(!#$%&'*+/=?^_`{}|~-@a.bc);

    bad(record(data => '"' . 'x' x 65_535 . '"'), log_fault(data =>
        'Ensure this field has no more than 65536 bytes.'),
        'data is too large');
    is(post(record(data => '[1,2,3,4,5,6,7,8,9]'), path => '/small')->body,
        log_fault(data => 'Ensure this field has no more than 16 bytes.'),
        'or larger than the location has it');

    bad(record(email => '"x"', component => undef, message => 'null',
            data => 'null'),
        log_fault(email => NO_EMAIL, component => REQUIRED, message => NULL,
            data => NULL), 'all at once');
}


sub no_objects {
    my %kinds = ('[]' => 'list', '[' . record() . ']' => 'list', '1' => 'int',
        '1.5' => 'float', '"a"' => 'str', 'true' => 'bool',
        'null' => 'NoneType');

    for my $body (sort(keys(%kinds))) {
        bad($body, log_fault(non_field_errors => 'Invalid data. Expected a '
            . "dictionary, but got $kinds{$body}."), "not an object: $body");
    }
}


sub broken_bodies {
    my $good = record(message => "\"m\\u00e9\xc3\xa9\"",
        data => '{"a":[1.5e3,true,null,"\n"]}');

    my @statuses;

    for my $len (0 .. length($good) - 1) {
        my $res = post(substr($good, 0, $len));

        $statuses[0]++ if $res->status == 400 && $res->body
            =~ /^\{"detail":"JSON parse error - Expecting (?:[^"\\]|\\.)+"\}$/;
    }

    is($statuses[0], length($good), 'every cut is a syntax fault');

    my ($odd, %seen) = (0);

    for my $at (0 .. length($good) - 1) {
        for my $byte (map { chr } 0, 10, 32, 34, 44, 46, 48, 58, 91, 92, 93,
            101, 123, 125, 127, 128, 195, 255)
        {
            my $body = $good;
            substr($body, $at, 1) = $byte;

            my $res = post($body);

            $seen{ $res->status }++;
            $odd++ if $res->status !~ /^(?:201|400)$/
                || $res->status == 400 && $res->body !~ /^\{"/;
        }
    }

    is($odd, 0, 'one byte changed: taken, or told what is wrong')
        or diag(explain(\%seen));
    ok($seen{201} && $seen{400}, 'and both there are');

    bad($_->[0], qq({"detail":"JSON parse error - Expecting $_->[1]"}),
        "not JSON: $_->[0]") for
        [ '', 'a value: line 1 column 1' ],
        [ 'email=a', 'a value: line 1 column 1' ],
        [ "{\n \"a\":1,\n \"a\":2}",
          'a name that its object does not have yet: line 3 column 2' ],
        [ record() . record(), 'the end of the body: line 1 column 77' ],
        [ record(data => '[' x 32 . ']' x 32),
          'at most 32 arrays and objects in each other: line 1 column 105' ],
        [ record(data => "\"\xc3\x28\""), 'UTF-8: line 1 column 75' ];
}


sub requests {
    for my $method (qw(PUT DELETE PATCH OPTIONS PROPFIND)) {
        my $res = post(undef, method => $method, type => undef);

        is($res->status, 405, "no $method");
        like($res->header('Allow'), qr/\bPOST\b/, 'but POST');
        is($res->header('Content-Type'), 'application/problem+json',
            'a problem');
    }

    for my $type (undef, 'text/plain', 'application/x-www-form-urlencoded',
        'application/jsonx')
    {
        is(post(record(), type => $type)->status, 415,
            'of another type: ' . ($type // 'none'));
    }

    created(post(record(), type => $_)) for 'application/json; charset=utf-8',
        'Application/JSON';

    my $res = post(record(), path => '/cors',
        headers => [ 'Origin: https://a.example' ]);

    created($res);
    is($res->header('Access-Control-Allow-Origin'), 'https://a.example',
        'CORS');

    $res = post(undef, path => '/cors', method => 'OPTIONS', type => undef,
        headers => [ 'Origin: https://a.example',
            'Access-Control-Request-Method: POST' ]);

    is($res->status, 204, 'a preflight');
    like($res->header('Access-Control-Allow-Methods'), qr/\bPOST\b/,
        'allows POST');

    # several in one go, answered in order

    $http->send(join('', map { log_bytes($http, record(message => $_)) }
        1 .. 50));

    my @got = map { $http->response } 1 .. 50;

    is(join(' ', map { $_->json->{message} } @got), join(' ', 1 .. 50),
        'a pipeline of requests');
}


sub bodies {
    created(post(Compress::Zlib::memGzip(record()),
        headers => [ 'Content-Encoding: gzip' ]));
    created(post(Compress::Zlib::compress(record()),
        headers => [ 'Content-Encoding: deflate' ]));

    is(post(record(), headers => [ 'Content-Encoding: gzip' ])->status, 400,
        'not gzip');
    is(post(record(), headers => [ 'Content-Encoding: br' ])->status, 415,
        'an unknown coding');

    my $bomb = Compress::Zlib::memGzip(record(data => ' ' x 10_000_000 . '1'));

    ok(length($bomb) < 20_000, 'a bomb');
    is(post($bomb, headers => [ 'Content-Encoding: gzip' ])->status, 413,
        'is too large');

    is(log_post($nginx, record(data => '"' . 'x' x 100 . '"'),
        path => '/tiny')->status, 413, 'as is what is longer than allowed');

    $http->send("POST /event HTTP/1.1\r\nHost: a\r\nContent-Type: "
        . "application/json\r\nTransfer-Encoding: chunked\r\n\r\n"
        . join('', map { "1\r\n$_\r\n" } split(//, record())) . "0\r\n\r\n");

    created($http->response);
}


sub trusted {
    my $app  = '0e302fce-66ad-4721-911e-0ab9d33697bf';
    my $sse  = $nginx->sse('/feed');
    my $n    = log_records($redis);

    $sse->opened;

    my @refused = ([], [ 'application: x' ], [ 'application: ' . uuid() ],
        [ ("application: $app") x 2 ]);

    for my $headers (@refused) {
        my $res = post(record(), path => '/trusted', headers => $headers);

        is($res->status, 403, 'of no trusted application');
        like($res->body, qr/"detail":"a trusted application is required/,
            'is told so');
    }

    is(post('{', path => '/trusted')->status, 403,
        'whatever the body is');
    is(scalar(log_records($redis)), $n, 'and nothing is stored');

    created(post(record(message => '"by app"'), path => '/trusted',
        headers => [ "application: $app" ]), message => '"by app"');
    is(($sse->json_until('by app'))[-1]{application}, 'app',
        'the feed says whose it is');

    # one that only Redis knows

    $app = uuid();
    $redis->cli('HSET', 'es:apps', $app, 'other');

    created(post(record(message => '"by other"'), path => '/trusted',
        headers => [ "application: $app" ]), message => '"by other"');
    is(($sse->json_until('by other'))[-1]{application}, 'other',
        'an application added at run time');

    $sse->abort;
}


sub ids_and_times {
    my (%ids, @times);

    for (1 .. 20) {
        $http->send(join('', map { log_bytes($http, record()) } 1 .. 50));

        for (1 .. 50) {
            my $shown = $http->response->json;

            $ids{ $shown->{id} } = 1;
            push(@times, $shown->{createdAt});
        }
    }

    is(scalar(keys(%ids)), 1000, 'no id is there twice');
    is((grep { !/^[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[89ab][0-9a-f]{3}-
        [0-9a-f]{12}$/x } keys(%ids)) . '', '0', 'all are of version 4');

    my @bits = map { 0 } 1 .. 128;

    for my $id (keys(%ids)) {
        my @one = split(//, unpack('B128', pack('H32', $id =~ tr/-//dr)));

        $bits[$_] += $one[$_] for 0 .. 127;
    }

    # six are fixed; by chance 1000 are farther from 500 than 120 never

    is((grep { $bits[$_] < 380 || $bits[$_] > 620 } 0 .. 127) . '', '6',
        'and random');

    is((grep { $times[$_ - 1] ge $times[$_] } 1 .. $#times) . '', '0',
        'createdAt strictly grows');
}


# More than is allowed to be under way, and what is not confirmed in time.

sub redis_is_away {
    my $n = log_records($redis);

    $redis->freeze;

    my @clients = map { $nginx->connect } 1, 2;

    $clients[0]->send(log_bytes($clients[0], record(), path => '/event'));

    # the bytes of a record are in flight by then

    ok((wait_for {
        $clients[1]->send(log_bytes($clients[1], record(),
            path => '/bounded'));
        select(undef, undef, undef, 0.05);

        my $res = $clients[1]->response;

        $res->status == 503 && $res->header('Retry-After')
            && $res->body =~ /the store is too far behind, try again later/;
    }), 'too much is under way: 503, and when to come again');

    my $res = log_post($nginx, record(message => '"hasty"'), path => '/hasty');

    is($res->status, 503, 'not confirmed in time: 503');
    ok($res->header('Retry-After'), 'and when to come again');
    like($res->body, qr/"detail":"not known to be stored: the store did not /,
        'and what is known');

    is(post('{}')->status, 400, 'what is wrong is told at once all the same');

    $redis->thaw;

    created($clients[0]->response);
    ok((wait_for { log_records($redis) >= $n + 1 }), 'and kept');

    $redis->stop;

    is(log_post($nginx, record(), path => '/hasty')->status, 503,
        'no Redis: 503');

    my $patient = $nginx->connect(timeout => 20);

    $patient->send(log_bytes($patient, record(message => '"patient"')));
    select(undef, undef, undef, 0.3);

    $redis->start_again;

    created($patient->response, message => '"patient"');
    is((grep { $_->{message} eq 'patient' } log_records($redis)) . '', '1',
        'who waits has it stored, once');
}


# The record of a client that did not wait is kept, and nothing of it is left.

sub clients_leave {
    my ($pid) = $nginx->workers;
    my $files = $nginx->open_files($pid);

    for my $round (1, 2) {
        my @gone = map { $nginx->connect } 1 .. 30;

        $redis->freeze;

        for my $client (@gone) {
            $client->send(log_bytes($client,
                record(message => qq("left $round"))));
        }

        select(undef, undef, undef, 0.2);

        close($_->socket) for @gone;

        select(undef, undef, undef, 0.2);

        $redis->thaw;

        ok((wait_for { 30 == grep { $_->{message} eq "left $round" }
            log_records($redis) }), 'records of those who left are kept');

        # and in the middle of a body

        for (1 .. 30) {
            my $client = $nginx->connect;

            $client->send(substr(log_bytes($client, record()), 0, -5));
            close($client->socket);
        }
    }

    created(post(record()));

    ok((wait_for { $nginx->open_files($pid) <= $files + 2 }),
        'no descriptor is left');
}
