# Why: an alert is written once, on a good day, and needed on a bad one.  Known
# to fail by: a metric that was renamed, whose alert is silent from then on; a
# label that no series has; a threshold that nothing ever reaches; an alert for
# a moment that passes by itself; a dashboard whose panels say "No data".
#
# conf/prometheus and conf/grafana are held against promtool, against what a
# real nginx says, and against a real Prometheus that sees Redis go.

use strict;
use warnings;

use lib 't/lib';

use EventSession;
use EventSession::Prometheus;
use EventSession::Readme;
use EventSession::Session;
use JSON::PP ();
use Test::More;

my $missing = EventSession::Prometheus->missing;

plan(skip_all => $missing) if $missing;

chdir($EventSession::root);

my $t     = EventSession->new;
my $redis = $t->redis;
my $nginx = $t->nginx(redis => $redis, workers => 2);

my $rules     = slurp('conf/prometheus/eventsession.rules.yml');
my $conf      = slurp('conf/prometheus/prometheus.yml');
my $tests     = slurp('t/monitoring/rules.test.yml');
my $dashboard = JSON::PP->new->utf8->decode(
    slurp('conf/grafana/eventsession.json'));

my @alerts = $rules =~ /- alert: (\w+)/g;

files_are_right();
each_alert_is_tested();
dashboard_is_whole();
metrics_are_there();
redis_goes_and_comes();

is($nginx->quit, 0, 'nginx quits');
ok_log($nginx);

done_testing();


sub files_are_right {
    my ($fine, $said) = promtool(qw(check rules),
        'conf/prometheus/eventsession.rules.yml');

    ok($fine, 'promtool takes the rules') or diag($said);

    ($fine, $said) = promtool(qw(check config conf/prometheus/prometheus.yml));

    ok($fine, 'and the configuration') or diag($said);

    ($fine, $said) = promtool(qw(test rules t/monitoring/rules.test.yml));

    ok($fine, 'each alert is raised when it should') or diag($said);
}


# An alert that is always raised fails them, and so does one that never is.

