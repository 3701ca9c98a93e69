# Why: conf/openapi.yaml and conf/asyncapi.yaml are what others write their
# clients by, and an example that is not true is worse than none.  So each of
# them is sent, to what "make run" serves and a real Redis, and has to get the
# status, the headers and the body that stand there.  Known to fail by: a reply
# that is changed and not described; headers that nobody told of; examples that
# are right by themselves and answer to nothing.

use strict;
use warnings;

use lib 't/lib';

use EventSession;
use EventSession::Documents;
use EventSession::Node;
use EventSession::Run;
use JSON::PP ();
use MIME::Base64 ();
use Test::More;

my $missing = EventSession::Node->missing;

plan(skip_all => $missing) if $missing;

# of every reply, or of the connection

my %COMMON = map { lc($_) => 1 } qw(Server Date Connection Content-Type
    Content-Length Transfer-Encoding Keep-Alive);

my ($operations, $exchanges)   = openapi('conf/openapi.yaml');
my ($channels, $conversations) = asyncapi('conf/asyncapi.yaml');

my %messages = map { %{ $_->{messages} } } @$channels;

my $t         = EventSession->new;
my $redis     = $t->redis(tcp => 1);
my $locations = EventSession::Redis::slurp('conf/eventsession.conf');
my $run_conf  = EventSession::Redis::slurp('conf/run.conf.in');

# what "make run" configures in front of the locations

my $settings = join("\n",
    $run_conf =~ /^\s*(eventsession_(?!redis)\w+ [^;]*;)/mg);

# its Redis is ours: what others have as "x-directives" sees the same data

my $run = EventSession::Run->start($t, REDIS => $redis->tcp_url);

# servers with other directives, or a Redis of their own, by what they have

my (%servers, %redis_of);

# what came and was to come, with the pointers to its schemas; and the last
# reply of each operation

my (%seen, %last);


talk($_) for grep { !$_->{'x-redis'} } @$conversations;
exchange($_) for grep { !$_->{'x-redis'} && !$_->{'x-at-once'} } @$exchanges;
at_once($_) for grep { $_->{'x-at-once'} } @$exchanges;
with_other_redis();
other_methods($_) for paths();

for my $file (sort(keys(%seen))) {
    my @pairs = @{ $seen{$file} };

    is_deeply([ misfits($t, $file, @pairs) ], [],
        "$file: " . @pairs . ' values fit their schemas');
}

$run->end;
is_deeply([ $run->bad_log ], [], 'nothing bad in the log of make run');

for my $nginx (map { $servers{$_} } sort(keys(%servers))) {
    is($nginx->quit, 0, 'nginx quits');
    ok_log($nginx);
}

done_testing();


# The port of what an example needs.

sub port_for {
    my ($one) = @_;

    return server($one)->port if $one->{'x-directives'} || $one->{'x-redis'};
    return $run->port;
}


sub server {
    my ($one) = @_;

    my $directives = $one->{'x-directives'} // '';
    my $command    = $one->{'x-redis'} // '';

    return $servers{"$directives|$command"} //= $t->nginx(
        redis     => $command ? other_redis($command) : $redis,
        workers   => 2,
        http      => "$settings\neventsession_timeout 1s;",
        locations => more($locations, $directives));
}


sub other_redis {
    my ($command) = @_;

    my $other = $redis_of{$command} = $t->redis;

    $other->cli(split(/ /, $command)) if $command ne 'away';

    return $other;
}


# Those that wait for a Redis that is away wait together.

sub with_other_redis {
    my @with = grep { $_->{'x-redis'} } @$exchanges;

    for my $one (@with, grep { $_->{'x-redis'} } @$conversations) {
        my $nginx = server($one);

        wait_for { $nginx->get('/ready')->status == 200 };
    }

    $redis_of{away}->kill9 if $redis_of{away};

    my @open = map { [ $_, sent($_) ] } @with;

    ok_answer($_->[0], answer($_->[1])) for @open;
    talk($_) for grep { $_->{'x-redis'} } @$conversations;
}


