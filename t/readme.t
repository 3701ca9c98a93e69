# Why: README is what most people ever read of this project, and nobody
# compiles it.  Known to fail by: a directive that nobody wrote down, or that
# was renamed; a default that was changed in the code alone; a context in which
# nginx refuses what README promises; a section that is not in the table of
# contents, a link that leads nowhere.

use strict;
use warnings;

use lib 't/lib';

use EventSession;
use EventSession::Readme;
use EventSession::Sources;
use Test::More;

chdir($EventSession::root);

my $t       = EventSession->new;
my $nginx   = $t->nginx_unstarted(redis => undef, locations => '');
my $readme  = EventSession::Readme->new;
my $sources = EventSession::Sources->new;

my $redis  = 'eventsession_redis unix:/none;';
my $schema = $t->dir . '/schema.json';
my $id     = '0e302fce-66ad-4721-911e-0ab9d33697bf';

write_file($schema, '{}');

# what stands in a syntax between angle brackets: values that are right, and
# one that is wrong

my %values = (
    category => [ [ 'cart', '"page view"' ], '""' ],
    file     => [ [ $schema ], "$schema.none" ],
    max      => [ [ '2s', '1d' ], '1x' ],
    min      => [ [ '1ms', '50ms' ], '1x' ],
    name     => [ [ 'shop', '"The Shop"' ], '""' ],
    number   => [ [ 1, 3 ], 'x' ],
    pattern  => [ [ 'https://a.example', '*' ], 'example.com' ],
    size     => [ [ 1, '64k', '1m' ], '0' ],
    text     => [ [ 'es:', 'a' ], '"a{b"' ],
    time     => [ [ '1', '500ms', '1h' ], '1x' ],
    url      => [ [ 'redis://127.0.0.1', 'unix:/r.sock?db=1' ], 'http://a' ],
    uuid     => [ [ $id, uc($id) ], 'x' ],
);

# where a value means more than its kind tells

my %special = (
    eventsession_log_ttl => { time => [ [ '1s', '30d', '100y' ], '101y' ] },
    eventsession_schema  => { name => [ [ 'paid' ], '" "' ] },
);

# defaults that no single line of the source says, each with its own test

my %elsewhere = (
    eventsession       => 'a location is no endpoint: below',
    eventsession_redis => 'an endpoint needs it: conf_errors.t',
    eventsession_feed  => 'feed_off.t',
);

my %block_of = (
    'main'           => sub { (main => $_[0]) },
    'http'           => sub { (http => $_[0]) },
    'server'         => sub { (server => $_[0]) },
    'location'       => sub { (locations => "location /x/ { $_[0] }") },
    'upstream'       => sub { (http => "upstream u { server 127.0.0.1:1;"
                                       . " $_[0] }") },
    'if in server'   => sub { (server => "if (\$arg_a) { $_[0] }") },
    'if in location' => sub { (locations => 'location / { if ($arg_a) {'
                                            . " $_[0] } }") },
    'limit_except'   => sub { (locations => 'location / { limit_except GET {'
                                            . " $_[0] } }") },
);


contents();
links();
commands();
overview();

for my $directive ($readme->directives) {
    my $name = $directive->{name};

    subtest($name => sub {
        right($directive);
        wrong($directive);
        contexts($directive);
        default($directive);
    });
}

done_testing();


# All of the first two levels but the title, and the directives, which have a
# table of their own.

sub contents {
    my ($in, @shown) = '';

    for my $heading ($readme->headings) {
        $in = $heading->{title} if $heading->{level} == 1;

        next if $heading->{title} =~ /^(?:Name|Table of Contents)$/
            || $heading->{level} > 2
            || $in eq 'Directives' && $heading->{level} == 2;

        push(@shown, $heading);
    }

    is_deeply([ map { { %$_{qw(level title anchor)} } } $readme->contents ],
        [ map { { %$_{qw(level title anchor)} } } @shown ],
        'the table of contents has all sections, in their order');
}


# Within README and the pages of doc/, and between them.

sub links {
    my %pages = map { $_ => EventSession::Readme->new($_) } 'README.md',
        glob('doc/*.md');

    my %anchors;

    for my $path (keys(%pages)) {
        $anchors{"$path#$_->{anchor}"} = 1 for $pages{$path}->headings;
    }

    for my $path (sort(keys(%pages))) {
        my @lost = grep { !leads_to($_->{target}, $path, \%anchors) }
            $pages{$path}->links;

        is(join(' ', map { "$_->{line}:$_->{target}" } @lost), '',
            "$path: each link leads somewhere");
    }

    my @shared = grep { /-\d+$/ } keys(%anchors);

    is("@shared", '', 'no two sections of a page have one name');

    my %linked = map { $_->{target} => 1 } $readme->links;

    ok($linked{$_}, "README leads to $_") for glob('doc/*.md');
}


