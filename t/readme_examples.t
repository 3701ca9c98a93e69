# Why: an example is what people copy, and what they hold the server's answer
# against.  Known to fail by: an answer that has got another key since; a
# command that can't be pasted; a configuration that nginx does not take; a
# block of a kind that nobody ever ran.
#
# Every block of README and doc/ is run, in their order, as one reader would
# do it: what an example has stored, the next one shows.  A comment in the line
# above a block says what a reader has to do at the same time; it is one of
# %notes.

use strict;
use warnings;

use lib 't/lib';

use EventSession;
use EventSession::Console;
use EventSession::Node;
use EventSession::Readme;
use EventSession::Snippet;
use JSON::PP ();
use Test::More;

chdir($EventSession::root);

# what stands in a block of `sh` and can't be run here: who does

my @elsewhere = (
    [ qr/^(?:sudo )?make (\S+)/, \&is_target, 'it builds, and installs' ],
    [ qr/^sudo apt install /, undef, 'make deploy-test installs it' ],
    [ qr{^sudo (?:/\S+/)?nginx }, undef, 'make deploy-test reloads' ],
    [ qr/^sudo install .* (\S+)$/, \&is_ours, 'make deploy-test does' ],
    [ qr{^(?:module=|cd /usr/src/|\./configure )}, undef,
      'make deploy-test does, in a tree of nginx' ],
    [ qr/^docker /, undef, 'make docker-test goes without Docker' ],
    [ qr/^k6 run .*?([\w\/]+\.js)/, \&is_ours, 'k6.t runs it' ],
);

my %kinds = (
    conf    => \&redis_conf,
    console => \&console,
    ebnf    => \&grammar,
    filter  => \&filters,
    js      => \&script,
    json    => \&json,
    nginx   => \&nginx_conf,
    promql  => \&metrics,
    sh      => \&shell,
    sse     => \&console,
    text    => \&diagram,
);

my %notes = (
    'in this form'                 => \&in_form,
    'nginx is reloaded meanwhile'  => \&reloaded,
    'when its stream is gone'      => \&stream_gone,
    'while Redis is away'          => \&redis_away,
    'with a misspelt minimum in it' => \&misspelt,
    'with the configuration above' => \&configured,
);

my $t     = EventSession->new;
my $redis = $t->redis;
my $nginx = EventSession::Snippet->new($t->folder('nginx'), redis => $redis,
    text => 'eventsession_delete on;')->start;

my %seen;       # the console of each server, what each section has so far
my $last;       # what the block before printed
my $reader = console_of($nginx, $redis);

my @blocks = map { my $page = $_; map { { page => $page, %$_ } }
    EventSession::Readme->new($page)->blocks } 'README.md', glob('doc/*.md');

for my $block (@blocks) {
    my $name = "$block->{page}:$block->{line}, $block->{section}";
    my $kind = $kinds{ $block->{lang} };

    ok($kind, "$name: \"$block->{lang}\" is a kind that is run") or next;

    subtest($name => sub { $kind->($block) });

    $seen{ $block->{section} }{ $block->{lang} } = $block;
}

ok_log($nginx);

done_testing();


# A server's console: its commands meet that server.

sub console_of {
    my ($server, $its_redis) = @_;

    return EventSession::Console->new($server->dir, redis => $its_redis,
        replace => { '127.0.0.1:8080'  => '127.0.0.1:' . $server->port,
                     '127.0.0.1/'      => '127.0.0.1:' . $server->port . '/',
                     '/var/log/nginx/' => $server->dir . '/' });
}


# `post` stands for the last curl with a body that a reader has seen; in front
# of all of them, as README says there, for that of applications.

sub define_post {
    my ($console, $block) = @_;

    my @seen = grep { $_->{line} < $block->{line} } @blocks;

    my ($curl) = (reverse(curls(@seen)),
        curls(grep { $_->{section} eq 'Events of applications' } @blocks));

    $curl =~ s/--data-raw '.*'$/--data-raw "\$1"/s;
    $curl =~ s/ -i / /;

    $console->tool('post', $console->translated($curl));
}


