# Why: the page at /docs/ shows an API to those who may be in a network of their
# own, and sends what they try to the server it came from; it must not tell
# anybody else.  A real Chromium reads it and tries an endpoint, as "make run"
# serves it.  Known to fail by: a badge, a font or a script of another address;
# a policy that stops the page itself; a page that is blank when npm could not
# fetch Swagger UI, or a "make run" that then does not start.

use strict;
use warnings;

use lib 't/lib';

use EventSession;
use EventSession::Documents;
use EventSession::Node;
use EventSession::Run;
use Test::More;

my $missing  = EventSession::Node->missing;
my ($chrome) = grep { -x } map { "$_/chromium" } split(/:/, $ENV{PATH});

$missing //= 'there is no chromium' if !$chrome && !$ENV{CI};

plan(skip_all => $missing) if $missing;

my $t     = EventSession->new;
my $redis = $t->redis(tcp => 1);

my ($operations) = openapi('conf/openapi.yaml');

with_swagger_ui();
without_npm();
without_swagger_ui();

done_testing();


sub with_swagger_ui {
    my $run = EventSession::Run->start($t, REDIS => $redis->tcp_url);

    served($run);

    my ($page, $at) = (shown($run), $run->url);

    is_deeply([ sort(map { s/.*-//r } @{ $page->{operation} }) ],
        [ sort(map { $_->{operationId} } @$operations) ],
        'all operations are listed');

    is_deeply($page->{status}, [ 200 ], 'one is tried');
    is_deeply($page->{answer}, [ 'OK' ], 'and its answer shown');

    is_deeply([ grep { !m{^\Q$at/\E} } @{ $page->{request} } ], [],
        'nobody else is asked');
    is_deeply($page->{exception}, undef, 'the page has not thrown');
    is(scalar(@{ $page->{complaint} }), 2, 'nor complained');
    like($page->{complaint}[0], qr{'?http://127\.0\.0\.2:1/'? violates},
        'but of what we made it ask elsewhere');

    ended($run);
}


# The documents as they are in conf/, and what the page is served with.

sub served {
    my ($run) = @_;

    for my $name ('openapi.yaml', 'asyncapi.yaml') {
        my $res = get($run, "/$name");

        is($res->status, 200, "$name is served");
        is($res->header('Content-Type'), 'application/yaml', 'as YAML');
        is($res->body, EventSession::Redis::slurp("conf/$name"), 'as it is');
    }

    my $res = get($run, '/docs');

    is($res->status, 301, '/docs');
    is($res->header('Location'), '/docs/', 'is /docs/');

    for my $file ('', qw(page.js swagger-ui-bundle.js swagger-ui.css)) {
        $res = get($run, "/docs/$file");

        is($res->status, 200, "/docs/$file");

        my $csp = $res->header('Content-Security-Policy') // '';

        like($csp, qr/^default-src 'none'; /, 'has a policy');
        unlike($csp, qr/https?:|\*/, 'that names nobody else');
    }

    is(get($run, '/docs/../openapi.yaml')->status, 200, 'a path');
    is(get($run, '/docs/node_modules/')->status, 404, 'and nothing more');
}


# Without npm it says so, and how it says it with one that fails.

sub without_npm {
    my $bin = $t->folder('bin');

    for my $tool (qw(bash mkdir flock cmp rm dirname)) {
        my ($path) = grep { -x } map { "$_/$tool" } split(/:/, $ENV{PATH});

        symlink($path, "$bin/$tool") or die "$tool: $!";
    }

    my $dir = $t->dir;

    is(qx(PATH=$bin tools/swagger-ui $dir/none 2>&1), '/docs/ will be without '
        . "Swagger UI: there is no npm to fetch it with\n", 'without npm');
    isnt($?, 0, 'is a failure');
}


# Where it can't be fetched all else is as ever.

sub without_swagger_ui {
    my $bin = $t->folder('bin');

    open(my $npm, '>', "$bin/npm") or die "npm: $!";
    print {$npm} "#!/bin/sh\nexit 1\n";
    close($npm);
    chmod(0755, "$bin/npm");

    my $run = EventSession::Run->start($t, REDIS => $redis->tcp_url,
        SWAGGER_UI => $t->dir . '/none',
        env        => { PATH => "$bin:$ENV{PATH}" });

    like($run->output, qr{^/docs/ will be without Swagger UI: npm could not }m,
        'make run says what is missing');

    my $page = shown($run);

    is($page->{operation}, undef, 'it is missing');
    like($page->{text}[0], qr/Swagger UI would be here/, 'the page says so');
    like($page->{text}[0], qr/openapi\.yaml.*asyncapi\.yaml/s,
        'and where to read instead');
    is(get($run, '/openapi.yaml')->status, 200, 'which is there');
    is(get($run, '/healthcheck')->body, 'OK', 'as all else is');

    ended($run);
}


sub get {
    my ($run, $path) = @_;

    return EventSession::HTTP->connect($run->port)->request('GET', $path,
        headers => [ 'Connection: close' ]);
}


# What a browser does with the page, by kind.

sub shown {
    my ($run) = @_;

    my %page;

    for my $line (EventSession::Node->run('page.js', $chrome,
        $run->url . '/docs/'))
    {
        my ($what, @values) = @$line;

        push(@{ $page{$what} }, @values);
    }

    is_deeply($page{failed}, undef, 'a browser reads the page');

    return \%page;
}


sub ended {
    my ($run) = @_;

    $run->end;
    is_deeply([ $run->bad_log ], [], 'nothing bad in the log');
}