sub each_alert_is_tested {
    cmp_ok(scalar(@alerts), '>', 5, 'there are alerts');

    is(join(' ', map { $_->[0] =~ /^`(\w+)`$/ }
        EventSession::Readme->new->tables('Monitoring')), "@alerts",
        'README explains each');

    for my $alert (@alerts) {
        for my $always (1, 0) {
            my ($fine, $said) = promtool(qw(test rules),
                with_another($alert, $always));

            # what was expected, and what came instead

            my $wrong = $always ? qr/exp:\[\],\s+got:\[\s+0:/
                : qr/exp:\[\s+0:.*?got:\[\]/s;

            ok(!$fine && $said =~ /alertname: $alert,[^\n]*\s+$wrong/,
                "$alert: a test fails if it "
                . ($always ? 'is always raised' : 'never is')) or diag($said);
        }
    }
}


# The tests, of the rules with another expression for an alert.

sub with_another {
    my ($alert, $always) = @_;

    my $dir = $t->dir;

    my ($head, $rule, $tail) = $rules
        =~ /^(.*?)(^ +- alert: $alert\n.*?)((?:^ +- alert|\z).*)/ms;

    $rule =~ s/^( +)expr: .*?(?=^\1\w)/$1expr: ALWAYS\n/ms
        or die("$alert has no expr");

    # from the start, and with no wait; or never
    $rule =~ s/^ +for: .*\n//m if $always;
    $rule =~ s/ALWAYS/$always ? 'vector(1)' : 'vector(1) < 0'/e;

    my $file = EventSession::Prometheus::write_file("$dir/rules.yml",
        "$head$rule$tail");

    return EventSession::Prometheus::write_file("$dir/tests.yml",
        $tests =~ s{\S+/eventsession\.rules\.yml}{$file}r);
}


sub dashboard_is_whole {
    my @panels = @{ $dashboard->{panels} };
    my %ids    = map { $_->{id} => 1 } @panels;

    is(scalar(keys(%ids)), scalar(@panels), 'panels have ids of their own');
    is(scalar(overlapping(@panels)), 0, 'and places of their own');

    my ($source, @variables) = @{ $dashboard->{templating}{list} };

    is("$source->{name} $source->{type} $source->{query}",
        'datasource datasource prometheus', 'Prometheus is to be chosen');

    for my $query (@variables, grep { $_->{type} ne 'row' } @panels) {
        is($query->{datasource}{uid}, '${datasource}',
            ($query->{title} // "\$$query->{name}") . ' is asked of it');
    }

    my %known = map { $_ => 1 } '__rate_interval',
        map { $_->{name} } @variables;

    my %used = map { $_ => 1 } map { /\$(\w+)/g } queries();

    is(join(' ', sort(keys(%used))), join(' ', sort(keys(%known))),
        'what is left to choose is used, and nothing else');

    is(scalar(grep { $_->{type} ne 'row' && !@{ $_->{targets} } } @panels), 0,
        'no panel is empty');

    my ($fine, $said) = is_promql($t->dir, expressions());

    ok($fine, 'all is PromQL') or diag($said);

    my ($wrong) = is_promql($t->dir, expressions(), 'sum(rate(a[5m])');

    ok(!$wrong, 'what is not, would be found');
}


sub overlapping {
    my (@panels) = @_;

    my %taken;

    for my $place (map { $_->{gridPos} } @panels) {
        for my $x ($place->{x} .. $place->{x} + $place->{w} - 1) {
            $taken{"$x $_"}++ for $place->{y} .. $place->{y} + $place->{h} - 1;
            $taken{'outside'} = 2 if $x > 23;
        }
    }

    return grep { $taken{$_} > 1 } keys(%taken);
}


sub queries {
    return map { $_->{expr} } map { @{ $_->{targets} // [] } }
        @{ $dashboard->{panels} };
}


# What Grafana would ask.

sub expressions {
    return map { s/\$__rate_interval/5m/gr =~ s/\$(?:job|instance)/.*/gr }
        queries();
}


# Each name, and each value that a label is asked for, is in /metrics; and all
# that is there can be seen on the dashboard.

sub metrics_are_there {
    my $all = $nginx->get('/metrics')->body;

    my ($said) = promtool_metrics($all);
    is($said, '', 'promtool takes /metrics');

    my @asked = (queries(), rule_expressions());
    my %names = map { $_ => 1 } map { /\b(eventsession_\w+)/g } @asked;

    cmp_ok(scalar(keys(%names)), '>', 20, 'metrics are asked for');
    like($all, qr/^$_[ {]/m, "$_ is there") for sort(keys(%names));

    for my $query (@asked) {
        while ($query =~ /\b(eventsession_\w+)\{(.*?)\}/gs) {
            has_labels($all, $1, $2);
        }
    }

    my @unseen = grep { my $name = $_;
            !grep { /\b$name(?:_bucket)?\b/ } queries() }
        $all =~ /^# TYPE (\w+)/mg;

    is("@unseen", 'eventsession_build_info', 'all are on the dashboard');
}


sub promtool_metrics {
    my ($text) = @_;

    my $file = EventSession::Prometheus::write_file($t->dir . '/metrics',
        $text);

    return scalar(qx(promtool check metrics < '$file' 2>&1));
}


# Those that a query has of its own.

sub has_labels {
    my ($all, $name, $matchers) = @_;

    while ($matchers =~ /(\w+)(=~?|!~)"([^"]*)"/g) {
        my ($label, $operator, $values) = ($1, $2, $3);

        next if $values =~ /^\$/;

        # those that are left out may be of another metric, but of this label

        for my $value (split(/\|/, $values)) {
            like($all, qr/^\w+\{(?:.*,)?$label="$value"/m,
                "$label $value is there") if $operator eq '!~';

            like($all, qr/^$name\{(?:.*,)?$label="$value"/m,
                "$name of $label $value is there") if $operator ne '!~';
        }
    }
}


sub rule_expressions {
    return map { s/\s+/ /gr }
        $rules =~ /^ +expr: (?:>-\n)?(.*?)(?=^ +(?:for|labels):)/msg;
}


# The shipped files, but for whom they ask, how often, and how long one alert
# waits.  A scrape may take as long as it is until the next one.

sub redis_goes_and_comes {
    my $dir  = $t->folder('prometheus');
    my $port = $nginx->port;

    my $often = $conf =~ s/127\.0\.0\.1:8080/127.0.0.1:$port/r
        =~ s/_interval: 15s/_interval: 1s/gr;

    EventSession::Prometheus::write_file("$dir/eventsession.rules.yml",
        $rules =~ s/for: 30s/for: 1s/gr);

    my $prometheus = EventSession::Prometheus->start($dir, $often);

    ok((wait_for { $prometheus->up } 60), 'Prometheus gets /metrics')
        or diag($prometheus->log);

    store($nginx, uuid(), event(1, 'a'));

    ok((wait_for { ($prometheus->value(
        'sum(eventsession_events_total{outcome="stored"})') // 0) == 1 } 30),
        'and knows of an event');

    ok((wait_for { !defined $prometheus->state('EventsessionRedisAway') } 30),
        'all is well');

    $redis->stop;

    ok((wait_for { ($prometheus->state('EventsessionRedisAway') // '')
        eq 'firing' } 60), 'Redis is away: the alert is raised');

    isnt($prometheus->state('EventsessionDown') // '', 'firing',
        'nginx is not');

    $redis->start_again;

    ok((wait_for { !defined $prometheus->state('EventsessionRedisAway') } 60),
        'Redis is back: it is not any more');

    $prometheus->stop;
}


sub slurp { EventSession::Redis::slurp($_[0]) }
