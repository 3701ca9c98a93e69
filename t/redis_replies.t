# Why: replies come in pieces, as the network cuts them, may be larger than
# any buffer, and what answers may be no Redis at all.  Known to fail by: a
# reply that is cut inside of a length or a CRLF; a member that is larger than
# the buffer; members behind it that are lost; a worker that dies of, or waits
# forever for, what is no reply; events that are gone because of it, or there
# twice, since a reply came again whose connection broke in the middle; a worker
# that the kernel tells of the same bytes again and again.

use strict;
use warnings;

use lib 't/lib';

use EventSession;
use EventSession::Session;
use JSON::PP ();
use Test::More;

use constant KB => 1024;

my $t     = EventSession->new;
my $redis = $t->redis;
my $n     = 0;

in_pieces();
larger_than_buffers();
told_once();
cut_off();

no_redis('HTTP', "HTTP/1.1 400 Bad Request\r\n\r\n",
    qr/a part of an unknown type/);
no_redis('RESP3', "%1\r\n+server\r\n+redis\r\n",
    qr/a part of an unknown type/);
no_redis('a length without an end', '$12345678901234567890',
    qr/a number that is too large/);
no_redis('a string of terabytes', "\$5000000000000\r\n",
    qr/a string of an impossible length/);
no_redis('a string that is longer than it says', "\$3\r\nabcd\r\n",
    qr/a string without its CRLF/);
no_redis('arrays without an end', "*1\r\n" x 100, qr/arrays that are too deep/);
no_redis('an array that ends as nothing does', "*9999\r\n:1\r\n?",
    qr/a part of an unknown type/);
no_redis('an error without an end', '-' . 'x' x 100_000,
    qr/a line without an end/);
no_redis('more replies than commands', ":1\r\n" x 20,
    qr/a reply that nobody asked for/);

done_testing();


sub read_back {
    my ($res) = @_;

    return @{ JSON::PP::decode_json($res->body)->{children} };
}


# What listens at a socket: passes bytes on to Redis and back, the replies in
# pieces of 1 to 7 bytes, the first 3,000 of them; but to the first so many
# connections it says something else, and nothing more, or it closes them when
# they have had so many bytes.