sub exchange {
    my ($one) = @_;

    return feed($one) if ($one->{type} // '') eq 'text/event-stream';

    my $res = answer(sent($one));

    ok_answer($one, $res);
    $last{ $one->{operationId} } = $res->json;
    ok_head($one, $res) if $one->{method} eq 'get' && $one->{status} == 200;
}


sub sent {
    my ($one, $method) = @_;

    my $http = EventSession::HTTP->connect(port_for($one),
        timeout => 20 * slow());

    $http->send(request_of($http, $one, $method));

    return $http;
}


# One that has no end, as a stream has none, is not waited for.

sub answer {
    my ($http, @options) = @_;

    local $SIG{ALRM} = sub { die("no end of it\n") };

    alarm(30 * slow());

    my $res = eval { $http->response(@options) };

    alarm(0);

    return $res // bless({ status => 0, headers => [], body => $@ },
        'EventSession::HTTP::Response');
}


# The bytes of the request that an example of a response answers.

sub request_of {
    my ($http, $one, $method) = @_;

    my $more = $one->{'x-request'} // {};
    my $body = $one->{body};
    my ($url, %headers) = target_of($one);

    $headers{'Content-Type'} = $body->{type} if $body;

    my $bytes = $more->{body} // $body && $body->{text};

    $bytes = MIME::Base64::decode_base64($more->{base64}) if $more->{base64};

    %headers = (Connection => 'close', %headers, %{ $more->{headers} // {} });

    return $http->text_of($method // uc($one->{method}), $url,
        headers => [ map { "$_: $headers{$_}" } sort(keys(%headers)) ],
        defined $bytes && !$method ? (body => $bytes) : ());
}


# The path with its arguments, and the headers that are parameters.

sub target_of {
    my ($one) = @_;

    my $other = $one->{'x-request'}{parameters} // {};
    my $url   = $one->{url};
    my (@arguments, %headers, %told);

    for my $parameter (@{ $one->{parameters} },
        map { { parameter => $_ } } sort(keys(%$other)))
    {
        my $name  = $parameter->{parameter};
        my $place = $parameter->{in} // place_of($one, $name);

        next if $told{"$place $name"}++;

        my $value = $other->{$name} // value_of($parameter);

        if ($place eq 'path') {
            $url =~ s/\{\Q$name\E\}/$value/;

        } elsif ($place eq 'header') {
            $headers{$name} = $value;

        } else {
            push(@arguments, "$name=" . escaped($value));
        }
    }

    return ($url . (@arguments ? '?' . join('&', @arguments) : ''), %headers);
}


# Of a parameter that has no example here, "x-request" gives the value alone:
# it is the operation's own one of that name, or the path's.

sub place_of {
    my ($one, $name) = @_;

    my ($place) = map { $_->{in} }
        grep { ($_->{parameter} // '') eq $name }
        map { @{ $_->{examples} } }
        grep { $_->{url} eq $one->{url} } @$operations;

    return $place // die("$one->{operationId}: what is $name?\n");
}


# "x-from: operation /pointer" is of a reply of before.

sub value_of {
    my ($parameter) = @_;

    return $parameter->{value} if !$parameter->{'x-from'};

    my ($operation, $pointer) = split(/ /, $parameter->{'x-from'});
    my $value = $last{$operation};

    for my $key ($pointer =~ m{/([^/]+)}g) {
        $value = ref($value) eq 'ARRAY' ? $value->[$key] : $value->{$key};
    }

    return $value;
}


sub escaped { $_[0] =~ s/([^\w.~-])/sprintf('%%%02X', ord($1))/ger }


sub name_of {
    my ($one) = @_;

    return "$one->{operationId} $one->{status} $one->{name}";
}


sub ok_answer {
    my ($one, $res) = @_;

    my $name = name_of($one);

    is($res->status, $one->{status}, "$name: the status");
    ok_headers($one, $res);

    if (!$one->{type}) {
        is($res->body, '', "$name: no body");
        is($res->error, undef, "$name: and none is awaited");
        return;
    }

    is($res->header('Content-Type'), $one->{type}, "$name: the type");
    ok_body($one, $res->body);
}


sub ok_body {
    my ($one, $body) = @_;

    my $name = name_of($one);
    my @mask = @{ $one->{'x-generated'} // [] };

    if ($one->{'x-excerpt'}) {
        ok_excerpt($one, $body);

    } else {
        is(masked($body, @mask), masked($one->{text}, @mask),
            "$name: the body");
    }

    fits($one->{schema}, json_of($one, $body), json_of($one, $one->{text}));
}


# Of a text each line has to be there, whatever number is at its end.

sub ok_excerpt {
    my ($one, $body) = @_;

    my %lines = map { s/ [\d.e+-]+$//r => 1 } split(/\n/, $body);

    return if $one->{type} =~ /json$/;

    is_deeply([ grep { !$lines{s/ [\d.e+-]+$//r} } split(/\n/, $one->{text}) ],
        [], name_of($one) . ': all of its lines are there');
}


sub json_of {
    my ($one, $text) = @_;

    return $text if $one->{type} =~ /json$/;
    return JSON::PP->new->allow_nonref->encode($text);
}


sub fits {
    my ($schema, @texts) = @_;

    push(@{ $seen{'conf/openapi.yaml'} }, map { [ $schema, $_ ] } @texts);
}


# Those that have to be there are, and those that are there are described.

sub ok_headers {
    my ($one, $res) = @_;

    my %headers = map { lc($_->{name}) => $_ } @{ $one->{headers} };

    for my $header (@{ $one->{headers} }) {
        my @values = $res->header($header->{name});

        ok(@values == 1 || !@values && !$header->{required},
            name_of($one) . ": $header->{name}") or diag("@values");

        fits($header->{schema}, map {
            JSON::PP->new->allow_nonref->encode($_) } @values);
    }

    is_deeply([ grep { !$COMMON{ lc($_) } && !$headers{ lc($_) } }
        map { $_->[0] } @{ $res->{headers} } ], [],
        name_of($one) . ': no other headers');
}


# HEAD is GET without the body.

sub ok_head {
    my ($one, $res) = @_;

    my $head = answer(sent($one, 'HEAD'), head => 1);
    my $name = name_of($one) . ', HEAD';

    is($head->status, $res->status, "$name: the status");

    for my $header ('Content-Type', map { $_->{name} } @{ $one->{headers} }) {
        is($head->header($header), $res->header($header), "$name: $header");
    }
}


# A stream has no end: it is read for as long as the example goes.

sub feed {
    my ($one) = @_;

    my ($url, %headers) = target_of($one);

    my $sse = EventSession::SSE->connect(port_for($one), $url, keep => 1,
        timeout => 10 * slow(),
        headers => [ map { "$_: $headers{$_}" } sort(keys(%headers)) ]);

    my $name   = name_of($one);
    my $wanted = $one->{text} =~ s/\n*\z/\n\n/r;
    my $blocks = () = $wanted =~ /\n\n/g;

    is($sse->opened, $one->{status}, "$name: the status");

    wait_for {
        $sse->pump;
        $blocks <= (() = ($sse->text // '') =~ /\n\n/g);
    };

    my @mask = @{ $one->{'x-generated'} // [] };

    is(masked($sse->text, @mask), masked($wanted, @mask), "$name: the stream");

    my $head = EventSession::SSE->connect(port_for($one), $url,
        method => 'HEAD',
        headers => [ map { "$_: $headers{$_}" } sort(keys(%headers)) ]);

    is($head->opened, $one->{status}, "$name, HEAD: the status");

    for ($sse, $head) {
        is($_->header('Content-Type'), $one->{type}, "$name: the type");
        ok_headers($one, $_->response);
        $_->abort;
    }

    fits($one->{data}, $_) for $sse->text =~ /^data: (\{"event_id".*)$/mg;
}


# The same in the same moment: one of them is too late to know of the others.
# They ask before any is answered.  If none is late all of it is tried again.

sub at_once {
    my ($one) = @_;

    my $other = $t->redis;
    my $nginx = $t->nginx(redis => $other, workers => 2, http => $settings);
    my $late;

    for my $round (1 .. 50) {
        my @http = map { $nginx->connect } 1 .. $one->{'x-at-once'};

        $other->cli('FLUSHALL');
        $other->freeze;
        $_->send(request_of($_, $one)) for @http;
        select(undef, undef, undef, 0.05);
        $other->thaw;

        my @res = map { $_->response } @http;

        ($late) = grep { $_->status == $one->{status} } @res;

        last if $late;
    }

    ok($late, name_of($one) . ': at the same moment') or return;
    ok_answer($one, $late);

    is($nginx->quit, 0, 'nginx quits');
    ok_log($nginx);
}


sub paths {
    my %paths = map { $_->{url} => 1 } @$operations;

    return sort(keys(%paths));
}


# What is not listed is not answered, and what is says so.

sub other_methods {
    my ($path) = @_;

    my %listed = map { uc($_->{method}) => 1 }
        grep { $_->{url} eq $path } @$operations;

    my ($example) = grep { $_->{url} eq $path } @$exchanges;
    my ($url)     = target_of({ %$example, 'x-request' => {} });

    # an upgrade is of GET alone
    $listed{HEAD} = $listed{GET} && $path ne '/ws';

    my $allow = join(', ', grep { $listed{$_} } qw(GET HEAD POST DELETE));

    for my $method (grep { !$listed{$_} }
        qw(GET HEAD POST PUT PATCH DELETE OPTIONS))
    {
        my $http = EventSession::HTTP->connect($run->port);
        my $res  = $http->request($method, $url =~ s/\?.*//r);

        is($res->status, 405, "$method $path: not answered");
        is($res->header('Allow'), $allow, "$method $path: Allow");
    }

    for my $one (grep { $_->{url} eq $path && $_->{method} eq 'options' }
        @$exchanges)
    {
        my $res  = answer(sent($one));
        my $name = $one->{status} == 204 ? 'Access-Control-Allow-Methods'
            : 'Allow';

        is($res->header($name), $allow, name_of($one) . ": its $name");
    }
}


sub talk {
    my ($one) = @_;

    my ($channel) = @$channels;

    my $ws = EventSession::WS->connect(port_for($one),
        "$channel->{url}?$one->{url}", timeout => 10 * slow(),
        headers => [ map { "$_: $one->{headers}{$_}" }
            sort(keys(%{ $one->{headers} // {} })) ]);

    is($ws->status, 101, "$one->{name}: open");

    for my $step (@{ $one->{steps} }) {
        step($one, $ws, $step);
    }

    my $close = $one->{close};

    $ws->close(1000) if !$close;

    is($ws->message, undef, "$one->{name}: nothing more");
    is($ws->close_code, $close ? $close->{code} : 1000,
        "$one->{name}: how it is closed");
    is($ws->close_reason, $close->{reason}, "$one->{name}: and why")
        if $close && $close->{reason};
}


sub step {
    my ($one, $ws, $step) = @_;

    return $ws->text($step->{text}) if $step->{text};
    return $ws->raw(pack('H*', $step->{frames} =~ s/ //gr)) if $step->{frames};
    return server($one)->reload if $step->{reload};

    my $message = $messages{ $step->{send} // $step->{receive} };
    my $text    = $message->{text};

    if ($step->{send}) {
        $ws->text($text);

    } else {
        my $got = $ws->message;

        is($got, $text, "$one->{name}: $step->{receive}");
        $text = $got // 'null';
    }

    push(@{ $seen{'conf/asyncapi.yaml'} }, [ $message->{schema}, $text ]);
}
