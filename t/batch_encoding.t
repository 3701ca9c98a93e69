# Why: bodies of thousands of events come in chunks, compressed, slowly, in
# memory or by way of a file, or break off; what is stored must not depend on
# it, and nobody may make a worker inflate what he likes (contract, section 0).
# Known to fail by: a body in a file of which the first part, in memory, is
# forgotten; a limit that only the compressed body has; the rest of a broken
# body that is taken for the next request; half a body that is stored.

use strict;
use warnings;

use lib 't/lib';

use Compress::Zlib ();
use EventSession;
use EventSession::Batch;
use IO::Compress::Deflate ();
use IO::Compress::Gzip ();
use IO::Compress::RawDeflate ();
use Test::More;
use Time::HiRes qw(sleep);

use constant MB => 1024 * 1024;

my $t     = EventSession->new;
my $redis = $t->redis;
my $nginx = $t->nginx(redis => $redis, http => 'eventsession_feed off;',
    server => <<'END');
        location = /small {
            eventsession batch;
            client_max_body_size 1m;
            client_body_buffer_size 2m;
        }

        location = /unbounded {
            eventsession batch;
            client_max_body_size 0;
            client_body_buffer_size 2m;
        }

        location = /file {
            eventsession batch;
            client_body_in_file_only clean;
            client_max_body_size 32m;
        }

        location = /parts {
            eventsession batch;
            client_body_buffer_size 1k;
            client_max_body_size 32m;
        }
END

my @entries = map { entry(timestamp => $_, data => qq("$_ Grüße")) } 1 .. 1000;

my $body = array(@entries);

my $BROKEN = problem(400, 'the body is not what its Content-Encoding says, '
    . 'or ends in the middle');
my $LARGE  = problem(413, 'the body is too large when it is inflated');


# Redis has no events any more.

sub forget {
    my @keys = chunks($redis);

    $redis->cli('UNLINK', @keys) if @keys;
}


# All of them are there, and are forgotten.

sub ok_stored {
    my ($name, @wanted) = @_;

    local $Test::Builder::Level = $Test::Builder::Level + 1;

    is_deeply([ events($nginx) ], \@wanted, "$name: all are there");
    forget();
}


sub gzip { Compress::Zlib::memGzip($_[0]) }


sub deflated {
    my ($class, $text) = @_;

    my $out = '';

    my $z = "IO::Compress::$class"->new(\$out);

    $z->print($text);
    $z->close;

    return $out;
}


sub coded { (headers => [ "Content-Encoding: $_[0]" ]) }


# In chunks of so many bytes.

sub chunked {
    my ($text, $size) = @_;

    return join('', map { sprintf("%x\r\n%s\r\n", length($_), $_) }
        unpack("(a$size)*", $text)) . "0\r\n\r\n";
}


sub ok_goes_on {
    my ($http, $name) = @_;

    local $Test::Builder::Level = $Test::Builder::Level + 1;

    accepted($http, '[{"timestamp":1}]', 1, "$name: the connection goes on");
    ok_stored($name, '{"timestamp":1}');
}


# codings

my @codings = (
    [ 'gzip',     gzip($body) ],
    [ 'GZip',     gzip($body) ],
    [ 'x-gzip',   gzip($body) ],
    [ 'deflate',  deflated('Deflate', $body) ],
    [ 'deflate',  deflated('RawDeflate', $body) ],
    [ 'identity', $body ],
    [ 'gzip',     gzip(substr($body, 0, 5000)) . gzip(substr($body, 5000)) ],
);

for my $coding (@codings) {
    my ($name, $bytes) = @$coding;

    for my $path (qw(/events /small /unbounded /file /parts)) {
        accepted($nginx, $bytes, 1000, "$name to $path", path => $path,
            coded($name));
        ok_stored("$name to $path", @entries);
    }
}

accepted($nginx, gzip(lines(@entries)), 1000, 'NDJSON in gzip',
    type => 'application/x-ndjson', coded('gzip'));
ok_stored('NDJSON in gzip', @entries);

accepted($nginx, gzip('[]'), 0, 'no event in gzip', coded('gzip'));

my $http = $nginx->connect;

for my $name (qw(br zstd compress gzipx gzi), 'gzip, gzip', '*', '') {
    my $res = batch($http, gzip($body), coded($name));

    is($res->status, 415, "coding \"$name\"");
    is($res->body, problem(415, 'the Content-Encoding must be gzip or deflate'),
        'says what would be right');
}

