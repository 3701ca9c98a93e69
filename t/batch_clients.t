# Why: producers are not in a room with the server: they send slowly, hang up
# in the middle of a body or before its answer, send the next one behind it,
# or come all at once.  None of them may cost the others anything, and what was
# begun for one who has left is ended and freed.  Known to fail by: a body
# whose client leaves while Redis is asked for what it knows; an answer to
# nobody; a pipelined request that is lost behind one that waited; a
# connection that is read while its body is stored, and closed.

use strict;
use warnings;

use lib 't/lib';

use EventSession;
use EventSession::Batch;
use EventSession::BatchLoad;
use EventSession::Node;
use EventSession::Process;
use Test::More;
use Time::HiRes qw(sleep);

my $t     = EventSession->new;
my $redis = $t->redis;
my $nginx = $t->nginx(
    redis     => $redis,
    workers   => 2,
    listen    => 'http2',
    http      => 'client_max_body_size 16m; client_body_timeout 30s;',
    locations => <<'END');
        location = /events { eventsession batch; }
        location /session/ { eventsession session; }
        location = /workers { eventsession workers; }
        location = /feed { eventsession feed; }
END

my $body = array(map { entry(timestamp => $_, data => qq("$_")) } 1 .. 1000);

# HTTP/2 without TLS has the whole port, so HTTP/1.1 has another
my $plain = $t->nginx(
    redis     => $redis,
    workers   => 2,
    http      => $nginx->{http},
    locations => $nginx->{locations});

my $count = 0;

slow_senders();
who_leaves_in_the_middle();
who_leaves_before_the_answer();
one_connection();
one_key_at_once();
many_at_once();
http2();

is($_->quit, 0, 'nginx quits') for $nginx, $plain;
ok_log($_) for $nginx, $plain;

done_testing();


# Events that are there, of those that came since the last call.

sub came {
    my $n = stored_sum($redis);

    ($count, $n) = ($n, $n - $count);

    return $n;
}


# Ten of them, a piece at a time, while another one is served at once.

sub slow_senders {
    my @http  = map { $plain->connect } 0 .. 9;
    my @bytes = map { batch_bytes($http[$_], $body,
        headers => [ "Slow: $_" ]) } 0 .. 9;

    # half of them in chunks

    for my $n (0 .. 4) {
        my ($head) = $bytes[$n] =~ /^(.*?\r\n)Content-Length: \d+\r\n/s;

        $bytes[$n] = $head . "Transfer-Encoding: chunked\r\n\r\n"
            . join('', map { sprintf("%x\r\n%s\r\n", length($_), $_) }
                $body =~ /.{1,777}/gs) . "0\r\n\r\n";
    }

    for my $piece (0 .. 24) {
        for my $n (0 .. 9) {
            my $len = int(length($bytes[$n]) / 25) + 1;

            $http[$n]->send(substr($bytes[$n], $piece * $len, $len))
                if $piece * $len < length($bytes[$n]);
        }

        sleep(0.02);

        accepted($plain, array(entry(timestamp => 1)), 1,
            'somebody else is served meanwhile') if $piece % 12 == 0;
    }

    is(join(' ', map { $_->response->body } @http),
        join(' ', ('{"accepted":1000}') x 10), 'slow senders are accepted');

    is(came(), 10_003, 'and what they sent is stored');
}


sub who_leaves_in_the_middle {
    for my $way (qw(close reset)) {
        for my $part (1, 100, 5000, length($body) - 1) {
            my $http  = $plain->connect;
            my $bytes = batch_bytes($http, $body, key => "$way $part");

            $http->send(substr($bytes, 0,
                length($bytes) - length($body) + $part));

            leave($http, $way);
        }
    }

    accepted($plain, $body, 1000, 'a body that is whole');

    is(came(), 1000, 'nothing of the others is stored');
}


# In each stage: with a key Redis is asked first, without one it is not.

sub who_leaves_before_the_answer {
    for my $way (qw(close reset)) {
        $redis->freeze;

        my @http = map { $plain->connect } 0 .. 5;

        $http[$_]->send(batch_bytes($http[$_], $body,
            key => $_ % 2 ? "gone $way $_" : undef)) for 0 .. 5;

        sleep(0.2);
        leave($_, $way) for @http;
        sleep(0.1);

        $redis->thaw;

        accepted($plain, $body, 1000, "$way: a body behind theirs");

        ok((wait_for { stored_sum($redis) >= $count + 4000 }),
            "$way: who had no key left a body that is stored");

        accepted($plain, $body, 1000, "$way: who had one comes again",
            key => "gone $way $_") for 1, 3, 5;

        is(came(), 7000, "$way: each is stored once");
    }
}


sub leave {
    my ($http, $way) = @_;

    setsockopt($http->socket, Socket::SOL_SOCKET(), Socket::SO_LINGER(),
        pack('ii', 1, 0)) if $way eq 'reset';

    $http->close;
}


# Requests behind each other, waited for and not.

