# Why: in the field there is TLS in front, often HTTP/2, perhaps another proxy,
# and more than one worker; and those who set that up copy what README has
# under "Deployment".  Known to fail by: an upgrade that a proxy does not pass
# on; a Host without its port, so that the page's own Origin is a foreign one; a
# feed that stays in a proxy's buffers; a WebSocket over HTTP/2 that hangs; a
# session that only the worker knows that took it.
#
# The configuration is README's, but for names of files and ports.

use strict;
use warnings;

use lib 't/lib';

use EventSession;
use EventSession::Readme;
use EventSession::Session;
use EventSession::TLS;
use Test::More;

use constant NAME => 'events.example.com';

chdir($EventSession::root);

my $t      = EventSession->new;
my $tls    = EventSession::TLS->new($t->folder('tls'), NAME);
my $redis  = $t->redis;
my $readme = EventSession::Readme->new;
my ($site, $proxy) = blocks('Behind TLS');

my $port  = EventSession::Redis::free_port();
my $front = EventSession::Redis::free_port();

my $nginx = $t->nginx(redis => $redis, several_workers(),
    http => replaced($site, files(),
        '443'                         => "127.0.0.1:$port",
        'redis://127.0.0.1:6379/0'    => $redis->url,
        'snippets/eventsession.conf'  =>
            "$EventSession::root/conf/eventsession.conf"));

my $ahead = $t->nginx(redis => undef, locations => '',
    http => replaced($proxy, files(), '443' => "127.0.0.1:$front",
        '127.0.0.1:8080' => '127.0.0.1:' . $nginx->port));

is(scalar($nginx->workers), 2, 'two workers');

for ([ 'TLS', $port ], [ 'behind a proxy', $front ]) {
    my ($name, $at) = @$_;

    subtest($name => sub {
        session($at);
        origins($at);
        feed($at);
        bodies($at);
        websocket_over_http2($at) if $at == $port;
    });
}

each_worker();

$tls->hang_up;

for ($nginx, $ahead) {
    is($_->quit, 0, 'nginx quits');
    ok_log($_);
}

done_testing();


sub blocks {
    my ($section) = @_;

    return map { $_->{text} } grep { $_->{section} eq $section
        && $_->{lang} eq 'nginx' } $readme->blocks;
}


sub files {
    return ('/etc/ssl/certs/' . NAME . '.pem' => $tls->certificate,
        '/etc/ssl/private/' . NAME . '.key' => $tls->key);
}


# A text that has each of these once, with something else in its place.

sub replaced {
    my ($text, @pairs) = @_;

    while (my ($old, $new) = splice(@pairs, 0, 2)) {
        is($text =~ s/(?<![\w.])\Q$old\E(?!\w)/$new/g, 1,
            "README's configuration has $old");
    }

    return $text;
}


# What README puts on top of nginx.conf, as EventSession::Nginx takes it.