ok_goes_on($http, 'other codings');

# a body is the same, however it came

my @key = (key => 'one');

accepted($nginx, $body, 1000, 'with a key', @key);
accepted($nginx, gzip($body), 1000, 'the same in gzip', @key, coded('gzip'));
accepted($nginx, deflated('Deflate', $body), 1000, 'and in deflate', @key,
    coded('deflate'));
ok_stored('a body that comes again in another coding', @entries);


# broken ones

my $gzip = gzip($body);
my $crc  = $gzip;

substr($crc, -8, 1) ^= "\x01";

my @broken = (
    [ 'gzip',    '' ],
    [ 'gzip',    $body ],
    [ 'gzip',    substr($gzip, 0, 5) ],
    [ 'gzip',    substr($gzip, 0, length($gzip) / 2) ],
    [ 'gzip',    substr($gzip, 0, -1) ],
    [ 'gzip',    $crc ],
    [ 'gzip',    $gzip . 'x' ],
    [ 'gzip',    $gzip . substr($gzip, 0, 100) ],
    [ 'gzip',    deflated('Deflate', $body) ],
    [ 'deflate', $body ],
    [ 'deflate', '' ],
    [ 'deflate', $gzip ],
    [ 'deflate', substr(deflated('Deflate', $body), 0, -1) ],
    [ 'deflate', substr(deflated('RawDeflate', $body), 0, -1) ],
    [ 'deflate', deflated('Deflate', $body) . 'x' ],
);

for my $case (@broken) {
    my ($name, $bytes) = @$case;

    my $res = batch($http, $bytes, coded($name));

    is($res->status, 400, "a broken $name of " . length($bytes) . ' bytes');
    is($res->body, $BROKEN, 'says so');
}

my $res = batch($http, gzip('[{},]x'), coded('gzip'));

is($res->status, 400, 'a fault in what was inflated');
is($res->json->{detail}, 'invalid JSON at line 1, column 6: expected the end '
    . 'of the message', 'is told by its place there');

ok_goes_on($http, 'broken ones');


# bombs: the limit is that of the inflated body, to the byte

my ($pid) = $nginx->workers;

my $fits = '[' . ' ' x (MB - 2) . ']';

accepted($nginx, $fits, 0, 'as large as may be', path => '/small');
accepted($nginx, gzip($fits), 0, 'the same in gzip', path => '/small',
    coded('gzip'));
is(batch($http, gzip(" $fits"), path => '/small', coded('gzip'))->body, $LARGE,
    'a byte more in gzip');
is($nginx->request('POST', '/small', body => " $fits", headers =>
    [ 'Content-Type: application/json' ])->status, 413, 'and without');

my $zeros = "\0" x (100 * MB);

for my $bomb ([ 'gzip', gzip($zeros) ],
    [ 'gzip', gzip('[' . ' ' x (50 * MB)) x 2 ],
    [ 'deflate', deflated('Deflate', $zeros) ],
    [ 'deflate', deflated('RawDeflate', $zeros) ])
{
    my ($name, $bytes) = @$bomb;

    for my $path (qw(/small /events /unbounded)) {
        $res = batch($http, $bytes, path => $path, coded($name));

        is($res->status, 413, "a bomb in $name to $path");
        is($res->body, $LARGE, 'is too large when it is inflated');
    }
}

undef $zeros;

ok_goes_on($http, 'bombs');

SKIP: {
    skip('memory is not nginx\'s own here', 1)
        if $ENV{EVS_SANITIZE} || $ENV{EVS_VALGRIND};

    # 64m is the bound where there is none, and a buffer is doubled by copying

    cmp_ok($nginx->peak($pid), '<', 160 * MB, 'inflates no more than it may');
}


# too long

my $close = 'Connection: close';
my $json  = 'Content-Type: application/json';

is($nginx->request('POST', '/events', headers => [ $json,
    'Content-Length: ' . (33 * MB) ])->status, 413,
    'longer than client_max_body_size');

my $c = $nginx->connect;

$c->send($c->text_of('POST', '/small', headers => [ $json, $close,
    'Transfer-Encoding: chunked' ]) . sprintf("%x\r\n", 2 * MB)
    . ' ' x (1.5 * MB));
is($c->response->status, 413, 'the same in chunks');


# 15 MB in chunks