sub one_connection {
    my $http = $plain->connect;

    for my $n (1 .. 20) {
        accepted($http, array((entry(timestamp => $n)) x $n), $n,
            "body $n on a connection", key => $n % 2 ? "kept $n" : undef);
    }

    is($http->request('GET', '/events?limit=x')->status, 400, 'a GET there');

    my @n = map { $_ * 97 % 1000 + 1 } 1 .. 30;

    $http->send(join('', map { batch_bytes($http,
        array((entry(timestamp => $_)) x $_),
        key => $_ % 3 ? undef : "piped $_") } @n));

    is(join(' ', map { $http->response->body } @n),
        join(' ', map { qq({"accepted":$_}) } @n),
        'pipelined bodies have their answers, in order');

    my $sum = 210;
    $sum += $_ for @n;

    is(came(), $sum, 'all is stored');

    # the answer to a bad one doesn't end it

    $http->send(batch_bytes($http, '[1]') . batch_bytes($http, '[{}]')
        . batch_bytes($http, '[') . batch_bytes($http, '[{},{}]'));

    is(join(' ', map { $http->response->status } 1 .. 4), '400 200 400 200',
        'good bodies between bad ones');

    is(came(), 3, 'are stored');
}


# Who is first of those with the same key is stored, the others are told that,
# or to come again; of two bodies with one key only one is.

sub one_key_at_once {
    my @other = (array(entry(data => 1)), array(entry(data => 2)));

    for my $round (1 .. 5) {
        my @http = map { $plain->connect } 1 .. 20;

        $http[$_]->send(batch_bytes($http[$_], $body, key => "same $round"))
            for 0 .. 9;
        $http[$_]->send(batch_bytes($http[$_], $other[$_ % 2],
            key => "other $round")) for 10 .. 19;

        my @res = map { $_->response } @http;

        is(scalar(grep { $_->body !~ /^\{"accepted":1000\}$|"status":409,/ }
            @res[0 .. 9]), 0, 'one key, the same body: 200 or 409');
        isnt(scalar(grep { $_->status == 200 } @res[0 .. 9]), 0,
            'and 200 to one at least');

        my @n = map { my $n = $_; scalar(grep { $res[$_]->status == 200
            && $_ % 2 == $n } 10 .. 19) } 0, 1;

        ok(($n[0] > 0) != ($n[1] > 0), 'one key, two bodies: one of them')
            or diag("@n");
        is(scalar(grep { $_->status !~ /^(?:200|409|422)$/ } @res), 0,
            'the other one is 409 or 422');

        accepted($plain, $body, 1000, 'again', key => "same $round");
    }

    is(came(), 5 * 1001, 'each is stored once');
}


# All of them send before any answer is read.

sub many_at_once {
    my @http = map { $plain->connect } 1 .. 100;

    $_->send(batch_bytes($_, $body)) for @http;

    is(scalar(grep { $_->response->body eq '{"accepted":1000}' } @http), 100,
        'a hundred bodies at once');

    is(came(), 100_000, 'are stored');

    my $load = EventSession::BatchLoad->new($plain, clients => 20,
        keyed => 20, vanish => 3);

    ok($load->run_acked(200), 'clients of which many vanish');
    ok_answered($load);

    my $seen = $load->stored;
    my %own  = map { $_ => $seen->{$_} } grep { /^$load->{name}\./ }
        keys(%$seen);

    ok_kept($load, 'each event is there once', \%own);

    is(scalar(grep { !defined $_->{finished_at} }
        @{ $plain->get('/workers')->json->{workers} }), 60,
        'by the same workers');

    # what those who have vanished sent is still on its way

    wait_for { my $n = came(); sleep(0.2); $n == 0 };
}


# Several on one connection; one that is cut.

sub http2 {
    my $file = $t->dir . '/body';

    open(my $out, '>', $file) or die "$file: $!";
    print {$out} $body;
    close($out);

    SKIP: {
        skip('no curl with HTTP/2', 5)
            if (`curl -V 2>/dev/null` // '') !~ /^Features:.*\bHTTP2\b/m;

        my @one = ('-H', 'Content-Type: application/json', '--data-binary',
            "\@$file", $nginx->url . '/events');

        my $fine = qq({"accepted":1000} 200 2\n);

        is(curl(@one), $fine, 'over HTTP/2');

        my @curls = map { start_curl(@one) } 1 .. 10;

        is(join('', map { wait_curl($_) } @curls), $fine x 10, 'ten at once');

        is(curl('-H', 'Idempotency-Key: h2', @one), $fine, "with a key, $_")
            for 1, 2;

        curl('--limit-rate', '10k', '--max-time', 1, @one);

        is(came(), 12_000, 'all is stored, and of one that is cut nothing');
    }

    SKIP: {
        my $missing = EventSession::Node->missing;

        skip($missing, 2) if $missing;

        my @lines = EventSession::Node->run('http2_post.js', $nginx->url,
            '/events', $file, 20, 10, 5);

        is(join("\n", map { "@$_" } @lines),
            join("\n", ('200 {"accepted":1000}') x 20),
            'twenty on one connection, between those who cancel');

        # of those who cancelled what was whole may be stored

        my $n = came();

        ok($n >= 20_000 && $n <= 25_000 && $n % 1000 == 0,
            'are stored, and nothing that is half a body') or diag($n);
    }
}


sub curl { wait_curl(start_curl(@_)) }


sub start_curl {
    my (@arguments) = @_;

    my $output = $t->folder('curl') . '/output';

    return {
        output  => $output,
        process => EventSession::Process->spawn([ 'curl', '-s', '--noproxy',
            '*', '--http2-prior-knowledge', '-w',
            ' %{http_code} %{http_version}\n', @arguments ],
            output => $output),
    };
}


sub wait_curl {
    my ($curl) = @_;

    $curl->{process}->wait(30 * slow());

    return EventSession::Redis::slurp($curl->{output});
}