sub several_workers {
    my ($main) = blocks('Several workers');

    ok($main =~ s/^worker_processes\s+auto;$//m, 'as many as processors');
    ok($main =~ s/^events \{\s+worker_connections\s+(\d+);\s+\}\n//m,
        'and connections');

    return (workers => 2, connections => $1, main => $main);
}


sub ws {
    my ($at, $sid, @headers) = @_;

    return $nginx->ws("/ws?sessionId=$sid&ack=1",
        socket  => $tls->connect($at),
        headers => [ 'Host: ' . NAME . ":$at", @headers ]);
}


# What curl has over HTTP/2: the version, the status and the body.

sub curl {
    my ($at, $path, @options) = @_;

    my $output = $t->dir . '/curl';
    unlink($output);

    my $status = start_curl($at, $path, $output, '-w',
        '\n%{http_version} %{http_code}', @options)->wait(60 * slow());

    my ($body, $version, $code) = EventSession::Redis::slurp($output)
        =~ /^(.*)\n(\S+) (\d+)$/s;

    return ($status, $version // '', $code // '', $body // '');
}


sub start_curl {
    my ($at, $path, $output, @options) = @_;

    return EventSession::Process->spawn([ 'curl', '-sSN', '--http2',
        '--noproxy', '*', '--cacert', $tls->certificate, '--resolve',
        NAME . ":$at:127.0.0.1", @options, 'https://' . NAME . ":$at$path" ],
        output => $output);
}


# In by wss, out by HTTP/2.

sub session {
    my ($at) = @_;

    my $sid   = uuid();
    my $event = event(2, 'a');
    my $ws    = ws($at, $sid);

    is($ws->status, 101, 'a WebSocket');

    store($ws, $sid, [ start(1), $event, end(3) ]);
    is($ws->message, '{"message":"bye"}', 'that takes a session');
    is($ws->close_code, 1000, 'and ends');

    is_deeply([ curl($at, "/session/$sid") ],
        [ 0, '2', '200', tree(1, 3, $event) ], 'which HTTP/2 gives back');
}


# A page of the site may, one of another may not.

sub origins {
    my ($at) = @_;

    is(ws($at, uuid(), 'Origin: https://' . NAME . ":$at")->status, 101,
        "the site's own page");
    is(ws($at, uuid(), 'Origin: https://other.example')->status, 403,
        'a page of another site');
}


sub feed {
    my ($at) = @_;

    my $output = $t->dir . '/feed';
    unlink($output);

    my $feed = start_curl($at, '/database_events', $output, '-i');

    ok((wait_for { EventSession::Redis::slurp($output)
        =~ m{^HTTP/2 200 .*^retry: }ms }), 'a feed begins at once');

    for my $name (qw(one two)) {
        store($nginx, uuid(), event(1, $name));

        ok((wait_for { EventSession::Redis::slurp($output)
            =~ /"event_name":"$name"/ }), 'and shows an event at once');
    }

    $feed->end('KILL');
}


# A proxy has its own bound; 1m unless set, as README says.

sub bodies {
    my ($at) = @_;

    my $limit = $at == $front ? 1 : 32;
    my $body  = $t->dir . '/body';

    for ([ ($limit << 20) - 1024, 200 ], [ ($limit << 20) + 1, 413 ]) {
        my ($size, $expected) = @$_;

        open(my $file, '>', $body) or die("$body: $!");
        print {$file} '[{"data":1}', ' ' x ($size - 12), ']';
        close($file);

        my (undef, undef, $code, $answer) = curl($at, '/events', '-H',
            'Content-Type: application/json', '--data-binary', "\@$body");

        is($code, $expected, "POST of $size bytes") or diag($answer);
    }
}


# A proxy would pass on the answer's Upgrade, which HTTP/2 does not know.

sub websocket_over_http2 {
    my ($at) = @_;

    my (undef, $version, $code) = curl($at, '/ws?sessionId=' . uuid());

    is("$version $code", '2 426', 'a WebSocket is wanted over HTTP/1.1');
}


# While one worker stands still, the other one takes what comes.

sub each_worker {
    my $sid     = uuid();
    my @workers = $nginx->workers;
    my @events  = map { event(10 + $_, "n$_") } 0 .. $#workers;

    my @ws = map { only($_, sub { my $ws = ws($port, $sid); $ws->status;
        $ws }) } @workers;

    for my $i (0 .. $#ws) {
        store($ws[$i], $sid, $events[$i]);
    }

    for my $pid (@workers) {
        my @got = only($pid, sub { curl($port, "/session/$sid") });

        is($got[3], tree(undef, undef, @events), "worker $pid knows all");
    }
}


sub only {
    my ($pid, $code) = @_;

    my @others = grep { $_ != $pid } $nginx->workers;

    kill('STOP', @others);
    my @result = $code->();
    kill('CONT', @others);

    return wantarray ? @result : $result[0];
}