sub curls {
    my (@shown) = @_;

    return grep { /^curl .*--data-raw '/s } map { $_->{command} }
        map { EventSession::Console::steps($_->{text}) }
        grep { $_->{lang} eq 'console' } @shown;
}


sub console {
    my ($block) = @_;

    my @steps = EventSession::Console::steps($block->{text});
    my $note  = $block->{note};

    # without a command it is the answer to the block in front of it

    return is_shown($last, $block->{text}) if !$note
        && $steps[0]{command} eq '';

    return meanwhile($block, $1, $2, @steps)
        if $note =~ /^meanwhile to (\S+): (.*)/;

    return more_records($block, $1, @steps)
        if $note =~ /^after (\d+) more records$/;

    if ($note ne '') {
        ok($notes{$note}, "\"$note\" is a note that is known") or return;

        return $notes{$note}->($block, @steps);
    }

    run_steps($reader, $block, @steps);
}


sub run_steps {
    my ($console, $block, @steps) = @_;

    define_post($console, $block)
        if grep { $_->{command} =~ /^post / } @steps;

    for my $step (@steps) {
        $last = $console->run($step->{command});

        is_shown($last, $step->{output}, $step->{command});
        $console->bind($step->{output}, $last);
    }
}


sub is_shown {
    my ($printed, $shown, $name) = @_;

    local $Test::Builder::Level = $Test::Builder::Level + 1;

    is(EventSession::Console::plain($printed),
        EventSession::Console::plain($shown),
        ($name // 'the answer') =~ s/\s*\n.*//sr);
}


# A server with what the section's configuration says, one for all its blocks.

sub server_of {
    my ($section) = @_;

    my $seen = $seen{$section};

    $seen->{server} //= EventSession::Snippet->new($t->folder('nginx'),
        redis => $redis, text => $seen->{nginx}{text},
        files => $seen->{files})->start;

    return $seen->{server};
}


sub configured {
    my ($block, @steps) = @_;

    my $server = server_of($block->{section});

    run_steps(console_of($server, $redis), $block, @steps);
    ok_log($server);
}


sub misspelt {
    my ($block, @steps) = @_;

    my $server = server_of($block->{section});
    my ($name) = keys(%{ $seen{ $block->{section} }{files} });
    my $text   = $seen{ $block->{section} }{files}{$name};

    ok($text =~ s/"format": "hostname"/"minimun": 1/, 'a mistake is made');
    $server->write($name, $text);

    my ($fine, $said) = $server->conf_test;
    my $dir = $server->dir;

    is_shown($said =~ s{\Q$dir\E/}{/etc/nginx/}gr, $steps[0]{output},
        'nginx -t');
}


sub reloaded {
    my ($block, @steps) = @_;

    my $process = $reader->start($steps[0]{command});

    ok((wait_for { $reader->printed($process) =~ /"ack"/ } 20), 'a message');
    $nginx->reload;
    $process->wait(20 * slow());

    is_shown($reader->printed($process), $steps[0]{output},
        $steps[0]{command});
}


sub redis_away {
    my ($block, @steps) = @_;

    $redis->stop;
    ok((wait_for { $nginx->get('/ready')->body =~ /does not answer/ } 20),
        'it notices');

    run_steps($reader, $block, @steps);

    $redis->start_again;
    ok((wait_for { $nginx->get('/ready')->status == 200 } 20), 'it is back');
}


# Into a session over WebSocket, while the command prints what is stored.

sub meanwhile {
    my ($block, $sid, $message, @steps) = @_;

    my $shown   = $steps[0]{output};
    my $process = $reader->start($steps[0]{command});

    ok((wait_for { $reader->printed($process) =~ /^id: .*\n\n/m } 20),
        'the feed begins');

    my $ws = $nginx->ws("/ws?sessionId=$sid&ack=1");

    $ws->text($message);
    like($ws->message, qr/"ack":1/, 'what it shows is stored');

    ends_as_shown($process, $shown, $steps[0]{command});
}


# Of other people, as the log of a reader would have.

sub more_records {
    my ($block, $count, @steps) = @_;

    my $http = $nginx->connect;

    for my $n (1 .. $count) {
        my $res = $http->request('POST', '/event',
            headers => [ 'Content-Type: application/json' ],
            body    => qq({"email":"n$n\@example.com","environment":"test",)
                       . qq("component":"stock","message":"m $n","data":$n}));

        return fail("a record: " . $res->body) if $res->status != 201;
    }

    run_steps($reader, $block, @steps);
}


sub stream_gone {
    my ($block) = @_;

    my ($feed) = grep { $_->{command} =~ /^curl -N/ }
        map { EventSession::Console::steps($_->{text}) }
        grep { $_->{section} eq $block->{section} } @blocks;

    my ($id) = $feed->{output} =~ /^id: (\S+)/m;

    # the id that this feed gave then

    $redis->cli('DEL', 'es:{feed}:stream');

    my $process = $reader->start("curl -N -H 'Last-Event-ID: $id' "
        . 'http://127.0.0.1:8080/database_events | sed -u /^event/,/^\$/!d');

    ends_as_shown($process, $block->{text}, 'a gap');
}


# It has no end of itself.

sub ends_as_shown {
    my ($process, $shown, $name) = @_;

    my $plain = EventSession::Console::plain($shown);

    wait_for {
        EventSession::Console::plain($reader->printed($process)) eq $plain;
    } 20;

    $process->end('TERM');

    $last = $reader->printed($process);
    is_shown($last, $shown, $name);
    $reader->bind($shown, $last);
}


# Other values, and others in number: but each of the keys that are shown, and
# no other.

sub in_form {
    my ($block, @steps) = @_;

    for my $step (@steps) {
        my $printed = $reader->run($step->{command});

        is(form($printed), form($step->{output}), $step->{command});

        $reader->bind($step->{output} =~ /("id":\d+)/,
            $printed =~ /("id":\d+)/);
    }
}


sub form {
    my ($text) = @_;

    my %keys;

    $text =~ s/\s+\z//;
    $keys{$1} = 1 while $text =~ /"(\w+)":/g;

    # only of those that have come to their end
    delete $keys{finished_at};

    my ($start, $end) = $text =~ /^(\W*).*?(\W*)$/;

    return join(' ', $start, sort(keys(%keys)), $end);
}


sub shell {
    my ($block) = @_;

    my @steps = EventSession::Console::steps(
        join('', map { "\$ $_\n" } commands($block->{text})));

    $last = '';

    for my $step (@steps) {
        my $command = $step->{command};

        if ($command =~ m{^(?:curl|redis-cli|tools/wscat) }) {
            my $process = $reader->start($command);

            is($process->wait(30 * slow()), 0, "it runs: $command");
            $last .= $reader->printed($process);
            next;
        }

        my ($rule) = grep { $command =~ $_->[0] } @elsewhere;

        ok($rule, "it is known why this is not run: $command") or next;

        $command =~ $rule->[0];
        ok(!$rule->[1] || $rule->[1]->($1, $command), "$command: $rule->[2]");
    }
}


# One a line, but for what bash sees as one.

sub commands {
    my ($text) = @_;

    my @commands;

    for my $line (split(/\n/, $text)) {
        if (@commands && EventSession::Console::is_open($commands[-1])) {
            $commands[-1] .= "\n$line";
        } else {
            push(@commands, $line);
        }
    }

    return @commands;
}


sub is_target {
    my ($target, $command) = @_;

    my $makefile = EventSession::Redis::slurp('Makefile');

    # nginx' own
    return 1 if $command eq 'make modules';

    return 0 if $makefile !~ /^\Q$target\E(?: [\w-]+)*:/m;

    for my $set ($command =~ /\b([A-Z_]+=\S+)/g) {
        my ($name, $value) = split(/=/, $set);

        return 0 if $makefile !~ /\b$name\b/ || $name eq 'T' && !-e $value;
    }

    return 1;
}


sub is_ours { -e $_[0] || $_[0] =~ m{^build/nginx[\w.-]*/objs/\w+\.so$} }


# In the block that it belongs to: nginx -t says nothing against it, and it
# serves.

sub nginx_conf {
    my ($block) = @_;

    my $server = EventSession::Snippet->new($t->folder('nginx'),
        redis => $redis, text => $block->{text});

    my ($fine, $said) = $server->conf_test;

    ok($fine, 'nginx -t') or return diag($said);
    unlike($said, qr/\[warn\]/, 'without a warning');

    $server->start;

    for my $port ($server->ports) {
        next if $block->{text} !~ /\n +include +snippets/;

        # deploy_tls.t asks it over TLS
        next if $block->{text} =~ /listen .* ssl\b/;

        my $http = EventSession::HTTP->connect($port);

        is($http->request('GET', '/ready')->body, 'OK', 'it serves');
    }

    is($server->get('/healthcheck')->body, 'OK', 'nginx serves');
    is($server->quit, 0, 'and ends');
    ok_log($server);
}


# A file that a configuration names, or a message.

sub json {
    my ($block) = @_;

    my $json = eval { JSON::PP->new->utf8->decode($block->{text}) };

    ok($json, 'it is JSON') or return diag($@);

    if ($block->{before} =~ /`([\w\/]+\.json)`/) {
        $seen{ $block->{section} }{files}{$1} = $block->{text};
        return;
    }

    my ($sid) = map { $_->{session_id} // () } @$json;
    my $ws    = $nginx->ws("/ws?sessionId=$sid&ack=1");

    $ws->text($block->{text});
    is($ws->message, '{"ack":1,"events":' . @$json . '}', 'a message');

    my %kept = map { ($_->{name} // '') => 1 }
        @{ $nginx->get("/session/$sid")->json->{children} };

    ok($kept{$_}, "\"$_\" is kept") for map { $_->{name} // () } @$json;
}


sub redis_conf {
    my ($block) = @_;

    return redis_user($1) if $block->{text} =~ /^(ACL .*)$/m;

    my %settings = map { split(/ /, $_, 2) } split(/\n/, $block->{text});
    my $its = $t->redis(%settings);

    is($its->cli('CONFIG', 'GET', $_)->[1], $settings{$_}, "Redis has $_")
        for sort(keys(%settings));

    my $server = $t->nginx(redis => $its);

    ok((wait_for { $server->get('/ready')->status == 200 } 20), 'ready');
    unlike($server->log, qr/\[warn\]/, 'nothing to warn of');
}


# Its rights are enough for sessions, without a feed.

sub redis_user {
    my ($line) = @_;

    my $its = $t->redis;

    is($its->cli(split(/ /, $line)), 'OK', 'Redis takes it');

    my ($user, $password) = $line =~ /SETUSER (\S+) .*>(\S+)/;
    my $server = $t->nginx(
        redis     => $its->url . "?user=$user&password=$password",
        locations => 'location = /ws { eventsession ws; } '
                     . 'location /session/ { eventsession session; }');

    my $sid = uuid();
    my $ws  = $server->ws("/ws?sessionId=$sid&ack=1");

    $ws->text('[{"type":"EVENT","timestamp":1,"name":"a"}]');
    is($ws->message, '{"ack":1,"events":1}', 'a session goes in');
    is($server->get("/session/$sid?limit=1&from=1")->status, 200, 'and out');
    unlike($server->log, qr/NOPERM/, 'no right is missing');
}


# In node, with npm's eventsource for the browser's.

sub script {
    my ($block) = @_;

    my $missing = EventSession::Node->missing;

    plan(skip_all => $missing) if $missing;

    my $file = $t->dir . '/readme.js';

    EventSession::Console::write_file($file, $block->{text});

    my $node = EventSession::Node->start($t->folder('node'), 'readme.js',
        $file, $nginx->url);

    ok((wait_for { $node->output =~ /"open"/ } 20), 'the feed is open')
        or diag($node->output);

    my $ws = $nginx->ws('/ws?ack=1&sessionId=' . uuid());

    $ws->text('[{"type":"EVENT","timestamp":1,"name":"scripted"}]');
    like($ws->message, qr/"ack":1/, 'an event');

    ok((wait_for { $node->output =~ /"event_name":"scripted"/ } 20),
        'is told') or diag($node->output);

    $node->stop;
}


# What it asks for is there; what stands behind a name is Prometheus'.

sub metrics {
    my ($block) = @_;

    my $all   = $nginx->get('/metrics')->body;
    my @names = $block->{text} =~ /\b(eventsession_\w+?)(?:_bucket)?\b/g;

    ok(scalar(@names), 'it asks for metrics');
    like($all, qr/^# TYPE \Q$_\E /m, "$_ is there") for @names;
}


sub filters {
    my ($block) = @_;

    for my $filter (split(/\n/, $block->{text})) {
        my $res = ask($filter);

        is($res->status, 200, $filter) or diag($res->body);
    }
}


sub ask {
    my ($filter) = @_;

    $filter =~ s/([^\w.~-])/sprintf('%%%02X', ord($1))/ge;

    return $nginx->get("/event?q=$filter");
}


# Its fields and operators are those that the endpoint takes.

sub grammar {
    my ($block) = @_;

    my ($fields)    = $block->{text} =~ /^field\b(.*?);/ms;
    my ($operators) = $block->{text} =~ /^operator\b(.*?);/ms;

    my @fields = grep { /\w/ } $fields =~ /"([^"]+)"/g;

    cmp_ok(scalar(@fields), '>', 5, 'fields');

    for my $field (map { $_ eq 'data' ? 'data.a' : $_ } @fields) {
        for my $operator ($operators =~ /"(\w+)"/g) {
            my $res = ask("($field $operator '2018-01-01')");

            is($res->status, 200, "$field $operator") or diag($res->body);
        }
    }

    is(ask("(level eq 'x')")->status, 400, 'there are no others');
    is(ask("(id in 'x')")->status, 400, 'of both');
}


# What it names is there.

sub diagram {
    my ($block) = @_;

    my @names = $block->{text} =~ m{\b([a-z]+/[\w*]+)}g;

    cmp_ok(scalar(@names), '>', 5, 'it names files');

    for my $name (@names) {
        my @files = glob("ngx_http_eventsession_module/$name.[ch]");

        ok(@files && -e $files[0], "$name is there");
    }
}