sub between {
    my (%options) = @_;

    my $path = $t->dir . '/between-' . ++$n;

    my $process = EventSession::Process->spawn([ $^X, '-e', <<'END', $path,
    use strict; use warnings; use IO::Select; use IO::Socket::UNIX;
    use Time::HiRes qw(sleep);

    my ($path, $redis, $pieces, $wrong, $says, $cuts, $cut) = @ARGV;

    $SIG{PIPE} = 'IGNORE';

    # there only when it listens, or the first connection would be refused

    my $listen = IO::Socket::UNIX->new(Local => "$path.new", Listen => 5)
        or die;
    rename("$path.new", $path) or die;

    my $select = IO::Select->new($listen);
    my (%peer, %client, %wrong, %left);

    while (1) {
        for my $from ($select->can_read) {
            if ($from == $listen) {
                my $client = $listen->accept;
                my $server = IO::Socket::UNIX->new(Peer => $redis) or die;

                ($peer{$client}, $peer{$server}) = ($server, $client);
                $client{$client} = 1;
                $wrong{$client}  = $wrong-- > 0;
                $left{$client}   = $cut if $cuts-- > 0;
                $select->add($client, $server);
                next;
            }

            my $to = $peer{$from} // next;
            my $n  = sysread($from, my $bytes, 65536);

            if ($n && $wrong{$from}) {
                syswrite($from, $says);
                $says = '';
                next;
            }

            if ($n && defined $left{$to}
                && ($left{$to} -= $n) <= 0)
            {
                substr($bytes, $left{$to}, -$left{$to}, '') if $left{$to};
                syswrite($to, $bytes);
                $n = 0;
            }

            if ($n) {
                while (!$client{$from} && $pieces > 0 && length($bytes)) {
                    syswrite($to, substr($bytes, 0, $pieces-- % 7 + 1, ''));
                    sleep(0.0002);
                }

                for (my $at = 0; $at < length($bytes); ) {
                    $at += syswrite($to, $bytes, length($bytes) - $at, $at)
                        // last;
                }

                next;
            }

            $select->remove($from, $to);
            delete @peer{$from, $to};
            close($_) for $from, $to;
        }
    }
END
        $redis->socket, $options{pieces} // 0, $options{wrong} // 0,
        $options{says} // '', $options{cuts} // 0, $options{cut} // 0 ],
        output => "$path.log");

    wait_for { -S $path };

    return ($path, $process);
}


sub nginx_at {
    my ($path, $http) = @_;

    return $t->nginx(redis => "unix:$path", redis_options =>
        'reconnect=50ms:200ms', http => $http // '');
}


sub in_pieces {
    my ($path, $process) = between(pieces => 3000);

    my $nginx = nginx_at($path);
    my $sid   = uuid();
    my @names = map { 'n' x ($_ % 120) . $_ } 1 .. 60;

    my $ws = $nginx->ws("/ws?sessionId=$sid&ack=1");

    $ws->text('[' . event(1, $names[$_]) . ']') for 0 .. $#names;

    is($ws->message, qq({"ack":$_,"events":1}), "event $_ is acknowledged")
        for 1 .. @names;

    my $res = $nginx->get("/session/$sid");

    is($res->status, 200, 'in pieces: it is read');
    is_deeply([ map { $_->{name} } read_back($res) ], \@names,
        'in pieces: as it was sent');

    $ws->close;
    $process->end('KILL');
    $nginx->terminate;
    ok_log($nginx, qr/is away/);
}


# Members of less and of more than a buffer, next to each other.

sub larger_than_buffers {
    my ($path, $process) = between();

    my $nginx = nginx_at($path,
        'eventsession_max_message 4m; eventsession_max_data 3m;');

    my $sid   = uuid();
    my @sizes = (1, 60 * KB, 70 * KB, 5, 700 * KB, 2_500 * KB, 9, 63 * KB,
        64 * KB, 65 * KB, 1, 130 * KB, 131 * KB, 1_000, 1_100 * KB);

    my $ws = $nginx->ws("/ws?sessionId=$sid&ack=1");

    for my $i (0 .. $#sizes) {
        $ws->text('[' . event($i + 1, "n$i",
            data => '"' . chr(97 + $i) x $sizes[$i] . '"') . ']');
        is($ws->message, '{"ack":' . ($i + 1) . ',"events":1}',
            "$sizes[$i] bytes are acknowledged");
    }

    for my $round (1 .. 3) {
        my $res      = $nginx->get("/session/$sid");
        my @children = read_back($res);

        is($res->status, 200, "round $round: it is read");
        is_deeply([ map { length($_->{data}) } @children ], \@sizes,
            "round $round: all of it");
        is(scalar(grep { $children[$_]{data} =~ /[^@{[ chr(97 + $_) ]}]/ }
            0 .. $#children), 0, "round $round: each with its own data");
    }

    cmp_ok($nginx->rss(($nginx->workers)[0]), '<', 60 * KB * KB,
        'and the buffer is not kept') if !$ENV{EVS_SANITIZE}
                                        && !$ENV{EVS_VALGRIND};

    $ws->close;
    $process->end('KILL');
    $nginx->terminate;
    ok_log($nginx, qr/is away/);
}


# A reply that comes again from its first byte, after some of it was taken: the
# first page of a session, one behind it, and what is held for a limit.

sub cut_off {
    my $sid    = uuid();
    my @names  = map { "name $_ " . 'n' x ($_ % 30) } 1 .. 9000;
    my $writer = $t->nginx(redis => $redis);
    my $ws     = $writer->ws("/ws?sessionId=$sid&ack=1");

    $ws->text('[' . join(',', map { event($_ + 1, $names[$_]) }
        0 .. $#names) . ']');
    is($ws->message, '{"ack":1,"events":9000}', 'to be cut off');
    $ws->close;
    $writer->terminate;

    for my $cut (20_000, 100_001, 300_003) {
        for my $limit (9000, 7999, 10) {
            my ($path, $process) = between(cuts => 3, cut => $cut);

            my $nginx = nginx_at($path);
            my $to    = $limit == 9000 ? '' : "?limit=$limit";
            my $res   = $nginx->get("/session/$sid$to");

            is_deeply([ map { $_->{name} } read_back($res) ],
                [ @names[0 .. $limit - 1] ], "cut at $cut, limit $limit");
            is($res->header('Content-Length') // length($res->body),
                length($res->body), 'its length');

            $nginx->terminate;
            $process->end('KILL');
            ok_log($nginx, qr/is away/);
        }
    }
}


# Of what the worker waits for: IN and RDHUP of its connection to Redis, once
# each (ET).  It has been told that it can write, as TCP connects later.

sub told_once {
    my $tcp   = $t->redis(tcp => 1);
    my $nginx = $t->nginx(redis => $tcp->tcp_url);

    wait_for { $nginx->get('/ready')->status == 200 };

    my ($pid) = $nginx->workers;
    my $ino   = sprintf('%x', inode_to($pid, $tcp->port));
    my @waits = map { EventSession::Redis::slurp($_) =~ /^tfd:.*$/mg }
        glob("/proc/$pid/fdinfo/*");

    my ($redis_waits) = grep { / ino:$ino / } @waits;

    like($redis_waits, qr/ events: +80002019 /, 'told once')
        || diag(join("\n", @waits));

    $nginx->terminate;
    ok_log($nginx);
}


# The inode of the socket that is connected to the port.

sub inode_to {
    my ($pid, $port) = @_;

    my $to    = sprintf(':%04X', $port);
    my $table = EventSession::Redis::slurp("/proc/$pid/net/tcp");

    for my $line (split(/\n/, $table)) {
        my (undef, undef, $remote, $state, @more) = split(' ', $line);

        return $more[5] if $remote =~ /$to$/ && $state eq '01';
    }

    return 0;
}


# Who answers like that is given up, and told of; what waits is not lost.

sub no_redis {
    my ($what, $says, $why) = @_;

    my ($path, $process) = between(wrong => 1, says => $says);

    my $nginx = nginx_at($path);
    my $sid   = uuid();
    my $ws    = $nginx->ws("/ws?sessionId=$sid&ack=1");

    my @workers = $nginx->workers;

    $ws->text('[' . event(1, 'a') . ']');

    is($ws->message, '{"ack":1,"events":1}', "$what: acknowledged later");
    ok($nginx->log_has(qr/is away: Redis does not answer: $why/, 5),
        "$what: the log says why") or diag($nginx->log);
    ok($nginx->log_has(qr/is back/, 5), "$what: and that it is back");
    is($redis->cli('ZCARD', "es:{$sid}"), 1, "$what: stored once");
    is_deeply([ $nginx->workers ], \@workers, "$what: no worker died");

    $ws->close;
    $process->end('KILL');
    $nginx->terminate;
    ok_log($nginx, qr/is away/);
}