my @large = map { entry(timestamp => $_,
    data => '"' . chr(97 + $_ % 26) x 985 . '"') } 1 .. 15_000;

for my $path (qw(/events /file /parts)) {
    my $http = $nginx->connect(timeout => 60);

    $http->send($http->text_of('POST', $path, headers => [ $json,
        'Transfer-Encoding: chunked' ], body => chunked(array(@large), 50_000)))
        or fail('the body was not taken');

    is($http->response->body, '{"accepted":15000}', "15 MB in chunks to $path");
    is(stored_sum($redis), 15_000, 'are stored');

    if ($path eq '/events') {
        is(join('', events($nginx)), join('', @large), 'as they were sent');
    }

    accepted($http, '[]', 0, 'and the connection goes on');
    forget();
}

for my $size (1, 7, 4096) {
    my $http = $nginx->connect;

    $http->send($http->text_of('POST', '/events', headers => [ $json,
        'Transfer-Encoding: chunked', 'Content-Encoding: gzip' ],
        body => chunked($gzip, $size)));
    is($http->response->body, '{"accepted":1000}', "chunks of $size");
    ok_stored("chunks of $size", @entries);
}

$c = $nginx->connect;
$c->send($c->text_of('POST', '/events', headers => [ $json, $close,
    'Transfer-Encoding: chunked' ], body => "4\r\n[{}]\r\nx\r\n"));
is($c->response->status, 400, 'chunks that are none');
is(stored_sum($redis), 0, 'are not stored');


# slow ones, and who waits

my $slow = $nginx->connect;
my @parts = unpack('(a' . int(length($body) / 20) . ')*', $body);

$slow->send($slow->text_of('POST', '/events', headers => [ $json,
    'Expect: 100-continue', 'Content-Length: ' . length($body) ]));
is($slow->response->status, 100, 'one who asks first may go on');

for my $part (@parts) {
    $slow->send($part);
    sleep(0.02);
}

is($slow->response->body, '{"accepted":1000}', 'a slow one');
ok_stored('a slow one', @entries);

$slow->send($slow->text_of('POST', '/events', headers => [ $json,
    'Transfer-Encoding: chunked' ]));

my @bytes = unpack('(a100)*', chunked($body, 500));

for my $i (0 .. $#bytes) {
    $slow->send($bytes[$i]);

    accepted($nginx, '[]', 0, 'another one meanwhile') if $i % 50 == 0;
}

is($slow->response->body, '{"accepted":1000}', 'one with pieces of chunks');
ok_stored('one with pieces of chunks', @entries);


# those who leave: in the middle nothing is stored, behind the end all of it

my $whole = $http->text_of('POST', '/events', headers => [ $json ],
    body => $body);
my $small = $http->text_of('POST', '/events', headers => [ $json,
    'Content-Encoding: gzip' ], body => $gzip);
my $chunk = $http->text_of('POST', '/events', headers => [ $json,
    'Transfer-Encoding: chunked' ], body => chunked($body, 1000));

for my $text ($whole, $small, $chunk) {
    for my $length (length($text) - 1, length($text) / 2, 300) {
        my $gone = $nginx->connect;

        $gone->send(substr($text, 0, $length));
        $gone->close;
    }
}

accepted($nginx, '[]', 0, 'many have left in the middle');
is(stored_sum($redis), 0, 'nothing of theirs is stored');

for my $i (1 .. 5) {
    my $gone = $nginx->connect;

    $gone->send($whole);
    sleep(0.002 * $i);
    $gone->close;
}

ok((wait_for { stored_sum($redis) == 5000 }), 'what was sent whole is stored')
    or diag(stored_sum($redis));

forget();


# HTTP/2

my $h2 = $t->nginx(redis => $redis, listen => 'http2');

open(my $file, '>', $t->dir . '/body') or die($!);
print {$file} $gzip;
close($file);

my $curl = "curl -s --noproxy '*' --http2-prior-knowledge "
    . "-H 'Content-Type: application/json' -H 'Content-Encoding: gzip' "
    . '--data-binary \@' . $t->dir . '/body ' . $h2->url . '/events';

is(qx($curl), '{"accepted":1000}', 'over HTTP/2');
ok_stored('over HTTP/2', @entries);

is($_->quit, 0, 'ends well') for $nginx, $h2;
ok_log($_) for $nginx, $h2;

done_testing();
