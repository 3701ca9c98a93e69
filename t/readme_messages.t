# Why: who has a message before him looks for it in README, and finds it if it
# is written there as nginx writes it.  Known to fail by: a message that was
# reworded in the code; one that README never had; a promise of what nginx -t
# says that it does not say.

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

# what nginx itself says of our directives: a line that makes it do so

my %provoked = (
    'eventsession_none 1;'             => 'http',
    'eventsession ws;'                 => 'http',
    'eventsession_ping 1s 2s;'         => 'http',
    'eventsession_ping 1s;' x 2        => 'http',
    'eventsession_delete maybe;'       => 'http',
    'location /x { eventsession ws; }' => 'locations',
);

log_messages();
conf_messages();
wire_messages();

done_testing();


# What is written is in the sources, and what is logged is written down.  At
# ALERT and CRIT are bugs, and what the system says.

sub log_messages {
    my @written = messages('What the error log says');

    cmp_ok(scalar(@written), '>', 30, 'messages of the log');

    ok($sources->has_text($_), "the source has: $_") for @written;

    for my $level (qw(ERR WARN NOTICE INFO)) {
        for my $text ($sources->logged($level)) {
            ok(matched(filled($text), @written), "$level: README has: $text");
        }
    }
}


sub conf_messages {
    my @written = messages('What nginx -t says');
    my @said    = map { filled($_) } $sources->refusals;

    cmp_ok(scalar(@said), '>', 25, 'messages of nginx -t');

    ok(matched($_, @written), "README has: $_") for @said;

    push(@said, map { provoke($provoked{$_}, $_) } sort(keys(%provoked)));

    for my $message (@written) {
        ok((grep { matched($_, $message) } @said), "is said: $message");
    }
}


sub provoke {
    my ($block, $line) = @_;

    @{$nginx}{qw(http locations)} = ('', '');
    $nginx->{$block} = $line;

    my ($fine, $text) = $nginx->conf_test;
    my ($said) = $text =~ /\[emerg\] (?:\d+#\d+: )?(.*) in \S+:\d+$/m;

    ok(!$fine, "refused: $line");
    ok(matched($said // '', messages('What nginx -t says')),
        "README has: $said");

    return $said // ();
}


# What clients are told, where no example shows it: readme_examples.t has the
# others.  Tables have it in their first cells, prose in JSON.

sub wire_messages {
    my @texts = map { /^\s*(?:the|there|not) / ? $_ : () }
        map { $_->[0] =~ /`([^`]+)`/g } $readme->tables('Endpoints');

    cmp_ok(scalar(@texts), '>', 3, 'messages to clients in tables');

    for my $span ($readme->spans) {
        push(@texts, $1 =~ s/\\(["\\])/$1/gr)
            if $span =~ /"(?:error|detail)":"((?:[^"\\]|\\.)*)"/;
    }

    my ($ready) = join(' ', $readme->section('Ready'))
        =~ /`detail` is one of (.*?)\./;

    push(@texts, $ready =~ /`([^`]+)`/g);
    cmp_ok(scalar(@texts), '>', 12, 'with those of JSON, and of ready');

    ok($sources->has_text($_), "the source has: $_") for @texts;
}


# Of the first cells of a section's tables.

sub messages {
    my ($title) = @_;

    return map { $_->[0] =~ /`([^`]+)`/g } $readme->tables($title);
}


sub matched {
    my ($text, @messages) = @_;

    for my $message (@messages) {
        my $pattern = join('.*', map { quotemeta($_) }
            split(/…|\bn\b/, $message, -1));

        return 1 if $text =~ /^$pattern$/ || $text =~ /^$pattern:? /;
    }

    return 0;
}


# A format with something in the place of what it is filled with.

sub filled {
    my ($format) = @_;

    $format =~ s/\w\K%s//g;
    $format =~ s/%(?:\*?u?[a-zA-Z]*)(?<=[VscdDiz])/x/g;

    # a macro ends it
    return $format =~ s/ $/ x/r;
}