sub leads_to {
    my ($target, $path, $anchors) = @_;

    return 1 if $target =~ m{^https://};

    my ($file, $anchor) = split(/#/, $target, 2);

    $file = $file eq '' ? $path : $path =~ s{[^/]*$}{$file}r;
    $file =~ s{[^/]+/\.\./}{};

    return -e $file && (!defined $anchor || $anchors->{"$file#$anchor"});
}


sub commands {
    is_deeply([ sort(map { $_->{name} } $readme->directives) ],
        [ sort(map { $_->{name} } $sources->commands) ],
        'the directives of README are those of the module');

    my %contexts = map { $_->{name} => "@{ $_->{contexts} }" }
        $sources->commands;

    is("@{ $_->{contexts} }", $contexts{ $_->{name} },
        "$_->{name}: its contexts") for $readme->directives;
}


# The table in front of the directives has each of them, in order, with its
# default.

sub overview {
    my @rows = grep { $_->[0] =~ /^\[(eventsession\w*)\]/ }
        $readme->tables('Directives');

    is_deeply([ map { $_->[0] =~ /^\[(\w+)\]/ } @rows ],
        [ map { $_->{name} } $readme->directives ],
        'the overview has all directives');

    for my $directive ($readme->directives) {
        my ($row) = grep { $_->[0] =~ /^\[$directive->{name}\]/ } @rows;
        my $value = $directive->{default} =~ /^\*$directive->{name} (.*)\*$/
            ? "`$1`" : '';

        is($row->[1], $value, "the overview has $directive->{name}'s default")
            if $value ne '';
    }
}


# Each right value of each alternative, with and without what is optional.

sub right {
    my ($directive) = @_;

    for my $arguments (arguments($directive)) {
        my ($fine, $text) = try($directive, "$directive->{name} $arguments;");

        ok($fine, "right: $arguments") or diag($text);
        unlike($text, qr/\[warn\]/, 'without a warning');
    }
}


# One wrong value for each place: nginx -t names the value, in words that
# README has.

sub wrong {
    my ($directive) = @_;

    my @wrong = wrong_arguments($directive);

    ok(scalar(@wrong), 'can be wrong');

    for my $arguments (@wrong) {
        my ($fine, $text) = try($directive, "$directive->{name} $arguments;");
        my ($said) = $text =~ /\[emerg\] (?:\d+#\d+: )?(.*) in \S+:\d+$/m;

        ok(!$fine, "wrong: $arguments") or next;
        ok(documented($said // $text), 'is told in words of README')
            or diag($text);
    }
}


sub documented {
    my ($said) = @_;

    # what the system says
    $said =~ s/ \(\d+: [^()]*\)$//;

    for my $row ($readme->tables('What nginx -t says')) {
        for my $message ($row->[0] =~ /`([^`]+)`/g) {
            my $pattern = join('.*', map { quotemeta($_) }
                split(/…/, $message, -1));

            return 1 if $said =~ /^$pattern$/;
        }
    }

    return 0;
}


sub contexts {
    my ($directive) = @_;

    my %allowed = map { $_ => 1 } @{ $directive->{contexts} };
    my ($first) = arguments($directive);

    for my $context (sort(keys(%block_of))) {
        my ($fine, $text) = try($directive, "$directive->{name} $first;",
            $context);

        is($fine ? 1 : 0, $allowed{$context} // 0, "in $context")
            or diag($text);

        next if $allowed{$context};

        like($text, qr/"$directive->{name}" directive is not allowed here/,
            'which is told');
    }
}


# The default can be said, and is what the source has.

sub default {
    my ($directive) = @_;

    my $name = $directive->{name};
    my ($value) = $directive->{default} =~ /^\*$name (.*)\*$/;

    if (defined $value) {
        my ($fine, $text) = try($directive, "$name $value;");

        ok($fine, 'the default can be said') or diag($text);
    }

    return if $elsewhere{$name};

    my ($command) = grep { $_->{name} eq $name } $sources->commands;
    my @parts = defined $value && $value =~ /=/ ? split(/ /, $value)
        : "$command->{field}=" . ($value // 'no');

    for my $part (@parts) {
        my ($field, $said) = $part =~ /^(.*)=(.*)$/;

        $field = field_of($name) if $field eq '';

        my $default = $sources->default($field);

        ok(defined $default, "the default of $field is in the source") or next;
        is(plain($said, $default), source_value($default),
            "and is $said, as README says");
    }
}


# Setters of their own have no offset in the table.

sub field_of {
    return { eventsession_session_id  => 'sid_kind',
             eventsession_application => 'apps.known' }->{ $_[0] } // '';
}


sub source_value {
    my ($text) = @_;

    return $1 if $text =~ /^"(.*)"$/;
    return 'none' if $text eq 'NULL';

    my ($name) = $sources->names_of($text);

    return $name if defined $name;

    die("what is $text?") if $text !~ /^[\d* ]+$/;

    my $product = 1;
    $product *= $_ for split(/\s*\*\s*/, $text);

    return $product;
}


# A value of nginx.conf as the source has it: times in ms.

sub plain {
    my ($value, $default) = @_;

    return 'none' if $value eq 'no' || $value eq 'off' && $default eq 'NULL';

    my %words = (on => 1, off => 0);
    my %times = (ms => 1, s => 1000, m => 60_000, h => 3_600_000);
    my %sizes = (k => 1024, m => 1024 * 1024);

    return $words{$value} if exists $words{$value};
    return $value if $value !~ /^(\d+)(ms|s|m|h|k)?$/ || !defined $2;

    my $is_size = $2 eq 'k' || $2 eq 'm' && source_value($default)
        == $1 * $sizes{m};

    return $1 * ($is_size ? $sizes{$2} : $times{$2});
}


# nginx -t with one line in a context, by default its first one.

sub try {
    my ($directive, $line, $context) = @_;

    my $name = $directive->{name};

    $context //= $directive->{contexts}[0];

    my %blocks = $block_of{$context}->($line);

    $blocks{http} = ($blocks{http} // '') . $redis if $name eq 'eventsession';

    @{$nginx}{qw(main http server locations)} = map { $_ // '' }
        @blocks{qw(main http server locations)};

    return $nginx->conf_test;
}


# A syntax as lists of tokens, one an alternative: words, <places>, and lists
# of what stands in brackets.

sub alternatives {
    my ($directive) = @_;

    my $text = $directive->{syntax} =~ s/^$directive->{name}\s*//r;

    return map { tokens($_) } split(/ \| /, $text);
}


sub tokens {
    my ($text) = @_;

    my @tokens;

    while ($text =~ /\G\s*(\[((?:[^\[\]]|\[[^\]]*\])*)\]|\S+)/g) {
        push(@tokens, defined $2 ? [ $2 ] : $1);
    }

    return [ grep { $_ ne '...' } @tokens ];
}


# "name=<min>[:<max>]" with the n-th right value in each place, or with the
# wrong one in the place of that name.

sub filled {
    my ($directive, $token, $nth, $wrong) = @_;

    $token =~ s/\[([^\]]*)\]/defined $nth && $nth ? '' : $1/ge;

    $token =~ s{<(\w+)>}{
        my $known = $special{ $directive->{name} }{$1} // $values{$1}
            // die("no value is known for <$1> of $directive->{name}");

        ($wrong // '') eq $1 ? $known->[1]
            : $known->[0][($nth // 0) % @{ $known->[0] }];
    }gex;

    return $token;
}


sub arguments {
    my ($directive) = @_;

    my %all;

    for my $tokens (alternatives($directive)) {
        for my $nth (0 .. 2) {
            my @plain = map { ref($_) ? () : filled($directive, $_, $nth) }
                @$tokens;
            my @full = map { filled($directive, ref($_) ? $_->[0] : $_, $nth) }
                @$tokens;

            $all{"@plain"} //= keys(%all) if @plain;
            $all{"@full"}  //= keys(%all);
        }
    }

    my @arguments = sort { $all{$a} <=> $all{$b} } keys(%all);

    return @arguments;
}


sub wrong_arguments {
    my ($directive) = @_;

    my @alternatives = alternatives($directive);
    my @places = map { map { ref($_) ? $_->[0] : $_ } @$_ } @alternatives;

    return 'nonsense' if !grep { /</ } @places;

    my @wrong;

    for my $tokens (@alternatives) {
        for my $i (0 .. $#$tokens) {
            my $token = ref($tokens->[$i]) ? $tokens->[$i][0] : $tokens->[$i];

            for my $place ($token =~ /<(\w+)>/g) {
                my @right = map { filled($directive, $_) }
                    grep { !ref } @$tokens;
                my $bad = filled($directive, $token, 0, $place);

                if (ref($tokens->[$i])) {
                    push(@right, $bad);
                } else {
                    $right[$i] = $bad;
                }

                push(@wrong, "@right");
            }
        }
    }

    return @wrong;
}


sub write_file {
    my ($path, $text) = @_;

    open(my $file, '>', $path) or die("$path: $!");
    print {$file} $text;
    close($file);
}
