# Why: anybody may send anything as a filter: what is no filter is told so,
# with its column, and nothing ever fails or hangs.  All prefixes of random
# filters and all sorts of changes of one byte go over HTTP, to each plan.
# Known to fail by: a read behind the end of the text; a bracket that is
# never closed; UTF-8 that is cut; a column that counts bytes.
#
#     EVS_BROKEN=100000    that many
#     EVS_SEED=7           others

use strict;
use warnings;

use lib 't/lib';

use EventSession;
use EventSession::Filter;
use EventSession::Log;
use Test::More;

use constant { AT_ONCE => 40, BYTES => [ map { chr } 0, 9, 10, 13, 32, 34, 39,
    40, 41, 46, 48, 65, 92, 0x80, 0xc3, 0xe2, 0xed, 0xf4, 0xff ] };

my $wanted = $ENV{EVS_BROKEN} || 4000;

my $t     = EventSession->new;
my $redis = $t->redis;
my $nginx = $t->nginx(redis => $redis, log_level => 'warn',
    http => 'large_client_header_buffers 4 64k; keepalive_requests 1000000;');

srand($ENV{EVS_SEED} || 6);

my @records = map { random_record($_) } 1 .. 5;

log_add($redis, @records);

my ($pid) = $nginx->workers;
my ($sent, $right, $bad) = (0, 0, 0);
my @waiting;
my $http = $nginx->connect(timeout => 30);

while ($sent < $wanted && $bad < 5) {
    my $text = bytes_of(filter_text(random_filter(@records)));

    next if length($text) > 600;

    ask(substr($text, 0, $_)) for 0 .. length($text);
    ask(changed($text)) for 1 .. 2 * length($text);
}

answers();

is($bad, 0, "$sent broken filters: 200, or 400 with what is wrong");
cmp_ok($right, '>', $sent / 200, "some of them ($right) are none");
cmp_ok($sent - $right, '>', $sent / 2, 'most of them are');
is(join(' ', $nginx->workers), $pid, 'all that in one worker');

$nginx->quit;
ok_log($nginx);
done_testing();


# One byte is another one, or gone, or twice, or one is new.

sub changed {
    my ($text) = @_;

    my $at   = int(rand(length($text)));
    my $byte = pick(@{ +BYTES }, chr(int(rand(256))));
    my $kind = int(rand(4));

    substr($text, $at, $kind == 0 ? 0 : 1, $kind == 1 ? ''
        : $kind == 2 ? substr($text, $at, 1) x 2 : $byte);

    return $text;
}


sub ask {
    my ($bytes) = @_;

    push(@waiting, $bytes);
    $sent++;

    answers() if @waiting == AT_ONCE;
}


# All at once, then their answers.

sub answers {
    my @paths = map { path($_) } @waiting;

    $http->send(join('', map { $http->text_of('GET', $_) } @paths));

    for my $bytes (splice(@waiting)) {
        my $res = $http->response;

        judge($bytes, $res);

        if (!$res->status) {
            $http = $nginx->connect(timeout => 30);
            last;
        }
    }
}


sub path {
    my ($bytes) = @_;

    $bytes =~ s/([^A-Za-z0-9._~' ()-])/sprintf('%%%02X', ord($1))/ge;

    return '/event?plan=' . pick(qw(best index range scan)) . '&q='
        . ($bytes =~ tr/ /+/r);
}


sub judge {
    my ($bytes, $res) = @_;

    if ($res->status == 200 && !$res->error && $res->body =~ /^\[.*\]$/s) {
        $right++;
        return;
    }

    # behind the last character at most

    my $characters = () = $bytes =~ /[^\x80-\xbf]/g;

    return if $res->status == 400 && $res->body =~ /"detail":"q\ is\ no\ filter:
        \ column\ (\d+):\ expected\ (?:[^"\\]|\\.)+"\}$/x
        && $1 >= 1 && $1 <= $characters + 1;

    $bad++;
    diag(path($bytes), "\n", $res->status, ' ', $res->error // '', ' ',
        $res->body);
}
