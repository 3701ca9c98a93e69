# Why: who trusts an application by mistake, or none, should learn it from
# nginx -t; and the UUID is a credential, which what nginx -t says must not
# give away to whoever reads over a shoulder or in a ticket.  Known to fail by:
# a UUID in a message; an application that is there twice, of which one name
# wins; names that break the JSON or the log they are shown in.

use strict;
use warnings;

use lib 't/lib';

use EventSession;
use Test::More;

use constant {
    UUID  => '0e302fce-66ad-4721-911e-0ab9d33697bf',
    PLAIN => '0E302FCE66AD4721911E0AB9D33697BF',
    OTHER => '1e302fce-66ad-4721-911e-0ab9d33697bf',
};

my $t     = EventSession->new;
my $nginx = $t->nginx_unstarted(redis => undef, locations => '');

my $right = '1 to 64 printable ASCII characters without " and \\, with no '
    . 'blank at an end';


sub conf_test {
    my (%blocks) = @_;

    @{$nginx}{qw(http server locations)} = map { $_ // '' }
        @blocks{qw(http server locations)};

    return $nginx->conf_test;
}


sub passes {
    my ($line) = @_;

    local $Test::Builder::Level = $Test::Builder::Level + 1;

    for my $block (qw(http server locations)) {
        my ($fine, $text) = conf_test($block => $block ne 'locations' ? $line
            : "location / { $line }");

        ok($fine, "right in $block: $line") or diag($text);
        unlike($text, qr/\[warn\]/, 'without a warning');
    }
}


sub fails {
    my ($line, $message, %blocks) = @_;

    local $Test::Builder::Level = $Test::Builder::Level + 1;

    my ($fine, $text) = conf_test(http => $line, %blocks);

    my ($said) = $text =~ /\[emerg\] (?:\d+#\d+: )?(.*) in \S+:\d+$/m;

    is($said // $text, $message, "wrong: $line");
    ok(!$fine, 'nginx -t fails');
    unlike($text, qr/302fce/i, 'without the UUID');
}


passes('eventsession_application ' . UUID . " $_;") for 'shop', 'a',
    '"The Eye"', "it's", 'x' x 64, '"a.b-c/d{e}"';
passes('eventsession_application ' . PLAIN . ' shop;');
passes('eventsession_application ' . UUID . ' shop; '
    . 'eventsession_application ' . OTHER . ' shop;');
passes("eventsession_application_cache $_;") for qw(0 5s 500ms 1);
passes("eventsession_application_grace $_;") for qw(0 60s 1h);
passes("eventsession_require_application $_;") for qw(on off);

# in many blocks, in any order

my ($fine, $text) = conf_test(
    http      => 'eventsession_application ' . OTHER . ' b; '
                 . 'eventsession_application ' . UUID . ' a;',
    server    => 'eventsession_application ' . UUID . ' c;',
    locations => 'location / { eventsession_application ' . UUID . ' d; }');

ok($fine, 'the same one in inner blocks') or diag($text);


fails('eventsession_application ' . UUID . ' "' . $_->[0] . '";', 'invalid '
    . qq(name "$_->[1]" in "eventsession_application": must be of $right))
    for map { ref($_) ? $_ : [ $_, $_ ] } '', ' ', ' a', 'a ', 'x' x 65,
    [ 'a\\"b', 'a"b' ], [ 'a\\\\b', 'a\\b' ], "\xc3\xa9", "a\x7f";

fails(qq(eventsession_application "$_" shop;), 'invalid UUID of "shop" in '
    . '"eventsession_application": must have 32 hexadecimal digits, with 4 '
    . 'dashes or without') for '', 'x', substr(UUID, 1), UUID . '0',
    '{' . UUID . '}', UUID =~ s/-//r, UUID =~ s/f/g/r;

fails('eventsession_application shop ' . UUID . ';', 'the name of an '
    . 'application in "eventsession_application" is a UUID: the UUID stands '
    . 'first, and the name is shown');

fails('eventsession_application ' . UUID . ' a; eventsession_application '
    . "$_ b;", 'duplicate UUID of "b" in "eventsession_application": each '
    . 'application must have one of its own') for UUID, PLAIN;

fails("eventsession_application $_;", 'invalid number of arguments in '
    . '"eventsession_application" directive') for UUID, UUID . ' a b', '';

for my $setting (qw(cache grace)) {
    fails(qq(eventsession_application_$setting "$_";), qq(invalid value "$_" )
        . qq(in "eventsession_application_$setting": must be a time as 30s, or )
        . '0') for '', '-1', 'x', 'off';

    fails("eventsession_application_$setting 1s;" x 2,
        qq("eventsession_application_$setting" directive is duplicate));
}

fails('eventsession_require_application yes;', 'invalid value "yes" in '
    . '"eventsession_require_application" directive, it must be "on" or "off"');
fails('eventsession_require_application on;' x 2,
    '"eventsession_require_application" directive is duplicate');

done_testing();
