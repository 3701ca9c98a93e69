# Why: nobody speaks to a service with our own test client: pages do, and
# programs with npm's ws, and people with curl and with tools/wscat.  Known to
# fail by: an answer to an offer of compression; a close that a page sees as
# unclean, wasClean false; acks in binary messages; a refusal whose body the
# client never gets.

use strict;
use warnings;
use utf8;

use lib 't/lib';

use EventSession;
use EventSession::Node;
use IPC::Open3 qw(open3);
use Symbol qw(gensym);
use Test::More;

my $t     = EventSession->new;
my $root  = $EventSession::root;
my $nginx = $t->nginx(server => <<'END');
    location = /pings {
        eventsession ws;
        eventsession_ping 100ms;
    }

    location = /pages {
        eventsession ws;
        eventsession_origin https://*.example.com;
    }
END

my $at = '127.0.0.1:' . $nginx->port;


# A command's exit code, output, errors.

sub run {
    my ($input, @command) = @_;

    my $pid = open3(my $in, my $out, my $err = gensym(), @command);

    print {$in} $input;
    close($in);

    local $/;

    my @got = (scalar(<$out>) // '', scalar(<$err>) // '');

    waitpid($pid, 0);

    return ($? >> 8, @got);
}


# curl, as somebody would try what this is: the whole of what is shown

my $sid = uuid();

sub curl_is {
    my ($name, $arguments, $status, $title, $headers, $detail) = @_;

    local $Test::Builder::Level = $Test::Builder::Level + 1;

    my ($code, $out) = run('', 'curl', '-s', '--include', '--noproxy', '*',
        '--max-time', 10 * slow(), @$arguments,
        "http://$at/ws?sessionId=$sid");

    my ($head, $body) = split(/\r\n\r\n/, $out, 2);
    my ($line, @lines) = split(/\r\n/, $head // '');

    is($code, 0, "curl, $name: it is happy");
    is($line, "HTTP/1.1 $status $title", "curl, $name: the status line");

    is_deeply([ grep { !/^(?:Server|Date|Content-Length):/ } sort(@lines) ],
        [ sort('Content-Type: application/problem+json',
            'Connection: keep-alive', @$headers) ], "curl, $name: headers");

    my ($length) = map { /^Content-Length: (\d+)$/ ? $1 : () } @lines;

    is(length($body), $length, "curl, $name: Content-Length");

    $title = 'Method Not Allowed' if $status == 405;

    my $begin = qq({"type":"about:blank","title":"$title","status":$status,);

    like($body, qr/^\Q$begin\E"detail":"$detail"\}$/, "curl, $name: the body");
}


my @upgrade = map { ('-H', $_) } 'Connection: Upgrade', 'Upgrade: websocket',
    'Sec-WebSocket-Version: 13';

my @key = ('-H', 'Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==');

my @wants = ('Upgrade: websocket', 'Sec-WebSocket-Version: 13');

curl_is('GET', [], 426, 'Upgrade Required', \@wants, qr/[^"]*WebSocket.*/);
curl_is('no key', \@upgrade, 400, 'Bad Request', [],
    qr/[^"]*Sec-WebSocket-Key[^"]*/);
curl_is('POST', [ '-d', '[]' ], 405, 'Not Allowed', [ 'Allow: GET' ],
    qr/[^"]*GET[^"]*POST[^"]*/);
curl_is('a foreign page', [ @upgrade, @key, '-H', 'Origin: http://evil.test' ],
    403, 'Forbidden', [], qr/[^"]*origin[^"]*/);

my ($code, $out) = run('', 'curl', '-s', '--include', '--no-buffer',
    '--noproxy', '*', '--max-time', slow(), @upgrade, @key,
    "http://$at/ws?sessionId=abc");

like($out, qr{^HTTP/1\.1\ 101\ Switching\ Protocols\r\n.*
    Sec-WebSocket-Accept:\ s3pPLMBiTxaQ9kYGzzhZRbK\+xOo=\r\n(?:.*\r\n)?\r\n
    \x81.\{"error":"param\ sessionId\ must\ be\ a\ UUID:\ abc"\}\x88}xs,
    'curl upgrades: 101, the message, a Close');


# tools/wscat, as the README has it

my ($status, $errors);

sub wscat {
    my ($input, @arguments) = @_;

    ($status, $out, $errors) = run($input, "$root/tools/wscat", @arguments);
}


wscat(join("\n", seed_messages($sid)) . "\n", "ws://$at/ws?sessionId=$sid");
is($out, qq({"message":"bye"}\n), 'wscat: the assignment, bye');
is($errors, '', 'wscat: no complaints');
is($status, 0, 'wscat: 0');
is($nginx->get("/session/$sid")->body, '{"type":"SESSION","start":1569972082,'
    . '"end":1569972090,"children":[{"type":"EVENT","timestamp":1569972083,'
    . '"name":"cart_loaded"}]}', 'wscat: its tree');

wscat('', '-w', 0.3, '-m', '[]', '-m', '[', "ws://$at/ws?ack=1&sessionId=$sid");
like($out, qr/^\{"ack":1,"events":0\}\n\{"error":"[^"]+","message":2\}\n$/,
    'wscat -m: an answer a line');
is($status, 0, 'wscat -m: 0, as it left by itself');

wscat('', '-m', '[]', "ws://$at/ws?sessionId=x");
is($out, qq({"error":"param sessionId must be a UUID: x"}\n),
    'wscat: a bad sessionId is shown');
like($errors, qr/^wscat: closed with 1008/, 'wscat: 1008');
is($status, 1, 'wscat: 1');

wscat('', "ws://$at/session/$sid");
like($errors, qr{^wscat: HTTP/1\.1 200 OK\r\n}, 'wscat: what is no WebSocket');
isnt($status, 0, 'wscat: not 0');

wscat('', '-H', 'Origin: http://evil.test', "ws://$at/ws?sessionId=$sid");
like($errors, qr{^wscat: HTTP/1\.1 403 Forbidden\r\n.*"status":403}s,
    'wscat -H: refused, and why');

wscat('', '-w', 0.3, '-H', 'Sec-WebSocket-Protocol: eventsession.v1', '-m',
    '[]', "ws://$at/ws?sessionId=$sid");
is($out, qq({"ack":1,"events":0}\n), 'wscat -H: a subprotocol');


# node

my $missing = EventSession::Node->missing;

SKIP: {
    skip($missing, 1) if $missing;

    node();
}

sub node {
    page("npm's ws", []);

    my $has = qx(node --experimental-websocket -p 'typeof WebSocket' 2>&1);

    # Debian 12's node has none

    page("node's own WebSocket", [ '--experimental-websocket',
        '--no-warnings' ]) if $has =~ /function/;

    # as ws does it

    my $sid = uuid();

    is_deeply([ clients('leave', "/ws?ack=1&sessionId=$sid") ],
        [ [ 'message', 'string', '{"ack":1,"events":0}' ],
          [ 'close', 4000, '', JSON::PP::true ] ],
        'ws leaves with a code of its own');

    is_deeply([ clients('pipeline', "/ws?ack=1&sessionId=$sid") ],
        [ [ 'close', 1000, JSON::PP::true, 20002 ] ],
        'ws pipelines 20000 messages: all acks in order, then bye');
    is(scalar(() = $nginx->get("/session/$sid")->body =~ /"EVENT"/g), 40_000,
        'and all is there');

    $sid = uuid();

    is_deeply([ clients('fragments', "/ws?ack=1&sessionId=$sid") ],
        [ [ 'message', 'string', '{"ack":1,"events":2}' ], bye(2) ],
        'ws sends a fragment for each byte');

    $sid = uuid();

    is_deeply([ clients('pings', "/pings?sessionId=$sid") ],
        [ [ 'pong', 'hello' ], (bye())[1, 2] ],
        'ws pings, is pinged, and answers');

    is_deeply([ clients('deflate', "/ws?ack=1&sessionId=$sid") ],
        [ [ 'open', '' ], [ 'message', 'string', '{"ack":1,"events":0}' ],
          bye(2) ], 'ws offers compression: it is not taken up');

    $sid = uuid();

    is_deeply([ clients('crowd', "/ws?ack=1&sessionId=$sid") ],
        [ [ { '{"ack":1,"events":1}' => 100 } ] ], 'a hundred at a time');
    is($nginx->get("/session/$sid")->body,
        '{"type":"SESSION","start":null,"end":null,"children":['
        . join(',', map { qq({"type":"EVENT","timestamp":$_,"name":"n$_"}) }
            0 .. 99) . ']}', 'and what each of them sent');

    # Origin, as browsers send it with each

    for my $case (
        [ '/ws',    "http://$at",               'open' ],
        [ '/ws',    'https://shop.example.com', 403 ],
        [ '/ws',    'null',                     403 ],
        [ '/pages', 'https://shop.example.com', 'open' ],
        [ '/pages', 'https://evil.test',        403 ],
    ) {
        my ($path, $origin, $expected) = @$case;

        is_deeply([ clients('refused', "$path?sessionId=" . uuid(), $origin) ],
            [ $expected eq 'open' ? ['open']
              : [ $expected, 'application/problem+json', $expected ] ],
            "ws, $path from $origin: $expected");
    }
}


# What is received at the end: the ack of number $n, bye, and the Close.

sub bye {
    my ($n) = @_;

    return ([ 'message', 'string', sprintf('{"ack":%d,"events":1}', $n // 0) ],
        [ 'message', 'string', '{"message":"bye"}' ],
        [ 'close', 1000, 'session ended', JSON::PP::true ]);
}


sub clients {
    my ($what, $path, @more) = @_;

    my @options = ref($more[0]) ? shift(@more) : ();

    return EventSession::Node->run(@options, 'clients.js', $what,
        "ws://$at$path", @more);
}


sub page {
    my ($name, $options) = @_;

    my $sid = uuid();

    is_deeply([ clients('page', "/ws?sessionId=$sid", $options,
        "http://$at") ],
        [ [ 'open', 'eventsession.v1', '' ],
          map({ [ 'message', 'string', qq({"ack":$_,"events":1}) ] } 1 .. 5),
          bye(6) ],
        "$name: text, array buffers, views, blobs");

    is($nginx->get("/session/$sid")->body,
        '{"type":"SESSION","start":null,"end":9,"children":['
        . join(',', map { my $event =
            qq({"type":"EVENT","timestamp":$_,"name":"ä€𝄞"});
            utf8::encode($event); $event } 1 .. 5) . ']}',
        "$name: and all is there");
}


ok_log($nginx);
done_testing();
