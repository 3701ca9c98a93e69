# Why: the name of a Redis may lead elsewhere after a failover, so it is asked
# for again; but a resolver is one more thing that breaks, and it must not take
# Redis with it.  Known to fail by: a worker without Redis for as long as a
# silent resolver is waited for, when it is new and whenever Redis was away; an
# answer that comes late and is not followed, or is followed though nothing
# has changed; a quit that waits for an answer.

use strict;
use warnings;

use lib 't/lib';

use EventSession;
use IO::Socket::INET;
use Test::More;

use constant TYPE_A => 1;

my $t = EventSession->new;

# the start-up finds the one, with the system's resolver

my $here  = $t->redis(tcp => 1);
my $there = $t->redis(tcp => $here->port, bind => '127.0.0.2');

silent();
answers('which has not changed', 0, '127.0.0.1');
answers('that there is no such name', 3);
moves();

done_testing();


# A resolver that nobody answers for, unless the test does.

sub resolver {
    return IO::Socket::INET->new(
        LocalAddr => '127.0.0.1', Proto => 'udp') // die "no socket: $!";
}


sub nginx {
    my ($resolver) = @_;

    my $at = '127.0.0.1:' . $resolver->sockport;

    # an hour: who waits for it has failed

    return $t->nginx(
        redis         => 'redis://localhost:' . $here->port,
        redis_options => 'reconnect=20ms:50ms',
        http          => "resolver $at ipv6=off; resolver_timeout 1h;"
            . 'eventsession_timeout 10s;');
}


sub is_ready {
    my ($nginx, $what) = @_;

    ok(wait_for { $nginx->get('/ready')->status == 200 }, $what);
}


sub silent {
    my $resolver = resolver();
    my $nginx    = nginx($resolver);

    is_ready($nginx, 'silent: a new worker has its Redis');
    is(stored($nginx), $here, 'and stores there');

    $nginx->reload;
    is_ready($nginx, 'silent: a worker of a reload, too');

    for my $nth (1 .. 2) {
        $here->restart;
        is(stored($nginx), $here, "silent: Redis is back, $nth");
    }

    is(scalar(questions($resolver)), 'localhost', 'it was asked all the same');

    is($nginx->quit, 0, 'silent: ends well, with the question open');
    ok_log($nginx);
}


# Answers when the worker has a connection already, which is to stay.

sub answers {
    my ($what, $code, @address) = @_;

    my $resolver = resolver();
    my $nginx    = nginx($resolver);

    is_ready($nginx, "an answer, $what: ready before");

    my @before = clients($here);

    answer($resolver, $code, @address);
    $nginx->log_has(qr/could not be resolved/, 5) if $code;

    # whoever has these has had the answer

    is(stored($nginx), $here, "an answer, $what: stored there") for 1, 2;
    is_deeply([ clients($here) ], \@before, 'by the same connection');

    is($nginx->quit, 0, "an answer, $what: ends well");
    ok_log($nginx, qr/could not be resolved/);
}


sub moves {
    my $resolver = resolver();
    my $nginx    = nginx($resolver);

    is_ready($nginx, 'an answer elsewhere: ready before');
    is(stored($nginx), $here, 'with what there is');

    answer($resolver, 0, '127.0.0.2');

    ok($nginx->log_has(qr/other addresses now: its connection moves/, 10),
        'an answer elsewhere is followed');
    is(stored($nginx), $there, 'and stores there');
    is_deeply([ clients($here) ], [], 'and nowhere else');

    # where it leads now is tried first, with the question open again

    $there->restart;
    is(stored($nginx), $there, 'an answer elsewhere: it stays there');

    is($nginx->quit, 0, 'an answer elsewhere: ends well');
    ok_log($nginx);
}


# Stores an event; which Redis has it.

sub stored {
    my ($nginx) = @_;

    my $sid = uuid();
    my $ws  = $nginx->ws("/ws?sessionId=$sid&ack=1");

    $ws->text('[{"type":"EVENT","timestamp":1,"name":"a"}]');

    is($ws->message, '{"ack":1,"events":1}', 'acknowledged');
    $ws->close;

    return (grep { $_->cli('EXISTS', "es:{$sid}") } $here, $there)[0];
}


# The ids of those who are connected, but for ourselves.

sub clients {
    my ($redis) = @_;

    my $own = $redis->cli('CLIENT', 'ID');

    return grep { $_ != $own } $redis->cli('CLIENT', 'LIST') =~ /^id=(\d+)/mg;
}


# The names that were asked for, each once, with the last question.

sub questions {
    my ($resolver) = @_;

    my (%name, @last);

    $resolver->blocking(0);

    while (defined(my $peer = $resolver->recv(my $text, 4096))) {
        my @label = unpack('x12 (C/a)*', $text =~ s/\0.{4}\z//sr);

        $name{ join('.', @label) } = 1;
        @last = ($text, $peer);
    }

    return wantarray ? @last : join(' ', sort keys %name);
}


sub answer {
    my ($resolver, $code, @address) = @_;

    my ($question, $peer) = questions($resolver);

    my $text = substr($question, 0, 2)
        . pack('n5', 0x8180 | $code, 1, scalar(@address), 0, 0)
        . substr($question, 12);

    for (@address) {
        $text .= pack('n3 N n/a', 0xc00c, TYPE_A, 1, 300,
            pack('C4', split(/\./)));
    }

    $resolver->send($text, 0, $peer);
}
