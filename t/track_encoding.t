# Why: applications compress what they send, and whoever sends a compressed
# bomb must get no more than what he has sent.  Known to fail by: a second
# member of gzip that is taken for garbage, or garbage that is taken for a
# member; a body that ends in its middle and is taken for whole; raw deflate,
# that some clients send for deflate; a limit that looks at the bytes on the
# wire only, or is one too many.

use strict;
use warnings;

use lib 't/lib';

use Compress::Zlib qw(crc32);
use Compress::Raw::Zlib qw(WANT_GZIP MAX_WBITS Z_OK Z_STREAM_END Z_FINISH
    Z_FULL_FLUSH);
use EventSession;
use EventSession::Track;
use Test::More;

use constant MAX => 4000;

my $t     = EventSession->new;
my $redis = $t->redis;

my $nginx = $t->nginx(redis => $redis, http => track_conf() . <<END,
        client_body_buffer_size 1k;
        keepalive_requests 10000;
END
    locations => <<END);
        location = /api/v1/events/ {
            eventsession track;
        }

        location = /small {
            eventsession track;
            client_max_body_size @{[ MAX ]};
        }

        location = /large {
            eventsession track;
            client_max_body_size 0;
        }
END

my ($pid) = $nginx->workers;
my $http  = $nginx->connect(timeout => 60);

my %bits = (gzip => WANT_GZIP, zlib => MAX_WBITS, raw => -MAX_WBITS());


# Compressed in one of these forms; a list of texts is flushed between them.

sub packed {
    my ($form, $texts, %options) = @_;

    my ($z, $status) = Compress::Raw::Zlib::Deflate->new(
        -WindowBits => $bits{$form}, -AppendOutput => 1, %options);

    $status == Z_OK or die "deflateInit2: $status";

    my $out = '';

    for my $text (ref($texts) ? @$texts : $texts) {
        $z->deflate($text, $out) == Z_OK or die 'deflate';
        $z->flush($out, Z_FULL_FLUSH) == Z_OK or die 'flush' if ref($texts);
    }

    $z->flush($out, Z_FINISH) == Z_OK or die 'finish';

    return $out;
}


sub post {
    my ($coding, $body, %options) = @_;

    return track($http, $body, %options,
        headers => [ map { "Content-Encoding: $_" }
            ref($coding) ? @$coding : $coding ]);
}


sub ok_stored {
    my ($res, $what, $body) = @_;

    local $Test::Builder::Level = $Test::Builder::Level + 1;

    $body //= shown();

    ok($res->status == 201 && $res->body eq $body, $what)
        or diag($res->status . ' ' . substr($res->body, 0, 200));
}


sub problem {
    my ($status, $title, $detail) = @_;

    return qq($status {"type":"about:blank","title":"$title",)
        . qq("status":$status,"detail":"$detail"});
}


sub ok_refused {
    my ($res, $reply, $what) = @_;

    local $Test::Builder::Level = $Test::Builder::Level + 1;

    is($res->status . ' ' . substr($res->body, 0, 500), $reply, $what);
}


my $broken = problem(400, 'Bad Request', 'the body is not what its '
    . 'Content-Encoding says, or ends in the middle');
my $bomb = problem(413, 'Content Too Large',
    'the body is too large when it is inflated');
my $unknown = problem(415, 'Unsupported Media Type',
    'the Content-Encoding must be gzip or deflate');


# each coding, and each way to write it

my $text = fields();

ok_stored(post($_, packed('gzip', $text)), $_)
    for qw(gzip GZIP x-gzip X-Gzip);
ok_stored(post($_, packed('zlib', $text)), "$_, of zlib")
    for qw(deflate Deflate);
ok_stored(post('deflate', packed('raw', $text)), 'deflate, raw');
ok_stored(post('identity', $text), 'identity');

for my $form (qw(gzip zlib raw)) {
    my $coding = $form eq 'gzip' ? 'gzip' : 'deflate';

    ok_stored(post($coding, packed($form, $text, -Level => $_)),
        "$form, level $_") for 0, 1, 9;
    ok_stored(post($coding, packed($form, [ split(//, $text) ])),
        "$form, a block for each byte");
    ok_stored(post($coding, packed($form, $text, -Strategy => 4)),
        "$form, fixed codes");

    # larger than all buffers, on the wire and inflated

    my $n     = 5000;
    my @many  = map { fields(name => qq("$_-${\rand()}")) } 1 .. $n;
    my $shown = '[' . join(',', map { s/:1\}$/:"1970-01-01T00:00:01Z"}/r }
        @many) . ']';
    my $body  = packed($form, '[' . join(',', @many) . ']');

    ok_stored(post($coding, $body), "$form, $n events", $shown);
    ok_stored(track($http, join('', map { sprintf("%x\r\n%s\r\n", length($_),
        $_) } unpack('(a997)*', $body)) . "0\r\n\r\n", headers =>
        [ "Content-Encoding: $coding", 'Transfer-Encoding: chunked' ]),
        "$form, in chunks", $shown);
}


# several members of gzip are one text; other codings have one

my @parts = unpack('(a7)*', $text);

ok_stored(post('gzip', join('', map { packed('gzip', $_) } @parts)),
    'gzip, of ' . @parts . ' members');
ok_stored(post('gzip', packed('gzip', '') . packed('gzip', $text)
    . packed('gzip', '') x 3), 'gzip, with empty members');
ok_refused(post('deflate', packed('zlib', $text) . packed('zlib', '')),
    $broken, 'zlib, two of them');
ok_refused(post('deflate', packed('raw', $text) . packed('raw', '')),
    $broken, 'raw, two of them');

# a header with a name, a comment, more and its own checksum (RFC 1952, 2.3.1)

my $header = "\x1f\x8b\x08\x1e\0\0\0\0\0\x03" . "\x04\0more" . "name\0"
    . "comment\0";

ok_stored(post('gzip', $header . pack('v', crc32($header) & 0xffff)
    . packed('raw', $text) . pack('VV', crc32($text), length($text))),
    'gzip, with all that a header may have');


# what isn't whole, or isn't what it says

for my $form (qw(gzip zlib raw)) {
    my $coding = $form eq 'gzip' ? 'gzip' : 'deflate';
    my $body   = packed($form, $text);
    my @taken  = grep {
        my $res = post($coding, substr($body, 0, $_));

        $res->status . ' ' . $res->body ne $broken;
    } 0 .. length($body) - 1;

    is("@taken", '', "$form: cut at each of its bytes");
    ok_refused(post($coding, "$body$_"), $broken, "$form: more behind it")
        for 'x', "\0", '[]', "\x1f", substr($body, 0, 12);
}

my $gzip = packed('gzip', $text);

for my $at (0 .. 3, length($gzip) - 8 .. length($gzip) - 1) {
    my $changed = $gzip;

    substr($changed, $at, 1) ^= "\xff";

    ok_refused(post('gzip', $changed), $broken,
        "gzip: byte $at is another one");
}

ok_refused(post('gzip', $text), $broken, 'gzip: a text');
ok_refused(post('gzip', packed('zlib', $text)), $broken, 'gzip: zlib');
ok_refused(post('gzip', packed('raw', $text)), $broken, 'gzip: raw');
ok_refused(post('deflate', $gzip), $broken, 'deflate: gzip');
ok_refused(post('deflate', $text), $broken, 'deflate: a text');
ok_refused(post('deflate', "\xff" x 100), $broken, 'deflate: no block');
ok_refused(post('deflate', packed('zlib', $text, -Dictionary => 'session')),
    $broken, 'deflate: with a dictionary that nobody has');
ok_refused(post('gzip', packed('gzip', $gzip)), '400 {"detail":"JSON parse '
    . 'error - Expecting a value: line 1 column 1"}', 'gzip: twice');
ok_refused(post('identity', $gzip), '400 {"detail":"JSON parse error - '
    . 'Expecting a value: line 1 column 1"}', 'identity: gzip');

ok_refused(post($_, $gzip), $unknown, ref($_) ? "@$_" : $_) for 'br', 'zstd',
    'compress', 'gzip, gzip', 'gzipp', 'gzi', '', 'x', '*', 'gzip;q=1',
    [ 'gzip', 'gzip' ], [ 'identity', 'gzip' ], [ '', 'gzip' ];
ok_refused(post('br', 'x' x 100_000), $unknown, 'a large one');
ok_stored(post('gzip', $gzip), 'and the next request');


# what was sent is short, and what it becomes is not

sub sized {
    my ($size) = @_;

    my $more = fields(data => '""');

    return fields(data => '"' . 'x' x ($size - length($more)) . '"');
}

for my $form (qw(gzip zlib raw)) {
    my $coding = $form eq 'gzip' ? 'gzip' : 'deflate';

    is(post($coding, packed($form, sized(MAX)), path => '/small')->status, 201,
        "$form: as large as may be");
    ok_refused(post($coding, packed($form, sized(MAX + 1)), path => '/small'),
        $bomb, "$form: one byte more");
    ok_refused(post($coding, packed($form, 'x' x 100_000), path => '/small'),
        $bomb, "$form: much more");
    ok_refused(post($coding, packed($form, ' ' x (1 << 20) . ' ')), $bomb,
        "$form: a byte more than the default");
    is(post($coding, packed($form, ' ' x (1 << 20)))->status, 400,
        "$form: the default");
}

ok_refused(post('gzip', packed('gzip', 'x' x 1000) x 5, path => '/small'),
    $bomb, 'gzip: of five members');
is(post('gzip', packed('gzip', '') x 40_000)->status, 400,
    'gzip: of 40,000 members, with nothing in them');

my $peak  = $nginx->peak($pid);
my $large = packed('gzip', "\0" x (200 << 20), -Level => 9);

ok(length($large) < 250_000, '200 MB in ' . length($large) . ' bytes');
ok_refused(post('gzip', $large), $bomb, 'gzip: a bomb') for 1 .. 5;

my $grown = $nginx->peak($pid) - $peak;

note('grown by ', $grown >> 10, ' KB');
cmp_ok($grown, '<', ($ENV{EVS_SANITIZE} ? 80 : 8) << 20,
    'it costs no more than what may be sent');

ok_refused(post('gzip', $large, path => '/large'), $bomb,
    'gzip: a bomb, where any length is allowed');

ok_stored(post('gzip', $gzip), 'and the next request');

is(join(' ', $nginx->workers), $pid, 'all that by one worker');
is($nginx->quit, 0, 'nginx quits');
ok_log($nginx);
done_testing();
